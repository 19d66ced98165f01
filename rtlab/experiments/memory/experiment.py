"""memory (Table IV): the machine's memory, and what one more idle container takes.

Table IV's columns are read at the end of the window (or at a fixed uptime): `used` is total − free − buffers −
cached, as the paper's psutil had it, to the byte; psutil's own `used`, which changed in 7.1, is kept beside it. The
metric on which a verdict is given is the slope of memory over the number of idle containers, by the proportional set
size of everything that they need; two other meters (their cgroups; the fall of MemAvailable) stand beside it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rtlab.config.setting import setting
from rtlab.errors import ParseError
from rtlab.experiments import counters
from rtlab.experiments.contract import Declared
from rtlab.experiments.settings import Limited, Window
from rtlab.model import (
    Json,
    Meters,
    Metric,
    Observation,
    PlaceInBoot,
    RawOutput,
)
from rtlab.units import MIB


@dataclass(frozen=True, kw_only=True)
class Settings(Limited, Window):
    """See ``rtlab.config.setting``."""

    containers: tuple[int, ...] = setting(
        (1, 2, 5, 10, 20), "numbers of idle containers at which memory is read", paper=(), low=1, high=500
    )
    settle_s: float = setting(1.0, "pause before each such reading", low=0, high=600)


_METERS = {"container_pss_bytes": "pss_bytes", "container_cgroup_bytes": "cgroup_bytes"}
_FALL = "available_fall_bytes"
# The three meters should agree within this share (measurement.md §2).
AGREEMENT = 0.10


_AGAINST_EACH_OTHER = Meters(
    what="memory per idle container",
    unit="MiB",
    table="IV",
    titles=("PSS", "its cgroup", "the fall of MemAvailable"),
    metrics=("container_pss_bytes", "container_cgroup_bytes", "container_available_bytes"),
)


@dataclass(frozen=True, slots=True)
class Memory(Declared):
    """See the module; the Protocol is ``rtlab.model.Experiment``."""

    name: str = "memory"
    title: str = "Memory"
    summary: str = "System-wide memory, and memory per idle container by three meters."
    order: int = 1
    place: PlaceInBoot = "first"  # earlier trials leave caches
    settings: type[Settings] = Settings
    meters: Meters = _AGAINST_EACH_OTHER
    metrics: tuple[Metric, ...] = (
        Metric(
            name="container_pss_bytes",
            title="per idle container (PSS)",
            label="Idle memory",
            unit="B",
            display_unit="MiB",
            better="lower",
            primary=True,
            resolution=1024.0,
        ),
        Metric(
            name="container_cgroup_bytes",
            title="per idle container (cgroup)",
            unit="B",
            display_unit="MiB",
            better="lower",
            positive=False,
            resolution=1024.0,
        ),
        Metric(
            name="container_available_bytes",
            title="per idle container (fall of MemAvailable)",
            unit="B",
            display_unit="MiB",
            better="lower",
            positive=False,
            resolution=1024.0,
        ),
        Metric(name="fixed_pss_bytes", title="fixed part (PSS)", unit="B", display_unit="MiB", positive=False),
        *(
            Metric(name=f"{name}_bytes", title=f"system, {name}", unit="B", display_unit="MB", paper=("IV", name))
            for name in ("total", "used", "free", "active", "buffers", "cached")
        ),
    )

    def contradictions(self, settings: Settings) -> tuple[str, ...]:
        steps = list(settings.containers)
        if len(set(steps)) == 1:
            return (f"containers = {steps!r}: at least two different whole numbers are allowed, or none",)
        return ()

    def duration_s(self, parameters: Mapping[str, Json]) -> float:
        steps = parameters["containers"]
        density = 0.7 * max(steps, default=0) + len(steps) * float(parameters["settle_s"])
        return float(parameters["uptime_s"] or parameters["window_s"]) + 4.0 + density

    def parse(self, raw: RawOutput, parameters: Mapping[str, Json]) -> tuple[Observation, ...]:
        steps = counters.section(raw.probe, "measured", "density", "steps")
        wanted = sorted(parameters["containers"])
        if not isinstance(steps, list) or [s.get("containers") for s in steps if isinstance(s, Mapping)] != wanted:
            raise ParseError(f"The probe's measured.density.steps are not readings at {wanted} containers.")
        slopes: dict[str, float | None] = dict.fromkeys((*_METERS, "container_available_bytes"))
        faults: dict[str, ParseError] = {}
        fixed: float | None = None
        if steps:
            counts = [counters.number(step, "containers") for step in steps]
            for name, key in (*_METERS.items(), ("container_available_bytes", _FALL)):
                values = [step.get(key) for step in steps]
                if None not in values:
                    try:
                        slope, intercept = line(counts, [counters.number(step, key) for step in steps])
                    except ParseError as error:
                        # One meter at fault says nothing against the others; PSS is what a verdict is given on.
                        if key == "pss_bytes":
                            raise
                        faults[name] = error
                        continue
                    slopes[name] = slope
                    fixed = intercept if key == "pss_bytes" else fixed

        def value(metric: Metric) -> float | None:
            if metric.name in faults:
                raise faults[metric.name]
            if metric.name in slopes:
                return slopes[metric.name]
            if metric.name == "fixed_pss_bytes":
                return fixed
            assert metric.paper is not None
            if metric.paper[1] == "used":
                return counters.number(raw.probe, "measured", "after", "memory_used_by_the_paper_bytes")
            return counters.number(raw.probe, "measured", "after", "memory_bytes", metric.paper[1])

        found = counters.observations(raw, self.metrics, value, counters.window_note(raw, parameters))
        note = disagreement(slopes)
        return tuple(replace(o, note=note) if o.metric in slopes and o.value is not None else o for o in found)


def disagreement(slopes: Mapping[str, float | None]) -> str:
    """Which meters differ from PSS by more than AGREEMENT, in words; empty when all that were read agree."""
    reference = slopes["container_pss_bytes"]
    if reference is None:
        return "PSS could not be read: the meters cannot be compared"
    apart = [
        f"{name} {value / MIB:.1f} MiB"
        for name, value in (
            ("cgroup", slopes["container_cgroup_bytes"]),
            ("fall of MemAvailable", slopes["container_available_bytes"]),
        )
        if value is not None and abs(value - reference) > AGREEMENT * abs(reference)
    ]
    return f"the meters disagree: PSS {reference / MIB:.1f} MiB, {', '.join(apart)}" if apart else ""


def line(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """Slope and intercept of the least-squares line.

    Raises:
        ParseError: all x are equal.
    """
    mean_x, mean_y = sum(x) / len(x), sum(y) / len(y)
    spread = sum((a - mean_x) ** 2 for a in x)
    if spread == 0:
        raise ParseError("A slope needs two different numbers of containers.")
    slope = sum((a - mean_x) * (b - mean_y) for a, b in zip(x, y, strict=True)) / spread
    return slope, mean_y - slope * mean_x


EXPERIMENT = Memory()

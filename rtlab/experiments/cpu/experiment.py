"""cpu (Table III): the machine's CPU times, and CPU-seconds for a fixed unit of work.

Default design: the change of psutil's system-wide CPU times over a window from the container's start; and CPU-seconds
for two fixed units of work, summed over everything that the container needs (its cgroup, shim, sandbox, VMM and its
threads, virtiofsd, vhost threads), by one rule for every runtime. The first, on which a verdict is given, computes in
one process: coreutils' `factor` on one number, over and over, which asks the kernel for nothing. The second hashes
zeros through a pipe, which measures system calls as much as computing. The engine's daemons stand in a line of their
own. Paper's design: the same CPU times since boot, read once at a fixed uptime.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from rtlab.config.setting import again, setting
from rtlab.errors import ParseError
from rtlab.experiments import counters
from rtlab.experiments.contract import Declared
from rtlab.experiments.settings import Limited, Window
from rtlab.model import (
    CampaignSpec,
    Json,
    Machine,
    Meters,
    Metric,
    Observation,
    RawOutput,
    Runtime,
    Trial,
)
from rtlab.units import MIB


@dataclass(frozen=True, kw_only=True)
class Settings(Limited, Window):
    """See ``rtlab.config.setting``."""

    # Equal for every runtime (measurement.md §2): Kata's guest has one CPU otherwise, the others have all of them.
    limit_cpus: float = again(Limited, "limit_cpus", 1.0, paper=0.0)
    limit_memory_mb: int = again(Limited, "limit_memory_mb", 512, paper=0)
    compute_units: int = setting(
        4,
        "unit of computing: how often one process factors one number (about half a second each)",
        paper=0,
        low=0,
        high=10000,
    )
    work_mb: int = setting(512, "unit of the pipe: MiB of zeros hashed", paper=0, low=0, high=1 << 20)


# Two primes near 2^48: factored by Pollard's rho in 128-bit arithmetic, without memory and without system calls.
KEPT = 4000  # so many characters of its output the probe keeps
NUMBER, FACTORS = 118842243771410157926686392677, (281474976710677, 422212465066001)
TICK_S = 0.01  # /proc/PID/stat counts in ticks of 1/100 s
_PIPE = Metric(
    name="work_cpu_s",
    title="CPU time for hashing through a pipe (computing and system calls)",
    unit="s",
    better="lower",
    resolution=TICK_S,
)
TIMES = ("user", "nice", "system", "idle", "iowait")


def by_cgroup(probe: Mapping[str, Json]) -> list[tuple[float, ...]]:
    """One pair (CPU-seconds over everything, by the cgroup alone) for the unit of work; none where the probe recorded
    none."""
    measured = probe.get("measured")
    work = measured.get("compute", measured.get("work")) if isinstance(measured, Mapping) else None
    if not isinstance(work, Mapping):
        return []
    begin, end = (work.get(key) for key in ("begin", "end"))
    if not isinstance(begin, Mapping) or not isinstance(end, Mapping):
        return []
    try:
        whole = counters.number(work, "cpu_s")
        return [(whole, counters.number(end, "cgroup_s") - counters.number(begin, "cgroup_s"))]
    except ParseError:
        return []


_METERS = Meters(
    what="CPU time for the unit of work",
    unit="s",
    table="III",
    titles=("everything that the container needs", "its cgroup alone"),
    metrics=("compute_cpu_s", "work_cpu_s"),
    read=by_cgroup,
)


@dataclass(frozen=True, slots=True)
class Cpu(Declared):
    """See the module; the Protocol is ``rtlab.model.Experiment``."""

    name: str = "cpu"
    title: str = "CPU"
    summary: str = "System-wide CPU times, and CPU-seconds for computing in one process and for a pipe."
    order: int = 3
    settings: type[Settings] = Settings
    meters: Meters = _METERS
    # Whole lines, of which nothing but numbers leave in `rtlab pack`.
    prints: re.Pattern[str] = re.compile(
        r"rtlab-begin|rtlab-[a-z]{1,20} \d{1,3}|\d{1,40}:(?: \d{1,40}){1,60}|[0-9a-f]{64}  -"
    )
    metrics: tuple[Metric, ...] = (
        Metric(
            name="compute_cpu_s",
            title="CPU time for computing in one process",
            label="CPU time to compute",
            unit="s",
            better="lower",
            primary=True,
            resolution=TICK_S,
        ),
        _PIPE,
        Metric(
            name="startup_cpu_s", title="CPU time to start the container", unit="s", better="lower", resolution=TICK_S
        ),
        Metric(
            name="engine_cpu_s", title="CPU time of the engine's daemons", unit="s", positive=False, resolution=TICK_S
        ),
        *(
            Metric(
                name=f"{name}_s",
                title=f"system, {name}",
                unit="s",
                paper=("III", name),
                positive=False,
                resolution=TICK_S,
            )
            for name in TIMES
        ),
    )

    def duration_s(self, parameters: Mapping[str, Json]) -> float:
        work = 4.0 + 0.006 * float(parameters["work_mb"]) + 0.6 * float(parameters.get("compute_units", 0))
        return float(parameters["uptime_s"] or parameters["window_s"]) + work

    def request(self, trial: Trial, spec: CampaignSpec, machine: Machine, runtime: Runtime) -> dict[str, Json]:
        parameters = dict(spec.parameters[self.name])
        amount = int(parameters["work_mb"]) * MIB
        work = ["sh", "-c", f"head -c {amount} /dev/zero | sha256sum"] if amount else []
        units = int(parameters["compute_units"])
        return {**parameters, "compute": ["factor", *[str(NUMBER)] * units] if units else [], "work": work}

    def as_measured(self, parameters: Mapping[str, Json]) -> Cpu:
        """The experiment as it was when a campaign with these parameters was measured: until rtlab 0.1 there was only
        the pipe, as the primary metric."""
        if "compute_units" in parameters:
            return self
        pipe = replace(_PIPE, title="CPU time for the unit of work", label="CPU time, unit of work", primary=True)
        rest = tuple(m for m in self.metrics if m.name not in ("compute_cpu_s", pipe.name))
        return replace(self, metrics=(pipe, *rest))

    def parse(self, raw: RawOutput, parameters: Mapping[str, Json]) -> tuple[Observation, ...]:
        def value(metric: Metric) -> float | None:
            if metric.paper is not None:
                return counters.change(raw, parameters, "cpu_times_s", metric.paper[1])
            units = {"compute": parameters.get("compute_units"), "work": parameters["work_mb"]}
            place = {"compute_cpu_s": "compute", "work_cpu_s": "work"}.get(metric.name)
            if place is None:  # of the container: with whichever unit came first
                place = next((name for name, amount in units.items() if amount), "work")
            if not units[place]:
                return None
            if metric.name == "compute_cpu_s":
                check_factors(counters.section(raw.probe, "measured", "compute", "stdout"), int(units[place] or 0))
            key = metric.name if metric.name in ("startup_cpu_s", "engine_cpu_s") else "cpu_s"
            seconds = counters.number(raw.probe, "measured", place, key)
            if seconds < 0 or (seconds == 0 and metric.positive):
                raise ParseError(
                    f"The probe counted {seconds:g} CPU-seconds for {metric.name}: a counter went backwards."
                )
            return seconds

        return counters.observations(raw, self.metrics, value, counters.window_note(raw, parameters))


def check_factors(printed: Json, units: int) -> None:
    """ParseError when `factor` did not print the number's factors ``units`` times: the work was not done whole."""
    wanted = f"{NUMBER}: {FACTORS[0]} {FACTORS[1]}\n" * units
    if printed != wanted[-KEPT:]:
        raise ParseError("The unit of computing did not print the factors it was to find.", line=str(printed)[-80:])


EXPERIMENT = Cpu()

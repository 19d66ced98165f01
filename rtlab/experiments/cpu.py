"""cpu (Table III): the machine's CPU times, and CPU-seconds for a fixed unit of work.

Default design: the change of psutil's system-wide CPU times over a window from the container's start; and, as the
metric on which a verdict is given, CPU-seconds for hashing a fixed number of zero bytes, summed over everything that
the container needs (its cgroup, shim, sandbox, VMM and its threads, virtiofsd, vhost threads), by one rule for every
runtime; the engine's daemons stand in a line of their own. Paper's design: the same CPU times since boot, read once
at a fixed uptime.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from rtlab import counters
from rtlab.errors import ParseError
from rtlab.model import (
    CampaignSpec,
    Design,
    Json,
    Machine,
    Metric,
    Observation,
    RawOutput,
    Runtime,
    Trial,
)
from rtlab.parameters import LIMITS, WINDOW, Parameter, Parameters
from rtlab.units import MIB

_CPUS, _MEMORY = LIMITS
_PARAMETERS = Parameters(
    (
        *WINDOW,
        # Equal for every runtime (measurement.md §2): Kata's guest has one CPU otherwise, the others have all of them.
        replace(_CPUS, default=1.0, paper=0.0),
        replace(_MEMORY, default=512, paper=0),
        Parameter(
            key="work_mb", default=512, paper=0, minimum=0, maximum=1 << 20, about="unit of work: MiB of zeros hashed"
        ),
    )
)
_TIMES = ("user", "nice", "system", "idle", "iowait")


@dataclass(frozen=True, slots=True)
class Cpu:
    """See the module; the Protocol is ``rtlab.model.Experiment``."""

    name: str = "cpu"
    title: str = "CPU"
    summary: str = "System-wide CPU times, and CPU-seconds for a fixed unit of work."
    order: int = 3
    metrics: tuple[Metric, ...] = (
        Metric(name="work_cpu_s", title="CPU time for the unit of work", unit="s", better="lower", primary=True),
        Metric(name="startup_cpu_s", title="CPU time to start the container", unit="s", better="lower"),
        Metric(name="engine_cpu_s", title="CPU time of the engine's daemons", unit="s", positive=False),
        *(
            Metric(name=f"{name}_s", title=f"system, {name}", unit="s", paper=("III", name), positive=False)
            for name in _TIMES
        ),
    )

    def defaults(self, design: Design) -> Mapping[str, Json]:
        return _PARAMETERS.defaults(design)

    def problems(self, parameters: Mapping[str, Json]) -> tuple[str, ...]:
        return _PARAMETERS.problems(parameters)

    def needs_disk_bytes(self, parameters: Mapping[str, Json]) -> int:
        return 64 * MIB

    def duration_s(self, parameters: Mapping[str, Json]) -> float:
        return float(parameters["uptime_s"] or parameters["window_s"]) + 4.0 + 0.006 * float(parameters["work_mb"])

    def request(self, trial: Trial, spec: CampaignSpec, machine: Machine, runtime: Runtime) -> dict[str, Json]:
        parameters = dict(spec.parameters[self.name])
        amount = int(parameters["work_mb"]) * MIB
        work = ["sh", "-c", f"head -c {amount} /dev/zero | sha256sum"] if amount else []
        return {**parameters, "work": work}

    def parse(self, raw: RawOutput, parameters: Mapping[str, Json]) -> tuple[Observation, ...]:
        def value(metric: Metric) -> float | None:
            if metric.paper is not None:
                return counters.change(raw, parameters, "cpu_times_s", metric.paper[1])
            if not parameters["work_mb"]:
                return None
            key = "cpu_s" if metric.name == "work_cpu_s" else metric.name
            seconds = counters.number(raw.probe, "measured", "work", key)
            if seconds < 0 or (seconds == 0 and metric.positive):
                raise ParseError(
                    f"The probe counted {seconds:g} CPU-seconds for {metric.name}: a counter went backwards."
                )
            return seconds

        return counters.observations(raw, self.metrics, value, counters.window_note(raw, parameters))


EXPERIMENT = Cpu()

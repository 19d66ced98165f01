"""exec (not in the paper): the time for a command in a container that already runs.

It is what every tool call of a coding agent, every health check and every `kubectl exec` pays. The command is the
smallest that there is, `true`, so that what is timed is the way to it: the engine's two calls, the shim, the runtime's
own `exec`, and the new process in the sandbox. Each of `execs` commands is timed alone, one after the other; of a trial
count their median, on which a verdict is given, and their 95th percentile. The first command of a container is a metric
of its own and in neither. A null driver makes as many calls to the engine without a command: what the harness costs.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from rtlab.config.setting import setting
from rtlab.errors import ParseError
from rtlab.experiments.contract import Declared
from rtlab.experiments.counters import section
from rtlab.experiments.settings import Limited
from rtlab.model import Json, Metric, Observation, RawOutput


@dataclass(frozen=True, kw_only=True)
class Settings(Limited):
    """See ``rtlab.config.setting``."""

    execs: int = setting(200, "commands in one container, in a row, after its first", low=20, high=100_000)
    null_execs: int = setting(200, "rounds of the null driver", low=1, high=100_000)


@dataclass(frozen=True, slots=True)
class Exec(Declared):
    """See the module; the Protocol is ``rtlab.model.Experiment``."""

    name: str = "exec"
    title: str = "Command in a running container"
    summary: str = "Time for a command in a container that already runs."
    order: int = 5
    by_default: bool = False
    settings: type[Settings] = Settings
    metrics: tuple[Metric, ...] = (
        Metric(
            name="exec_s",
            title="command in a running container, median",
            unit="s",
            display_unit="ms",
            better="lower",
            primary=True,
        ),
        Metric(
            name="exec_p95_s",
            title="command in a running container, 95th percentile",
            unit="s",
            display_unit="ms",
            better="lower",
        ),
        Metric(name="first_exec_s", title="first command of a container", unit="s", display_unit="ms", better="lower"),
        Metric(name="null_s", title="the harness's own calls", unit="s", display_unit="ms", better="lower"),
    )

    def duration_s(self, parameters: Mapping[str, Json]) -> float:
        return 4.0 + 0.1 * float(parameters["execs"])

    def parse(self, raw: RawOutput, parameters: Mapping[str, Json]) -> tuple[Observation, ...]:
        times = _times(raw, "execs_ns", int(parameters["execs"]))
        found: dict[str, float] = {
            "exec_s": statistics.median(times),
            "exec_p95_s": sorted(times)[math.ceil(0.95 * len(times)) - 1],
        }
        notes: dict[str, str] = {}
        others = {"first_exec_s": ("first_ns", 1), "null_s": ("null_ns", int(parameters["null_execs"]))}
        for name, (place, count) in others.items():
            try:
                found[name] = statistics.median(_times(raw, place, count))
            except ParseError as error:  # says nothing against the commands' own times
                notes[name] = error.message
        return tuple(
            Observation(
                trial=raw.record.trial,
                metric=metric.name,
                value=found.get(metric.name),
                unit=metric.unit,
                note=notes.get(metric.name, ""),
            )
            for metric in self.metrics
        )


def _times(raw: RawOutput, place: str, count: int) -> list[float]:
    """Seconds of so many commands, as the probe noted them.

    Raises:
        ParseError: there are more or fewer, or one is no time.
    """
    found = section(raw.probe, "measured", place)
    if not isinstance(found, list) or len(found) != count:
        raise ParseError(f"The probe's measured.{place} are not {count} times.")
    if any(isinstance(ns, bool) or not isinstance(ns, int) or not 0 < ns < 10**18 for ns in found):
        raise ParseError(f"The probe's measured.{place} has something that is no time.")
    return [ns * 1e-9 for ns in found]


EXPERIMENT = Exec()

"""Do the meters of memory and CPU time agree? Pure.

Memory per idle container is read by three meters, CPU time of the unit of work by two: everything that the container
needs, and its cgroup alone, which is what most tools show. Where another meter differs from the first, per runtime and
by medians, by more than AGREEMENT, a caveat names all values; where they agree, a note under the table says so.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rtlab.model import Caveat, Json, Summary
from rtlab.units import MIB

# Ten per cent for memory is measurement.md §2; the same is asked of CPU time.
AGREEMENT = 0.10
_MEMORY = {
    "container_pss_bytes": "PSS",
    "container_cgroup_bytes": "its cgroup",
    "container_available_bytes": "the fall of MemAvailable",
}
# (experiment, metric) of the meters that estimates are by.
FIRST = (("memory", "container_pss_bytes"), ("cpu", "compute_cpu_s"), ("cpu", "work_cpu_s"))
_CPU = ("everything that the container needs", "its cgroup alone")


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One arm's medians by each meter, the first one being what the report's estimates use."""

    arm: str
    values: tuple[tuple[str, float], ...]

    def apart(self) -> tuple[tuple[str, float], ...]:
        """Meters that differ from the first by more than AGREEMENT, with their share of difference."""
        _, first = self.values[0]
        if first == 0:
            return ()
        shares = [(name, value / first - 1) for name, value in self.values[1:]]
        return tuple((name, share) for name, share in shares if abs(share) > AGREEMENT)


def cpu_seconds(probe: Mapping[str, Json]) -> list[tuple[float, float]]:
    """One pair (CPU-seconds over everything, by the cgroup alone) for a cpu trial's unit of work; none where the probe
    recorded none."""
    measured = probe.get("measured")
    work = measured.get("compute", measured.get("work")) if isinstance(measured, Mapping) else None
    if not isinstance(work, Mapping):
        return []
    begin, end = (work.get(key) for key in ("begin", "end"))
    if not isinstance(begin, Mapping) or not isinstance(end, Mapping):
        return []
    numbers = [_number(x) for x in (work.get("cpu_s"), begin.get("cgroup_s"), end.get("cgroup_s"))]
    if None in numbers:
        return []
    whole, first, second = (x for x in numbers if x is not None)
    return [(whole, second - first)]


def of_memory(summaries: Sequence[Summary], arms: Sequence[str]) -> tuple[Reading, ...]:
    """Memory per idle container in MiB, for arms with at least two meters."""
    medians = {
        (s.arm, s.metric): s.median.point / MIB
        for s in summaries
        if s.experiment == "memory" and s.metric in _MEMORY and s.median is not None
    }
    found = []
    for arm in arms:
        values = tuple((title, medians[arm, m]) for m, title in _MEMORY.items() if (arm, m) in medians)
        if len(values) >= 2 and values[0][0] == "PSS":
            found.append(Reading(arm=arm, values=values))
    return tuple(found)


def of_cpu(pairs: Mapping[str, Sequence[tuple[float, float]]], arms: Sequence[str]) -> tuple[Reading, ...]:
    """CPU-seconds for the unit of work, from the pairs of ``cpu_seconds`` per arm."""
    found = []
    for arm in arms:
        if seen := pairs.get(arm):
            medians = (statistics.median(pair[i] for pair in seen) for i in (0, 1))
            found.append(Reading(arm=arm, values=tuple(zip(_CPU, medians, strict=True))))
    return tuple(found)


def caveats(readings: Sequence[Reading], what: str, unit: str, where: str, titles: Mapping[str, str]) -> list[Caveat]:
    """One for each arm whose meters disagree."""
    found = []
    for reading in readings:
        apart = reading.apart()
        if apart:
            by = "; ".join(f"{name} differs by {share * 100:+.0f} %" for name, share in apart)
            message = (
                f"The meters disagree on {what} under {titles.get(reading.arm, reading.arm)}: "
                f"{_listed(reading, unit)}. {by[0].upper()}{by[1:]}, where {AGREEMENT * 100:.0f} % are allowed; "
                f"estimates are by {reading.values[0][0]}."
            )
            found.append(Caveat(kind="meters", message=message, where=where))
    return found


def note(readings: Sequence[Reading], what: str, unit: str, titles: Mapping[str, str]) -> str:
    """For under the table: that the meters agree, where all do; else where to look."""
    if not readings:
        return f"No second meter of {what} was recorded: there is nothing to check it by."
    apart = [titles.get(r.arm, r.arm) for r in readings if r.apart()]
    if apart:
        return f"The meters of {what} disagree under {', '.join(apart)}: see the notes beside the verdicts."
    listed = "; ".join(f"{titles.get(r.arm, r.arm)} {_listed(r, unit)}" for r in readings)
    return f"The meters of {what} agree within {AGREEMENT * 100:.0f} %: {listed}."


def _listed(reading: Reading, unit: str) -> str:
    return ", ".join(f"{value:.3g} {unit} by {name}" for name, value in reading.values)


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) < 1e12 else None

"""Do the meters of memory and CPU time agree? Pure.

An experiment declares which meters read the same quantity (``rtlab.model.Meters``): memory per idle container by three,
CPU time by two, everything that the container needs, and its cgroup alone, which is what most tools show. Where another
meter differs from the first, per runtime and by medians, by more than AGREEMENT, a caveat names all values; where they
agree, a note under the table says so.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rtlab.model import Caveat, Experiment, Json, Meters, Summary
from rtlab.units import alike, to_base

# Ten per cent for memory is measurement.md §2; the same is asked of CPU time.
AGREEMENT = 0.10


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


# Experiment -> arm -> what ``Meters.read`` read, per trial.
Read = dict[str, dict[str, list[tuple[float, ...]]]]


def read(experiment: Experiment, arm: str, probe: Mapping[str, Json], into: Read) -> None:
    """Add what the experiment's meters say of one trial, where they are read from the probe's document."""
    if experiment.meters and experiment.meters.read:
        into.setdefault(experiment.name, {}).setdefault(arm, []).extend(experiment.meters.read(probe))


def told(
    held: Mapping[str, Meters],
    by_trial: Read,
    summaries: Sequence[Summary],
    arms: Sequence[str],
    titles: Mapping[str, str],
) -> tuple[list[Caveat], dict[str, str]]:
    """(a caveat for each arm whose meters disagree; table of the paper -> the note for under it)."""
    disagreeing, notes = [], {}
    for name, meters in held.items():
        found = (
            of_trials(meters, by_trial.get(name, {}), arms)
            if meters.read
            else of_metrics(name, meters, summaries, arms)
        )
        disagreeing += caveats(found, meters.what, meters.unit, name, titles)
        if was_measured(name, meters, summaries):
            notes[meters.table] = note(found, meters.what, meters.unit, titles)
    return disagreeing, notes


def was_measured(name: str, meters: Meters, summaries: Sequence[Summary]) -> bool:
    """Whether the meter that estimates are by gave anything."""
    first = meters.metrics if meters.read else meters.metrics[:1]
    return any(s.experiment == name and s.metric in first and s.n for s in summaries)


def of_metrics(name: str, meters: Meters, summaries: Sequence[Summary], arms: Sequence[str]) -> tuple[Reading, ...]:
    """By the medians of the meters' metrics, for arms with the first meter and another one."""
    scale = to_base(1, meters.unit)
    medians = {
        (s.arm, s.metric): s.median.point / scale
        for s in summaries
        if s.experiment == name and s.metric in meters.metrics and s.median is not None
    }
    titled = tuple(zip(meters.metrics, meters.titles, strict=True))
    found = []
    for arm in arms:
        values = tuple((title, medians[arm, m]) for m, title in titled if (arm, m) in medians)
        if len(values) >= 2 and (arm, meters.metrics[0]) in medians:
            found.append(Reading(arm=arm, values=values))
    return tuple(found)


def of_trials(
    meters: Meters, by_arm: Mapping[str, Sequence[tuple[float, ...]]], arms: Sequence[str]
) -> tuple[Reading, ...]:
    """By the medians of what ``Meters.read`` read in each trial, per arm."""
    found = []
    for arm in arms:
        if seen := by_arm.get(arm):
            medians = (statistics.median(of) for of in zip(*seen, strict=True))
            found.append(Reading(arm=arm, values=tuple(zip(meters.titles, medians, strict=True))))
    return tuple(found)


def caveats(readings: Sequence[Reading], what: str, unit: str, where: str, titles: Mapping[str, str]) -> list[Caveat]:
    """One for each arm whose meters disagree."""
    found = []
    for reading in readings:
        apart = reading.apart()
        if apart:
            first = reading.values[0][0]
            by = "; ".join(
                f"{name} is {abs(s) * 100:.0f} % {'above' if s > 0 else 'below'} {first}" for name, s in apart
            )
            message = (
                f"The meters disagree on {what} under {titles.get(reading.arm, reading.arm)}: "
                f"{_listed(reading, unit)}. {by[0].upper()}{by[1:]}, where {AGREEMENT * 100:.0f} % are allowed; "
                f"the ratios are by {first}."
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
    shown = alike([value for _, value in reading.values])
    return ", ".join(f"{value} {unit} by {name}" for (name, _), value in zip(reading.values, shown, strict=True))

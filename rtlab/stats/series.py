"""From observations to one value per block: the unit of analysis. Pure.

A trial may yield several observations of a metric (15 starts after one boot). They are reduced to their median, because
starts after one boot are not independent replicates; what must not be pooled (cold and warm starts) has metrics of its
own. A block that was repeated is left out where its repeat ran; one that was given up is left out.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median, median_high, median_low

from rtlab.model import Observation, Outcome, Record, Trial

CENSORED = "too fast to tell"
REDUCTION = "median of the trial's values"


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """One arm's value of one metric in one block."""

    block: int
    machine: str
    order: int  # the trial's number: its place in time
    value: float


@dataclass(slots=True, kw_only=True)
class Series:
    """Everything about one metric of one arm.

    Attributes:
        values: By block; at most one each.
        failed: Numbers of trials that failed, timed out, were invalid or not parseable; replaced blocks included.
        censored: Numbers of trials whose tool withheld the value.
        set_aside: Values of blocks that were repeated: in no estimate but that of the failures' bound.
        given_up: Blocks whose value is left out because they were interrupted and could not be repeated.
    """

    experiment: str
    metric: str
    arm: str
    unit: str
    values: dict[int, Value] = field(default_factory=dict)
    failed: list[int] = field(default_factory=list)
    censored: list[int] = field(default_factory=list)
    given_up: list[int] = field(default_factory=list)
    set_aside: dict[int, Value] = field(default_factory=dict)

    def ordered(self) -> list[Value]:
        """By order of execution."""
        return sorted(self.values.values(), key=lambda v: v.order)


def middle(values: Sequence[float]) -> float:
    """The median, also where the sum of its two neighbours is beyond any number."""
    found = float(median(values))
    return found if math.isfinite(found) else median_low(values) / 2 + median_high(values) / 2


Key = tuple[str, str, str]  # experiment, metric, arm


def last_attempts(records: Iterable[Record]) -> dict[int, Record]:
    """Trial number -> its last attempt."""
    found: dict[int, Record] = {}
    for record in records:
        known = found.get(record.trial.number)
        if known is None or record.attempt >= known.attempt:
            found[record.trial.number] = record
    return found


def replaced(trials: Iterable[Trial]) -> frozenset[tuple[int, str]]:
    """(block, experiment) that a repeat took the place of."""
    return frozenset((t.repeats, t.experiment) for t in trials if t.repeats is not None)


def collect(
    observations: Sequence[Observation],
    records: Sequence[Record],
    units: Mapping[tuple[str, str], str],
    given_up: Collection[int] = (),
) -> dict[Key, Series]:
    """The series of every arm and metric; also of arms that yielded nothing.

    Args:
        units: (experiment, metric) -> base unit; metrics that are not named are ignored.
        given_up: Blocks that were interrupted and not repeated.
    """
    attempts = last_attempts(records)
    out = replaced(record.trial for record in attempts.values())
    by_trial: dict[int, dict[str, list[Observation]]] = defaultdict(lambda: defaultdict(list))
    for observation in observations:
        by_trial[observation.trial.number][observation.metric].append(observation)
    metrics: dict[str, list[str]] = defaultdict(list)
    for experiment, metric in units:
        metrics[experiment].append(metric)
    found: dict[Key, Series] = {}
    for number, record in sorted(attempts.items()):
        trial = record.trial
        usable = record.outcome is Outcome.OK and number in by_trial
        for metric in metrics.get(trial.experiment, ()):
            key = (trial.experiment, metric, trial.arm)
            series = found.get(key)
            if series is None:
                unit = units[trial.experiment, metric]
                series = Series(experiment=trial.experiment, metric=metric, arm=trial.arm, unit=unit)
                found[key] = series
            if not usable:
                series.failed.append(number)
                continue
            seen = by_trial[number].get(metric, [])
            numbers = [o.value for o in seen if o.value is not None and math.isfinite(o.value)]
            if not numbers:
                if any(o.value is not None for o in seen):
                    series.failed.append(number)  # no number: NaN, infinity
                elif any(o.note == CENSORED for o in seen):
                    series.censored.append(number)
                continue
            value = Value(
                block=trial.block,
                machine=trial.machine,
                order=number,
                value=float(numbers[0] if len(numbers) == 1 else middle(numbers)),
            )
            if (trial.block, trial.experiment) in out:
                series.set_aside[trial.block] = value
                continue
            if trial.block in given_up:
                series.given_up.append(trial.block)
                continue
            series.values[trial.block] = value
    return found

"""Failures that go with slowness: what the ratio would be if failed trials were as bad as the worst that worked. Pure.

A start that timed out is no gap but a lower bound: leaving it out makes its arm look faster than it is (measurement.md
§4.13). No trial tells how slow it would have been, so each is put at the worst value of its arm: itself a bound, in the
same direction.
"""

from __future__ import annotations

from collections.abc import Sequence

from rtlab.model import Metric, Record
from rtlab.stats.ratio import Fit, Pair, pairs, regress
from rtlab.stats.series import Series, last_attempts


def at_bound(arm: Series, baseline: Series, metric: Metric, records: Sequence[Record], step: float = 0.0) -> Fit | None:
    """The fit with failed trials at their arm's worst value; None where nothing failed, or no direction is worse."""
    if metric.better is None or not arm.values or not baseline.values:
        return None
    worst = max if metric.better == "lower" else min
    attempts = last_attempts(records)
    added = []
    for mine, other in ((arm, baseline), (baseline, arm)):
        value = worst(v.value for v in mine.values.values())
        for number in mine.failed:
            trial = attempts[number].trial
            there = other.values.get(trial.block) or other.set_aside.get(trial.block)
            if there is None:
                continue  # both failed, or the other did not run: nothing to compare
            of_arm = mine is arm
            added.append(
                Pair(
                    block=trial.block,
                    arm=value if of_arm else there.value,
                    baseline=there.value if of_arm else value,
                    arm_machine=trial.machine if of_arm else there.machine,
                    baseline_machine=there.machine if of_arm else trial.machine,
                )
            )
    return regress([*pairs(arm, baseline), *added], step) if added else None

"""Failures that go with slowness: what the ratio would be if failed trials were as bad as the worst that worked. Pure.

A start that timed out is no gap but a lower bound: leaving it out makes its arm look faster than it is (measurement.md
§4.13). No trial tells how slow it would have been, so each is put at the worst value of its arm: itself a bound, in the
same direction.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rtlab.model import Estimate, Metric, Outcome, Record
from rtlab.stats.ratio import Fit, Pair, estimate, pairs, regress
from rtlab.stats.sentences import ratio
from rtlab.stats.series import Series, last_attempts


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounded:
    """One comparison with its failed trials at their bound.

    Attributes:
        fit: Over the blocks with both values and those in which one arm failed, its value the worst of its arm. The
            values that were put in are equal, so its interval is too narrow to decide anything.
        arm_failed, baseline_failed: Failed trials of either, each that could be put at a bound.
        timed_out: How many of them ran into their time limit: surely slow.
        too_low: The ratio without the failed trials is too low (True), too high (False), or either (None).
    """

    fit: Fit
    arm_failed: int
    baseline_failed: int
    timed_out: int
    too_low: bool | None

    @property
    def ratio(self) -> Estimate:
        """The ratio with failures at their bound."""
        return estimate(self.fit)


def at_bound(
    arm: Series, baseline: Series, metric: Metric, records: Sequence[Record], step: float = 0.0
) -> Bounded | None:
    """Failed trials at their arm's worst value; None where nothing failed that has a counterpart, where no direction is
    worse, or where an arm has no value at all."""
    if metric.better is None or not arm.values or not baseline.values or not (arm.failed or baseline.failed):
        return None
    worst = max if metric.better == "lower" else min
    attempts = last_attempts(records)
    added: list[Pair] = []
    failed, timed_out = {arm.arm: 0, baseline.arm: 0}, 0
    for mine, other in ((arm, baseline), (baseline, arm)):
        value = worst(v.value for v in mine.values.values())
        for number in mine.failed:
            trial = attempts[number].trial
            there = other.values.get(trial.block) or other.set_aside.get(trial.block)
            if there is None:
                continue  # both failed, or the other did not run: nothing to compare
            failed[mine.arm] += 1
            timed_out += attempts[number].outcome is Outcome.TIMED_OUT
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
    fit = regress([*pairs(arm, baseline), *added], step) if added else None
    if fit is None:
        return None
    only_arm, only_baseline = not failed[baseline.arm], not failed[arm.arm]
    # Slow trials of the arm are missing: its times are too low, its throughput too high.
    too_low = (only_arm == (metric.better == "lower")) if only_arm or only_baseline else None
    return Bounded(
        fit=fit,
        arm_failed=failed[arm.arm],
        baseline_failed=failed[baseline.arm],
        timed_out=timed_out,
        too_low=too_low,
    )


def sentence(bounded: Bounded, without: Fit, arm: str, baseline: str) -> str:
    """What the failures may hide, in which direction, and the ratio with them at their bound."""
    of = [(arm, bounded.arm_failed), (baseline, bounded.baseline_failed)]
    counted = " and ".join(f"{n} trial{'s' * (n != 1)} of {name}" for name, n in of if n)
    all_late = bounded.timed_out == bounded.arm_failed + bounded.baseline_failed
    late = ", by running out of time" if all_late else f", {bounded.timed_out} of them by running out of time"
    late *= bool(bounded.timed_out)
    if bounded.too_low is None:
        direction = "leaving them out makes both look better than they are, so the ratio may err either way"
        farther = "were they worse than that, it lies elsewhere"
    else:
        who, other = (arm, baseline) if bounded.arm_failed else (baseline, arm)
        lie = "higher" if bounded.too_low else "lower"
        direction = f"leaving them out makes {who} look better against {other} than it is: the true ratio is {lie}"
        farther = "were they worse than that, it lies still farther"
    return (
        f"{counted} failed{late}. If they failed because they were slow, {direction}. With each at the worst value of "
        f"its runtime the ratio is {ratio(bounded.ratio)}, without them {ratio(estimate(without))}; {farther}."
    )

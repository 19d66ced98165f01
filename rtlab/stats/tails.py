"""Tails and whole distributions: quantiles only where n carries them, and two distributions side by side. Pure.

The unit is still the block (measurement.md §4.16): each block's own quantile, then the paired estimator.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special

from rtlab.model import Estimate
from rtlab.stats.ratio import Pair, estimate, regress

DECILES = tuple(k / 10 for k in range(1, 10))


def fewest(share: float, confidence: float = 0.95) -> int:
    """How many values carry a two-sided interval of this quantile: 72 for p95 and 368 for p99."""
    tail = (1 - confidence) / 2
    return math.ceil(math.log(tail) / math.log(max(share, 1 - share)))


def quantile_interval(values: Sequence[float], share: float, confidence: float = 0.95) -> Estimate | None:
    """The quantile between the order statistics that cover it, whatever the distribution (Conover 1999, 3.2).

    Each end errs with at most half of what the confidence leaves; None where n carries no such interval.
    """
    ordered = sorted(values)
    n = len(ordered)
    tail = (1 - confidence) / 2
    if n == 0 or not 0 < share < 1:
        return None
    # X(r) lies above the quantile when fewer than r values lie below it; X(s) below it when at least s do.
    below = np.asarray(special.bdtr(np.arange(n + 1), n, share))
    r = int(np.searchsorted(below, tail, side="right"))
    s = int(np.searchsorted(below, 1 - tail, side="left")) + 1
    if r < 1 or s > n:
        return None
    actual = float(below[s - 1] - below[r - 1])
    return Estimate(
        point=harrell_davis(ordered, share),
        low=ordered[r - 1],
        high=ordered[s - 1],
        confidence=actual,
        method=f"order statistics {r} and {s} of {n}, {100 * actual:.1f} %",
        estimand=f"quantile {share:g}",
    )


def harrell_davis(values: Sequence[float], share: float) -> float:
    """The quantile as a weighted mean of all order statistics (Harrell and Davis, Biometrika 69, 1982)."""
    ordered = np.sort(np.asarray(values, dtype=float))
    n = len(ordered)
    steps = special.betainc((n + 1) * share, (n + 1) * (1 - share), np.arange(n + 1) / n)
    return float(np.diff(steps) @ ordered)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One block's single values of both arms, and where each was taken."""

    block: int
    arm: tuple[float, ...]
    baseline: tuple[float, ...]
    arm_machine: str = ""
    baseline_machine: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shift:
    """How far apart two distributions are at one of their quantiles."""

    share: float
    ratio: Estimate


def shift(samples: Sequence[Sample], shares: Sequence[float] = DECILES) -> tuple[Shift, ...]:
    """The shift function (Doksum 1974; Wilcox) as ratios: at each quantile the block's Harrell-Davis quantiles of both
    arms, then the paired estimator over blocks. Empty where a value has no logarithm, or there is no block."""
    found = []
    for share in shares:
        fit = regress(
            [
                Pair(
                    block=s.block,
                    arm=harrell_davis(s.arm, share),
                    baseline=harrell_davis(s.baseline, share),
                    arm_machine=s.arm_machine,
                    baseline_machine=s.baseline_machine,
                )
                for s in samples
                if s.arm and s.baseline
            ]
        )
        if fit is None:
            return ()
        found.append(Shift(share=share, ratio=estimate(fit)))
    return tuple(found)

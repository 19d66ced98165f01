"""Outcomes: a task passes under one runtime and not under another. Pure.

Paired by block and task (measurement.md §4.15): both pass, one only, both fail. What tells the runtimes apart are the
pairs in which one only passed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from rtlab.model import Estimate
from rtlab.stats.student import binomial_half_tail, normal_quantile


@dataclass(frozen=True, slots=True, kw_only=True)
class Paired:
    """Counts of pairs (block, task)."""

    both: int
    arm_only: int
    baseline_only: int
    neither: int

    @property
    def n(self) -> int:
        return self.both + self.arm_only + self.baseline_only + self.neither


def count(outcomes: Iterable[tuple[bool, bool]]) -> Paired:
    """From (arm passed, baseline passed) of each pair."""
    found = dict.fromkeys(((a, b) for a in (True, False) for b in (True, False)), 0)
    for pair in outcomes:
        found[pair] += 1
    return Paired(
        both=found[True, True],
        arm_only=found[True, False],
        baseline_only=found[False, True],
        neither=found[False, False],
    )


def mcnemar(pairs: Paired) -> float:
    """Exact two-sided p (McNemar 1947, by the binomial): 0.0625 for five to none, 0.031 for six."""
    fewer, n = min(pairs.arm_only, pairs.baseline_only), pairs.arm_only + pairs.baseline_only
    return min(1.0, 2 * binomial_half_tail(fewer, n))


def difference(pairs: Paired, confidence: float = 0.95) -> Estimate | None:
    """Share passed under the arm less that under the baseline, with Tango's score interval; None without a pair.

    Tango, Stat. Med. 17 (1998): the differences that the score test of paired proportions does not reject.
    """
    n = pairs.n
    if n == 0:
        return None
    b, c = pairs.arm_only, pairs.baseline_only
    point = (b - c) / n
    z = normal_quantile(0.5 + confidence / 2)
    return Estimate(
        point=point,
        low=-1.0 if point == -1 else _where(b, c, n, z, -1.0, point),
        high=1.0 if point == 1 else _where(b, c, n, -z, point, 1.0),
        confidence=confidence,
        method=f"Tango's score interval, {n} pairs",
        estimand="difference of the shares that passed, arm minus baseline",
    )


def _where(b: int, c: int, n: int, z: float, low: float, high: float) -> float:
    """The difference at which the score is z: it falls with the difference, so that halving finds it."""
    for _ in range(200):
        middle = (low + high) / 2
        if _score(b, c, n, middle) > z:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def _score(b: int, c: int, n: int, delta: float) -> float:
    """Tango's statistic of the difference ``delta``."""
    linear = -b - c + (2 * n - b + c) * delta
    constant = -c * delta * (1 - delta)
    # The share of pairs that passed under the baseline only, at its likeliest where the difference is delta.
    share = (math.sqrt(max(0.0, linear * linear - 8 * n * constant)) - linear) / (4 * n)
    variance = n * (2 * share + delta * (1 - delta))
    away = b - c - n * delta
    if variance <= 0:
        return math.copysign(math.inf, away) if away else 0.0
    return away / math.sqrt(variance)


def verdict_of(first: bool, again: bool | None) -> str:
    """``passes``, ``flaky`` or ``broken``: a task that failed is run again once to tell the last two apart.

    Args:
        again: How the second run ended; None where there was none.
    """
    if first:
        return "passes"
    if again is None:
        return "failed"
    return "flaky" if again else "broken"

"""The verdict by a margin declared before, in each metric's own words. Pure.

95 % interval wholly outside the band [1/(1+margin), 1+margin]: slower or faster; wholly inside: no practical
difference; else inconclusive. Over the primary metrics Holm's procedure decides, at 2.5 % one-sided, which is what a
95 % interval says of a single one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from rtlab.model import Metric, Verdict
from rtlab.stats.ratio import Fit
from rtlab.stats.student import quantile

ALPHA = 0.025
# Beyond this many further blocks the answer is "more than", which nobody runs.
MOST_BLOCKS = 2000


def bound(margin: float, floor: float | None = None) -> float:
    """Log distance from 1 that slower or faster must exceed: the margin, or the noise floor where that is more."""
    return max(math.log1p(margin), floor or 0.0)


def p_value(fit: Fit, margin: float, floor: float | None = None) -> float | None:
    """One-sided p of the claim on whose side the estimate lies: beyond the margin (and floor), or inside the band."""
    edge = bound(margin, floor)
    if abs(fit.log_ratio) > edge:
        return fit.beyond(edge)
    return fit.within(math.log1p(margin))


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p by Holm (1979), as R's ``p.adjust(p, "holm")``."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    worst = 0.0
    for rank, index in enumerate(order):
        worst = max(worst, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = worst
    return adjusted


def still_among(p: float | None, family: Sequence[float]) -> int:
    """How many of the family Holm's step for this p counts: itself and all that are not smaller."""
    return max(1, sum(other >= p for other in family)) if p is not None else 1


def decide(fit: Fit | None, metric: Metric, margin: float, floor: float | None, p: float | None) -> Verdict:
    """The verdict.

    Args:
        p: What decides: adjusted by Holm for a primary metric, plain for an exploratory one.
    """
    if fit is None or p is None or p > ALPHA:
        return Verdict.INCONCLUSIVE
    if abs(fit.log_ratio) <= bound(margin, floor):
        # Not beyond the noise floor is not yet equivalence: p then belongs to the band.
        return Verdict.NO_DIFFERENCE if abs(fit.log_ratio) < math.log1p(margin) else Verdict.INCONCLUSIVE
    if metric.better is None:
        return Verdict.INCONCLUSIVE
    worse = (fit.log_ratio > 0) == (metric.better == "lower")
    return Verdict.SLOWER if worse else Verdict.FASTER


def words(metric: Metric, *, above: bool) -> str:
    """What an arm whose ratio is above (or below) 1 is called on this metric."""
    if metric.unit == "s" and metric.better == "lower":
        return "slower" if above else "faster"
    if metric.unit in ("B/s", "1/s"):
        return "higher in throughput" if above else "lower in throughput"
    return "higher" if above else "lower"


# A forecast beyond this says no more than that nobody would wait for it.
MOST_PRACTICAL = 100
# From fewer blocks the scatter is too uncertain for a forecast.
FEWEST_FOR_FORECAST = 5


def blocks_needed(fit: Fit, margin: float, floor: float | None = None, *, among: int = 1) -> int | None:
    """Further blocks until an interval this noisy clears the nearest edge of the band; None if not computable.

    Takes estimate and scatter as they are now: a plan, not a promise. None below 5 blocks.

    Args:
        among: Ratios that Holm's step of this one still counts: its level is that of the margin divided by them.
    """
    if fit.se is None or fit.df < 1 or fit.n < FEWEST_FOR_FORECAST or fit.confounded:
        return None
    edge = bound(margin, floor)
    inner = math.log1p(margin)
    size = abs(fit.log_ratio)
    distance = size - edge if size > edge else inner - size
    if distance <= fit.resolution:
        return None
    lost = fit.n - fit.df
    for n in range(fit.n + 1, fit.n + MOST_BLOCKS + 1):
        half = quantile(1 - ALPHA / among, n - lost) * fit.se * math.sqrt(fit.n / n)
        if half < distance:
            return n - fit.n
    return None


def forecast(further: int | None, where: str = "") -> str:
    """``; about 7 more blocks would tell``, as the end of a sentence; empty where there is no forecast.

    Args:
        where: Which blocks these are, such as ``in each campaign``.
    """
    if not further:
        return ""
    of = f" {where}" if where else ""
    if further > MOST_PRACTICAL:
        return f"; it would take more blocks{of} than are practical (over {MOST_PRACTICAL})"
    return f"; about {further} more block{'s' * (further != 1)}{of} would tell"

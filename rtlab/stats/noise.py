"""The noise floor: what the same runtime in both arms differs by. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass

from rtlab.model import Estimate
from rtlab.stats.ratio import Fit, estimate, pairs, regress
from rtlab.stats.series import Series
from rtlab.stats.student import found_shift

# An A/A interval at this confidence that excludes 1 says that the testbed is broken.
BROKEN_CONFIDENCE = 0.999
# The smallest bias that it would find is the one that it finds this often.
FOUND = 0.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """A/A blocks of one metric.

    Attributes:
        floor: What slower or faster must exceed, on the log scale: the bias that the A/A ratio shows for certain, which
            is how far its 95 % interval stays from 1. A ratio that chance explains sets no floor.
        ratio: The A/A ratio with its 95 % interval.
        broken: Its 99.9 % interval excludes 1, and its blocks scatter.
        finds: The smallest bias, as a ratio, that would be called broken in 80 of 100 campaigns; None without interval.
    """

    experiment: str
    metric: str
    floor: float
    ratio: Estimate
    broken: bool
    finds: float | None = None


def noise(first: Series, second: Series, resolution: float = 0.0) -> Noise | None:
    """From the two copies of the baseline; None without a complete A/A block or without logarithms."""
    fit = regress(pairs(second, first), resolution)
    if fit is None:
        return None
    interval = fit.interval()
    return Noise(
        experiment=first.experiment,
        metric=first.metric,
        floor=max(0.0, interval[0], -interval[1]) if interval else 0.0,
        ratio=estimate(fit),
        broken=_excludes_one(fit),
        finds=_finds(fit),
    )


def _excludes_one(fit: Fit) -> bool:
    interval = fit.interval(BROKEN_CONFIDENCE)
    # Equal values in every block leave no scatter to judge by: no proof of anything.
    return interval is not None and bool(fit.se) and not fit.confounded and not interval[0] <= 0 <= interval[1]


def _finds(fit: Fit) -> float | None:
    if not fit.se or fit.df < 1:
        return None
    shift = max(found_shift(fit.df, 1 - BROKEN_CONFIDENCE, FOUND) * fit.se, fit.resolution)
    return math.exp(min(shift, 700.0))

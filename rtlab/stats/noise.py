"""The noise floor: what the same runtime in both arms differs by. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from rtlab.model import Estimate
from rtlab.stats.ratio import Fit, estimate, pairs, regress
from rtlab.stats.series import Series

# An A/A interval at this confidence that excludes 1 says that the testbed is broken.
BROKEN_CONFIDENCE = 0.999


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """A/A blocks of one metric.

    Attributes:
        floor: |log of the A/A ratio|: what slower or faster must exceed.
        ratio: The A/A ratio with its 95 % interval.
        broken: Its 99.9 % interval excludes 1.
    """

    experiment: str
    metric: str
    floor: float
    ratio: Estimate
    broken: bool


def noise(first: Series, second: Series) -> Noise | None:
    """From the two copies of the baseline; None without a complete A/A block or without logarithms."""
    fit = regress(pairs(second, first))
    if fit is None:
        return None
    return Noise(
        experiment=first.experiment,
        metric=first.metric,
        floor=abs(fit.log_ratio),
        ratio=estimate(fit),
        broken=_excludes_one(fit),
    )


def _excludes_one(fit: Fit) -> bool:
    interval = fit.interval(BROKEN_CONFIDENCE)
    # Equal values in every block leave no scatter to judge by: only an exact 1 is then no objection.
    return interval is not None and not interval[0] <= 0 <= interval[1]

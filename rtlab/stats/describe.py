"""One arm's values, described: order-statistic interval of the median, moments, outliers. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rtlab.model import Estimate, Summary
from rtlab.stats.series import Series
from rtlab.stats.student import binomial_half_tail

# Iglewicz and Hoaglin, How to Detect and Handle Outliers (1993): modified z above 3.5.
OUTLIER_Z = 3.5


def median_interval(values: Sequence[float], confidence: float = 0.95) -> Estimate:
    """The median between the order statistics that cover it with at least ``confidence``, whatever the distribution.

    The k-th smallest and k-th largest of n cover it with probability 1 - 2 P(B(n, 1/2) <= k - 1): for n = 15 the 4th
    and the 12th, 96.5 %. Fewer than 6 values carry no 95 % interval.
    """
    ordered = sorted(values)
    n = len(ordered)
    middle = float(statistics.median(ordered))
    k = 0
    while k < n // 2 and 1 - 2 * binomial_half_tail(k, n) >= confidence:
        k += 1
    if k == 0:
        return Estimate(
            point=middle,
            low=None,
            high=None,
            confidence=confidence,
            method=f"median of {n}; fewer than 6 values carry no 95 % interval",
            estimand="median",
        )
    actual = 1 - 2 * binomial_half_tail(k - 1, n)
    return Estimate(
        point=middle,
        low=ordered[k - 1],
        high=ordered[n - k],
        confidence=actual,
        method=f"order statistics {k} and {n - k + 1} of {n}, {100 * actual:.1f} %",
        estimand="median",
    )


def _sd(values: Sequence[float]) -> float | None:
    """Standard deviation (n - 1) by numpy, twenty times as fast as ``statistics.stdev``; None where it overflows."""
    with np.errstate(over="ignore", invalid="ignore"):
        found = float(np.std(values, ddof=1))
    return found if math.isfinite(found) else None


def summarise(series: Series) -> Summary:
    """The summary of one arm and metric; what n cannot carry is None."""
    ordered = series.ordered()
    values = [v.value for v in ordered]
    n = len(values)
    mean = statistics.fmean(values) if n else None
    sd = _sd(values) if n > 1 else None
    return Summary(
        experiment=series.experiment,
        metric=series.metric,
        arm=series.arm,
        unit=series.unit,
        n=n,
        n_failed=len(series.failed),
        n_censored=len(series.censored),
        median=median_interval(values) if n else None,
        mean=mean,
        sd=sd,
        cov=sd / abs(mean) if sd is not None and mean else None,
        minimum=min(values, default=None),
        maximum=max(values, default=None),
        trials=tuple(v.order for v in ordered),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlier:
    """A flagged value; it stays in every estimate.

    Attributes:
        z: Modified z; positive is above the median.
        cause: What the record says about the trial, or empty.
    """

    experiment: str
    metric: str
    arm: str
    trial: int
    block: int
    value: float
    z: float
    cause: str = ""


def modified_z(values: Sequence[float]) -> list[float]:
    """0.6745 (x - median) / MAD; with MAD 0 (most values tie) the mean absolute deviation, 1.2533 times, instead."""
    if not values:
        return []
    middle = statistics.median(values)
    deviations = [abs(v - middle) for v in values]
    scale = statistics.median(deviations) / 0.6745
    if scale == 0:
        scale = 1.253314 * statistics.fmean(deviations)
    if scale == 0:
        return [0.0] * len(values)
    return [(v - middle) / scale for v in values]


def outliers(series: Series, causes: Mapping[int, str] | None = None) -> tuple[Outlier, ...]:
    """The values beyond OUTLIER_Z, among at least 5; each counted from the median of its own machine."""
    values = series.ordered()
    if len(values) < 5:
        return ()
    middle = {m: statistics.median(v.value for v in values if v.machine == m) for m in {v.machine for v in values}}
    scores = modified_z([v.value - middle[v.machine] for v in values])
    return tuple(
        Outlier(
            experiment=series.experiment,
            metric=series.metric,
            arm=series.arm,
            trial=value.order,
            block=value.block,
            value=value.value,
            z=z,
            cause=(causes or {}).get(value.order, ""),
        )
        for value, z in zip(values, scores, strict=True)
        if abs(z) > OUTLIER_Z
    )

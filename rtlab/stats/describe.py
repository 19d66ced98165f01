"""One arm's values, described: order-statistic interval of the median, moments, outliers. Pure."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rtlab.model import Estimate, Summary
from rtlab.stats.series import Series, middle
from rtlab.stats.student import binomial_half_tail, quantile


def median_interval(values: Sequence[float], confidence: float = 0.95) -> Estimate:
    """The median between the order statistics that cover it with at least ``confidence``, whatever the distribution.

    The k-th smallest and k-th largest of n cover it with probability 1 - 2 P(B(n, 1/2) <= k - 1): for n = 15 the 4th
    and the 12th, 96.5 %. Fewer than 6 values carry no 95 % interval.
    """
    ordered = sorted(values)
    n = len(ordered)
    point = middle(ordered)
    k = 0
    while k < n // 2 and 1 - 2 * binomial_half_tail(k, n) >= confidence:
        k += 1
    if k == 0:
        return Estimate(
            point=point,
            low=None,
            high=None,
            confidence=confidence,
            method=f"median of {n}; fewer than 6 values carry no 95 % interval",
            estimand="median",
        )
    actual = 1 - 2 * binomial_half_tail(k - 1, n)
    return Estimate(
        point=point,
        low=ordered[k - 1],
        high=ordered[n - k],
        confidence=actual,
        method=f"order statistics {k} and {n - k + 1} of {n}, {100 * actual:.1f} %",
        estimand="median",
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _mean(values: Sequence[float]) -> float | None:
    """None without values, and where their sum overflows."""
    try:
        return statistics.fmean(values) if values else None
    except OverflowError:
        return None


def _sd(values: Sequence[float]) -> float | None:
    """Standard deviation (n - 1) by numpy, twenty times as fast as ``statistics.stdev``; None where it overflows."""
    with np.errstate(over="ignore", invalid="ignore"):
        found = float(np.std(values, ddof=1))
    return _finite(found)


def summarise(series: Series) -> Summary:
    """The summary of one arm and metric; what n cannot carry is None."""
    ordered = series.ordered()
    values = [v.value for v in ordered]
    n = len(values)
    mean = _mean(values)
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
        cov=_finite(sd / abs(mean)) if sd is not None and mean else None,
        minimum=min(values, default=None),
        maximum=max(values, default=None),
        trials=tuple(v.order for v in ordered),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlier:
    """A flagged value; it stays in every estimate.

    Attributes:
        z: Modified z (Iglewicz and Hoaglin 1993), for its size; positive is above the median.
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


# Farther away than this all values are alike far.
MOST_Z = 1e6


def modified_z(values: Sequence[float]) -> list[float]:
    """0.6745 (x - median) / MAD; with MAD 0 (most values tie) the mean absolute deviation, 1.2533 times, instead."""
    if not values:
        return []
    centre = statistics.median(values)
    deviations = [abs(v - centre) for v in values]
    scale = statistics.median(deviations) / 0.6745
    if scale == 0:
        scale = 1.253314 * statistics.fmean(deviations)
    if scale == 0:
        return [0.0] * len(values)
    return [(v - centre) / scale for v in values]


# So many of the campaigns without an unusual value may be told of one, all its arms and metrics together.
NOTED = 0.05
# Rosner's critical values hold from about 25 values on: with 15 on two or three machines, a third of them looked at, a
# false outlier comes up 1.8 times as often as they say (simulated).
LIBERAL = 2.5


def extreme(values: np.ndarray, level: float, groups: np.ndarray | None = None) -> list[int]:
    """The generalized extreme Studentized deviate: which values are outliers, at most a third of them.

    Rosner, Technometrics 25 (1983). One after the other the value farthest from its group's mean is taken away; as many
    are outliers as the last one whose deviate is beyond its critical value, so that several do not hide one another.

    Args:
        level: Probability that any value of a normal sample is called one.
        groups: Which mean a value is counted from (each machine has its own); all from one by default.
    """
    of = np.zeros(len(values), dtype=int) if groups is None else np.unique(groups, return_inverse=True)[1]
    left = np.arange(len(values))
    taken: list[int] = []
    count = 0
    for _ in range(len(values) // 3):
        x, group = values[left], of[left]
        sizes = np.bincount(group)
        df = len(left) - int((sizes > 0).sum())
        if df < 2:
            break
        away = x - (np.bincount(group, weights=x) / np.maximum(sizes, 1))[group]
        variance = float(away @ away) / df
        if variance == 0:
            break
        # Each deviate has variance 1 whatever its group's size; one alone in its group tells nothing.
        room = 1 - 1 / sizes[group]
        deviates = np.abs(away) / np.sqrt(variance * np.where(room > 0, room, np.inf))
        far = int(np.argmax(deviates))
        # With one group this is Rosner's lambda.
        t = quantile(1 - level / (2 * len(left)), df - 1)
        critical = math.sqrt(df) * t / math.sqrt(df - 1 + t * t)
        taken.append(int(left[far]))
        left = np.concatenate((left[:far], left[far + 1 :]))  # np.delete takes five times as long
        if deviates[far] > critical:
            count = len(taken)
    return sorted(taken[:count])


def outliers(series: Series, causes: Mapping[int, str] | None = None, watched: int = 1) -> tuple[Outlier, ...]:
    """The unusual values, among at least 5; each counted from its own machine's mean, on logarithms where there are.

    Args:
        watched: Series that are looked at: NOTED of quiet campaigns at most are told of a value (Bonferroni).
    """
    values = series.ordered()
    machines = {v.machine for v in values}
    if len(values) < max(5, 2 * len(machines)):
        return ()
    raw = [v.value for v in values]
    # On the scale of the greatest value, whose square may be beyond any number.
    x = np.log(raw) if min(raw) > 0 else np.array(raw) / (max(map(abs, raw)) or 1.0)
    of = np.array([v.machine for v in values])
    # For the z that is printed: medians, which an outlier does not move.
    medians = {m: float(np.median(x[of == m])) for m in machines}
    centred = x - np.array([medians[m] for m in of.tolist()])
    spread = float(np.abs(centred).max())
    if spread <= 1e-12 * max(1.0, float(np.abs(x).max())):
        return ()
    scores = modified_z(centred.tolist())
    flagged = extreme(x, NOTED / max(1, watched) / LIBERAL, of)
    return tuple(
        Outlier(
            experiment=series.experiment,
            metric=series.metric,
            arm=series.arm,
            trial=values[i].order,
            block=values[i].block,
            value=values[i].value,
            z=min(max(scores[i], -MOST_Z), MOST_Z),
            cause=(causes or {}).get(values[i].order, ""),
        )
        for i in flagged
    )

"""The ratio of an arm to the baseline, from pairs within blocks. Pure.

Primary: log ratios d of the blocks, regressed on which machine carried the arm, so that the machine's own effect leaves
neither bias nor width behind; ratio = exp(intercept), t interval with the residual degrees of freedom. Beside it the
ratio of arithmetic means with Fieller's interval, which has another estimand.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rtlab.model import Estimate
from rtlab.stats.series import Series
from rtlab.stats.student import f_quantile, quantile, upper_tail

GEOMETRIC = "ratio of geometric means"
ARITHMETIC = "ratio of arithmetic means"
DIFFERENCE = "difference of means, arm minus baseline"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One block's two values. ``arm_machine`` and ``baseline_machine`` say where they were taken."""

    block: int
    arm: float
    baseline: float
    arm_machine: str
    baseline_machine: str


def pairs(arm: Series, baseline: Series) -> tuple[Pair, ...]:
    """The blocks in which both have a value, by block."""
    return tuple(
        Pair(
            block=block,
            arm=arm.values[block].value,
            baseline=baseline.values[block].value,
            arm_machine=arm.values[block].machine,
            baseline_machine=baseline.values[block].machine,
        )
        for block in sorted(arm.values.keys() & baseline.values.keys())
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """A log ratio with what it takes to test it.

    Attributes:
        n: Blocks (Welch: the smaller group).
        log_ratio: Natural logarithm.
        se: Its standard error; None where n cannot carry one. 0 when every block is equal.
        df: Residual degrees of freedom.
        machine: Log effect of the second machine against the first, or None.
        machine_se: Its standard error.
        confounded: The arm always ran on one machine and the baseline on another: inseparable.
        resolution: Log half-width below which the values' own steps tell nothing, however little they scatter.
        method: In words.
    """

    n: int
    log_ratio: float
    se: float | None
    df: float
    machine: float | None = None
    machine_se: float | None = None
    confounded: bool = False
    resolution: float = 0.0
    method: str

    def interval(self, confidence: float = 0.95) -> tuple[float, float] | None:
        """On the log scale; None where n cannot carry one."""
        if self.se is None or (self.se == 0 and self.resolution == 0):
            # Without scatter and without a known resolution nothing says how far off the value may be.
            return None
        half = max(quantile(0.5 + confidence / 2, self.df) * self.se, self.resolution)
        return self.log_ratio - half, self.log_ratio + half

    def beyond(self, bound: float) -> float | None:
        """p of the one-sided t against the bound (log scale) on the side where the estimate lies."""
        return self._p(abs(self.log_ratio) - bound)

    def within(self, bound: float) -> float | None:
        """p of both one-sided t tests that the ratio lies inside the band (TOST): the larger one."""
        return self._p(bound - abs(self.log_ratio))

    def _p(self, distance: float) -> float | None:
        if self.se is None or (self.se == 0 and self.resolution == 0):
            return None
        # An error of the readings' own steps is no chance that more blocks or a level would bound.
        return 1.0 if 0 < distance <= self.resolution else _p(distance, self.se, self.df)


def _interval(point: float, se: float | None, df: float, confidence: float) -> tuple[float, float] | None:
    if se is None:
        return None
    half = quantile(0.5 + confidence / 2, df) * se
    return point - half, point + half


def _p(distance: float, se: float | None, df: float) -> float | None:
    if se is None:
        return None
    if se == 0:
        return 0.0 if distance > 0 else 1.0
    return upper_tail(distance / se, df)


def estimate(fit: Fit, confidence: float = 0.95) -> Estimate:
    """The fit as a ratio."""
    return _exponential(fit.log_ratio, fit.interval(confidence), confidence, fit.method, GEOMETRIC)


def machine_estimate(fit: Fit, confidence: float = 0.95) -> Estimate | None:
    """The second machine's own effect as a ratio, or None."""
    if fit.machine is None:
        return None
    interval = _interval(fit.machine, fit.machine_se, fit.df, confidence)
    return _exponential(fit.machine, interval, confidence, fit.method, "second machine to first, same runtime")


def _exponential(
    point: float, interval: tuple[float, float] | None, confidence: float, method: str, estimand: str
) -> Estimate:
    low, high = (_exp(interval[0]), _exp(interval[1])) if interval else (None, None)
    return Estimate(point=_exp(point), low=low, high=high, confidence=confidence, method=method, estimand=estimand)


def _exp(x: float) -> float:
    """exp without overflow: with two blocks an interval can reach beyond any number."""
    return math.exp(min(max(x, -700.0), 700.0))


def regress(paired: Sequence[Pair], resolution: float = 0.0) -> Fit | None:
    """The primary fit; None when there is no pair, or a value that has no logarithm.

    Args:
        resolution: The step in which both values are read, in their unit.
    """
    if not paired or not all(_positive(p.arm) and _positive(p.baseline) for p in paired):
        return None
    logs = np.log([(p.arm, p.baseline) for p in paired])
    fit = fit_log_ratios(logs[:, 0] - logs[:, 1], _columns(paired))
    # Each value is off by half a step at most, and where values hardly scatter all of them may be so in one direction.
    step = sum(relative_step(resolution, float(np.exp(mean))) for mean in logs.mean(axis=0))
    return replace(fit, resolution=step)


def _positive(value: float) -> bool:
    """Whether it has a logarithm."""
    return 0 < value < math.inf


def relative_step(resolution: float, value: float) -> float:
    """Half a step at a value, on the log scale: ln(1 + step / 2 / value)."""
    return math.log1p(resolution / 2 / value)


def _columns(paired: Sequence[Pair]) -> np.ndarray:
    """One column per machine but the first: +1 carried the arm, -1 the baseline. With two machines this is s."""
    machines = sorted({p.arm_machine for p in paired} | {p.baseline_machine for p in paired})
    return np.array(
        [[(p.arm_machine == m) - (p.baseline_machine == m) for m in machines[1:]] for p in paired], dtype=float
    ).reshape(len(paired), len(machines) - 1)


def difference(paired: Sequence[Pair], resolution: float = 0.0, confidence: float = 0.95) -> Estimate | None:
    """Arm minus baseline, for values that may be 0 or negative: regressed like the ratio, by t; None without a pair.

    The machines' own effects are removed as differences here, not as factors.
    """
    if not paired or not all(math.isfinite(p.arm) and math.isfinite(p.baseline) for p in paired):
        return None
    # Scaled to about 1: what is rounding and what is scatter is judged on that scale.
    scale = max(max(abs(p.arm), abs(p.baseline)) for p in paired) or 1.0
    d = np.array([(p.arm - p.baseline) / scale for p in paired])
    fit = replace(fit_log_ratios(d, _columns(paired)), resolution=resolution / scale)
    interval = None if fit.confounded else fit.interval(confidence)
    low, high = (x * scale for x in interval) if interval else (None, None)
    if low is not None and high is not None and not (math.isfinite(low) and math.isfinite(high)):
        low, high = None, None
    method = fit.method.replace("log ratios", "differences")
    return Estimate(
        point=fit.log_ratio * scale, low=low, high=high, confidence=confidence, method=method, estimand=DIFFERENCE
    )


def fit_log_ratios(d: np.ndarray, columns: np.ndarray) -> Fit:
    """Least squares of d on an intercept and the machines' columns."""
    n = len(d)
    columns = columns[:, np.any(columns != 0, axis=0)]
    confounded = False
    if columns.shape[1]:
        # The intercept is estimable only if it is no combination of the machines' columns.
        full = np.column_stack([np.ones(n), columns])
        confounded = int(np.linalg.matrix_rank(full)) == int(np.linalg.matrix_rank(columns))
        if confounded:
            columns = columns[:, :0]
    design = np.column_stack([np.ones(n), columns])
    rank = int(np.linalg.matrix_rank(design))
    inverse = np.linalg.pinv(design.T @ design)
    coefficients = inverse @ design.T @ d
    residuals = d - design @ coefficients
    df = n - rank
    variance: float | None = None
    if df >= 1:
        variance = float(residuals @ residuals) / df
        # What remains of equal values is rounding.
        variance = 0.0 if variance < 1e-24 * max(1.0, float(d @ d)) else variance
    one_effect = columns.shape[1] == 1 and rank == 2
    what = "log ratios of blocks"
    if rank > 1:
        what += ", regressed on which machine carried the arm"
    return Fit(
        n=n,
        log_ratio=float(coefficients[0]),
        se=None if variance is None else math.sqrt(variance * float(inverse[0, 0])),
        df=float(df),
        machine=float(coefficients[1]) if one_effect else None,
        machine_se=math.sqrt(variance * float(inverse[1, 1])) if one_effect and variance is not None else None,
        confounded=confounded,
        method=f"{what}; t, {df} degrees of freedom" if df >= 1 else f"{what}; too few blocks for an interval",
    )


def welch(first: Fit, second: Fit) -> Fit:
    """The difference first - second of two independent fits, degrees of freedom by Welch and Satterthwaite."""
    se: float | None = None
    df = 0.0
    if first.se is not None and second.se is not None:
        a, b = first.se**2, second.se**2
        se = math.sqrt(a + b)
        df = (a + b) ** 2 / (a * a / first.df + b * b / second.df) if a + b > 0 else first.df + second.df
    return Fit(
        n=min(first.n, second.n),
        log_ratio=first.log_ratio - second.log_ratio,
        se=se,
        df=df,
        confounded=first.confounded or second.confounded,
        resolution=first.resolution + second.resolution,
        method=f"Welch on log values; t, {df:.1f} degrees of freedom" if se is not None else "too few values",
    )


def unpaired(arm: Series, baseline: Series, resolution: float = 0.0) -> Fit | None:
    """Welch on the logarithms of two arms that share no blocks (the paper's design); None without logarithms."""
    sides = []
    for series in (arm, baseline):
        values = [v.value for v in series.ordered()]
        if not values or not all(map(_positive, values)):
            return None
        fit = fit_log_ratios(np.log(values), np.zeros((len(values), 0)))
        sides.append(replace(fit, resolution=relative_step(resolution, math.exp(fit.log_ratio))))
    return welch(*sides)


# Values whose squares can still be added.
_SQUARABLE = 1e150


def fieller(paired: Sequence[Pair], confidence: float = 0.95) -> Estimate | None:
    """The ratio of arithmetic means with Fieller's interval for paired values; None when the baseline's mean is not
    distinguishable from 0 (then the interval is unbounded).

    Fieller, J. R. Stat. Soc. B 16 (1954): the ratios for which the paired t test of arm - ratio x baseline does not
    reject.
    """
    n = len(paired)
    if n == 0 or not all(math.isfinite(p.arm) and math.isfinite(p.baseline) for p in paired):
        return None
    x = np.array([p.arm for p in paired])
    y = np.array([p.baseline for p in paired])
    with np.errstate(over="ignore"):
        mean_x, mean_y = float(x.mean()), float(y.mean())
    if mean_y == 0 or not (math.isfinite(mean_x) and math.isfinite(mean_y)) or not math.isfinite(mean_x / mean_y):
        return None
    method = f"Fieller, paired, {n} blocks"
    low: float | None = None
    high: float | None = None
    if n >= 2:
        scale_x, scale_y = abs(mean_x) or 1.0, abs(mean_y)
        u, v = x / scale_x, y / scale_y
        if not (np.abs(u).max() < _SQUARABLE and np.abs(v).max() < _SQUARABLE):
            return None
        t2 = quantile(0.5 + confidence / 2, n - 1) ** 2
        (var_u, cov), (_, var_v) = (np.cov(u, v) / n).tolist()
        mean_u, mean_v = float(u.mean()), float(v.mean())
        a = mean_v**2 - t2 * var_v
        if a <= 0:
            return None
        b = mean_u * mean_v - t2 * cov
        c = mean_u**2 - t2 * var_u
        root = math.sqrt(max(b * b - a * c, 0.0))
        factor = scale_x / scale_y
        # min and max against rounding where all blocks are equal.
        low = min((b - root) / a * factor, mean_x / mean_y)
        high = max((b + root) / a * factor, mean_x / mean_y)
        if not (math.isfinite(low) and math.isfinite(high)):
            return None
    return Estimate(
        point=mean_x / mean_y, low=low, high=high, confidence=confidence, method=method, estimand=ARITHMETIC
    )


# Both arms alike are called unlike in one comparison of a hundred.
SURE = 0.995


def limiting_arm(arm: Series, baseline: Series) -> str | None:
    """Which of the two surely scatters more (variance of logs within machines, by F at 1 %, two-sided), or None."""
    spreads: dict[str, tuple[float, int]] = {}
    for series in (arm, baseline):
        values = series.ordered()
        if len(values) < 4 or min(v.value for v in values) <= 0:
            return None
        total, freedom = 0.0, len(values)
        for machine in {v.machine for v in values}:
            logs = np.log([v.value for v in values if v.machine == machine])
            total += float(((logs - logs.mean()) ** 2).sum())
            freedom -= 1
        if freedom < 1:
            return None
        spreads[series.arm] = total / freedom, freedom
    noisy, quiet = sorted(spreads, key=lambda name: -spreads[name][0])
    (more, df_more), (less, df_less) = spreads[noisy], spreads[quiet]
    return noisy if more > f_quantile(SURE, df_more, df_less) * less else None

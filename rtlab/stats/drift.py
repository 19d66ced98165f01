"""Drift: whether an arm's values moved during the campaign. Pure.

Values are taken relative to their own machine's mean (of logs where all are positive), because in a crossover the
machine changes from block to block.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from rtlab.stats.series import Series
from rtlab.stats.student import upper_tail

FEWEST = 8
# So many of the campaigns in which nothing moves may be warned about, all its arms and metrics together.
ALPHA = 0.05
# Each series is tested twice: rank correlation and halves.
TESTS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How one arm's values depend on order.

    Attributes:
        spearman: Rank correlation of value and order, -1 to 1.
        p_value: Two-sided, by t with n - 2 degrees of freedom.
        lag1: Autocorrelation of neighbours in order.
        halves: Ratio (or, without logarithms, difference) of the second half's mean to the first's.
        halves_p: Two-sided, Welch.
    """

    experiment: str
    metric: str
    arm: str
    n: int
    spearman: float
    p_value: float
    lag1: float
    halves: float
    halves_p: float
    logarithmic: bool

    def suspicious(self, watched: int) -> bool:
        """Whether a reader must be warned, so many series being watched (Bonferroni: ALPHA per campaign).

        Neighbours' correlation warns of nothing: at 15 blocks it finds one of 0.5 in 3.5 % of campaigns.
        """
        return min(self.p_value, self.halves_p) < ALPHA / (TESTS * max(1, watched))

    def sentence(self, name: str = "", watched: int = 1) -> str:
        """In words, by what was found; ``name`` is what the arm is called."""
        level = ALPHA / (TESTS * max(1, watched))
        found = []
        if self.halves_p < level:
            by = f"× {self.halves:.3g}" if self.logarithmic else f"{self.halves:+.3g}"
            found.append(f"second half against first {by} (p = {self.halves_p:.2g})")
        if self.p_value < level or not found:
            rose = "rose" if self.spearman > 0 else "fell"
            found.append(f"values {rose} with order, rank correlation {self.spearman:+.2f} (p = {self.p_value:.2g})")
        return f"{name or self.arm} moved during the campaign: {', '.join(found)}"


def drift(series: Series) -> Drift | None:
    """None with fewer than FEWEST values, or when all are equal."""
    values = series.ordered()
    n = len(values)
    if n < FEWEST:
        return None
    x = np.array([v.value for v in values])
    logarithmic = bool((x > 0).all())
    x = np.log(x) if logarithmic else x
    machines = np.array([v.machine for v in values])
    scale = float(np.abs(x).max()) or 1.0
    for machine in set(machines.tolist()):
        x[machines == machine] -= x[machines == machine].mean()
    spread = float(x @ x)
    if spread <= (1e-12 * scale) ** 2 * n:
        return None
    rho = spearman(np.arange(n, dtype=float), x)
    first, second = x[: n // 2], x[(n + 1) // 2 :]
    difference = float(second.mean() - first.mean())
    return Drift(
        experiment=series.experiment,
        metric=series.metric,
        arm=series.arm,
        n=n,
        spearman=rho,
        p_value=_p_of_correlation(rho, n),
        lag1=float(x[1:] @ x[:-1]) / spread,
        halves=math.exp(difference) if logarithmic else difference,
        halves_p=_welch_p(first, second),
        logarithmic=logarithmic,
    )


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Rank correlation, ties with their mean rank."""
    a, b = ranks(x), ranks(y)
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b) / math.sqrt(float(a @ a) * float(b @ b))


def ranks(x: np.ndarray) -> np.ndarray:
    """From 1; ties get their mean rank."""
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def _p_of_correlation(rho: float, n: int) -> float:
    if abs(rho) >= 1 - 1e-12:
        return 0.0
    return 2 * upper_tail(abs(rho) * math.sqrt((n - 2) / (1 - rho * rho)), n - 2)


def _welch_p(a: np.ndarray, b: np.ndarray) -> float:
    va, vb = float(a.var(ddof=1)) / len(a), float(b.var(ddof=1)) / len(b)
    difference = abs(float(a.mean() - b.mean()))
    if va + vb == 0:
        return 0.0 if difference > 0 else 1.0
    df = (va + vb) ** 2 / (va * va / (len(a) - 1) + vb * vb / (len(b) - 1))
    return 2 * upper_tail(difference / math.sqrt(va + vb), df)

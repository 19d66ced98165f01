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
from rtlab.units import format_signed, probability, ratio_text

FEWEST = 8
# So many of the campaigns in which nothing moves are warned about, all its arms and metrics together: a little below
# 5 %, because far out the t of a rank correlation is too small (1.2 to 1.4 times as often at 15 blocks, simulated).
ALPHA = 0.04
# Each series is tested twice: rank correlation and halves.
TESTS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How one arm's values depend on order.

    Attributes:
        spearman: Rank correlation of value and order, both within their machines, -1 to 1.
        p_value: Two-sided, by t; every machine takes a degree of freedom.
        lag1: Autocorrelation of neighbours in order.
        halves: Ratio (or, without logarithms, difference) of the second half's mean to the first's.
        halves_p: Two-sided, by the t of a regression on half and machine.
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
            way = "higher" if self.halves > 0 else "lower"
            size = (
                f"{ratio_text(self.halves).point} times the first's" if self.logarithmic else f"{way} than the first's"
            )
            found.append(f"the values of its second half are {size} ({probability(self.halves_p)})")
        if self.p_value < level or not found:
            rose = "rose" if self.spearman > 0 else "fell"
            found.append(
                f"values {rose} with the order, rank correlation {format_signed(self.spearman)} "
                f"({probability(self.p_value)})"
            )
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
    x = _within(x, machines)
    spread = float(x @ x)
    if spread <= (1e-12 * scale) ** 2 * n:
        return None
    df = n - 1 - len(set(machines.tolist()))
    if df < 1:
        return None
    rho = _correlation(ranks(x), _within(np.arange(n, dtype=float), machines))
    # The middle value of an odd number is in neither half.
    side = np.sign(np.arange(n) - (n - 1) / 2)
    difference = float(x[side > 0].mean() - x[side < 0].mean())
    return Drift(
        experiment=series.experiment,
        metric=series.metric,
        arm=series.arm,
        n=n,
        spearman=rho,
        p_value=_p_of_correlation(rho, df),
        lag1=float(x[1:] @ x[:-1]) / spread,
        halves=math.exp(difference) if logarithmic else difference,
        halves_p=_p_of_correlation(_correlation(x, _within(side, machines)), df),
        logarithmic=logarithmic,
    )


def _within(x: np.ndarray, machines: np.ndarray) -> np.ndarray:
    """Each value less its machine's mean."""
    found = np.array(x, dtype=float)
    for machine in set(machines.tolist()):
        found[machines == machine] -= found[machines == machine].mean()
    return found


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """0 where one of them does not vary."""
    a, b = a - a.mean(), b - b.mean()
    size = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / size if size > 0 else 0.0


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Rank correlation, ties with their mean rank."""
    return _correlation(ranks(x), ranks(y))


def ranks(x: np.ndarray) -> np.ndarray:
    """From 1; ties get their mean rank."""
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return (last - (counts - 1) / 2)[inverse]


def _p_of_correlation(rho: float, df: int) -> float:
    if abs(rho) >= 1 - 1e-12:
        return 0.0
    return 2 * upper_tail(abs(rho) * math.sqrt(df / (1 - rho * rho)), df)

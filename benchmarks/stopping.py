"""Campaigns that stop by ``--until 5%``: whether their interval still covers."""

from __future__ import annotations

import math

import numpy as np

from rtlab.stats.ratio import fit_log_ratios
from rtlab.stats.student import quantile

SCATTERS = (0.05, 0.07, 0.09, 0.11)  # SD of the blocks' log ratios
TARGET, FIRST, LAST = 0.05, 15, 40


def run(scatter: float, campaigns: int) -> float:
    """Share of campaigns that cover, blocks being added until the half-width is reached, on two machines that swap."""
    rng = np.random.default_rng([5, round(1000 * scatter)])
    s = np.resize([1.0, -1.0], LAST)
    covered = 0
    for _ in range(campaigns):
        d = scatter * rng.standard_normal(LAST)
        n = next((n for n in range(FIRST, LAST) if _half(d[:n], s[:n]) <= math.log1p(TARGET)), LAST)
        low, high = fit_log_ratios(d[:n], s[:n, None]).interval() or (0.0, 0.0)
        covered += low <= 0 <= high
    return covered / campaigns


def _half(d: np.ndarray, s: np.ndarray) -> float:
    """Half-width of the interval, by the regression's own formula: a look at every number of blocks must be cheap."""
    n = len(d)
    centred, of = d - d.mean(), s - s.mean()
    sxx = float(of @ of)
    slope = float(of @ centred) / sxx
    rest = centred - slope * of
    variance = float(rest @ rest) / (n - 2)
    return quantile(0.975, n - 2) * math.sqrt(variance * (1 / n + s.mean() ** 2 / sxx))

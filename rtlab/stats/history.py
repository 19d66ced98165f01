"""A series of campaigns, through time or versions: where a ratio changed, and how much it varies anyway. Pure.

Change points by E-divisive (Matteson and James, J. Am. Stat. Assoc. 109, 2014): the split at which the energy distance
of the two sides is greatest, tested by permutation, then each side again. Between campaigns a ratio varies more than
its own interval says (measurement.md §4.19): that variance belongs into a comparison of two of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rtlab.stats.hosts import pooled
from rtlab.stats.ratio import Fit

LEVEL = 0.05
PERMUTATIONS = 499
# Fewer campaigns on a side are no state of their own.
FEWEST = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePoint:
    """From this campaign on (its place in the series, from 0) the ratio is another.

    Attributes:
        p_value: By permutation: at least 1 / (PERMUTATIONS + 1).
        before, after: Means of the values between the change points on both sides.
    """

    at: int
    p_value: float
    before: float
    after: float


def change_points(
    values: Sequence[float], *, level: float = LEVEL, fewest: int = FEWEST, seed: int = 0
) -> tuple[ChangePoint, ...]:
    """The change points of a series, in order. The permutations are drawn from ``seed``, so that it is repeatable."""
    x = np.asarray(values, dtype=float)
    if len(x) < 2 * fewest or not np.isfinite(x).all():
        return ()
    rng = np.random.default_rng(seed)
    found: dict[int, float] = {}
    waiting = [(0, len(x))]
    while waiting:
        start, end = waiting.pop(0)
        part = x[start:end]
        best, at = _split(part, fewest)
        if at == 0 or best <= 0:
            continue
        above = sum(_split(rng.permutation(part), fewest)[0] >= best * (1 - 1e-12) for _ in range(PERMUTATIONS))
        p = (above + 1) / (PERMUTATIONS + 1)
        if p <= level:
            found[start + at] = p
            waiting += [(start, start + at), (start + at, end)]
    edges = [0, *sorted(found), len(x)]
    return tuple(
        ChangePoint(at=at, p_value=found[at], before=float(x[before:at].mean()), after=float(x[at:after].mean()))
        for before, at, after in zip(edges, edges[1:], edges[2:], strict=False)
    )


def energy(x: Sequence[float], y: Sequence[float]) -> float:
    """Energy distance of two samples, scaled by their sizes: n m / (n + m) (2 E|x - y| - E|x - x'| - E|y - y'|), the
    means within a sample over its pairs of different values."""
    both = np.concatenate([np.asarray(x, dtype=float), np.asarray(y, dtype=float)])
    return float(_energies(both)[len(x) - 1])


def _split(x: np.ndarray, fewest: int) -> tuple[float, int]:
    """The greatest energy distance of two parts, and where the second begins; (0, 0) where none is long enough."""
    n = len(x)
    if n < 2 * fewest:
        return 0.0, 0
    allowed = _energies(x)[fewest - 1 : n - fewest]
    at = int(np.argmax(allowed))
    return float(allowed[at]), at + fewest


def _energies(x: np.ndarray) -> np.ndarray:
    """The scaled energy distance of x[:k] and x[k:] for every k from 1 to n - 1."""
    n = len(x)
    distances = np.abs(x[:, None] - x[None, :])
    corner = distances.cumsum(axis=0).cumsum(axis=1)
    k = np.arange(1, n)
    whole = corner[-1, -1]
    first = corner[k - 1, k - 1]
    across = corner[k - 1, -1] - first
    second = whole - first - 2 * across
    m = n - k
    within_first = first / np.maximum(k * (k - 1), 1)
    within_second = second / np.maximum(m * (m - 1), 1)
    return np.asarray(k * m / n * (2 * across / (k * m) - within_first - within_second))


def between_campaigns(fits: Sequence[Fit]) -> float | None:
    """SD of the log ratio from campaign to campaign, beyond what their own errors explain (REML).

    None with fewer than three campaigns that have an error. Take it from campaigns between which nothing was changed.
    """
    known = [f for f in fits if f.se is not None and not f.confounded]
    found = pooled([f.log_ratio for f in known], [f.se**2 for f in known if f.se is not None])
    return None if found is None else math.sqrt(found.variance)

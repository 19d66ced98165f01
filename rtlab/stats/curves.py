"""Curves: a cost per container, per request at once, per step of load; and the point where it breaks. Pure.

Slope per block, then the paired estimator over blocks (measurement.md §4.17): the points of one block share its boot
and its host, so that they are no independent values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rtlab.model import Estimate
from rtlab.stats.describe import median_interval

# A single break says little: the point is sought again in so many blocks.
FEWEST_BREAKS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """By least squares: slope per unit of load, value at load 0, and how much of the spread it explains."""

    slope: float
    intercept: float
    r_squared: float


def line(points: Sequence[tuple[float, float]]) -> Line | None:
    """Of one block's (load, value); None with fewer than two loads."""
    if len({x for x, _ in points}) < 2:
        return None
    x, y = (np.array(side, dtype=float) for side in zip(*points, strict=True))
    dx, dy = x - x.mean(), y - y.mean()
    slope = float(dx @ dy) / float(dx @ dx)
    rest, spread = dy - slope * dx, float(dy @ dy)
    return Line(
        slope=slope,
        intercept=float(y.mean() - slope * x.mean()),
        r_squared=1 - float(rest @ rest) / spread if spread > 0 else 1.0,
    )


def breaking_point(points: Sequence[tuple[float, bool]]) -> float | None:
    """The greatest load of one block up to which every step held; None where the first did not."""
    held: float | None = None
    for load, ok in sorted(points):
        if not ok:
            break
        held = load
    return held


def breaks(blocks: Sequence[float]) -> Estimate | None:
    """The point where it breaks, over blocks: median with its order statistics; None with fewer than five blocks."""
    return median_interval(blocks) if len(blocks) >= FEWEST_BREAKS else None

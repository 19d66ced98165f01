"""How many blocks: planned from a pilot, and the rule that stops ``--until``. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable

from rtlab.model import FEWEST_BLOCKS, Comparison, Estimate, Until
from rtlab.stats.student import chi_squared, quantile
from rtlab.units import percent

MOST_BLOCKS = 10_000


def half_width(ratio: Estimate | None) -> float | None:
    """Relative half-width of a ratio's interval on the log scale: 0.05 means × or ÷ 1.05. None without interval."""
    if ratio is None or not ratio.low or ratio.high is None:
        return None
    return math.expm1((math.log(ratio.high) - math.log(ratio.low)) / 2)


def blocks_for(sd_log: float, target: float, *, machines: int = 2) -> int | None:
    """The least number of blocks whose expected interval has at most this relative half-width.

    Args:
        sd_log: Scatter of the blocks' log ratios (residual SD), from a pilot.
        target: 0.05 for × or ÷ 1.05.
        machines: With two, one degree of freedom goes to the machine's own effect.

    Returns None when MOST_BLOCKS do not reach it.
    """
    if not sd_log >= 0 or not target > 0:
        raise ValueError("sd_log must be 0 or more and target more than 0")
    lost = 2 if machines > 1 else 1
    wanted = math.log1p(target)
    for n in range(lost + 1, MOST_BLOCKS + 1):
        if quantile(0.975, n - lost) * sd_log / math.sqrt(n) <= wanted:
            return n
    return None


def scatter(ratio: Estimate, blocks: int, *, machines: int = 2) -> float | None:
    """The residual SD of the blocks' log ratios behind a primary estimate; None without interval."""
    width = half_width(ratio)
    df = blocks - (2 if machines > 1 else 1)
    if width is None or df < 1:
        return None
    return math.log1p(width) / quantile(0.975, df) * math.sqrt(blocks)


def scatter_bound(sd: float, df: int, confidence: float) -> float:
    """The upper limit of a normal scatter, by chi-squared, when ``sd`` was estimated with ``df`` degrees of freedom."""
    return sd * math.sqrt(df / chi_squared(1 - confidence, df))


def stop_reason(
    until: Until,
    comparisons: Iterable[Comparison],
    *,
    blocks: int,
    hours: float,
    mid_block: bool,
    planned: int | None = None,
) -> str | None:
    """Why the campaign stops now, or None to go on. Looks at precision only, never at p or a verdict.

    Args:
        comparisons: Exploratory ones are ignored.
        blocks: Full blocks so far.
        mid_block: A block is under way; it is finished first, whatever the caps say.
        planned: Blocks that were run, full or not: what the cap counts. None: ``blocks``.
    """
    if mid_block:
        return None
    if blocks >= max(until.min_blocks, FEWEST_BLOCKS):
        widths = [half_width(c.ratio) for c in comparisons if not c.exploratory]
        known = [w for w in widths if w is not None]
        if widths and len(known) == len(widths) and max(known) <= until.target:
            return f"every primary ratio is known to ±{percent(max(known))} after {blocks} blocks"
    if (blocks if planned is None else planned) >= until.max_blocks:
        return f"the cap of {until.max_blocks} blocks is reached"
    if until.max_hours is not None and hours >= until.max_hours:
        return f"the cap of {until.max_hours:g} hours is reached"
    return None

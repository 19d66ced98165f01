"""From a ratio's interval to a verdict in words, by a margin declared before (measurement.md §4.5). Pure."""

from __future__ import annotations

from rtlab.model import Estimate, Metric, Verdict
from rtlab.units import format_number


def verdict(ratio: Estimate | None, metric: Metric, margin: float) -> Verdict:
    """Where the interval lies against the band [1/(1+margin), 1+margin]."""
    if ratio is None or ratio.low is None or ratio.high is None:
        return Verdict.INCONCLUSIVE
    lower, upper = 1 / (1 + margin), 1 + margin
    if ratio.low >= lower and ratio.high <= upper:
        return Verdict.NO_DIFFERENCE
    if ratio.low > upper or ratio.high < lower:
        larger_is_worse = metric.better != "higher"
        return Verdict.SLOWER if (ratio.low > upper) == larger_is_worse else Verdict.FASTER
    return Verdict.INCONCLUSIVE


def sentence(
    found: Verdict, ratio: Estimate | None, metric: Metric, arm: str, baseline: str, margin: float, blocks: int
) -> str:
    """The verdict in plain words; ``arm`` and ``baseline`` are titles."""
    subject = f"{arm} against {baseline}, {metric.title}"
    if ratio is None:
        return f"{subject}: no estimate from {blocks} complete {_blocks(blocks)}; a ratio needs two."
    interval = f"ratio {_factor(ratio.point)}, 95 % interval {_factor(ratio.low)} to {_factor(ratio.high)}"
    counted = f"{blocks} {_blocks(blocks)}"
    if found is Verdict.NO_DIFFERENCE:
        return f"{subject}: no practical difference (within ±{margin:.0%}; {interval}; {counted})."
    if found is Verdict.INCONCLUSIVE or ratio.low is None or ratio.high is None:
        return f"{subject}: inconclusive at a margin of {margin:.0%} ({interval}; {counted})."
    return f"{subject}: {word(metric, ratio.point)} {_by(ratio.low, ratio.high)} ({interval}; {counted})."


def word(metric: Metric, ratio: float) -> str:
    """The metric's own word for a ratio: slower or faster for times, higher or lower for everything else."""
    if metric.unit == "s" and metric.better == "lower":
        return "slower" if ratio > 1 else "faster"
    return "higher" if ratio > 1 else "lower"


def _by(low: float, high: float) -> str:
    if low >= 2:
        return f"at {_factor(low)} to {_factor(high)} times the baseline"
    if high < 1:
        return f"by between {_percent(1 - high)} and {_percent(1 - low)}"
    return f"by between {_percent(low - 1)} and {_percent(high - 1)}"


def _percent(share: float) -> str:
    return f"{share * 100:.{0 if share >= 0.0995 else 1}f} %"


def _factor(value: float | None) -> str:
    return format_number(value, 3)


def _blocks(count: int) -> str:
    return "block" if count == 1 else "blocks"

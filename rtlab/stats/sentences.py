"""A comparison as a colleague would say it: both values, one form of ratio, its interval, what it means. Pure.

Every sentence of rtlab's that has a ratio in it takes the ratio's text from here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from rtlab.model import Comparison, Estimate, Metric, Summary, Verdict
from rtlab.stats.noise import Noise
from rtlab.stats.verdict import ALPHA, forecast
from rtlab.units import SCALES, alike, band, from_base, percent, ratio_text, readable_unit


def ratio(e: Estimate) -> str:
    """``3.71 (3.68 to 3.75)``; without interval the point alone."""
    shown = ratio_text(e.point, e.low, e.high)
    return f"{shown.point} ({shown.interval()})" if shown.low else shown.point


def difference(e: Estimate, metric: Metric) -> str:
    """``difference +12.3 MiB (95 %: +10.1 to +14.5)``, for what may be 0 or negative and has no ratio."""
    unit = readable_unit(e.point, metric.shown_unit)
    ends = [e.point] if e.low is None or e.high is None else [e.point, e.low, e.high]
    point, *interval = (f"+{t}" if v > 0 else t for v, t in _in_unit(ends, unit))
    told = f"95 %: {interval[0]} to {interval[1]}" if interval else "too few blocks for an interval"
    return f"difference {point}{f' {unit}' if unit != '1' else ''} ({told})"


def _in_unit(values: Sequence[float], unit: str) -> list[tuple[float, str]]:
    return list(zip(values, alike([from_base(v, unit) for v in values]), strict=True))


def reworded(
    comparisons: Sequence[Comparison],
    summaries: Sequence[Summary],
    floors: Mapping[tuple[str, str], Noise],
    metrics: Mapping[tuple[str, str], Metric],
    titles: Mapping[str, str],
    margin: float,
) -> tuple[Comparison, ...]:
    """The comparisons, each with its sentence.

    Args:
        floors, metrics: By (experiment, metric).
    """
    medians = {(s.experiment, s.metric, s.arm): s.median.point for s in summaries if s.median is not None}
    found = []
    for c in comparisons:
        metric = metrics[c.experiment, c.metric]
        mine, base = (medians.get((c.experiment, c.metric, arm)) for arm in (c.arm, c.baseline))
        unit = readable_unit(base or mine or 0.0, metric.shown_unit)
        values = None
        if mine is not None and base is not None and unit in SCALES:
            values = (from_base(mine, unit), from_base(base, unit))
        floor = floors.get((c.experiment, c.metric))
        height = floor.floor if floor else None
        words = sentence(c, metric, values=values, unit=unit, titles=titles, margin=margin, floor=height)
        found.append(replace(c, sentence=words))
    return tuple(found)


def sentence(
    c: Comparison,
    metric: Metric,
    *,
    values: tuple[float, float] | None,
    unit: str,
    titles: Mapping[str, str],
    margin: float,
    floor: float | None = None,
) -> str:
    """``Memory per idle container: gVisor 18.6 MiB, runC 5.0 MiB: 3.71 times as much (95 %: 3.68 to 3.75; 4 blocks).``

    Args:
        values: The arm's and the baseline's median in ``unit``; None where one of them is missing.
        titles: What an arm is called; its own name where it is not in there.
        floor: The noise floor on the log scale, where A/A blocks ran: told where it decides.
    """
    arm, baseline = (titles.get(name, name) for name in (c.arm, c.baseline))
    what = metric.label or metric.title
    if c.ratio is None:
        return f"{what}: {arm} cannot be compared with {baseline}: {c.why_not}."
    sides = f"{arm} against {baseline}"
    if values is not None:
        mine, base = alike(values)
        sides = f"{arm} {mine} {unit}, {baseline} {base} {unit}" if unit != "1" else f"{arm} {mine}, {baseline} {base}"
    shown = ratio_text(c.ratio.point, c.ratio.low, c.ratio.high)
    blocks = f"{len(c.blocks)} block{'s' * (len(c.blocks) != 1)}"
    inside = f"95 %: {shown.interval()}; {blocks}" if shown.low else blocks
    if c.exploratory:
        inside += "; exploratory"
    return f"{what}: {sides}: {times(metric, shown.point)} ({inside}){_meaning(c, metric, margin, floor)}."


def times(metric: Metric, shown: str) -> str:
    """A ratio in the metric's own words."""
    if metric.unit == "s/B" or metric.name.endswith("cpu_s"):
        return f"costs {shown} times as much"
    if metric.unit == "s":
        return f"takes {shown} times as long"
    if metric.unit in ("B/s", "1/s"):
        return f"{shown} times the rate"
    return f"{shown} times as much"


def together(c: Comparison) -> bool:
    """Whether its interval alone would decide, and only Holm's step over all verdicts keeps it open."""
    if c.verdict is not Verdict.INCONCLUSIVE or c.p_value is None or c.p_adjusted is None:
        return False
    return c.p_value <= ALPHA < c.p_adjusted


def _meaning(c: Comparison, metric: Metric, margin: float, floor: float | None) -> str:
    """What follows the numbers: nothing where they say it themselves, as slower and faster do."""
    assert c.ratio is not None
    if c.verdict in (Verdict.SLOWER, Verdict.FASTER):
        return ""
    if c.verdict is Verdict.WITHHELD:
        return f": verdict withheld, {c.why_not}"
    if c.verdict is Verdict.NO_DIFFERENCE:
        seems = "seemingly " if c.exploratory else ""
        return f": {seems}no practical difference, within {band(margin)}"
    if c.ratio.low is None or c.ratio.high is None:
        if len(c.blocks) > 2:
            return ": no verdict, because the blocks do not scatter at all and how far off it may be is not known"
        return ": no verdict, because an interval takes more blocks"
    if metric.better is None and not 1 / (1 + margin) <= c.ratio.point <= 1 + margin:
        return ", of which neither direction is better"
    more = forecast(c.blocks_needed)
    if _at_floor(c, margin, floor):
        assert floor is not None
        noise = percent(math.expm1(min(floor, 20)))
        return f": unclear, not beyond the noise floor of ±{noise} that the A/A blocks show{more}"
    if together(c):
        return f": unclear, because all verdicts are decided together: this interval alone does not suffice{more}"
    return f": unclear at a margin of {band(margin)}{more}"


def _at_floor(c: Comparison, margin: float, floor: float | None) -> bool:
    """Whether the noise floor, not the margin, keeps this ratio from a verdict."""
    if not floor or c.ratio is None or not c.ratio.low or not c.ratio.high:
        return False
    nearest = min(abs(math.log(c.ratio.low)), abs(math.log(c.ratio.high)))
    return abs(math.log(c.ratio.point)) > math.log1p(margin) and nearest <= floor

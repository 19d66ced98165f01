"""Two campaigns: the change of each ratio to the shared baseline. Pure.

Campaigns share no state of the host, so their absolute values differ by chance; the ratios within blocks do not carry
that. The change is tested by Welch on the per-block log ratios.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from rtlab.model import Estimate, Metric, Verdict
from rtlab.stats.ratio import Fit, estimate, welch
from rtlab.stats.verdict import blocks_needed, decide, forecast, holm, p_value, still_among, words
from rtlab.units import band, ratio_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """How one ratio changed from campaign A to campaign B.

    Attributes:
        first, second: The ratio to the baseline in A and in B.
        change: B's ratio divided by A's; above 1 means that the arm's value rose against its baseline.
        absolute: B's median divided by A's, for the arm itself: descriptive, without interval or verdict.
    """

    experiment: str
    metric: str
    arm: str
    baseline: str
    first: Estimate
    second: Estimate
    change: Estimate
    absolute: float | None
    verdict: Verdict
    p_value: float | None
    p_adjusted: float | None
    blocks_needed: int | None
    exploratory: bool
    sentence: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Both:
    """The same comparison in two campaigns: the input of compare_campaigns.

    Attributes:
        broken: The A/A blocks of either campaign say that its testbed is broken: no verdict.
    """

    experiment: str
    metric: Metric
    arm: str
    baseline: str
    first: Fit
    second: Fit
    absolute: float | None = None
    broken: bool = False


def compare_campaigns(
    shared: Sequence[Both], margin: float, *, between: float = 0.0, titles: Mapping[str, str] | None = None
) -> tuple[Change, ...]:
    """The change of every ratio; Holm over the primary metrics decides their verdicts.

    Args:
        between: SD of a log ratio from campaign to campaign where nothing was changed
            (``history.between_campaigns``); both campaigns have a draw of it.
        titles: What an arm is called in sentences; its own name by default.
    """
    fits = [_widened(welch(both.second, both.first), between) for both in shared]
    plain = [p_value(fit, margin) for fit in fits]
    family = [i for i, both in enumerate(shared) if both.metric.primary and plain[i] is not None]
    adjusted = dict(zip(family, holm([p for i in family if (p := plain[i]) is not None]), strict=True))
    found = []
    for index, (both, fit) in enumerate(zip(shared, fits, strict=True)):
        deciding = adjusted.get(index) if both.metric.primary else plain[index]
        verdict = decide(fit, both.metric, margin, None, deciding)
        confounded = both.first.confounded or both.second.confounded
        if both.broken or confounded:
            verdict = Verdict.WITHHELD
        among = still_among(plain[index], [p for i in family if (p := plain[i]) is not None]) if index in family else 1
        further = blocks_needed(fit, margin, among=among) if verdict is Verdict.INCONCLUSIVE else None
        found.append(
            Change(
                experiment=both.experiment,
                metric=both.metric.name,
                arm=both.arm,
                baseline=both.baseline,
                first=estimate(both.first),
                second=estimate(both.second),
                change=estimate(fit),
                absolute=both.absolute,
                verdict=verdict,
                p_value=plain[index],
                p_adjusted=adjusted.get(index),
                blocks_needed=further,
                exploratory=not both.metric.primary,
                sentence=_sentence(both, fit, verdict, margin, further, titles or {}),
            )
        )
    return tuple(found)


def _widened(fit: Fit, between: float) -> Fit:
    return fit if fit.se is None or not between else replace(fit, se=math.hypot(fit.se, math.sqrt(2) * between))


def _sentence(
    both: Both, fit: Fit, verdict: Verdict, margin: float, further: int | None, titles: Mapping[str, str]
) -> str:
    """``Start to first page: gVisor against runC: the ratio is 1.25 times what it was (95 %: 1.22 to 1.28): …``"""
    arm, baseline = (titles.get(name, name) for name in (both.arm, both.baseline))
    what = f"{both.metric.label or both.metric.title}: {arm} against {baseline}"
    change = estimate(fit)
    shown = ratio_text(change.point, change.low, change.high)
    # Not corrected for how many metrics there are: worded apart from a verdict.
    apart = "; exploratory" if not both.metric.primary else ""
    inside = f"95 %: {shown.interval()}{apart}" if shown.low else f"too few blocks for an interval{apart}"
    meaning = _meaning(both, fit, verdict, margin, further)
    return f"{what}: the ratio is {shown.point} times what it was ({inside}){meaning}."


def _meaning(both: Both, fit: Fit, verdict: Verdict, margin: float, further: int | None) -> str:
    """What follows the numbers; nothing where there is no interval."""
    if fit.interval() is None:
        return ""
    if verdict is Verdict.WITHHELD:
        if both.broken:
            return ": verdict withheld, the A/A blocks of a campaign differ, so its testbed was broken"
        return ": verdict withheld, in a campaign runtime and machine never swapped, so they cannot be told apart"
    if verdict is Verdict.NO_DIFFERENCE:
        did_not = "did not change" if both.metric.primary else "seems not to have changed"
        return f": it {did_not} by more than {band(margin)}"
    if verdict is Verdict.INCONCLUSIVE:
        return f": unclear at a margin of {band(margin)}{forecast(further, 'in each campaign')}"
    became = "became" if both.metric.primary else "seems to have become"
    return f": it {became} {words(both.metric, above=fit.log_ratio > 0)}"

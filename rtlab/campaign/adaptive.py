"""Campaigns that go on until they know enough: when they look at what they have, and why they stop."""

from __future__ import annotations

from rtlab import stats
from rtlab.campaign.pace import elapsed_s
from rtlab.campaign.repeats import planned_blocks
from rtlab.model import Event, Notify, Until
from rtlab.state import now
from rtlab.store import Campaign
from rtlab.units import percent


def out_of_time(campaign: Campaign) -> str:
    """Why no further block is begun, when an adaptive campaign's hours are over; empty to go on."""
    until = campaign.spec.until
    if until is None or until.max_hours is None:
        return ""
    return stats.stop_reason(until, (), blocks=0, hours=_hours(campaign), mid_block=False) or ""


def look(campaign: Campaign, until: Until, notify: Notify) -> str:
    """Whether the precision is reached, between blocks, from what is stored alone; empty to go on."""
    from rtlab import report  # only adaptive campaigns pay for loading it

    primaries = [c for c in report.build(campaign).analysis.comparisons if not c.exploratory]
    hours = _hours(campaign)
    planned = planned_blocks(campaign.plan)
    full = min((len(c.blocks) for c in primaries), default=0)
    reason = stats.stop_reason(until, primaries, blocks=full, hours=hours, mid_block=False, planned=planned)
    widths = {f"{c.experiment}/{c.metric}/{c.arm}": stats.half_width(c.ratio) for c in primaries}
    campaign.write_look(
        {
            "at": now(),
            "planned": planned,
            "full": full,
            "hours": round(hours, 4),
            "half_widths": widths,
            "stopped": reason or "",
        }
    )
    known = [w for w in widths.values() if w is not None]
    worst = f"±{percent(max(known))}" if known and len(known) == len(widths) else "not known"
    notify(Event(stage="look", message=f"after {full} full blocks the worst primary ratio is {worst}"))
    return reason or ""


def _hours(campaign: Campaign) -> float:
    """What the campaign's trials took; pauses between sessions do not count."""
    return sum(elapsed_s(record) for record in campaign.records()) / 3600

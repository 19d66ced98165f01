"""Which blocks a ratio rests on, and why the others are left out. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rtlab.model import Outcome, Record
from rtlab.stats.series import Series, last_attempts

# So many blocks are named per reason.
LISTED = 8


def left_out(
    arm: Series, baseline: Series, used: Sequence[int], records: Sequence[Record], titles: Mapping[str, str]
) -> str:
    """Which blocks of these two arms are in no pair, each with its reason; empty when all are in one."""
    mine = [r for r in last_attempts(records).values() if r.trial.experiment == arm.experiment and r.trial.kind == "ab"]
    of = {(r.trial.block, r.trial.arm): r for r in mine}
    repeats = {r.trial.repeats: r.trial.block for r in mine if r.trial.repeats is not None}
    blocks = sorted({block for block, name in of if name in (arm.arm, baseline.arm)})
    reasons: dict[str, list[int]] = {}
    for block in sorted(set(blocks) - set(used)):
        if block in repeats:
            reasons.setdefault("interrupted or without a usable value, and repeated whole", []).append(block)
            continue
        if block in (*arm.given_up, *baseline.given_up):
            reasons.setdefault("interrupted, and not repeated because the limit was reached", []).append(block)
            continue
        whys = [_why(series, of.get((block, series.arm)), titles) for series in (baseline, arm)]
        reasons.setdefault(" and ".join(why for why in whys if why) or "no value of both", []).append(block)
    if not reasons:
        return ""
    listed = "; ".join(f"{numbered(found)} ({reason})" for reason, found in reasons.items())
    return (
        f"{len(set(used))} of {len(blocks)} blocks are in the ratio of {titles.get(arm.arm, arm.arm)} to "
        f"{titles.get(baseline.arm, baseline.arm)}. Left out: {listed}."
    )


def numbered(blocks: Sequence[int]) -> str:
    """``block 3``, ``blocks 3, 5 and 9``, ``blocks 1, 2, … and 40 more``."""
    if len(blocks) == 1:
        return f"block {blocks[0]}"
    shown = [str(b) for b in blocks[:LISTED]]
    last = f"{len(blocks) - LISTED} more" if len(blocks) > LISTED else shown.pop()
    return f"blocks {', '.join(shown)} and {last}"


def _why(series: Series, record: Record | None, titles: Mapping[str, str]) -> str:
    """Why this arm has no value in a block; empty when it has one."""
    who = titles.get(series.arm, series.arm)
    if record is None:
        return f"{who} did not run"
    if record.trial.block in series.values:
        return ""
    if record.outcome is not Outcome.OK:
        was = "was " if record.outcome is Outcome.INVALID else ""
        return f"{who} {was}{record.outcome.value}"
    if record.trial.number in series.censored:
        return f"{who} was too fast to tell"
    if record.trial.number in series.failed:
        return f"{who} gave an output that cannot be read"
    return f"{who} gave no value"

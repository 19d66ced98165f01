"""What the records say happened during a trial, told beside a value that is unusual. Pure; never a reason to drop one.

Only what is recorded: the readiness gate's wait, reboots out of turn, standstills of the campaign (from record.json),
and stolen time and kernel messages (``context`` in probe.json).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from rtlab.model import Json, Outcome, RebootPolicy, Record
from rtlab.text import clean

# Seconds of the readiness gate from which on a machine was slow to get quiet.
LONG_GATE_S = 30.0
# Share of the trial's time that was stolen by the hypervisor on all processors together, and the least that counts.
STOLEN_SHARE, STOLEN_S = 0.02, 0.1
# Between two trials of a running campaign lie reboot and gate; beyond this it stood still.
STANDSTILL_S = 1800.0
# What a kernel says when the machine was disturbed; bridges and interfaces that come and go are usual.
_TROUBLE = re.compile(
    r"throttl|lockup|hung task|blocked for more than|rcu.*stall|out of memory|oom-kill|killed process|I/O error|"
    r"hardware error|machine check|clocksource.*unstable|timekeeping|segfault|general protection|link is down|"
    r"remount.*read-only|temperature above",
    re.I,
)
LONGEST = 100


def during(record: Record, probe: Mapping[str, Json]) -> list[str]:
    """What the trial's own record and probe document say."""
    found = []
    if record.waited_s is not None and record.waited_s >= LONG_GATE_S:
        found.append(f"the machine took {record.waited_s:.0f} s to get ready")
    context = probe.get("context")
    if not isinstance(context, Mapping):
        return found
    stolen = _number(context.get("steal_s"))
    if stolen is not None and stolen >= STOLEN_S:
        lasted = _seconds(record.started_at, record.ended_at)
        if lasted and stolen > STOLEN_SHARE * lasted:
            found.append(f"{stolen:.1f} s of processor time stolen")
    messages = context.get("new_kernel_messages")
    if isinstance(messages, list):
        trouble = [m for m in messages[:200] if isinstance(m, str) and _TROUBLE.search(m[:1000])]
        if trouble:
            more = f" and {len(trouble) - 1} more" if len(trouble) > 1 else ""
            found.append(f"kernel: “{clean(trouble[0])[:LONGEST]}”{more}")
    return found


def between(records: Iterable[Record], policy: RebootPolicy) -> dict[int, list[str]]:
    """Trial number -> what happened just before it, seen from the trials around: resets, lost machines, standstills."""
    found: dict[int, list[str]] = {}
    last: Record | None = None
    seen: dict[tuple[str, int], Record] = {}
    for record in sorted(records, key=lambda r: (r.started_at, r.trial.number)):
        trial = record.trial
        told = found.setdefault(trial.number, [])
        earlier = seen.get((trial.machine, trial.boot))
        if earlier is not None and policy != "never":
            if record.rebooted:
                told.append("the machine was reset before it, out of turn")
            elif record.boot_id != earlier.boot_id and record.boot_id and earlier.boot_id:
                told.append("the machine had rebooted by itself")
        if earlier is not None and earlier.outcome is not Outcome.OK:
            told.append(f"trial {earlier.trial.number} before it on the same boot {_ended(earlier)}")
        if last is not None:
            pause = _seconds(last.ended_at, record.started_at)
            if pause is not None and pause > STANDSTILL_S:
                told.append(f"the campaign had stood still for {pause / 3600:.1f} h")
        if record.attempt > 1:
            told.append(f"attempt {record.attempt}")
        seen[trial.machine, trial.boot] = last = record
    return {number: told for number, told in found.items() if told}


def _ended(record: Record) -> str:
    return "was invalid" if record.outcome is Outcome.INVALID else record.outcome.value


def _seconds(begin: str, end: str) -> float | None:
    """Between two stamps in ISO 8601; None where one is none."""
    try:
        first, second = (datetime.fromisoformat(stamp.replace("Z", "+00:00")) for stamp in (begin, end))
        return (second - first).total_seconds()
    except (TypeError, ValueError):
        return None


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) < 1e12 else None

"""What doctor says of runC."""

from __future__ import annotations

from rtlab.host.checks.contract import Check, Look
from rtlab.host.checks.runtimes import todays, told

PROGRAMS = ("runc",)


def check(look: Look) -> Check:
    if look.modules:
        return todays("runc")
    there = look.facts.runtimes.get("runc", "")
    why = "the baseline, and the engine's default"
    return told("runc", "ok" if there else "missing", there or "not installed", look.install("runc"), why)

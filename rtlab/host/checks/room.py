"""Room on disk."""

from __future__ import annotations

from collections.abc import Iterator

from rtlab.host.checks.contract import Check, Group, Look, check, wanting
from rtlab.units import GIB, format_bytes

CACHE_DISK_BYTES = 3 * GIB


def disk(look: Look, name: str, title: str, needed: int, *groups: Group) -> Check:
    """Whether there is room in the working folder for one kind of machines."""
    facts = look.facts
    return check(
        f"disk-{name}",
        title,
        "ok" if facts.state_free_bytes >= needed else "missing",
        f"{format_bytes(facts.state_free_bytes)} free, {format_bytes(needed)} needed ({facts.state_path})",
        "images, the engine's data or the machines' disks, and raw outputs go there; Bonnie++ writes 2 GB",
        "Free some space, or work in a folder on another disk.",
        *groups,
    )


def room(look: Look) -> Iterator[Check]:
    facts = look.facts
    yield check(
        "disk-cache",
        "disk for the cache",
        "ok" if facts.cache_free_bytes >= CACHE_DISK_BYTES and not facts.cache_refused else "missing",
        facts.cache_refused.rstrip(".")
        or f"{format_bytes(facts.cache_free_bytes)} free of {format_bytes(CACHE_DISK_BYTES)} ({facts.cache_path})",
        "boxes and images are kept there",
        "Set RTLAB_CACHE to a folder that you may write to."
        if facts.cache_refused
        else "Free some space, or set RTLAB_CACHE to a folder on another disk.",
        *wanting("cache"),
    )

"""How large io's file and how many its seeks must be, so that no phase of any arm is too fast to tell. Pure.

Bonnie++ prints ``+++++`` for a phase of under half a second. A few runs before the first block (the readings) say how
fast each arm is; the sizes are the same for all arms. Time bounds them: a page cache that reads 6 GB/s would need a
file of 9 GiB, which a slow arm writes for minutes. What must have a value is the primary metric; the others have one
as far as the bounds allow, and what they do not allow is said before the first block.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rtlab.units import MIB

# A phase shall take this long, so that scatter keeps it above one second.
AIM_S = 1.5
LEAST_S = 1.0
# Under this Bonnie++ prints no rate (MinTime in its source).
TOO_FAST_S = 0.5
FIRST_MB, FIRST_SEEKS = 256, 8192
FALLBACK_MB = 2048
STEP = 4
MOST_MB, MOST_SEEKS = 64 * 1024, 1 << 20
# Sizes are rounded up to these.
ROUND_MB, ROUND_SEEKS = 64, 4096
TITLES = {"put": "block output", "get": "block input", "seeks": "random seeks"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One run of Bonnie++ under one arm.

    Attributes:
        put, get, seeks: B/s and 1/s; None: too fast to tell.
        elapsed_s: Of the whole run.
    """

    arm: str
    size_mb: int
    seek_count: int
    put: float | None
    get: float | None
    seeks: float | None
    elapsed_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What bounds the sizes.

    Attributes:
        disk_mb: Room for the file.
        longest_s: No run of any arm shall take longer.
        seek_count: Set by the user; 0: to be chosen.
    """

    disk_mb: int
    longest_s: float
    seek_count: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The next run to make."""

    arm: str
    size_mb: int
    seek_count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The end of a calibration.

    Attributes:
        reason: Why these sizes, one sentence.
        cannot: What they cannot show, one sentence each.
    """

    size_mb: int
    seek_count: int
    reason: str
    cannot: tuple[str, ...]


def next_step(arms: Sequence[str], readings: Sequence[Reading], limits: Limits) -> Step | Chosen:
    """Each arm once, small; then larger ones only for what was too fast to tell, within the bounds; then the choice."""
    seen = {arm: [r for r in readings if r.arm == arm] for arm in arms}
    for arm in arms:
        if not seen[arm]:
            return Step(arm=arm, size_mb=min(FIRST_MB, limits.disk_mb), seek_count=limits.seek_count or FIRST_SEEKS)
    most, _ = _most_mb(readings, limits)
    most_seeks = limits.seek_count or MOST_SEEKS
    for arm in arms:
        size = max(r.size_mb for r in seen[arm])
        seeks = max(r.seek_count for r in seen[arm])
        too_fast = not (_known(seen[arm], "put") and _known(seen[arm], "get"))
        larger = min(size * STEP, most) if too_fast else size
        more = min(seeks * STEP, most_seeks) if not _known(seen[arm], "seeks") else seeks
        if larger > size or more > seeks:
            return Step(arm=arm, size_mb=max(larger, size), seek_count=more)
    return _choose(arms, seen, readings, limits)


def _choose(
    arms: Sequence[str], seen: Mapping[str, Sequence[Reading]], readings: Sequence[Reading], limits: Limits
) -> Chosen:
    if not readings:
        sizes = {"size_mb": FALLBACK_MB, "seek_count": limits.seek_count or FIRST_SEEKS}
        return Chosen(**sizes, reason=f"{FALLBACK_MB} MiB: no run before the first block came to an end", cannot=())
    most, bound = _most_mb(readings, limits)
    needed = {}
    for arm in arms:
        for what in ("put", "get"):
            rate = _fastest(seen[arm], what)
            needed[what, arm] = math.inf if rate is None else _round(AIM_S * rate / MIB, ROUND_MB)
            if rate is not None and needed[what, arm] > most >= LEAST_S * rate / MIB:
                needed[what, arm] = most  # above one second still, if barely
    # What no allowed size can tell does not make the file large; the primary metric gets all there is.
    wanted = [min(n, most) for (what, _), n in needed.items() if n <= most or what == "put"]
    size = int(max([min(FIRST_MB, most), *wanted]))
    rates = [r for arm in arms if (r := _fastest(seen[arm], "seeks")) is not None]
    count = limits.seek_count or min(MOST_SEEKS, max([FIRST_SEEKS, *(_round(AIM_S * r, ROUND_SEEKS) for r in rates)]))
    units = {"put": size * MIB, "get": size * MIB, "seeks": count}
    short = {
        (what, arm): seconds
        for what in units
        for arm in arms
        if (seconds := units[what] / (_fastest(seen[arm], what) or math.inf)) < LEAST_S
    }
    told = [f"{TITLES[what]} under {arm}" for (what, arm), seconds in short.items() if seconds < TOO_FAST_S]
    brief = [f"{TITLES[what]} under {arm}" for (what, arm), seconds in short.items() if seconds >= TOO_FAST_S]
    reason = f"{size} MiB is the least at which no phase ends below {LEAST_S:g} s"
    if short:
        reason = f"{size} MiB lets every phase that {bound} does not cut short last {LEAST_S:g} s or more"
    cannot = []
    if told:
        cannot.append(f"too fast to tell, so without a value: {', '.join(told)} (more is not possible within {bound})")
    if brief:
        cannot.append(f"shorter than {LEAST_S:g} s, so less exact: {', '.join(brief)}")
    return Chosen(
        size_mb=size,
        seek_count=count,
        reason=f"{reason}; {count} seeks; by {len(readings)} runs before the first block",
        cannot=tuple(cannot),
    )


def _most_mb(readings: Sequence[Reading], limits: Limits) -> tuple[int, str]:
    """The largest file that disk and time allow, and what it is that bounds it, in words."""
    found = [(MOST_MB, f"the cap of {MOST_MB} MiB"), (limits.disk_mb, "the free disk")]
    for reading in readings:
        # Start and end of a container are in it, so small runs overstate what a MiB takes: that errs on the safe side.
        mb = int(limits.longest_s / max(reading.elapsed_s, 1e-3) * reading.size_mb)
        larger = [r.size_mb for r in readings if r.arm == reading.arm]
        if reading.size_mb == max(larger):
            found.append((mb, f"the limit of {limits.longest_s:g} s a trial (io.longest_s) under {reading.arm}"))
    most, why = min(found)
    return max(16, most // 16 * 16), why


def _known(readings: Sequence[Reading], what: str) -> bool:
    return any(getattr(r, what) is not None for r in readings)


def _fastest(readings: Sequence[Reading], what: str) -> float | None:
    """The highest rate that was told, by the largest run of those; None when it never was."""
    told = [(r.size_mb, float(value)) for r in readings if (value := getattr(r, what)) is not None]
    return max(told)[1] if told else None


def _round(number: float, to: int) -> int:
    return math.ceil(number / to) * to

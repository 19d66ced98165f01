"""How old what was measured was: release dates as data (releases.json), and what is deprecated. Pure.

A version that releases.json does not list lies between its neighbours in the same branch (1.7.x, 29.1.x): the older
one's date is the earliest it can have, the newer one's the latest. Branches are released side by side (Docker 25.0.17
after 29.6.1), so a neighbour in another branch says nothing, and such a version's age is not known.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from importlib.resources import files
from typing import Any

from rtlab.model import Caveat
from rtlab.text import clean

# Kinds of the caveats that stand in a report's heading.
OLD, DEPRECATED, UNREPRESENTATIVE = "old", "deprecated", "not representative"
KINDS = (OLD, DEPRECATED, UNREPRESENTATIVE)

PRODUCTS = {
    "docker": "Docker",
    "containerd": "containerd",
    "runc": "runC",
    "crun": "crun",
    "youki": "youki",
    "gvisor": "gVisor",
    "kata": "Kata",
}

# Releases since then are several files; runsc alone, as its Go module builds, falls back to doing without, and says of
# one of them that this "slows down gVisor startup significantly" (runsc/sandbox/sandbox.go of 2026-09-05).
GVISOR_HAS_PARTS_FROM = date(2026, 7, 1)
# Longer is no version.
_LONGEST = 300
_DATED = re.compile(r"(?<!\d)(20\d\d)([01]\d)([0-3]\d)(?!\d)")
_NUMBERS = re.compile(r"(?<![\d.])(\d{1,4}(?:\.\d{1,6}){1,2})(?:[-~]?(rc|beta|alpha)[.-]?(\d{1,4}))?")
# What Debian and Ubuntu put into an upstream version that they repackaged.
_REPACKAGED = re.compile(r"^0\.0~\d{8}|[+~](?:dfsg|ds)\d*\b|[+~-]\d*(?:deb\d+u|ubuntu)\d", re.I)
_NETWORK = re.compile(r"(?:^|\s)-{1,2}network[= ]host\b")
_PLATFORM = re.compile(r"(?:^|\s)-{1,2}platform[= ](\w{1,20})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Age:
    """When a version was released, as far as is known.

    Attributes:
        earliest, latest: The release lies between; equal where its date is known, None where that end is not.
        old: More than a year before the campaign; None where the dates do not say.
    """

    earliest: date | None
    latest: date | None
    old: bool | None

    @property
    def exact(self) -> bool:
        return self.earliest is not None and self.earliest == self.latest

    @property
    def text(self) -> str:
        """``2022-12``; of a version between two releases, no later than when."""
        if self.latest is None:
            return "release date unknown"
        return f"{self.latest:%Y-%m}" if self.exact else f"{self.latest:%Y-%m} or before"


_UNKNOWN = Age(earliest=None, latest=None, old=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One product that a campaign's values depend on, as the machine says.

    Attributes:
        product: A key of PRODUCTS.
        title: What the report calls it.
        version: The program's own words.
        path: Of the program.
        words: What the runtime is started with, or what rtlab noted about it.
        beside: How many programs that belong to it lie beside it; None where that is not known.
    """

    product: str
    title: str
    version: str
    path: str = ""
    words: str = ""
    beside: int | None = None


@cache
def _document() -> Mapping[str, Any]:
    document: Mapping[str, Any] = json.loads(files("rtlab.report").joinpath("releases.json").read_text("utf-8"))
    return document


@cache
def releases(product: str) -> Mapping[str, date]:
    """Version -> the day of its release, as releases.json has them; empty for an unknown product."""
    return {v: date.fromisoformat(day) for v, day in _document()["releases"].get(product, {}).items()}


_Number = tuple[tuple[int, ...], tuple[str, int]]


def _numbered(version: str) -> _Number | None:
    """A version to compare by: its numbers, then a pre-release before the release itself."""
    found = _NUMBERS.search(version)
    if found is None:
        return None
    numbers = tuple(int(n) for n in found[1].split("."))
    return (*numbers, 0)[:3], (found[2] or "~", int(found[3] or 0))


def age(product: str, version_text: str, campaign_started_at: str) -> Age:
    """How old a version was when a campaign began.

    Args:
        version_text: A program's own words: ``runsc version release-20260511.0``, ``20.10.24+dfsg1``.
        campaign_started_at: ISO 8601.
    """
    text = version_text[:_LONGEST]
    if product == "gvisor":
        day = _dated(text)
        return _between(day, day, campaign_started_at)
    number = _numbered(text)
    if number is None:
        return _UNKNOWN
    if product == "docker" and number[0][0] == 2:
        product = "moby"  # moby's module v2.0.0-beta.24 is newer than Docker 29
    # crun and youki have no branches that are released side by side.
    depth = 1 if product in ("crun", "youki") else 2
    earliest = latest = None
    for listed, day in sorted((n, day) for v, day in releases(product).items() if (n := _numbered(v)) is not None):
        if listed == number:
            return _between(day, day, campaign_started_at)
        if listed[0][:depth] == number[0][:depth]:
            if listed < number:
                earliest = day
            elif latest is None:
                latest = day
    return _between(earliest, latest, campaign_started_at)


def _dated(text: str) -> date | None:
    """The day in a gVisor version: ``release-20260511.0``, ``0.0~20221219``, ``v0.0.0-20260905035102-160fafc42237``."""
    found = _DATED.search(text) or re.search(r"-(20\d\d)([01]\d)([0-3]\d)\d{6}-", text)
    try:
        return date(*(int(n) for n in found.groups())) if found else None
    except ValueError:
        return None


def _between(earliest: date | None, latest: date | None, started_at: str) -> Age:
    try:
        begun = datetime.fromisoformat(started_at.replace("Z", "+00:00")).date()
    except ValueError:
        return Age(earliest=earliest, latest=latest, old=None)
    old = None
    if latest is not None and _a_year_after(latest) < begun:
        old = True
    elif earliest is not None and _a_year_after(earliest) >= begun:
        old = False
    return Age(earliest=earliest, latest=latest, old=old)


def _a_year_after(day: date) -> date:
    return day.replace(year=day.year + 1, day=min(day.day, 28) if day.month == 2 else day.day)


def repackaged(version_text: str) -> bool:
    """Debian's or Ubuntu's own package of an upstream version."""
    return any(_REPACKAGED.search(word) for word in version_text[:_LONGEST].split())


def caveats(parts: Sequence[Part], campaign_started_at: str) -> list[Caveat]:
    """What of it is old, deprecated or not how people run it: one sentence each, in the order given."""
    found: list[Caveat] = []
    for part in dict.fromkeys(parts):
        known = age(part.product, part.version, campaign_started_at)
        number = _short(part)
        if known.old:
            whose = "Debian's or Ubuntu's package" if repackaged(part.version) else ""
            told = ", ".join(filter(None, (number, whose)))
            found.append(
                Caveat(
                    kind=OLD,
                    message=f"{part.title} of {known.text}{f' ({told})' if told else ''}: released more than a year "
                    "before this campaign.",
                    short=f"{part.title} of {known.text}",
                )
            )
        for rule in _document()["deprecated"]:
            if rule["product"] == part.product and (named := _deprecated(rule, part, known)):
                message = f"{part.title} ran on {named}: {rule['why']}."
                found.append(Caveat(kind=DEPRECATED, message=message, short=f"{part.title} on {named}"))
        if part.product == "gvisor" and _NETWORK.search(part.words):
            message = (
                f"{part.title} ran with --network=host: its own network stack, which is gVisor's default, was not "
                "measured."
            )
            short = f"{part.title} without its own network stack"
            found.append(Caveat(kind=UNREPRESENTATIVE, message=message, short=short))
        if part.product == "gvisor" and part.beside == 0 and known.earliest and known.earliest >= GVISOR_HAS_PARTS_FROM:
            message = (
                f"{part.title} ran without the programs that its releases bring along since 2026-07 (gvisor-bin): "
                "they make its starts faster than what was measured."
            )
            short = f"{part.title} without its helper programs"
            found.append(Caveat(kind=UNREPRESENTATIVE, message=message, short=short))
    return list(dict.fromkeys(found))


def taken(details: Mapping[str, Any]) -> list[Caveat]:
    """What a testbed's details say of where engine and runtimes came from that a reader must know first."""
    found: list[Caveat] = []
    if why := details.get("fallback"):
        message = (
            f"Engine and runtimes are the machine's own, because today's could not be had: {clean(str(why))[:400]}"
        )
        short = "this machine's own engine and runtimes"
        found.append(Caveat(kind=UNREPRESENTATIVE, message=message.rstrip(".") + ".", short=short))
    own = details.get("system_runtimes")
    if isinstance(own, list | tuple) and own:
        titles = ", ".join(clean(str(name))[:40] for name in own[:10])
        message = f"Build of {titles}: the machine's own, because that was asked for; the engine is rtlab's."
        found.append(Caveat(kind=UNREPRESENTATIVE, message=message, short=f"the machine's own {titles}"))
    features = details.get("engine_features")
    if isinstance(features, Mapping) and features.get("time-namespaces") is False:
        message = (
            "The engine's private time namespaces, its default since Docker 29.5, were switched off for every runtime: "
            "one of them does not start with them."
        )
        found.append(Caveat(kind=UNREPRESENTATIVE, message=message, short="time namespaces switched off"))
    return found


def unknown(parts: Sequence[Part], campaign_started_at: str) -> tuple[str, ...]:
    """What has no age, one line each: for the provenance, never a warning."""
    found = []
    for part in parts:
        if age(part.product, part.version, campaign_started_at).old is None:
            found.append(f"{part.title} {_short(part) or 'of an unknown version'}: release date unknown")
    return tuple(dict.fromkeys(found))


def _deprecated(rule: Mapping[str, str], part: Part, known: Age) -> str:
    """What of a part the rule is about, in words; empty where it is not."""
    if "platform" in rule:
        named = _PLATFORM.search(part.words)
        by_default = known.latest is not None and known.latest < date.fromisoformat(rule["default_before"])
        platform = named[1] if named else rule["platform"] if by_default else ""
        return f"platform {platform}" if platform == rule["platform"] else ""
    number, since = _numbered(part.version), _numbered(rule["from"])
    rust = "(Rust)" in part.version or "runtime-rs" in part.path
    if number is None or since is None or number < since or rust:
        return ""
    return "Kata's Go runtime"


def _short(part: Part) -> str:
    """The version without the words around it."""
    if part.product == "gvisor":
        words = [word for word in part.version[:_LONGEST].split() if any(c.isdigit() for c in word)]
        return clean(words[-1])[:60] if words else ""
    found = _NUMBERS.search(part.version[:_LONGEST])
    return clean(found[0])[:60] if found else ""

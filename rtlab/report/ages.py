"""How old what was measured was, and what of it is deprecated or not how people run it. Pure.

What is known of a product's releases is data: ``releases.json`` in the folder of its engine or runtime.

    title        what people call it
    versions     "dates" where a version says its own day (gVisor); then no release is listed
    branches     false where no two branches are released side by side (crun, youki)
    renumbered   first number of a version -> the releases that are numbered anew from it
    caveats      what a reader must know first: kind, message, short, and when it holds (see ``_holds``)
    releases     version -> the day of its release

A version that is not listed lies between its neighbours in the same branch (1.7.x, 29.1.x): the older
one's date is the earliest it can have, the newer one's the latest. Branches are released side by side (Docker 25.0.17
after 29.6.1), so a neighbour in another branch says nothing, and such a version's age is not known.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cache
from typing import Any

from rtlab import plugins
from rtlab.model import Caveat
from rtlab.text import clean

# Kinds of the caveats that stand in a report's heading.
OLD, DEPRECATED, UNREPRESENTATIVE = "old", "deprecated", "not representative"
KINDS = (OLD, DEPRECATED, UNREPRESENTATIVE)

# Longer is no version.
_LONGEST = 300
_DATED = re.compile(r"(?<!\d)(20\d\d)([01]\d)([0-3]\d)(?!\d)")
_NUMBERS = re.compile(r"(?<![\d.])(\d{1,4}(?:\.\d{1,6}){1,2})(?:[-~]?(rc|beta|alpha)[.-]?(\d{1,4}))?")
# What Debian and Ubuntu put into an upstream version that they repackaged.
_REPACKAGED = re.compile(r"^0\.0~\d{8}|[+~](?:dfsg|ds)\d*\b|[+~-]\d*(?:deb\d+u|ubuntu)\d", re.I)
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
        product: One of ``products``: the name of its engine or runtime.
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
def _known() -> Mapping[str, Mapping[str, Any]]:
    """Product -> its releases.json."""
    return plugins.documents("engines", "releases.json") | plugins.documents("runtimes", "releases.json")


@cache
def products() -> Mapping[str, str]:
    """What may have an age: engines and runtimes by their names -> what people call them."""
    return {name: document["title"] for name, document in _known().items()}


@cache
def releases(product: str, first_number: int | None = None) -> Mapping[str, date]:
    """Version -> the day of its release; empty for an unknown product.

    Args:
        first_number: Of a version: some are numbered anew.
    """
    document = _known().get(product, {})
    listed = document.get("renumbered", {}).get(str(first_number)) or document.get("releases", {})
    return {v: date.fromisoformat(day) for v, day in listed.items()}


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
    document = _known().get(product, {})
    if document.get("versions") == "dates":
        day = _dated(text)
        return _between(day, day, campaign_started_at)
    number = _numbered(text)
    if number is None:
        return _UNKNOWN
    depth = 2 if document.get("branches", True) else 1
    earliest = latest = None
    dated = releases(product, number[0][0])
    for listed, day in sorted((n, day) for v, day in dated.items() if (n := _numbered(v)) is not None):
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


def number(version_text: str) -> str:
    """``1.5.2`` of ``runc version 1.5.2``; a program's own words, shortened, where no version is in them."""
    found = re.findall(r"(?<![\w.])(?:release-|v)?(\d[\w.+~-]*\.[\w.+~-]*)", version_text[:_LONGEST])
    return str(found[0])[:40] if found else version_text[:40]


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
        for rule in _known().get(part.product, {}).get("caveats", ()):
            if _holds(rule, part, known):
                message, short = f"{part.title} {rule['message']}", f"{part.title} {rule['short']}"
                found.append(Caveat(kind=rule["kind"], message=message, short=short))
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
    others = details.get("next_best")
    for name, why in list(others.items())[:10] if isinstance(others, Mapping) else ():
        title = clean(str(name))[:40]
        message = f"The next best build of {title} was taken: {clean(str(why))[:300].rstrip('.')}."
        found.append(Caveat(kind=UNREPRESENTATIVE, message=message, short=f"the next best build of {title}"))
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


def _holds(rule: Mapping[str, Any], part: Part, known: Age) -> bool:
    """Whether a caveat is about this part: whatever conditions it has are all met.

    ``platform`` it ran on, which was the default of releases before ``default_before``; ``from`` which version on,
    ``unless`` version or path match; ``words`` that it was started with; ``beside``: so many programs lie beside it;
    ``released_from`` which day on.
    """
    return all(check(rule, part, known) for key, check in _CONDITIONS.items() if key in rule)


def _on_platform(rule: Mapping[str, Any], part: Part, known: Age) -> bool:
    named = _PLATFORM.search(part.words)
    by_default = known.latest is not None and known.latest < date.fromisoformat(rule["default_before"])
    return named[1] == rule["platform"] if named else by_default


def _from_version(rule: Mapping[str, Any], part: Part, known: Age) -> bool:
    number, since = _numbered(part.version), _numbered(rule["from"])
    return number is not None and since is not None and number >= since


def _otherwise(rule: Mapping[str, Any], part: Part, known: Age) -> bool:
    return not any(re.search(rule["unless"], text) for text in (part.version, part.path))


def _with_words(rule: Mapping[str, Any], part: Part, known: Age) -> bool:
    return re.search(rule["words"], part.words) is not None


def _has_beside(rule: Mapping[str, Any], part: Part, known: Age) -> bool:
    return bool(part.beside == rule["beside"])


def _released_from(rule: Mapping[str, Any], part: Part, known: Age) -> bool:
    return known.earliest is not None and known.earliest >= date.fromisoformat(rule["released_from"])


_CONDITIONS: Mapping[str, Callable[[Mapping[str, Any], Part, Age], bool]] = {
    "platform": _on_platform,
    "from": _from_version,
    "unless": _otherwise,
    "words": _with_words,
    "beside": _has_beside,
    "released_from": _released_from,
}


def _short(part: Part) -> str:
    """The version without the words around it."""
    if _known().get(part.product, {}).get("versions") == "dates":
        words = [word for word in part.version[:_LONGEST].split() if any(c.isdigit() for c in word)]
        return clean(words[-1])[:60] if words else ""
    found = _NUMBERS.search(part.version[:_LONGEST])
    return clean(found[0])[:60] if found else ""

"""Which provider this host gets, and why. ``choose`` is pure; ``resolve`` looks at the host first.

When a provider is taken, with what level, runtimes and profile, its own folder says, in a module ``choice`` (see
``Chooser``). ``auto`` asks them in their order and takes the first that offers itself. Never a silent substitute.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from rtlab import plugins
from rtlab.artifacts import cache
from rtlab.config import TestbedSettings
from rtlab.config.settings import COMPARED_FIRST
from rtlab.errors import HostUnfit
from rtlab.host import checks, today
from rtlab.host import facts as host
from rtlab.host.checks import Check
from rtlab.host.facts import HostFacts
from rtlab.model import Level, Testbed

# Needs no vendor's server.
OFFLINE_PROFILE = "debian-12"
_ASKED_FOR = "it was asked for"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A provider for this host.

    Attributes:
        provider: Name of the folder in ``rtlab.providers``.
        backend: What runs its machines, where it has several to choose from; else empty.
        accel: How their processors are had, where that is a question; else empty.
        level: What the machines will be.
        runtimes: Which of rtlab's runtimes can run there, baseline first.
        reason: Why this one, in a sentence or two for people.
        lacks: What keeps it from working now; empty when it can run.
    """

    provider: str
    backend: str = ""
    accel: str = ""
    level: Level
    runtimes: tuple[str, ...]
    reason: str
    lacks: tuple[Check, ...] = ()

    @property
    def usable(self) -> bool:
        return not self.lacks

    @property
    def group(self) -> str:
        """The group of checks that concerns it."""
        return self.backend or self.provider

    @property
    def title(self) -> str:
        return str(chooser(self.provider).title(self))


class Chooser(Protocol):
    """The module ``choice`` in a provider's folder. It looks at nothing but what it is given.

    Attributes:
        ORDER: In which ``auto`` asks: the lowest first.
    """

    ORDER: int

    def offer(self, facts: HostFacts, found: tuple[Check, ...], settings: TestbedSettings) -> str:
        """Why ``auto`` takes it on this host; empty where it does not."""

    def chosen(self, facts: HostFacts, found: tuple[Check, ...], settings: TestbedSettings, reason: str) -> Choice:
        """The choice, whether it can work or not."""

    def title(self, choice: Choice) -> str:
        """What people call it."""

    def is_open(self, settings: TestbedSettings, default_runtimes: bool) -> bool:
        """Whether the host must be looked at before the settings leave nothing open."""

    def runtimes(self, can_run: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
        """Which are compared where nobody named any, and a sentence about it, which may be empty."""

    def instead(self, choice: Choice) -> list[str]:
        """What else would work where this cannot."""

    def profile(self, settings: TestbedSettings, facts: HostFacts | None) -> tuple[str, str]:
        """The profile where none was named, and why; HostUnfit where none can be had. Facts where they are known."""


def chooser(provider: str) -> Chooser:
    """A provider's part in the choice; UsageError for an unknown one."""
    return cast(Chooser, plugins.choices().get(provider) or plugins.provider(provider))


def choose(facts: HostFacts, settings: TestbedSettings | None = None) -> Choice:
    """The provider for these facts and settings; ``auto`` is decided, anything named is kept."""
    settings = settings or TestbedSettings()
    found = checks.examine(facts, settings)
    if settings.provider != "auto":
        return chooser(settings.provider).chosen(facts, found, settings, _ASKED_FOR)
    for each in sorted(plugins.choices().values(), key=lambda c: c.ORDER):
        if reason := each.offer(facts, found, settings):
            return cast(Choice, each.chosen(facts, found, settings, reason))
    raise HostUnfit("No provider offers itself on this host.", remedy="Name one: --provider.")


# --------------------------------------------------------------------------- for `rtlab up`


def resolve(
    settings: TestbedSettings, *, runtimes_named: bool = False, standing: Testbed | None = None
) -> tuple[TestbedSettings, str]:
    """Settings without any ``auto`` left, and what was chosen and why (empty when nothing had to be).

    Args:
        runtimes_named: The user named runtimes; otherwise those of ``COMPARED_FIRST`` are taken that can run on
            machines that rtlab does not make.
        standing: The testbed that is there already: it keeps its profile, whichever servers answer today.

    Raises:
        HostUnfit: the choice cannot work here, with the commands that mend it.
    """
    reasons = []
    default_runtimes = not runtimes_named and settings.runtimes == TestbedSettings().runtimes
    can_run, facts = settings.runtimes, None
    if settings.provider == "auto" or chooser(settings.provider).is_open(settings, default_runtimes):
        facts = host.collect(Path.cwd(), cache.folder("."))
        choice = choose(facts, settings)
        refuse_unfit(choice, auto=settings.provider == "auto")
        reasons.append(f"Provider: {choice.title}, because {choice.reason}.")
        can_run = choice.runtimes
        settings = dataclasses.replace(
            settings,
            provider=choice.provider,
            backend=choice.backend or settings.backend,  # type: ignore[arg-type]
            accel=choice.accel or settings.accel,  # type: ignore[arg-type]
        )
    taken = chooser(settings.provider)
    if default_runtimes:
        runtimes, why = taken.runtimes(can_run)
        settings = dataclasses.replace(settings, runtimes=runtimes)
        reasons += [why] * bool(why)
    if settings.profile == "auto" and standing is not None and standing.provider == settings.provider:
        settings = dataclasses.replace(settings, profile=standing.profile)
    if settings.profile == "auto":
        name, reason = taken.profile(settings, facts)
        settings = dataclasses.replace(settings, profile=name)
        reasons += [reason] * bool(reason)
    return settings, "\n".join(reasons)


def refuse_unfit(choice: Choice, *, auto: bool) -> None:
    """HostUnfit when what was chosen lacks something: every lack, and the way to mend it."""
    if choice.usable:
        return
    lines = "\n".join(f"  {c.title}: {c.found}. {c.remedy}" for c in choice.lacks)
    wish = "" if auto else f" --provider {choice.group}"
    ways = [f"`rtlab doctor --fix{wish}` installs what can be installed", *chooser(choice.provider).instead(choice)]
    ways.append("`--provider simulated` shows the tool without machines")
    raise HostUnfit(
        f"{choice.title[0].upper()}{choice.title[1:]} cannot work here now ({choice.reason}):\n{lines}",
        remedy="; ".join(ways) + ".",
    )


# --------------------------------------------------------------------------- for the providers' own part


def compared_first(can_run: tuple[str, ...]) -> tuple[str, ...]:
    """Of these what people compare first; all of them where that is none."""
    return tuple(r for r in can_run if r in COMPARED_FIRST) or can_run


def todays_profile(settings: TestbedSettings, where: str, why: str, whose: str) -> tuple[str, str]:
    """Today's engine and runtimes where they can be had, else those that the machines have: profile and reason.

    Args:
        where: An answer of ``today.found``; empty: today's engine and runtimes cannot be had, or are not wanted.
        why: Why they cannot be had.
        whose: Engine and runtimes that are taken instead: ``this machine's own``.
    """
    if where:
        if settings.engine == "modules":
            return (
                today.PROFILE,
                f"Profile: {today.PROFILE} (engine and runtimes of today, compiled here), as asked for.",
            )
        if where == today.RELEASED:
            return today.RELEASES, f"Profile: {today.RELEASES} (engine and runtimes of today, as released)."
        once = "" if where == today.BUILT else "; the first time that takes about 8 minutes on two cores"
        return today.PROFILE, (
            f"Profile: {today.PROFILE} (engine and runtimes of today, compiled here{once}), because "
            f"{today.RELEASES} cannot be had here: {today.refusal(today.RELEASES) or 'it was not looked for'}."
        )
    if settings.engine == "system":
        return OFFLINE_PROFILE, f"Engine and runtimes: {whose}, as asked for (system)."
    if settings.engine == "modules":
        raise HostUnfit(
            f"Today's engine was asked for and cannot be had here: {why}",
            remedy="Set GOPROXY to a module proxy that this machine can reach, or take --engine system.",
        )
    return OFFLINE_PROFILE, f"Engine and runtimes: {whose}, because {why}"

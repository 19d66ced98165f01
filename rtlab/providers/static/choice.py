"""When machines that exist are taken: an inventory of them is given."""

from __future__ import annotations

from rtlab.config import TestbedSettings
from rtlab.config.settings import COMPARED_FIRST
from rtlab.host import checks, today
from rtlab.host.checks import Check
from rtlab.host.choice import Choice, todays_profile
from rtlab.host.facts import HostFacts
from rtlab.model import Level

NAME = "static"
ORDER = 2


def offer(facts: HostFacts, found: tuple[Check, ...], settings: TestbedSettings) -> str:
    return "an inventory of machines is given" if settings.inventory else ""


def chosen(facts: HostFacts, found: tuple[Check, ...], settings: TestbedSettings, reason: str) -> Choice:
    return Choice(
        provider=NAME,
        level=Level.METAL,
        runtimes=COMPARED_FIRST,
        reason=reason,
        lacks=checks.blocking(found, NAME),
    )


def title(choice: Choice) -> str:
    return NAME


def is_open(settings: TestbedSettings, default_runtimes: bool) -> bool:
    return False


def runtimes(can_run: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    """`up` finds out on the machines which of them can run."""
    return COMPARED_FIRST, ""


def instead(choice: Choice) -> list[str]:
    return []


def profile(settings: TestbedSettings, facts: HostFacts | None) -> tuple[str, str]:
    """The controller fetches or compiles what is put on them."""
    where, why = ("", "") if settings.engine == "system" else today.found()
    if where == today.REACHABLE and (lacks := today.lacks_compiler()):
        where, why = "", lacks
    return todays_profile(settings, where, why, "the machines' own")

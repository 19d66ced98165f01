"""Simulated machines are taken only where they are asked for."""

from __future__ import annotations

from rtlab.config import TestbedSettings
from rtlab.host.checks import Check
from rtlab.host.choice import OFFLINE_PROFILE, Choice
from rtlab.host.facts import HostFacts
from rtlab.model import Level

NAME = "simulated"
ORDER = 9


def offer(facts: HostFacts, found: tuple[Check, ...], settings: TestbedSettings) -> str:
    return ""


def chosen(facts: HostFacts, found: tuple[Check, ...], settings: TestbedSettings, reason: str) -> Choice:
    return Choice(provider=NAME, level=Level.SIMULATED, runtimes=TestbedSettings().runtimes, reason=reason)


def title(choice: Choice) -> str:
    return NAME


def is_open(settings: TestbedSettings, default_runtimes: bool) -> bool:
    return False


def runtimes(can_run: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    return can_run, ""


def instead(choice: Choice) -> list[str]:
    return []


def profile(settings: TestbedSettings, facts: HostFacts | None) -> tuple[str, str]:
    return OFFLINE_PROFILE, ""

"""What doctor checks, as data: each check says what was found, why it matters and the exact command that mends it.

Pure: ``examine`` judges recorded facts (``rtlab.host.facts.HostFacts``), so every failure can be tested with a fixture.
A family of checks is a file; what a provider or a runtime needs is in its folder (``doctor.py``).
"""

from __future__ import annotations

from typing import Any

from rtlab import plugins
from rtlab.config import TestbedSettings
from rtlab.host.checks import figures, programs, room, runtimes, system, virtualization
from rtlab.host.checks.contract import Check, Group, Look, Status, proven, takes_modules, version
from rtlab.host.checks.system import FIXABLE
from rtlab.host.facts import HostFacts

__all__ = [
    "FIXABLE",
    "Check",
    "Group",
    "Status",
    "blocking",
    "examine",
    "of_providers",
    "proven",
    "takes_modules",
    "version",
]


def of_providers() -> tuple[Any, ...]:
    """The modules ``doctor`` of the providers that have one: ``TITLES``, group of checks -> its title, and
    ``checks(look)``."""
    return tuple(plugins.doctors("providers").values())


def examine(facts: HostFacts, settings: TestbedSettings | None = None) -> tuple[Check, ...]:
    """Every check of this host, before it is known which provider is chosen (nothing is ``not needed`` yet).

    Args:
        settings: Sizes of the machines that are to be made; None takes the defaults.
    """
    look = Look(facts, settings or TestbedSettings())
    families = (
        *(system.system, virtualization.virtualization, *(provider.checks for provider in of_providers())),
        *(runtimes.runtimes, programs.programs, room.room, figures.figures),
    )
    return tuple(check for family in families for check in family(look))


def blocking(checks: tuple[Check, ...], group: str, *, emulated: bool = False) -> tuple[Check, ...]:
    """The checks that keep a kind of provider from working; emulated machines need no hardware virtualization."""
    concerned = {"any", group}
    spared = {"cpu-flag", "kvm"} if emulated else set()
    return tuple(
        c
        for c in checks
        if c.status in ("missing", "not needed") and concerned & set(c.needed_for) and c.id not in spared
    )

"""Where a machine's engine and runtimes come from, as the settings say it, for providers that leave the choice."""

from __future__ import annotations

from rtlab.artifacts.profile import Profile, load
from rtlab.config import TestbedSettings
from rtlab.errors import UsageError
from rtlab.host import today

# Why a runtime is the machine's own beside an engine that was brought.
AS_ASKED, NO_BUILD = "as asked for", "there is no build of it"
SYSTEM = "system"


def brings(settings: TestbedSettings, profile: Profile) -> bool:
    """Whether the profile's builds are put in place; else the machine's own engine and runtimes are taken."""
    return bool(profile.builds) and settings.engine != SYSTEM


def check(settings: TestbedSettings, machine: str) -> None:
    """UsageError for settings that contradict one another.

    Args:
        machine: Whose own programs are meant: ``this machine``.
    """
    if idle := [name for name in settings.system_runtimes if name not in settings.runtimes]:
        raise UsageError(
            f"{', '.join(idle)} cannot be {machine}'s own: the runtimes are {', '.join(settings.runtimes)}.",
            remedy="Name it in --runtimes, too, or leave it out of --system-runtimes.",
        )
    if settings.system_runtimes and settings.engine == SYSTEM:
        raise UsageError(
            f"--system-runtimes does nothing with --engine system, which takes every runtime from {machine}.",
            remedy="Leave one of the two out.",
        )
    if settings.engine == "modules" and not load(settings.profile).builds:
        raise UsageError(
            f"--engine modules needs a profile that brings builds; {settings.profile} brings none.",
            remedy=f"Say --profile {today.PROFILE}, or leave the profile out.",
        )

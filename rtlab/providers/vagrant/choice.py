"""When Vagrant makes machines: on bare metal whose virtualization was proved, or emulated ones if they are asked for.

VirtualBox, the paper's, if it is usable, else libvirt.
"""

from __future__ import annotations

from typing import Literal

from rtlab.artifacts import profile as profiles
from rtlab.config import TestbedSettings
from rtlab.errors import HostUnfit
from rtlab.host import checks, today
from rtlab.host.checks import Check
from rtlab.host.choice import OFFLINE_PROFILE, Choice
from rtlab.host.facts import HostFacts
from rtlab.model import Level

NAME = "vagrant"
ORDER = 1

# What people run today first; the last one needs no vendor's server.
PROFILES = (today.RELEASES, today.PROFILE, OFFLINE_PROFILE)
# The paper's own study wants the paper's own software, where it can still be had.
PAPER_PROFILES = ("paper-2020", *PROFILES)

Backend = Literal["libvirt", "virtualbox"]


def offer(facts: HostFacts, found: tuple[Check, ...], settings: TestbedSettings) -> str:
    if settings.accel == "tcg":
        return "emulated machines (--accel tcg) are libvirt's"
    if settings.inventory or facts.hypervisor or not checks.proven(facts):
        return ""
    return f"this is bare metal and KVM booted a guest; {_backend(facts, found)[1]}"


def _backend(facts: HostFacts, found: tuple[Check, ...]) -> tuple[Backend, str]:
    """VirtualBox (the paper's) where it is usable, else libvirt, and why."""
    lacks = checks.blocking(found, "virtualbox")
    if not lacks:
        return "virtualbox", f"VirtualBox {facts.virtualbox}, the paper's, is usable"
    own = [c for c in lacks if "libvirt" not in c.needed_for] or list(lacks)
    return "libvirt", f"VirtualBox is not usable ({own[0].title}: {own[0].found})"


def chosen(facts: HostFacts, found: tuple[Check, ...], settings: TestbedSettings, reason: str) -> Choice:
    backend = settings.backend
    if settings.provider == "auto":
        backend = "libvirt" if settings.accel == "tcg" else _backend(facts, found)[0]
    elif backend == "auto":
        backend, reason = _backend(facts, found)
    emulated = backend == "libvirt" and settings.accel == "tcg"
    level = Level.NESTED if facts.hypervisor else Level.VIRTUALIZED
    return Choice(
        provider=NAME,
        backend=backend,
        accel="" if backend == "virtualbox" else "tcg" if emulated else "kvm",
        level=Level.EMULATED if emulated else level,
        runtimes=settings.runtimes,
        reason=reason + (" (no figure from emulated machines means anything)" if emulated else ""),
        lacks=checks.blocking(found, backend, emulated=emulated),
    )


def title(choice: Choice) -> str:
    return f"Vagrant machines with {choice.backend}" + (f" ({choice.accel})" if choice.accel else "")


def is_open(settings: TestbedSettings, default_runtimes: bool) -> bool:
    return "auto" in (settings.backend, settings.accel)


def runtimes(can_run: tuple[str, ...]) -> tuple[tuple[str, ...], str]:
    return can_run, ""


def instead(choice: Choice) -> list[str]:
    if (choice.backend, choice.accel) != ("libvirt", "kvm"):
        return []
    return [
        "`--accel tcg` emulates the machines (no figure from it means anything)",
        "`--provider local` runs on this very machine",
    ]


def profile(settings: TestbedSettings, facts: HostFacts | None) -> tuple[str, str]:
    """The first whose sources can be reached, and what could not be for a better one."""
    passed_over: list[str] = []
    for name in PAPER_PROFILES if settings.design == "paper" else PROFILES:
        refused = _refusal(name)
        if not refused:
            because = f", because {'; '.join(passed_over)}" if passed_over else ""
            return name, f"Profile: {name}{because}."
        passed_over.append(f"{name} {refused}")
    raise HostUnfit(
        f"No profile's sources can be reached: {'; '.join(passed_over)}.",
        remedy="Check the network (and https_proxy).",
    )


def _refusal(name: str) -> str:
    """Why that profile cannot be had here now; empty when it can."""
    silent = profiles.unreachable(profiles.load(name))
    if silent:
        return f"needs {', '.join(silent)}, which cannot be reached"
    why = today.refusal() if name == today.PROFILE else ""
    return f"cannot be built here: {why}" if why else ""

"""What a check of this host is, and what every family of checks looks at: facts, settings, and who we are.

A provider's folder has a module ``doctor`` with

- ``TITLES``: group of checks -> its title;
- ``NEEDS``: group -> what it needs of what several providers share, by the words of ``wanting``;
- ``checks(look)``: what it alone needs;
- ``switched_on(facts, accel, group)``: what `doctor --fix` switches on for it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from rtlab import plugins
from rtlab.config import TestbedSettings
from rtlab.host import today
from rtlab.host.facts import HostFacts

Status = Literal["ok", "warning", "missing", "not needed"]
# Whom a check concerns: a kind of machines, ``any``, or the figures' quality (``figures``).
Group = str
# The groups that make machines with Vagrant.
MACHINES: tuple[Group, ...] = ("libvirt", "virtualbox")


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of doctor.

    Attributes:
        id: Stable, for ``--json`` and scripts.
        status: ``missing`` stops the providers of ``needed_for``; ``warning`` does not; ``not needed`` is missing but
            concerns another provider than the chosen one.
        found: What was seen.
        why: Why it matters.
        remedy: The exact command (or step) that mends it; empty when nothing is wrong.
        needed_for: Groups that it concerns, the first one is where it is listed.
    """

    id: str
    title: str
    status: Status
    found: str
    why: str
    remedy: str
    needed_for: tuple[Group, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchedOn:
    """What `doctor --fix` switches on beside the packages.

    Attributes:
        modules: Of the kernel, loaded now and at every boot.
        services: systemd units, enabled and started.
        mends: The checks that are fine afterwards.
    """

    modules: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    mends: frozenset[str] = frozenset()


def wanting(need: str) -> tuple[Group, ...]:
    """The groups whose provider says that they need this, which several share."""
    parts = plugins.doctors("providers").values()
    return tuple(group for part in parts for group, needs in part.NEEDS.items() if need in needs)


@dataclass(frozen=True, slots=True)
class Look:
    """What is looked at.

    Attributes:
        settings: Sizes of the machines that are to be made, and which engine is wanted.
    """

    facts: HostFacts
    settings: TestbedSettings

    @property
    def modules(self) -> bool:
        """Whether the local provider takes today's engine and runtimes."""
        return takes_modules(self.facts, self.settings)

    @property
    def admin(self) -> bool:
        """With passwordless sudo everything that root can do can be done."""
        return self.facts.root or self.facts.sudo == "passwordless"

    @property
    def rights(self) -> str:
        """What this user may do, for people."""
        if self.facts.root:
            return "root"
        told = {"passwordless": "sudo without password", "password": "sudo asks"}
        return told.get(self.facts.sudo, "neither root nor sudo")

    def sudo(self, command: str) -> str:
        """The command as this user has to type it."""
        return command if self.facts.root else f"sudo {command}"

    def install(self, *packages: str) -> str:
        """How these packages (Debian's names) come here."""
        if "apt-get" in self.facts.programs:
            return self.sudo(f"apt-get install --no-install-recommends {' '.join(packages)}")
        return f"Install {', '.join(packages)} (Debian's name) with this system's package manager."


def check(id: str, title: str, status: Status, found: str, why: str, remedy: str, *needed_for: Group) -> Check:
    """A check; without a group it concerns everybody, and what is fine needs no remedy."""
    if status == "ok":
        remedy = ""
    return Check(
        id=id, title=title, status=status, found=found, why=why, remedy=remedy, needed_for=needed_for or ("any",)
    )


def version(text: str) -> tuple[int, ...]:
    """The leading version as numbers to compare: ``7.2.10r170000`` is (7, 2, 10); empty without one."""
    match = re.match(r"\d+(?:\.\d+)*", text)
    return tuple(int(part) for part in match[0].split(".")) if match else ()


def proven(facts: HostFacts) -> bool:
    """Hardware virtualization really works: the CPU's flag, and a guest that booted."""
    return bool(facts.cpu_flag) and facts.kvm_boots is True


def takes_modules(facts: HostFacts, settings: TestbedSettings) -> bool:
    """Whether the local provider takes today's engine, released or compiled, or would if a compiler were installed."""
    if settings.engine == "system" or not facts.modules:
        return False
    can = facts.modules in (today.RELEASED, today.BUILT) or not facts.lacks_compiler
    return can or settings.engine == "modules" or not facts.engine

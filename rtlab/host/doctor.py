"""``rtlab doctor``: what this machine can do, what it lacks, and with ``--fix`` the lacking installed."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtlab import content, plugins, state
from rtlab.artifacts import cache
from rtlab.config import TestbedSettings
from rtlab.connection import shell
from rtlab.connection.playbook import PlaybookRun, apply
from rtlab.errors import HostUnfit, StoreError
from rtlab.host import checks, choice, today
from rtlab.host import facts as host
from rtlab.host.checks import Check
from rtlab.host.checks.contract import SwitchedOn
from rtlab.host.choice import Choice
from rtlab.host.facts import HostFacts
from rtlab.model import Level, Machine, Notify, Testbed
from rtlab.state import StateFolder

# Downloading the packages of libvirt and Vagrant over a slow line.
FIX_TIMEOUT_S = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnosis:
    """Everything that doctor found.

    Attributes:
        checks: With ``not needed`` where only other providers than the chosen one need it.
        choice: The asked-for provider, or what ``auto`` takes.
        asked: The provider that was asked for, as an option's value; empty for ``auto``.
        system: The machine's own engine is to be used.
    """

    facts: HostFacts
    checks: tuple[Check, ...]
    choice: Choice
    asked: str = ""
    system: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What ``--fix`` would do to this machine; empty when there is nothing to do.

    Attributes:
        group: Whose needs: ``local``, ``libvirt``, ``virtualbox`` or ``static``.
        packages: To install.
        optional: To install where this system has them.
        modules: Kernel modules to load, now and at every boot.
        services: systemd units to enable and start.
        left_alone: What is there already and is not touched, in words.
        by_hand: Checks that no package mends.
        builds: Whether what compiles today's engine is installed, instead of the distribution's engine.
    """

    group: str
    packages: tuple[str, ...]
    optional: tuple[str, ...]
    modules: tuple[str, ...]
    services: tuple[str, ...]
    left_alone: tuple[str, ...]
    by_hand: tuple[Check, ...]
    builds: bool = False

    def __bool__(self) -> bool:
        return bool(self.packages or self.optional or self.modules or self.services)


def titles() -> dict[str, str]:
    """Groups of checks in the order in which doctor lists them -> their titles."""
    of_providers = [part.TITLES for part in checks.of_providers()]
    return {
        "any": "Every provider",
        **{group: title for named in of_providers for group, title in named.items()},
        "figures": "What the figures depend on",
    }


def examine(settings: TestbedSettings) -> Diagnosis:
    """Look at this machine; a few seconds."""
    try:
        folder = Path.cwd()
    except OSError:  # it was removed: doctor answers all the same
        folder = Path("/")
    refused = ""
    try:
        cache.folder(".")
    except StoreError as error:
        refused = error.message
    facts = host.collect(folder, cache.path())
    return diagnose(dataclasses.replace(facts, cache_refused=refused), settings)


def diagnose(facts: HostFacts, settings: TestbedSettings) -> Diagnosis:
    """Judge recorded facts. Pure."""
    chosen = choice.choose(facts, settings)
    stopping = {c.id for c in chosen.lacks}
    found = tuple(
        dataclasses.replace(c, status="not needed") if c.status == "missing" and c.id not in stopping else c
        for c in checks.examine(facts, settings)
    )
    asked = "" if settings.provider == "auto" else chosen.group
    return Diagnosis(facts=facts, checks=found, choice=chosen, asked=asked, system=settings.engine == "system")


def to_json(diagnosis: Diagnosis) -> dict[str, Any]:
    """For ``--json``; keys are stable within one schema version."""
    chosen = dataclasses.asdict(diagnosis.choice)
    chosen["lacks"] = [c.id for c in diagnosis.choice.lacks]
    return {
        "usable": diagnosis.choice.usable,
        "choice": chosen,
        "checks": [dataclasses.asdict(c) for c in diagnosis.checks],
        "facts": dataclasses.asdict(diagnosis.facts),
    }


# --------------------------------------------------------------------------- mending


def planned(diagnosis: Diagnosis) -> Changes:
    """What ``fix`` would change for the chosen provider.

    Raises:
        HostUnfit: this system's packages are not known, or there is no way to become root.
    """
    facts, group = diagnosis.facts, diagnosis.choice.group
    if group not in known_packages():
        return Changes(
            group=group,
            packages=(),
            optional=(),
            modules=(),
            services=(),
            left_alone=(),
            by_hand=diagnosis.choice.lacks,
        )
    if facts.os_version not in checks.FIXABLE.get(facts.os_id, ()):
        raise HostUnfit(
            f"`doctor --fix` knows Debian 12 and 13, Ubuntu 22.04 and 24.04; this is {facts.os_name or 'unknown'}.",
            remedy="Install what `rtlab doctor` lists by hand: it names each program and Debian's package of it.",
        )
    if not facts.root and facts.sudo != "passwordless":
        raise HostUnfit(
            "`doctor --fix` installs packages and is not root here.",
            remedy="Run `sudo -v` first, so that sudo asks for no password for a while."
            if facts.sudo
            else "Run as root.",
        )
    known = known_packages()[group]
    for optional in ("optional", "engine_optional"):
        known[optional] = [name for name in known[optional] if _may_exist(name)]
    return changes(facts, diagnosis.choice, known, installed_packages(), system=diagnosis.system)


def changes(
    facts: HostFacts,
    chosen: Choice,
    known: Mapping[str, list[str]],
    installed: frozenset[str],
    *,
    system: bool = False,
) -> Changes:
    """Pure part of ``planned``: the same decisions as the role ``controller`` takes on the machine."""
    # docker.io and containerd would remove docker-ce and containerd.io, so an engine that is there stays the only one.
    # The distribution's own docker.io and containerd are none of those: what belongs to them may be added.
    engine = any(
        program in facts.programs and package not in installed
        for program, package in (("dockerd", "docker.io"), ("containerd", "containerd"))
    )
    ours = bool(facts.modules and known["build"]) and not system
    modules = ours and facts.modules != today.RELEASED
    theirs = engine or ours  # then no engine of the distribution is put beside it
    wanted = [*known["required"], *([] if theirs else known["engine"]), *(known["build"] if modules else [])]
    left_alone: tuple[str, ...] = ()
    if known["engine"] and engine:
        owner = facts.engine_package or "not from a package"
        left_alone = (f"the engine that is here (Docker {facts.engine or 'without dockerd'}, {owner})",)
    switched: SwitchedOn = plugins.doctors("providers")[chosen.provider].switched_on(facts, chosen.accel, chosen.group)
    packages = tuple(sorted(set(wanted) - installed))
    extras = known["build_optional"] if modules else [*known["optional"], *([] if theirs else known["engine_optional"])]
    optional = tuple(sorted(set(extras) - installed))
    new = {*packages, *optional}
    mended = {c.id for c in chosen.lacks if "apt-get install" in c.remedy and new & set(c.remedy.split())}
    mended |= switched.mends
    return Changes(
        group=chosen.group,
        packages=packages,
        optional=optional,
        builds=modules,
        modules=switched.modules,
        services=switched.services,
        left_alone=left_alone,
        by_hand=tuple(c for c in chosen.lacks if c.id not in mended),
    )


def known_packages() -> dict[str, dict[str, list[str]]]:
    """Group -> ``engine``, ``required``, ``optional``, ``build`` …: the role's own data, written once."""
    file = content.root() / "roles" / "controller" / "vars" / "packages.json"
    known: dict[str, dict[str, list[str]]] = json.loads(file.read_text())
    return known


def installed_packages() -> frozenset[str]:
    """Names of all installed packages."""
    listed = shell.run_checked(
        ("dpkg-query", "-W", "-f", "${db:Status-Status} ${Package}\n"),
        timeout_s=60,
        doing="list the installed packages",
    )
    pairs = (line.split(" ", 1) for line in listed.text().splitlines() if " " in line)
    return frozenset(name for status, name in pairs if status == "installed")


def _may_exist(package: str) -> bool:
    """Whether this system has a package; with empty package lists (a fresh image) that is not known, so: maybe."""
    if not any(Path("/var/lib/apt/lists").glob("*Packages*")):
        return True
    return shell.run(("apt-cache", "show", "--no-all-versions", package), timeout_s=60).ok


def fix(plan: Changes, folder: StateFolder, notify: Notify) -> PlaybookRun:
    """Apply playbooks/doctor.yml to this machine.

    Raises:
        ProvisionFailed: a task failed; running it again goes on from there.
    """
    machine = Machine(
        name="localhost",
        transport="local",
        sudo=os.geteuid() != 0,
        may_reboot=False,
    )
    this = Testbed(
        id="00000000",
        provider="",
        profile="",
        design="crossover",
        machines=(machine,),
        created_at=state.now(),
        details={"level": Level.METAL.value},
    )
    done = apply(
        "doctor.yml",
        this,
        state=folder,
        extra_vars={
            "controller_provider": plan.group,
            "controller_modules": list(plan.modules),
            "controller_builds": plan.builds,
            # The system's own Python has python3-apt; the one that rtlab runs on need not.
            "ansible_python_interpreter": "/usr/bin/python3",
        },
        notify=notify,
        timeout_s=FIX_TIMEOUT_S,
    )
    today.forget()  # what was missing before is there now
    return done

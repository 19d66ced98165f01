"""Machines that exist already, reached by SSH: bare metal, cloud, a fleet. Named in an Ansible inventory.

With a profile that brings builds rtlab starts an engine of its own there, beside the machine's (``beside``). Otherwise
it takes the machine's, and makes nothing but ``/opt/rtlab`` and its containers. It reboots machines only with
``allow_reboot``. Host keys must be known: they come from a known_hosts file, either the user's own or the one named by
the host variable ``rtlab_known_hosts``.

Ansible itself reads the inventory: ranges, groups, vaults, old names and expressions. What it says that rtlab's own
connection cannot do (a proxy, a password, another way to become root) is refused by name: a machine reached in another
way than was asked for may be another machine.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rtlab import plugins
from rtlab.artifacts.profile import Profile
from rtlab.config import TestbedSettings
from rtlab.connection.playbook import apply
from rtlab.connection.rebooting import BOOT_ID, reboot_over_ssh
from rtlab.connection.ssh import SSHShell, read_known_hosts
from rtlab.errors import ConfigError, HostUnfit, MachineUnreachable, RtlabError, UsageError
from rtlab.host import today, virtualization
from rtlab.model import Event, Level, Machine, Notify, Resource, Shell, Testbed
from rtlab.providers import sources
from rtlab.providers.contract import MachineStatus, Provider
from rtlab.providers.static import beside
from rtlab.providers.static.hosts import machines_of
from rtlab.providers.static.inventory import read_inventory
from rtlab.state import StateFolder, now

ANSWER_TIMEOUT_S = 30
REMOVE_TIMEOUT_S = 600.0
# In the journal: an engine of rtlab's beside the machine's own.
ENGINE = "engine"


class StaticProvider(Provider):
    """See the module; the Protocol is ``rtlab.providers.contract.Provider``."""

    name = "static"
    summary = "Machines that exist already, by SSH, from an Ansible inventory."
    reboots_if_allowed = True
    takes_builds = True
    settings = frozenset({"inventory", "allow_reboot", "engine", "system_runtimes"})

    def lacks(self, settings: TestbedSettings) -> Mapping[str, str]:
        wanted = f"must be the path of an Ansible inventory for provider {self.name}"
        return {} if settings.inventory else {"inventory": wanted}

    def check(self, settings: TestbedSettings) -> None:
        """An inventory is there, whose hosts rtlab can reach in the way it says, and the settings go together."""
        sources.check(settings, "the machine")
        hosts = read_inventory(Path(settings.inventory) if settings.inventory else None)
        machines_of(hosts, may_reboot=settings.allow_reboot)

    def up(
        self, settings: TestbedSettings, profile: Profile, testbed_id: str, state: StateFolder, notify: Notify
    ) -> Testbed:
        """Read the inventory and see that every machine answers; the roles make what there is to make."""
        hosts = read_inventory(Path(settings.inventory) if settings.inventory else None)
        machines: list[Machine] = []
        boot_ids: dict[str, str] = {}
        own: list[beside.Own] = []
        lacking: dict[str, str] = {}
        brings = sources.brings(settings, profile)
        found = machines_of(hosts, may_reboot=settings.allow_reboot)
        for file in sorted({m.known_hosts_file for m in found if m.known_hosts_file}):
            if skipped := read_known_hosts(Path(file)).warning():
                notify(Event(stage="machines", message=f"{file}: not used: {skipped}", level="warning"))
        for machine in found:
            name = machine.name
            notify(Event(stage="machines", message="connecting", machine=name))
            with contextlib.closing(SSHShell(machine)) as connection:
                _require_root(connection, machine)
                _require_another(connection, name, boot_ids)
                identity = _identity(connection, machine.python)
                if brings:
                    own.append(_own(connection, name, settings, profile))
                else:
                    lacking |= _unknown(connection, machine, settings)
            if identity.conflict:
                notify(Event(stage="machines", message=identity.conflict, machine=name))
            machines.append(replace(machine, level=identity.level))
        details: dict[str, Any] = {"allow_reboot": settings.allow_reboot}
        if brings:
            machines = [beside.at(machine, testbed_id) for machine in machines]
            for machine in machines:
                state.note("intend", ENGINE, f"{machine.name}:{machine.home}", testbed_id)
            details |= _told(own, settings, profile)
        else:
            details["unavailable_runtimes"] = lacking
            if settings.engine == "auto" and (why := today.refusal()):
                details["fallback"] = why
        return Testbed(
            id=testbed_id,
            provider=self.name,
            profile=profile.name,
            design=settings.design,
            machines=tuple(machines),
            created_at=now(),
            details=details,
        )

    def variables(self, testbed: Testbed) -> Mapping[str, Any]:
        entries = testbed.details.get("runtime_wiring")
        return {} if entries is None else beside.variables(testbed.id, entries)

    def status(self, testbed: Testbed, state: StateFolder) -> tuple[MachineStatus, ...]:
        found = []
        for machine in testbed.machines:
            try:
                with contextlib.closing(SSHShell(machine)) as connection:
                    connection.run(("true",), timeout_s=10, root=False)
                answer, note = "running", ""
            except MachineUnreachable as error:
                answer, note = "unreachable", error.message
            found.append(
                MachineStatus(name=machine.name, state=answer, address=f"{machine.address}:{machine.port}", note=note)
            )
        return tuple(found)

    def shell(self, machine: Machine) -> Shell:
        return SSHShell(machine)

    def reboot(self, testbed: Testbed, machine: Machine, state: StateFolder, timeout_s: float) -> Machine:
        """Reboot and wait for another boot id; refused unless the machine may be rebooted."""
        if not machine.may_reboot:
            raise UsageError(
                f"{machine.name} may not be rebooted.", remedy="Say --allow-reboot with `rtlab up`, or --reboot never."
            )
        reboot_over_ssh(machine, timeout_s)
        return machine

    def rest(self, testbed: Testbed, machine: Machine, state: StateFolder) -> None:
        """Machines of the user's are not paused."""

    def wake(self, testbed: Testbed, machine: Machine, state: StateFolder) -> None:
        """See ``rest``."""

    def leftovers(self, testbed_id: str, state: StateFolder) -> tuple[Resource, ...]:
        """What is there of the engines that were made; of the machine's own use only the probe's folder stays."""
        found: list[Resource] = []
        for name, machine in self._with_engines(testbed_id, state).items():
            if machine is None:
                note = "this folder no longer says how the machine is reached"
                found.append(Resource(kind=ENGINE, name=name, note=note))
                continue
            try:
                with contextlib.closing(SSHShell(machine)) as connection:
                    there = connection.run(("ls", "-d", *beside.traces(testbed_id)), timeout_s=ANSWER_TIMEOUT_S)
            except RtlabError as error:
                found.append(Resource(kind=ENGINE, name=name, note=error.message.partition("\n")[0]))
                continue
            found += [Resource(kind=ENGINE, name=f"{machine.name}:{path}") for path in there.text().split()]
        return tuple(found)

    def teardown(self, testbed_id: str, state: StateFolder, notify: Notify) -> tuple[Resource, ...]:
        """Stop and remove the engines that were made; the machines' own are left as they are."""
        there = {resource.name.partition(":")[0] for resource in self.leftovers(testbed_id, state) if not resource.note}
        if there:
            testbed = state.testbed()
            notify(Event(stage="teardown", message=f"removing rtlab's engine from {', '.join(sorted(there))}"))
            try:
                apply(
                    "remove.yml",
                    testbed,
                    state=state,
                    extra_vars=self.variables(testbed),
                    notify=notify,
                    timeout_s=REMOVE_TIMEOUT_S * (3 if testbed.level is Level.EMULATED else 1),
                    limit=sorted(there),
                )
            except RtlabError as error:
                notify(Event(stage="teardown", message=error.message, level="warning"))
        left = self.leftovers(testbed_id, state)
        named = {resource.name.partition(":")[0] for resource in left}
        for name in self._with_engines(testbed_id, state):
            if name.partition(":")[0] not in named:
                state.note("gone", ENGINE, name, testbed_id)
        return left

    def _with_engines(self, testbed_id: str, state: StateFolder) -> dict[str, Machine | None]:
        """``machine:folder`` of each engine that was begun, and its machine; None when that is not known any more."""
        names = [entry.name for entry in state.outstanding(testbed_id) if entry.kind == ENGINE]
        standing = state.standing() if names else None
        machines = {} if standing is None else {m.name: m for m in standing.machines if standing.id == testbed_id}
        return {name: machines.get(name.partition(":")[0]) for name in names}

    def candidates(self) -> tuple[str, ...]:
        return ()


def _require_root(connection: SSHShell, machine: Machine) -> None:
    sudo = connection.run(("id", "-u"), timeout_s=60)
    if sudo.text().strip() != "0":
        raise MachineUnreachable(
            f"{machine.user} is not root on {machine.name} and `sudo -n` does not work: {sudo.tail(2)}",
            remedy=f"Let {machine.user} use sudo there without a password, or log in as root.",
        )


def _require_another(connection: SSHShell, name: str, boot_ids: dict[str, str]) -> None:
    """ConfigError when a machine is one that was met under another name."""
    booted = connection.run(("cat", BOOT_ID), timeout_s=ANSWER_TIMEOUT_S, root=False).text().strip()
    if booted and booted in boot_ids:
        raise ConfigError(
            f"{boot_ids[booted]} and {name} are one machine: both have the boot id {booted}.",
            remedy="Name each machine once in the inventory; containers of one host share its kernel, too.",
        )
    boot_ids[booted] = name


def _unknown(connection: SSHShell, machine: Machine, settings: TestbedSettings) -> dict[str, str]:
    """Runtimes that the machine's own engine cannot start, and why; none when it does not say."""
    asked = (machine.engine.cli, "--host", f"unix://{machine.engine.socket}", "info", "--format", "{{json .Runtimes}}")
    try:
        known = json.loads(connection.run(asked, timeout_s=60).text())
    except ValueError:
        return {}
    wanted = {name: plugins.runtime(name).docker_name for name in settings.runtimes if ":" not in name}
    return {
        name: f"the engine of {machine.name} knows no runtime {key!r}"
        for name, key in wanted.items()
        if isinstance(known, dict) and known and key not in known
    }


def _own(connection: SSHShell, name: str, settings: TestbedSettings, profile: Profile) -> beside.Own:
    """The runtimes that are the machine's own beside an engine of rtlab's; HostUnfit when none can run there."""
    if missing := beside.lacks(connection):
        raise HostUnfit(
            f"An engine of rtlab's own cannot run on {name}, which lacks {', '.join(missing)}.",
            remedy="Install that there (Debian, Ubuntu: apt-get install iptables iproute2 util-linux procps apparmor), "
            "or take the engine that the machine has: --engine system.",
        )
    return beside.own_runtimes(connection, _not_brought(settings, profile), profile.role_variables)


def _not_brought(settings: TestbedSettings, profile: Profile) -> tuple[str, ...]:
    wanted = dict.fromkeys(name.partition(":")[0] for name in settings.runtimes)
    return tuple(name for name in wanted if name not in profile.builds or name in settings.system_runtimes)


def _told(own: Iterable[beside.Own], settings: TestbedSettings, profile: Profile) -> dict[str, Any]:
    """What the testbed keeps of the runtimes that are the machines' own: all machines must have one."""
    entries: dict[str, Any] = {}
    unavailable: dict[str, str] = {}
    for one in own:
        entries |= one.entries
        unavailable |= one.unavailable
    for name in settings.runtimes:
        if ":" in name:
            unavailable[name] = "variants need machines whose Kata rtlab installs (Vagrant)"
    mine = [name for name in _not_brought(settings, profile) if name not in unavailable]
    return {
        "runtime_wiring": entries,
        "unavailable_runtimes": unavailable,
        "system_runtimes": [name for name in mine if name in settings.system_runtimes],
        "next_best": {n: f"{sources.NO_BUILD}: the machine's own" for n in mine if n not in settings.system_runtimes},
    }


def _identity(connection: SSHShell, python: str) -> virtualization.Identity:
    """What the machine says it is."""

    def said(*argv: str) -> str:
        return connection.run(argv, timeout_s=ANSWER_TIMEOUT_S, root=False).text()

    return virtualization.identify(
        said("cat", "/proc/cpuinfo"),
        said("systemd-detect-virt", "--vm").strip(),
        virtualization.signatures_in(said(python, "-c", virtualization.cpuid_program())),
        " ".join(said("cat", "/sys/class/dmi/id/sys_vendor", "/sys/class/dmi/id/product_name").split("\n")).strip(),
    )


PROVIDER = StaticProvider()

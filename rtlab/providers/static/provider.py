"""Machines that exist already, reached by SSH: bare metal, cloud, a fleet. Named in an Ansible inventory.

rtlab creates nothing there but ``/opt/rtlab`` and its containers, and reboots them only with ``allow_reboot``. Host
keys must be known: they come from a known_hosts file, either
the user's own or the one named by the host variable ``rtlab_known_hosts``.

Ansible itself reads the inventory: ranges, groups, vaults, old names and expressions. What it says that rtlab's own
connection cannot do (a proxy, a password, another way to become root) is refused by name: a machine reached in another
way than was asked for may be another machine.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from rtlab.artifacts.profile import Profile, refuse_builds
from rtlab.config import TestbedSettings
from rtlab.connection.rebooting import BOOT_ID, reboot_over_ssh
from rtlab.connection.ssh import SSHShell, read_known_hosts
from rtlab.errors import ConfigError, MachineUnreachable, UsageError
from rtlab.host import virtualization
from rtlab.model import Event, Machine, Notify, Resource, Shell, Testbed
from rtlab.providers.contract import MachineStatus, Provider
from rtlab.providers.static.hosts import machines_of
from rtlab.providers.static.inventory import read_inventory
from rtlab.state import StateFolder, now

ANSWER_TIMEOUT_S = 30


class StaticProvider(Provider):
    """See the module; the Protocol is ``rtlab.providers.contract.Provider``."""

    name = "static"
    summary = "Machines that exist already, by SSH, from an Ansible inventory."
    reboots_if_allowed = True
    settings = frozenset({"inventory", "allow_reboot"})

    def lacks(self, settings: TestbedSettings) -> Mapping[str, str]:
        wanted = f"must be the path of an Ansible inventory for provider {self.name}"
        return {} if settings.inventory else {"inventory": wanted}

    def check(self, settings: TestbedSettings) -> None:
        """An inventory is there, whose hosts rtlab can reach in the way it says, and nothing is to be installed."""
        refuse_builds(settings.profile, "machines of an inventory")
        hosts = read_inventory(Path(settings.inventory) if settings.inventory else None)
        machines_of(hosts, may_reboot=settings.allow_reboot)

    def up(
        self, settings: TestbedSettings, profile: Profile, testbed_id: str, state: StateFolder, notify: Notify
    ) -> Testbed:
        """Read the inventory and see that every machine answers; nothing is created."""
        hosts = read_inventory(Path(settings.inventory) if settings.inventory else None)
        machines: list[Machine] = []
        boot_ids: dict[str, str] = {}
        found = machines_of(hosts, may_reboot=settings.allow_reboot)
        for file in sorted({m.known_hosts_file for m in found if m.known_hosts_file}):
            if skipped := read_known_hosts(Path(file)).warning():
                notify(Event(stage="machines", message=f"{file}: not used: {skipped}", level="warning"))
        for machine in found:
            name = machine.name
            notify(Event(stage="machines", message="connecting", machine=name))
            with contextlib.closing(SSHShell(machine)) as connection:
                sudo = connection.run(("id", "-u"), timeout_s=60)
                if sudo.text().strip() != "0":
                    raise MachineUnreachable(
                        f"{machine.user} is not root on {name} and `sudo -n` does not work: {sudo.tail(2)}",
                        remedy=f"Let {machine.user} use sudo there without a password, or log in as root.",
                    )
                booted = connection.run(("cat", BOOT_ID), timeout_s=ANSWER_TIMEOUT_S, root=False).text().strip()
                if booted and booted in boot_ids:
                    raise ConfigError(
                        f"{boot_ids[booted]} and {name} are one machine: both have the boot id {booted}.",
                        remedy="Name each machine once in the inventory; containers of one host share its kernel, too.",
                    )
                boot_ids[booted] = name
                identity = _identity(connection, machine.python)
            if identity.conflict:
                notify(Event(stage="machines", message=identity.conflict, machine=name))
            machines.append(replace(machine, level=identity.level))
        return Testbed(
            id=testbed_id,
            provider=self.name,
            profile=profile.name,
            design=settings.design,
            machines=tuple(machines),
            created_at=now(),
            details={"allow_reboot": settings.allow_reboot},
        )

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
        """Nothing was created, apart from the probe's folder, which stays for the next time."""
        return ()

    def teardown(self, testbed_id: str, state: StateFolder, notify: Notify) -> tuple[Resource, ...]:
        return ()

    def candidates(self) -> tuple[str, ...]:
        return ()


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

"""Machines that exist already, reached by SSH: bare metal, cloud, a fleet. Named in an Ansible inventory.

rtlab creates nothing there but ``/opt/rtlab`` and its containers, and reboots them only with ``allow_reboot``. Host
keys must be known: they come from a known_hosts file, either
the user's own or the one named by the host variable ``rtlab_known_hosts``.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from rtlab.artifacts.profile import Profile
from rtlab.config import TestbedSettings
from rtlab.connection import shell
from rtlab.connection.ssh import SSHShell
from rtlab.errors import ConfigError, MachineUnreachable, UsageError
from rtlab.host import virtualization
from rtlab.model import Event, Machine, Notify, Shell, Testbed
from rtlab.providers.contract import MachineStatus, Provider, Resource
from rtlab.state import StateFolder, now

NAME_LIMIT = 63
# A machine that reboots is asked again this often (seconds).
REBOOT_POLL_S = 3.0
ANSWER_TIMEOUT_S = 30


class StaticProvider(Provider):
    """See the module; the Protocol is ``rtlab.providers.contract.Provider``."""

    name = "static"
    summary = "Machines that exist already, by SSH, from an Ansible inventory."

    def check(self, settings: TestbedSettings) -> None:
        """An inventory with hosts is there."""
        read_inventory(Path(settings.inventory) if settings.inventory else None)

    def up(
        self, settings: TestbedSettings, profile: Profile, testbed_id: str, state: StateFolder, notify: Notify
    ) -> Testbed:
        """Read the inventory and see that every machine answers; nothing is created."""
        hosts = read_inventory(Path(settings.inventory) if settings.inventory else None)
        machines = []
        for name, variables in hosts.items():
            machine = machine_of(name, variables, may_reboot=settings.allow_reboot)
            notify(Event(stage="machines", message="connecting", machine=name))
            with contextlib.closing(SSHShell(machine)) as connection:
                sudo = connection.run(("id", "-u"), timeout_s=60)
                if sudo.text().strip() != "0":
                    raise MachineUnreachable(
                        f"{machine.user} is not root on {name} and `sudo -n` does not work: {sudo.tail(2)}",
                        remedy=f"Let {machine.user} use sudo there without a password, or log in as root.",
                    )
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


def reboot_over_ssh(machine: Machine, timeout_s: float) -> str:
    """Reboot a machine from inside and wait until it answers with another boot id, which is returned.

    Raises:
        MachineUnreachable: it did not come back in time, or never went down.
    """
    before = boot_id(machine)
    with contextlib.closing(SSHShell(machine)) as connection, contextlib.suppress(MachineUnreachable):
        # Detached, so that the command returns before the network goes away.
        connection.run(("sh", "-c", "nohup sh -c 'sleep 0.2; reboot' >/dev/null 2>&1 &"), timeout_s=30)
    deadline = time.monotonic() + timeout_s
    last: MachineUnreachable | None = None
    while time.monotonic() < deadline:
        time.sleep(REBOOT_POLL_S)
        try:
            after = boot_id(machine)
        except MachineUnreachable as error:
            if "host key" in error.message:
                raise
            last = error
            continue
        if after != before:
            return after
    raise MachineUnreachable(
        f"{machine.name} did not come back from its reboot within {timeout_s:.0f} s"
        + (f": {last.message}" if last else ": it still has the boot id from before."),
        remedy="Look at its console; then `rtlab up` and `rtlab bench` go on where they stopped.",
    )


def boot_id(machine: Machine) -> str:
    """The machine's boot id now (MachineUnreachable when it does not answer)."""
    with contextlib.closing(SSHShell(machine)) as connection:
        result = connection.run(("cat", "/proc/sys/kernel/random/boot_id"), timeout_s=ANSWER_TIMEOUT_S, root=False)
    if not result.ok:
        raise MachineUnreachable(f"{machine.name} does not tell its boot id: {result.tail(2)}")
    return result.text().strip()


def set_clock(machine: Machine) -> None:
    """Set the machine's clock to this one's, to a second (MachineUnreachable when it does not answer).

    Trials are timed by the monotonic clock; certificates, package indexes and logs need the other.
    """
    with contextlib.closing(SSHShell(machine)) as connection:
        connection.run(("true",), timeout_s=ANSWER_TIMEOUT_S, root=False)  # connected first: that takes a while
        connection.run(("date", "--utc", f"--set=@{time.time():.3f}"), timeout_s=ANSWER_TIMEOUT_S)


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


def read_inventory(path: Path | None) -> dict[str, Mapping[str, Any]]:
    """Host name -> variables, as Ansible itself understands the inventory.

    Raises:
        ConfigError: no inventory, no such file, not an inventory, or one without hosts.
    """
    if path is None:
        raise ConfigError(
            "The static provider needs an inventory.",
            remedy="Say --inventory FILE (an Ansible inventory), or set [testbed] inventory in rtlab.toml.",
        )
    if not path.is_file():
        raise ConfigError(f"There is no inventory {path}.", remedy="Give the path of an Ansible inventory file.")
    program = Path(sys.executable).parent / "ansible-inventory"
    result = shell.run(
        (str(program), "-i", str(path), "--list"), timeout_s=60, env={"ANSIBLE_NOCOLOR": "1", "PATH": _path()}
    )
    try:
        listed = json.loads(result.stdout) if result.ok else {}
    except ValueError:
        listed = {}
    hosts: dict[str, Mapping[str, Any]] = listed.get("_meta", {}).get("hostvars", {})
    names = sorted({h for group in listed.values() if isinstance(group, dict) for h in group.get("hosts", ())})
    if not names:
        said = result.stderr.decode("utf-8", "replace").strip()
        raise ConfigError(
            f"The inventory {path} has no hosts." + (f" Ansible says: {said[-300:]}" if said else ""),
            remedy="Name at least one host in it, for example: node1 ansible_host=192.0.2.10 ansible_user=admin",
        )
    return {name: hosts.get(name, {}) for name in names}


def _path() -> str:
    return f"{Path(sys.executable).parent}:{os.environ.get('PATH', '/usr/bin:/bin')}"


def machine_of(name: str, variables: Mapping[str, Any], *, may_reboot: bool) -> Machine:
    """A machine from a host of the inventory and its variables (``ansible_host``, ``ansible_port`` …).

    Raises:
        ConfigError: the name cannot be used, or no known_hosts file exists.
    """
    short = name.split(".")[0].lower()
    if not short or len(short) > NAME_LIMIT or not all((c.isalnum() and c.isascii()) or c == "-" for c in short):
        raise ConfigError(f"{name[:80]!r} cannot be a machine's name.", remedy="Use letters, digits and hyphens.")
    address = str(variables.get("ansible_host", name))
    if address.startswith("-"):
        raise ConfigError(f"ansible_host of {name} is no address: {address[:80]!r}.")
    key = variables.get("ansible_ssh_private_key_file")
    known_hosts = Path(str(variables.get("rtlab_known_hosts", "~/.ssh/known_hosts"))).expanduser()
    if not known_hosts.is_file():
        raise ConfigError(
            f"No known_hosts file for {name}: {known_hosts} does not exist.",
            remedy=f"Log in once with `ssh {address}` and check the key it shows, or set rtlab_known_hosts.",
        )
    user = str(variables.get("ansible_user", os.environ.get("USER", "root")))
    return Machine(
        name=short,
        transport="ssh",
        address=address,
        port=int(variables.get("ansible_port", 22)),
        user=user,
        key_file=str(Path(str(key)).expanduser()) if key else None,
        known_hosts_file=str(known_hosts),
        python=str(variables.get("ansible_python_interpreter", "/usr/bin/python3")),
        sudo=user != "root",
        engine_socket=str(variables.get("rtlab_engine_socket", "/var/run/docker.sock")),
        docker_cli=str(variables.get("rtlab_docker_cli", "/usr/bin/docker")),
        home=str(variables.get("rtlab_home", "/opt/rtlab")),
        netns=variables.get("rtlab_netns"),
        may_reboot=may_reboot,
    )


PROVIDER = StaticProvider()

"""Takes the disk of a halted libvirt machine and removes from it what must not be in two machines."""

from __future__ import annotations

import contextlib
import json
import time
from pathlib import Path

from rtlab.artifacts.box import mmdebstrap
from rtlab.connection.shell import run, run_checked
from rtlab.connection.ssh import SSHShell
from rtlab.errors import CommandFailed, MachineUnreachable
from rtlab.model import Event, Machine, Notify, Testbed
from rtlab.providers.vagrant import libvirt

HALT_TIMEOUT_S = 300.0


def copy_disk(testbed: Testbed, machine: Machine, image: Path, log: Path, notify: Notify) -> None:
    """Halt the machine and copy its disk, with what it inherits from its box, as a raw image."""
    domain = f"rtlab-{testbed.id}-{machine.name}"
    notify(Event(stage="box", message=f"Halting {machine.name}", fraction=0.05, machine=machine.name))
    _halt(testbed, machine)
    notify(Event(stage="box", message=f"Copying the disk of {machine.name}", fraction=0.3, machine=machine.name))
    disk = libvirt.virsh_checked(
        *("vol-path", f"{domain}.img", "--pool", f"rtlab-{testbed.id}"), doing=f"find the disk of {machine.name}"
    ).text()
    run_checked(
        ("qemu-img", "convert", "-f", "qcow2", "-O", "raw", disk.strip(), str(image)),
        timeout_s=1800,
        doing=f"copy the disk of {machine.name}",
        log=log,
    )


def _halt(testbed: Testbed, machine: Machine) -> None:
    state = libvirt.states(testbed.id).get(machine.name)
    if state is None:
        raise CommandFailed(f"{machine.name} does not exist in libvirt.", remedy="`rtlab up` makes it again.")
    if state == "paused":
        libvirt.virsh_checked("resume", f"rtlab-{testbed.id}-{machine.name}", doing=f"wake {machine.name}")
    if state != "stopped":
        with contextlib.closing(SSHShell(machine)) as shell, contextlib.suppress(MachineUnreachable):
            shell.run(("systemctl", "--no-block", "poweroff"), timeout_s=60)
    deadline = time.monotonic() + HALT_TIMEOUT_S
    while libvirt.states(testbed.id).get(machine.name) != "stopped":
        if time.monotonic() > deadline:
            raise CommandFailed(
                f"{machine.name} did not halt within {HALT_TIMEOUT_S:.0f} s.",
                remedy=f"Look why (`rtlab ssh {machine.name}`), halt it by hand, and try again.",
            )
        time.sleep(1)


def anonymize(image: Path, suite: str, log: Path, notify: Notify) -> None:
    """Remove host keys, machine-id, engine id, authorized keys, logs and the seed's mark from a raw disk image."""
    notify(Event(stage="box", message="Removing what is this machine's own", fraction=0.6))
    with (
        mmdebstrap.attached(image, log, root_offset(image, log)) as device,
        mmdebstrap.mounted(device, image.parent / "root", log, guest=True) as root,
    ):
        mmdebstrap.forget_identity(root, suite)
        run(("fstrim", str(root)), timeout_s=120, log=log)


def root_offset(image: Path, log: Path) -> int:
    """Where the largest partition begins, in bytes: the root file system of every box that rtlab makes."""
    result = run_checked(("sfdisk", "--json", str(image)), timeout_s=60, doing="read the partitions", log=log)
    table = json.loads(result.stdout)["partitiontable"]
    largest = max(table["partitions"], key=lambda partition: int(partition["size"]))
    return int(largest["start"]) * int(table.get("sectorsize", 512))

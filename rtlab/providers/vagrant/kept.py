"""A provisioned machine turned into a box: halted, its disk copied, its identities removed."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from rtlab.artifacts import box, cache, profile
from rtlab.artifacts.box import catalogue, keeping, mmdebstrap, packing
from rtlab.artifacts.box.catalogue import Box
from rtlab.connection.shell import run_checked
from rtlab.connection.ssh import SSHShell
from rtlab.errors import CommandFailed, MachineUnreachable, UsageError
from rtlab.model import Event, Machine, Notify, Testbed
from rtlab.providers.vagrant import libvirt
from rtlab.state import StateFolder

HALT_TIMEOUT_S = 300.0


def keep(testbed: Testbed, machine: Machine, *, state: StateFolder, notify: Notify) -> Box:
    """Turn a provisioned machine's disk into a box without its identities; the machine is halted for it.

    Raises:
        UsageError: the machine is not one of rtlab's libvirt machines.
        HostUnfit: needs root, or tools are missing.
        MachineUnreachable, CommandFailed: the machine does not halt.
    """
    if testbed.details.get("backend") != "libvirt":
        raise UsageError(
            f"{machine.name} is not a libvirt machine of rtlab; only those can be kept as a box.",
            remedy="Make one with `rtlab up --provider libvirt`.",
        )
    mmdebstrap.check_host()
    suite = profile.load(testbed.profile).suite
    boxes = cache.folder("boxes")
    with box.workspace(boxes / f"{suite}-libvirt-of-{testbed.id}-{machine.name}") as (work, log):
        image = work / "disk.image"
        copy_disk(testbed, machine, image, log, notify)
        keeping.anonymize(image, suite, log, notify)
        notify(Event(stage="box", message="Packing the box for libvirt", fraction=0.8))
        sha256 = packing.pack(image, "raw", "libvirt", suite, work / catalogue.BOX_FILE, log)
        where = boxes / f"{suite}-libvirt-kept-{sha256[:16]}"
        box.store(work, where, suite=suite, backend="libvirt", sha256=sha256, provisioned=True)
    return box.ready(where, notify)


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

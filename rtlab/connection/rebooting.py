"""Which boot a machine is in, its clock, and a reboot that is known to have happened; over SSH."""

from __future__ import annotations

import contextlib
import time

from rtlab.connection.ssh import SSHShell
from rtlab.errors import MachineUnreachable
from rtlab.model import Machine

# A machine that reboots is asked again this often (seconds).
REBOOT_POLL_S = 3.0
ANSWER_TIMEOUT_S = 30
BOOT_ID = "/proc/sys/kernel/random/boot_id"


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
        result = connection.run(("cat", BOOT_ID), timeout_s=ANSWER_TIMEOUT_S, root=False)
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

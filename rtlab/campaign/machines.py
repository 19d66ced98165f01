"""Who works and who rests: the machines that carry out one campaign's lines of the plan, and connections to them."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rtlab.connection import client as probe_client
from rtlab.errors import RtlabError, UsageError
from rtlab.model import CampaignSpec, Event, Machine, Notify, Shell, Testbed, Trial
from rtlab.providers.contract import Machines


class Lane:
    """Machines of which one works while the others rest: today all of a testbed."""

    def __init__(self, testbed: Testbed, machines: Machines, spec: CampaignSpec, notify: Notify) -> None:
        self.testbed_id = testbed.id
        self._machines = machines
        self._spec = spec
        self._notify = notify
        self._named = {m.name: m for m in testbed.machines}
        self._shells: dict[str, Shell] = {}
        self._booted_for: dict[str, int] = {}
        self._awake: str | None = None

    @property
    def names(self) -> Sequence[str]:
        return tuple(self._named)

    def named(self, name: str) -> Machine:
        """The machine as it is now (a reboot may change its address)."""
        return self._named[name]

    def shell(self, name: str) -> Shell:
        if name not in self._shells:
            self._shells[name] = self._machines.shell(self.named(name))
        return self._shells[name]

    def drop_shell(self, name: str) -> None:
        shell = self._shells.pop(name, None)
        if shell is not None:
            shell.close()

    def wake(self, name: str) -> None:
        """Only this machine runs: all others rest, so that they take nothing from it."""
        if self._awake == name:
            return
        for other in self._named.values():
            if other.name != name and self._awake in (other.name, None):
                self._machines.rest(other)
        self._machines.wake(self.named(name))
        # A paused machine's connections are stale.
        self.drop_shell(name)
        self._awake = name

    def close(self) -> None:
        """Let go of every connection, and wake whoever rests."""
        for name in list(self._shells):
            self.drop_shell(name)
        for machine in self._named.values():
            try:
                self._machines.wake(machine)
            except RtlabError as error:
                self._notify(Event(stage="machines", message=error.message, machine=machine.name, level="warning"))

    def reboot_if_due(self, trial: Trial) -> float | None:
        """Give the trial the boot that the plan says. Returns what a reboot took (seconds), None where none was due."""
        machine = self.named(trial.machine)
        if self._spec.reboot == "never" or self._booted_for.get(machine.name) == trial.boot:
            return None
        if not machine.may_reboot:
            raise UsageError(
                f"{machine.name} must not be rebooted, but the campaign's reboot policy is {self._spec.reboot!r}.",
                remedy="Say --reboot never, or allow it: --allow-reboot.",
            )
        self._notify(Event(stage="reboot", message="rebooting", machine=machine.name))
        began = time.monotonic()
        self.drop_shell(machine.name)
        fresh = self._machines.reboot(machine, self._spec.ready_timeout_s)
        self._named[machine.name] = fresh
        self._booted_for[machine.name] = trial.boot
        return time.monotonic() - began

    def recover(self, name: str) -> None:
        """After a trial in which the machine was lost, or its probe did not end: nothing of it disturbs the next one.

        Raises:
            MachineUnreachable: the machine may not be rebooted, and does not answer.
        """
        self.drop_shell(name)
        if self._spec.reboot != "never":
            self._booted_for.pop(name, None)  # the next trial there begins with a reboot (a reset, if it hangs)
            return
        self._notify(Event(stage="ready", message="removing what the lost trial left", machine=name, level="warning"))
        probe_client.clean(self.shell(name), self.named(name), self.testbed_id)

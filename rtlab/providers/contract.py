"""Providers supply machines. Adding one is one folder here with a module-level ``PROVIDER``."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

from rtlab.artifacts.profile import Profile
from rtlab.config import TestbedSettings
from rtlab.model import Machine, Notify, Resource, Shell, Testbed
from rtlab.state import StateFolder

# python-vagrant warns on import where there is no Vagrant; rtlab says so itself, to whoever asks for its machines.
logging.getLogger("vagrant").addHandler(logging.NullHandler())


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineStatus:
    """One line of ``rtlab status``.

    Attributes:
        state: ``running``, ``stopped``, ``missing`` or ``unreachable``.
    """

    name: str
    state: str
    address: str
    note: str = ""


class Machines(Protocol):
    """The machines of one testbed, open for work. Methods raise RtlabError and its family only."""

    def shell(self, machine: Machine) -> Shell:
        """A way to run commands on the machine; the caller closes it."""

    def reboot(self, machine: Machine, timeout_s: float) -> Machine:
        """Reboot; returns when the machine answers again with another boot id (its address may differ)."""

    def rest(self, machine: Machine) -> None:
        """Pause a machine that must not disturb the other one (no effect where that makes no sense)."""

    def wake(self, machine: Machine) -> None:
        """Undo ``rest``."""

    def status(self) -> tuple[MachineStatus, ...]:
        """What the machines are doing now; at most a few seconds."""


class Provider(Protocol):
    """What a provider must do. Methods raise RtlabError and its family only.

    Attributes:
        makes_machines: The machines are rtlab's own, made from the box, playbooks and roles that come with it, to the
            measures that the settings ask for; elsewhere they are what they are.
        starts_engines: It can start further engines beside a machine's first one.
        takes_builds: The profile's builds are put on its machines by the roles, though rtlab did not make these: beside
            whatever engine there is, and only as the settings ask for it.
        is_simulated: There is no machine: nothing can be installed, looked at or proved.
        also_called: Other names by which the setting ``provider`` asks for it, with the settings that go with each.
        reboots_if_allowed: The machines are others', and are rebooted only with the setting ``allow_reboot``.
        settings: Names of the settings of ``TestbedSettings`` that this provider uses, beside those that every one
            uses; an option that it does not use is refused with it.
    """

    name: str
    summary: str
    makes_machines: bool = False
    takes_builds: bool = False
    is_simulated: bool = False
    also_called: Mapping[str, Mapping[str, str]] = MappingProxyType({})
    reboots_if_allowed: bool = False
    starts_engines: bool = False
    settings: frozenset[str] = frozenset()

    def open(self, testbed: Testbed, state: StateFolder) -> Machines:
        """The machines of a testbed that ``up`` made, to work with."""
        return _Opened(self, testbed, state)

    def lacks(self, settings: TestbedSettings) -> Mapping[str, str]:
        """Setting -> what it must be: those without which this provider cannot work, told with the configuration's
        other problems. It looks at nothing but the settings."""
        return {}

    def check(self, settings: TestbedSettings) -> None:
        """Refuse settings that cannot work, before anything is made: UsageError or HostUnfit; else nothing."""

    def up(
        self, settings: TestbedSettings, profile: Profile, testbed_id: str, state: StateFolder, notify: Notify
    ) -> Testbed:
        """Create or start the machines; idempotent. Everything created is journalled before it is created.

        Returns the testbed with machines that answer commands, before any role was applied.
        """

    def variables(self, testbed: Testbed) -> Mapping[str, Any]:
        """What the playbooks are told of its machines, beside what they are told of every machine."""
        return {}

    def status(self, testbed: Testbed, state: StateFolder) -> tuple[MachineStatus, ...]:
        """What the machines are doing now; at most a few seconds."""

    def shell(self, machine: Machine) -> Shell:
        """A way to run commands on the machine; the caller closes it."""

    def reboot(self, testbed: Testbed, machine: Machine, state: StateFolder, timeout_s: float) -> Machine:
        """Start a reboot and return when the machine answers again with another boot id (its address may differ)."""

    def rest(self, testbed: Testbed, machine: Machine, state: StateFolder) -> None:
        """Pause a machine that must not disturb the other one (no effect where that makes no sense)."""

    def wake(self, testbed: Testbed, machine: Machine, state: StateFolder) -> None:
        """Undo ``rest``."""

    def leftovers(self, testbed_id: str, state: StateFolder) -> tuple[Resource, ...]:
        """Everything of this testbed that exists now: the journal reconciled with reality."""

    def teardown(self, testbed_id: str, state: StateFolder, notify: Notify) -> tuple[Resource, ...]:
        """Remove everything of this testbed; idempotent. Returns what could not be removed."""

    def candidates(self) -> tuple[str, ...]:
        """Ids of testbeds that exist in reality, whatever any state folder says (for lost state)."""


@dataclass(frozen=True, slots=True)
class _Opened:
    """A provider's own methods, bound to one testbed (see ``Machines``)."""

    provider: Provider
    testbed: Testbed
    state: StateFolder

    def shell(self, machine: Machine) -> Shell:
        return self.provider.shell(machine)

    def reboot(self, machine: Machine, timeout_s: float) -> Machine:
        return self.provider.reboot(self.testbed, machine, self.state, timeout_s)

    def rest(self, machine: Machine) -> None:
        self.provider.rest(self.testbed, machine, self.state)

    def wake(self, machine: Machine) -> None:
        self.provider.wake(self.testbed, machine, self.state)

    def status(self) -> tuple[MachineStatus, ...]:
        return self.provider.status(self.testbed, self.state)

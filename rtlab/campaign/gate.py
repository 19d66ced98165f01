"""The gate before each trial: the engine answers, the runtime is there, and the machine is quiet."""

from __future__ import annotations

import time

from rtlab import plugins
from rtlab.campaign.machines import Lane
from rtlab.connection import client as probe_client
from rtlab.errors import CommandFailed, MachineUnreachable, RtlabError
from rtlab.model import Event, Machine, Notify

GATE_POLL_S = 2.0
# The gate waits this long for quiet, then the trial runs and its record says how long it waited. What no trial can do
# without (the engine, the runtime) is waited for up to the campaign's ready_timeout_s. On a machine that never gets
# quiet each further wait is half as long.
QUIET_CAP_S = 60.0
QUIET_CAP_LEAST_S = 4.0


class Gate:
    """Holds trials back until their machine is ready.

    Attributes:
        quiet_cap_s: Machine -> how long its next trial waits for quiet.
    """

    def __init__(self, lane: Lane, ready_timeout_s: float, notify: Notify) -> None:
        self._lane = lane
        self._ready_timeout_s = ready_timeout_s
        self._notify = notify
        self.quiet_cap_s = dict.fromkeys(lane.names, QUIET_CAP_S)
        self._builds: dict[tuple[str, str], str] = {}

    def wait(self, name: str, runtime: str) -> tuple[float, str | None]:
        """Hold until the machine is quiet and its engine answers. Returns (seconds waited, boot id).

        Raises:
            MachineUnreachable: not ready within the cap; says what was missing.
            RtlabError: another build of the engine runs than before this session's first trial there.
        """
        began = time.monotonic()
        machine = self._lane.named(name)
        lost = 0
        while True:
            try:
                state = probe_client.ready(self._lane.shell(machine.name), machine, runtime)
            except CommandFailed as error:
                # A connection that was cut while nobody used it, or a probe that failed once.
                lost += isinstance(error, MachineUnreachable)
                if lost > 1:
                    raise
                self._lane.drop_shell(machine.name)
                state = probe_client.Readiness(boot_id=None, missing=(error.message,), blocking=True)
            self._require_same_build(machine, plugins.runtime(runtime).engine, state.build)
            waited = time.monotonic() - began
            if not state.missing:
                return waited, state.boot_id
            if waited > (self._ready_timeout_s if state.blocking else self.quiet_cap_s[machine.name]):
                if state.blocking:
                    raise MachineUnreachable(
                        f"{machine.name} is not ready after {waited:.0f} s: {'; '.join(state.missing)}.",
                        remedy=f"`rtlab ssh {machine.name}` opens a shell there to look.",
                    )
                self.quiet_cap_s[machine.name] = max(QUIET_CAP_LEAST_S, self.quiet_cap_s[machine.name] / 2)
                self._notify(
                    Event(
                        stage="ready",
                        message=f"going on although the machine is not quiet: {'; '.join(state.missing)}",
                        machine=machine.name,
                        level="warning",
                    )
                )
                return waited, state.boot_id
            self._notify(Event(stage="ready", message=f"waiting: {state.missing[0]}", machine=machine.name))
            time.sleep(GATE_POLL_S)

    def _require_same_build(self, machine: Machine, engine: str, build: str) -> None:
        """An engine that somebody updates while a campaign runs would change its figures from one trial to the next.

        Between sessions the machines' facts tell it (``inspection``).
        """
        before = self._builds.setdefault((machine.name, engine), build) if build else build
        if build != before:
            raise RtlabError(
                f"The engine of {machine.name} was replaced while the campaign ran: "
                f"it was {before}, it is now {build}.",
                remedy="Start a new campaign (rtlab bench --new), or say --accept-changes to go on with this one.",
            )

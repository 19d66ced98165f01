"""Machines, what runs on them, and how commands reach them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Literal, Protocol

Json = Any  # what json.loads returns

# The Docker that moby v2 is, by what it does: its own Go modules count anew, and v2.0.0-beta.24 has the time namespaces
# of Docker 29.5 (stack-facts §14).
MOBY_V2_IS = (29, 5)


class Level(str, Enum):
    """What a machine is, which decides what its figures mean."""

    METAL = "metal"
    VIRTUALIZED = "hardware-virtualized"  # a VM on metal, made by rtlab
    NESTED = "nested"  # a VM inside a VM
    GUEST = "guest"  # the host itself is somebody's VM; containers run directly on it
    EMULATED = "emulated"  # TCG: no figure from it means anything
    SIMULATED = "simulated"  # no machine at all: values drawn from a scenario


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineAt:
    """A container engine on a machine: which one, and where.

    Attributes:
        name: Of its folder in ``rtlab.engines``.
        socket: Path of the socket that it answers on there.
        cli: Path of its command there; empty where nobody starts its containers by a command line.
        settings: What else the machine's half of the engine must know; JSON values.
    """

    # What every testbed had before there were others.
    name: str = "docker"
    socket: str = "/var/run/docker.sock"
    cli: str = "/usr/bin/docker"
    settings: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A host that runs containers.

    Attributes:
        name: Short and unique within the testbed; goes into folder names (``[a-z0-9-]+``).
        transport: How commands reach it: ``ssh``, ``local`` (subprocess) or ``simulated``.
        address, port, user: Where sshd listens; meaningless for other transports.
        key_file, known_hosts_file: Files on the controller; None for other transports.
        python: Interpreter on the machine for the probe (3.6 or later).
        sudo: Whether commands need ``sudo -n`` there to be root.
        engine: What runs its containers.
        beside: Further engines there, for arms that say so (``runc@containerd``); see ``on``.
        netns: Network namespace file (``/run/netns/…``) that the probe must enter, or None.
        home: rtlab's folder on the machine: probe, page and images live there.
        runtimes: Names of the runtimes that were installed and proved there.
        programs: Runtime -> SHA-256 of its program as ``up`` proved it: each trial's proof compares with it.
        may_reboot: Whether rtlab may reboot it.
        level: What it is.
    """

    name: str
    transport: Literal["ssh", "local", "simulated"] = "ssh"
    address: str = ""
    port: int = 22
    user: str = "root"
    key_file: str | None = None
    known_hosts_file: str | None = None
    python: str = "/usr/bin/python3"
    sudo: bool = True
    engine: EngineAt = EngineAt()
    beside: tuple[EngineAt, ...] = ()
    netns: str | None = None
    home: str = "/opt/rtlab"
    runtimes: tuple[str, ...] = ()
    programs: Mapping[str, str] = field(default_factory=dict)
    may_reboot: bool = True
    level: Level = Level.METAL

    def on(self, engine: str) -> Machine:
        """The machine as one engine's arms see it; empty: the engine that every arm has where none is named.

        Raises:
            KeyError: there is no such engine on it.
        """
        if not engine or engine == self.engine.name:
            return self
        for other in self.beside:
            if other.name == engine:
                return replace(self, engine=other, beside=(self.engine, *(e for e in self.beside if e is not other)))
        raise KeyError(engine)


@dataclass(frozen=True, slots=True, kw_only=True)
class Testbed:
    """The set of machines that one ``rtlab up`` made or found.

    Attributes:
        id: Random, 8 hex digits; part of the names of everything that rtlab created for it.
        provider: Name of the module in ``rtlab.providers``.
        profile: Name of the profile of pins.
        design: ``crossover`` (every runtime on every machine) or ``paper`` (one runtime per machine).
        machines: In order; one or more.
        created_at: ISO 8601, UTC.
        details: Provider-specific facts worth keeping with a campaign (accelerator, box digest, cache mode).
    """

    __test__ = False

    id: str
    provider: str
    profile: str
    design: Literal["crossover", "paper"]
    machines: tuple[Machine, ...]
    created_at: str
    details: Mapping[str, Json] = field(default_factory=dict)

    @property
    def level(self) -> Level:
        """The least trustworthy level among the machines."""
        order = list(Level)
        return max((m.level for m in self.machines), key=order.index)

    def machine(self, name: str) -> Machine:
        """The machine of that name (KeyError if there is none)."""
        for machine in self.machines:
            if machine.name == name:
                return machine
        raise KeyError(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandResult:
    """One finished command, local or remote.

    Attributes:
        argv: As given.
        exit_status: None when it was killed after ``timeout_s`` or the connection was lost.
        stdout, stderr: Raw bytes, complete up to the shell's size cap.
        started_at: ISO 8601, UTC, by the controller's clock.
        elapsed_s: By the controller's monotonic clock; never a measurement.
        timed_out: It was killed after its time limit.
    """

    argv: tuple[str, ...]
    exit_status: int | None
    stdout: bytes
    stderr: bytes
    started_at: str
    elapsed_s: float
    timed_out: bool = False

    @property
    def ok(self) -> bool:
        return self.exit_status == 0

    def text(self) -> str:
        """stdout as text; undecodable bytes replaced."""
        return self.stdout.decode("utf-8", "replace")

    def tail(self, lines: int = 10) -> str:
        """The last lines of stderr, or of stdout when stderr is empty."""
        text = (self.stderr or self.stdout).decode("utf-8", "replace")
        return "\n".join(text.rstrip().splitlines()[-lines:])


class Shell(Protocol):
    """Runs commands on one machine: implemented by ``shell.LocalShell`` and ``ssh.SSHShell``.

    Every method raises MachineUnreachable when the machine cannot be reached.
    """

    def run(self, argv: tuple[str, ...], *, timeout_s: float, stdin: bytes = b"", root: bool = True) -> CommandResult:
        """Run ``argv`` (no shell interpretation) and wait; a time-out is a result, not an exception."""

    def put(self, content: bytes, path: str, mode: int) -> None:
        """Write a file there atomically, as root."""

    def get(self, path: str) -> bytes:
        """Read a file from there, as root."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """Something that rtlab created, or may have, and teardown removes.

    Attributes:
        kind: ``domain``, ``network``, ``volume``, ``process``, ``mount``, ``netns``, ``bridge``, ``folder`` …
        name: Enough to find it again.
        note: Why it could not be removed, in a list of left-overs.
    """

    kind: str
    name: str
    note: str = ""

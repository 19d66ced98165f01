"""The words of rtlab as types: frozen dataclasses without I/O.

The glossary stands in docs/glossary.md. Values are in base units (see ``rtlab.units``); a name that
holds a number says its unit. ``None`` means "not known" or "does not apply", never 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal, Protocol

Json = Any  # what json.loads returns

# --------------------------------------------------------------------------- machines


class Level(str, Enum):
    """What a machine is, which decides what its figures mean."""

    METAL = "metal"
    VIRTUALIZED = "hardware-virtualized"  # a VM on metal, made by rtlab
    NESTED = "nested"  # a VM inside a VM
    GUEST = "guest"  # the host itself is somebody's VM; containers run directly on it
    EMULATED = "emulated"  # TCG: no figure from it means anything
    SIMULATED = "simulated"  # no machine at all: values drawn from a scenario


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
        engine_socket: Path of dockerd's socket on the machine.
        docker_cli: Path of the docker command there.
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
    engine_socket: str = "/var/run/docker.sock"
    docker_cli: str = "/usr/bin/docker"
    netns: str | None = None
    home: str = "/opt/rtlab"
    runtimes: tuple[str, ...] = ()
    programs: Mapping[str, str] = field(default_factory=dict)
    may_reboot: bool = True
    level: Level = Level.METAL


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
class Event:
    """Something long is going on: what the CLI shows as progress and writes to the log.

    Attributes:
        stage: Stable short name: ``box``, ``machines``, ``provision``, ``trial`` …
        message: One line for people.
        fraction: 0..1 of the stage, or None when it cannot be known.
        machine: Which machine it concerns, or None.
        level: ``info``; ``warning`` is shown even when quiet.
    """

    stage: str
    message: str
    fraction: float | None = None
    machine: str | None = None
    level: Literal["info", "warning"] = "info"


class Notify(Protocol):
    """Where orchestration sends its events; the CLI passes one in, tests collect them."""

    def __call__(self, event: Event, /) -> None: ...


def ignore_events(_event: Event, /) -> None:
    """A Notify for callers that do not show progress."""


# --------------------------------------------------------------------------- commands


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


# --------------------------------------------------------------------------- runtimes and metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """A container runtime that rtlab can install, hand to Docker and prove. Data only.

    Attributes:
        name: ``runc``, ``kata`` …; Docker knows it by ``docker_name``.
        title: For tables: ``runC``, ``Kata``.
        docker_name: The key in daemon.json's ``runtimes`` (``runc`` is built in).
        role: The Ansible role that installs it.
        proof: Which check of the probe proves it: ``runc``, ``crun``, ``youki``, ``gvisor``, ``kata``.
        own_kernel: Whether a container under it has a kernel of its own.
        needs_kvm: Whether the machine must have a working /dev/kvm.
        variants: Whether it can be had several times, with other settings each: ``kata:qemu``, ``kata:small``.
        known_errors: What it says when it cannot run -> what that means and what to do.
        summary: One sentence for ``--help`` and docs.
    """

    name: str
    title: str
    docker_name: str
    role: str
    proof: str
    own_kernel: bool
    needs_kvm: bool = False
    variants: bool = False
    known_errors: Mapping[str, str] = field(default_factory=dict)
    summary: str = ""

    def meaning_of(self, message: str) -> str:
        """What a message of the engine or of this runtime means, in a sentence; empty when it is not known."""
        return next((meaning for words, meaning in self.known_errors.items() if words in message), "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One quantity that an experiment yields.

    Attributes:
        name: Unique within its experiment (``first_page_s`` style names carry the unit).
        title: For tables.
        unit: Base unit (see ``rtlab.units``).
        display_unit: Unit in tables; converted by ``rtlab.units``.
        better: Which direction is better, or None where neither is (a total of memory).
        primary: The one metric of the experiment on which a verdict is given.
        paper: (table, column) in paper-tables.json that it corresponds to, or None.
        positive: Values are > 0, so ratios and logs make sense.
    """

    name: str
    title: str
    unit: str
    display_unit: str = ""
    better: Literal["lower", "higher"] | None = None
    primary: bool = False
    paper: tuple[str, str] | None = None
    positive: bool = True

    @property
    def shown_unit(self) -> str:
        return self.display_unit or self.unit


# --------------------------------------------------------------------------- the campaign

Design = Literal["default", "paper"]
RebootPolicy = Literal["trial", "block", "never"]


# An adaptive campaign does not look before so many blocks (measurement.md §4.9).
FEWEST_BLOCKS = 15


@dataclass(frozen=True, slots=True, kw_only=True)
class Until:
    """When an adaptive campaign stops: ``--until 5% --max-blocks 40 --max-hours 6`` (measurement.md §4.9).

    Attributes:
        target: Relative half-width that the worst primary ratio must reach (0.05: × or ÷ 1.05).
        min_blocks: Before so many blocks nobody looks.
        max_blocks: Of the plan, repeats not counted.
        max_hours: Of the campaign's running time; None for no cap.
    """

    target: float
    min_blocks: int = FEWEST_BLOCKS
    max_blocks: int = 40
    max_hours: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignSpec:
    """What one ``rtlab bench`` is to do, complete and resolved: nothing is defaulted later.

    Attributes:
        runs: Number of blocks; of an adaptive campaign, those before the first look.
        parameters: Per experiment, its own settings (see each module in ``rtlab.experiments``).
        margin: Equivalence margin as a fraction (0.05 = ±5 %).
        seed: Of the plan's random order; stored.
        aa: Whether 4 A/A blocks are added outside ``runs``.
        images: Role of an image (``httpd``, ``tools``) to its reference on the machines.
        trial_timeout_s: Cap for one trial's workload.
        ready_timeout_s: Cap for the readiness gate, and for a machine to come back from a reboot.
        until: The rule by which an adaptive campaign adds blocks and stops; None: exactly ``runs`` blocks.
    """

    name: str
    design: Design
    runs: int
    experiments: tuple[str, ...]
    runtimes: tuple[str, ...]
    baseline: str
    reboot: RebootPolicy
    seed: int
    aa: bool
    margin: float
    parameters: Mapping[str, Mapping[str, Json]]
    images: Mapping[str, str]
    trial_timeout_s: float
    ready_timeout_s: float
    until: Until | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One planned execution of one experiment on one runtime on one machine.

    Attributes:
        number: Position in the plan, from 1; the plan's order is the order of execution.
        block: From 1. An A/A block is numbered on after the last ordinary one.
        kind: ``ab``, or ``aa`` for noise-floor blocks (``arm`` then tells the two copies apart).
        arm: The runtime's name in ``ab`` blocks; ``<baseline>#1`` / ``<baseline>#2`` in ``aa`` blocks.
        boot: Trials with the same (block, boot) share one boot of the machine: the policy's unit.
        repeats: Number of the block that this one replaces, or None (see resume rules).
    """

    number: int
    block: int
    kind: Literal["ab", "aa"]
    arm: str
    experiment: str
    runtime: str
    machine: str
    boot: int
    repeats: int | None = None

    @property
    def key(self) -> str:
        arm = self.arm.replace("#", "-").replace(":", ".")  # no colon in a file's name: some systems refuse it
        return f"{self.number:04d}-{self.experiment}-{arm}-{self.machine}"


class Outcome(str, Enum):
    """How a trial ended. ``invalid`` only by a rule fixed beforehand, never by its value."""

    OK = "ok"
    FAILED = "failed"
    TIMED_OUT = "timed out"
    INVALID = "invalid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """What is stored about one attempt at one trial (``record.json``).

    Attributes:
        attempt: From 1.
        outcome: See Outcome.
        reason: One sentence when the outcome is not ok; empty otherwise.
        started_at, ended_at: ISO 8601, UTC, the controller's clock.
        boot_id: The machine's, during the trial; None if it never answered.
        rebooted: Whether the machine was rebooted for this trial.
        waited_s: How long the readiness gate held (seconds).
        exit_status: The probe's on the machine.
        files: Raw file name -> SHA-256, hex.
        overhead_s: Controller time that was neither workload, reboot nor gate.
    """

    trial: Trial
    attempt: int
    outcome: Outcome
    reason: str
    started_at: str
    ended_at: str
    boot_id: str | None
    rebooted: bool
    waited_s: float | None
    exit_status: int | None
    files: Mapping[str, str]
    overhead_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RawOutput:
    """The verbatim files of one attempt, as a parser gets them.

    Attributes:
        stdout, stderr: What the workload's tool printed; empty when it prints nothing.
        probe: ``probe.json`` parsed: what the probe measured and observed (see rtlab/probe/README.md).
    """

    record: Record
    stdout: str
    stderr: str
    probe: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One number with its unit, from one trial.

    Attributes:
        value: In the metric's base unit; None when it is censored or not taken.
        note: Why there is no value, or what it is a bound of (``too fast to tell``); empty otherwise.
        index: 0, 1, … when one trial yields several (15 starts after one reboot); the unit of
            analysis is still the block.
    """

    trial: Trial
    metric: str
    value: float | None
    unit: str
    note: str = ""
    index: int = 0


class Experiment(Protocol):
    """One experiment: one file in ``rtlab.experiments`` with a module-level ``EXPERIMENT``."""

    name: str
    title: str
    summary: str
    order: int  # within one boot: memory first, io last
    metrics: tuple[Metric, ...]

    def defaults(self, design: Design) -> Mapping[str, Json]:
        """All parameters with their default values (the only place where they are written)."""

    def problems(self, parameters: Mapping[str, Json]) -> tuple[str, ...]:
        """What is wrong with these parameters, each naming its key and what is allowed."""

    def needs_disk_bytes(self, parameters: Mapping[str, Json]) -> int:
        """Free space that a trial needs on the machine."""

    def duration_s(self, parameters: Mapping[str, Json]) -> float:
        """A first guess of one trial's duration, for the ETA before anything ran."""

    def request(self, trial: Trial, spec: CampaignSpec, machine: Machine, runtime: Runtime) -> dict[str, Json]:
        """What the probe is asked to do; see rtlab/probe/README.md."""

    def parse(self, raw: RawOutput, parameters: Mapping[str, Json]) -> tuple[Observation, ...]:
        """Pure. Raises ParseError when the text is not what the tool prints."""


# --------------------------------------------------------------------------- statistics


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A point estimate with its interval.

    Attributes:
        point, low, high: In the metric's unit (or a pure ratio); low <= point <= high.
            low or high is None where n cannot carry an interval.
        confidence: Nominal coverage, 0.95.
        method: How it was computed, enough to repeat it.
        estimand: What it estimates (``ratio of geometric means`` …).
    """

    point: float
    low: float | None
    high: float | None
    confidence: float
    method: str
    estimand: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One arm's values of one metric, described. ``n`` counts values, one per block.

    ``n_failed`` counts trials that failed, timed out or were invalid; ``n_censored`` values withheld by the tool.
    Statistics that n cannot carry are None.
    """

    experiment: str
    metric: str
    arm: str
    unit: str
    n: int
    n_failed: int
    n_censored: int
    median: Estimate | None
    mean: float | None
    sd: float | None
    cov: float | None
    minimum: float | None
    maximum: float | None
    trials: tuple[int, ...]


class Verdict(str, Enum):
    SLOWER = "slower"  # the CLI and report use each metric's own words (higher/lower …)
    FASTER = "faster"
    NO_DIFFERENCE = "no practical difference"
    INCONCLUSIVE = "inconclusive"
    WITHHELD = "withheld"  # the A/A blocks say that the testbed is broken


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One arm against the baseline on one metric.

    Attributes:
        ratio: Primary: ratio of geometric means from per-block log ratios.
        mean_ratio: Ratio of arithmetic means (Fieller), its own estimand; None where undefined.
        machine_effect: Ratio of the second machine to the first, or None on one machine.
        p_value: One-sided against the margin; None without a verdict.
        p_adjusted: After Holm over the primary metrics.
        blocks_needed: Further blocks until a verdict, when inconclusive; None if not computable.
        sentence: The verdict in plain words, with the metric's direction.
        blocks: Which blocks entered.
        exploratory: True for every metric that is not the experiment's primary one.
    """

    experiment: str
    metric: str
    arm: str
    baseline: str
    ratio: Estimate | None
    mean_ratio: Estimate | None
    machine_effect: Estimate | None
    verdict: Verdict
    p_value: float | None
    p_adjusted: float | None
    blocks_needed: int | None
    sentence: str
    blocks: tuple[int, ...]
    exploratory: bool
    limiting_arm: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Caveat:
    """Something a reader must know beside the numbers (drift, outliers, unequal machines …)."""

    kind: str
    message: str
    where: str = ""

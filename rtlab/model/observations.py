"""What a trial left behind, what is measured in it, and the experiment that says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Literal, Protocol

from rtlab.model.campaign import CampaignSpec, Design, Trial
from rtlab.model.machines import Json, Machine
from rtlab.model.runtimes import Runtime


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
        resolution: The smallest step in which it is read, in its unit (0.01 for clock ticks); 0: the finest of its
            unit, a nanosecond, a byte, one.
        label: What it is called where it stands alone, in the answer; empty: its experiment's title and its own.
    """

    name: str
    title: str
    unit: str
    display_unit: str = ""
    better: Literal["lower", "higher"] | None = None
    primary: bool = False
    paper: tuple[str, str] | None = None
    positive: bool = True
    resolution: float = 0.0
    label: str = ""

    @property
    def shown_unit(self) -> str:
        return self.display_unit or self.unit


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


# Within one boot: before all others, because earlier trials leave caches; shuffled anew in every block; or after them.
PlaceInBoot = Literal["first", "middle", "last"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Curves:
    """A plot over every single value of an experiment: the share of them that had come by then.

    Attributes:
        title: Its first sentence, without the full stop.
        axis: Of the values, with their unit.
        what: What is timed, one of them.
        metrics: Name -> whether its curve is drawn apart, as the first of each trial.
    """

    title: str
    axis: str
    what: str
    metrics: Mapping[str, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Meters:
    """Several meters of the same quantity, which the report holds against each other.

    Attributes:
        what: The quantity, in words.
        unit: In which its values are shown.
        table: The paper's table under which it is told that they agree.
        titles: Of the meters, the first being the one that estimates are by.
        metrics: Without ``read`` each meter's metric; with it, the metrics that the first meter gives.
        read: The meters' readings of one trial, from the probe's document; none where it has none.
    """

    what: str
    unit: str
    table: str
    titles: tuple[str, ...]
    metrics: tuple[str, ...]
    read: Callable[[Mapping[str, Json]], list[tuple[float, ...]]] | None = None


class Experiment(Protocol):
    """One experiment: a folder in ``rtlab.experiments`` whose ``experiment.py`` has a module-level ``EXPERIMENT``.

    Attributes:
        order: In tables and lists.
        place: Within one boot.
        by_default: Whether a campaign runs it that names no experiments.
        settings: A frozen dataclass of ``rtlab.config.setting.setting``.
        curves, meters: What the report shows beyond metrics; None where there is nothing.
    """

    name: str
    title: str
    summary: str
    order: int
    place: PlaceInBoot
    by_default: bool
    metrics: tuple[Metric, ...]
    settings: type[Any]
    curves: Curves | None
    meters: Meters | None

    def defaults(self, design: Design) -> Mapping[str, Json]:
        """All parameters with their default values."""

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

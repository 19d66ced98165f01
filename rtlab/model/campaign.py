"""A campaign and its trials, as they are planned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from rtlab.model.machines import Json

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
        arm = (
            self.arm.replace("#", "-").replace(":", ".").replace("@", ".")
        )  # some systems refuse them in a file's name
        return f"{self.number:04d}-{self.experiment}-{arm}-{self.machine}"

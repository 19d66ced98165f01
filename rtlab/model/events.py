"""What is told while something long goes on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far a running campaign is, when a trial begins.

    Attributes:
        trial: Its number in the plan of ``trials``; those before it are done.
        block: Its block, of ``blocks``.
        doing: The experiment and the arm.
        elapsed_s: Since this session began.
        remaining_s: What is expected to be left.
        last: What the last trial gave: ``boot runc 0.412 s``; empty before the first.
        not_ok: Trials of this session that cannot be used.
    """

    trial: int
    trials: int
    block: int
    blocks: int
    doing: str
    elapsed_s: float
    remaining_s: float
    last: str = ""
    not_ok: int = 0

    @property
    def fraction(self) -> float:
        return (self.trial - 1) / self.trials


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something long is going on: what the CLI shows as progress and writes to the log.

    Attributes:
        stage: Stable short name: ``box``, ``machines``, ``provision``, ``trial`` …
        message: One line for people.
        fraction: 0..1 of the stage, or None when it cannot be known.
        machine: Which machine it concerns, or None.
        level: ``info``; ``warning`` is shown even when quiet.
        standing: Of stage ``trial``: how far the campaign is.
    """

    stage: str
    message: str
    fraction: float | None = None
    machine: str | None = None
    level: Literal["info", "warning"] = "info"
    standing: Standing | None = None


class Notify(Protocol):
    """Where orchestration sends its events; the CLI passes one in, tests collect them."""

    def __call__(self, event: Event, /) -> None: ...


def ignore_events(_event: Event, /) -> None:
    """A Notify for callers that do not show progress."""

"""What of a plan is left to do, and blocks that are run again because they cannot be used."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rtlab import plugins
from rtlab.campaign import plan
from rtlab.errors import ParseError
from rtlab.model import Event, Level, Notify, Outcome, Record, Trial
from rtlab.stats.missing import numbered
from rtlab.store import Campaign

# Repeated blocks may add this share of the planned ones, rounded up (measurement.md §3).
EXTRA_BLOCKS = 0.2


def pending(campaign: Campaign) -> tuple[Trial, ...]:
    """Trials that are planned, have no record, and whose block was not given up."""
    trials = campaign.plan
    done = {_number(folder) for folder in campaign.trial_folders()}
    given_up = {t.repeats for t in trials if t.repeats is not None} | campaign.given_up().keys()
    return tuple(t for t in trials if t.number not in done and t.block not in given_up)


def _number(folder: Path) -> int:
    head = folder.name.split(".", 1)[0]
    return int(head) if head.isdigit() else -1


def planned_blocks(trials: Sequence[Trial]) -> int:
    """Blocks that the plan holds, without A/A blocks and repeats."""
    return len({t.block for t in trials if t.kind == "ab" and t.repeats is None})


@dataclass(frozen=True, slots=True)
class Repeats:
    """The blocks of one campaign that are run again, and those that are given up."""

    campaign: Campaign
    level: Level
    notify: Notify

    def give_up_interrupted(self) -> None:
        """A block of which only a part was done when an earlier session ended cannot be paired: repeat it whole, or do
        without it when the limit of repeats is reached.

        Simulated machines have no state that an interruption could disturb, and the paper's design has no blocks.
        """
        if self.level is Level.SIMULATED or self.campaign.spec.design == "paper":
            return
        trials = self.campaign.plan
        waiting = {t.number for t in pending(self.campaign)}
        begun = {t.block for t in trials if t.number not in waiting}
        interrupted = sorted({t.block for t in trials if t.number in waiting} & begun)
        for block in self._repeat(interrupted):
            reason = f"it was interrupted, and the limit of {self._most_repeats()} repeated blocks is reached"
            self.campaign.give_up(block, reason)
            self.notify(Event(stage="trial", message=f"block {block} is given up: {reason}", level="warning"))

    def repeat_unusable(self) -> None:
        if self.campaign.spec.design == "paper":
            return
        unusable = self.unusable_numbers()
        trials = self.campaign.plan
        replaced = {t.repeats for t in trials if t.repeats is not None}
        gone = replaced | self.campaign.given_up().keys()
        beyond = self._repeat(sorted({t.block for t in trials if t.number in unusable and t.block not in gone}))
        if beyond:
            which = f"{numbered(beyond)} cannot be used and will not be repeated"
            message = f"{which}: the limit of {self._most_repeats()} repeated blocks is reached"
            self.notify(Event(stage="trial", message=message, level="warning"))

    def _most_repeats(self) -> int:
        return math.ceil(EXTRA_BLOCKS * max(self.campaign.spec.runs, planned_blocks(self.campaign.plan)))

    def _repeat(self, blocks: Sequence[int]) -> tuple[int, ...]:
        """Plan the blocks anew, as far as the limit allows. Returns those beyond it."""
        left = self._most_repeats() - len({t.block for t in self.campaign.plan if t.repeats is not None})
        for block in blocks[: max(0, left)]:
            self.campaign.append_to_plan(plan.repeat_block(self.campaign.plan, block))
        return tuple(blocks[max(0, left) :])

    def unusable_numbers(self) -> frozenset[int]:
        """Numbers of trials that are done but not usable: not ok, or not parseable."""
        numbers = set()
        for record in self.campaign.records():
            if record.outcome is not Outcome.OK or self._unparseable(record):
                numbers.add(record.trial.number)
        return frozenset(numbers)

    def _unparseable(self, record: Record) -> str:
        """Why the raw output cannot be parsed, or an empty string."""
        experiment = plugins.experiment(record.trial.experiment)
        try:
            experiment.parse(self.campaign.raw_output(record), self.campaign.spec.parameters[experiment.name])
        except ParseError as error:
            return error.message
        return ""

    def short(self) -> frozenset[int]:
        """Blocks that stay incomplete: unusable and not repeated, or given up."""
        unusable = self.unusable_numbers()
        trials = self.campaign.plan
        replaced = {t.repeats for t in trials if t.repeats is not None}
        left = {t.block for t in trials if t.number in unusable and t.block not in replaced}
        return frozenset(left | self.campaign.given_up().keys())

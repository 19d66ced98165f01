"""How far a campaign is, read from its folder alone: what `rtlab status` and `rtlab campaigns` show. Writes nothing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from rtlab import plugins
from rtlab.campaign.pace import Pace
from rtlab.campaign.repeats import pending
from rtlab.errors import ParseError, RtlabError
from rtlab.model import Experiment, Outcome, Record
from rtlab.store import Campaign
from rtlab.units import readable


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An attempt that cannot be used."""

    trial: int
    what: str
    outcome: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """How far one campaign is.

    Attributes:
        state: ``finished``, ``running`` (a process holds its lock) or ``unfinished``.
        trials: Planned, repeats included; ``pending`` of them have no record yet.
        blocks: Ordinary blocks of the plan (no repeats, no A/A); ``full_blocks`` of them have every record.
        repeated_blocks: Planned anew because a block could not be used.
        failures: Attempts that are not ok, in order.
        remaining_s: What the rest is expected to take.
        since_s: Since the last trial was stored; None when there is none, or when the campaign is not running.
        last: What the last trial gave; empty before the first.
        stopped: Why an adaptive campaign stopped; empty for others.
    """

    name: str
    state: str
    trials: int
    pending: int
    blocks: int
    full_blocks: int
    repeated_blocks: int
    failures: tuple[Failure, ...]
    remaining_s: float
    since_s: float | None
    last: str
    stopped: str

    @property
    def done(self) -> int:
        return self.trials - self.pending


def overview(campaign: Campaign) -> Overview:
    """Read it.

    Raises:
        StoreError: the campaign is damaged.
    """
    _ = campaign.spec  # first, whether this rtlab can read it
    trials, waiting, records = campaign.plan, pending(campaign), campaign.records()
    left = {t.block for t in waiting}
    own = {t.block for t in trials if t.kind == "ab" and t.repeats is None}
    pace = Pace(campaign.spec, campaign.testbed.level)
    pace.learn(campaign)
    state = "finished" if campaign.finished else "running" if campaign.worked_on else "unfinished"
    return Overview(
        name=campaign.folder.name,
        state=state,
        trials=len(trials),
        pending=len(waiting),
        blocks=len(own),
        full_blocks=len(own - left - campaign.given_up().keys()),
        repeated_blocks=len({t.block for t in trials if t.repeats is not None}),
        failures=tuple(_failures(records)),
        remaining_s=pace.remaining_s(waiting),
        since_s=_since(records) if state == "running" else None,
        last=_last(campaign, records),
        stopped=campaign.stopped,
    )


def value_of(record: Record, campaign: Campaign, experiment: Experiment) -> str:
    """The last value of the experiment's primary metric, with its unit; empty when the trial gave none.

    Raises:
        ParseError, StoreError: its raw output cannot be used.
    """
    primary = next((m for m in experiment.metrics if m.primary), None)
    observed = experiment.parse(campaign.raw_output(record), campaign.spec.parameters[experiment.name])
    values = [o.value for o in observed if primary and o.metric == primary.name and o.value is not None]
    if primary is None or not values:
        return ""
    return readable(values[-1], primary.shown_unit)


def _failures(records: Sequence[Record]) -> list[Failure]:
    return [
        Failure(
            trial=r.trial.number,
            what=f"{r.trial.experiment} {r.trial.arm} on {r.trial.machine}",
            outcome=r.outcome.value,
            reason=r.reason,
        )
        for r in records
        if r.outcome is not Outcome.OK
    ]


def _last(campaign: Campaign, records: Sequence[Record]) -> str:
    """The newest value there is, such as ``boot runc 0.412 s``."""
    for record in reversed(sorted(records, key=lambda r: r.ended_at)[-3:]):
        trial = record.trial
        if record.outcome is not Outcome.OK or trial.experiment not in plugins.names("experiments"):
            continue
        try:
            known = plugins.experiment_of(trial.experiment, campaign.spec.parameters.get(trial.experiment, {}))
            value = value_of(record, campaign, known)
        except (ParseError, RtlabError):
            continue
        if value:
            return f"{trial.experiment} {trial.arm} {value}"
    return ""


def _since(records: Sequence[Record]) -> float | None:
    ends = [datetime.fromisoformat(r.ended_at.replace("Z", "+00:00")).timestamp() for r in records]
    return max(0.0, time.time() - max(ends)) if ends else None

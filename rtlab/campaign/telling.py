"""What a running campaign says: where it is, how long it will take, and at once what went wrong."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rtlab import plugins
from rtlab.campaign.overview import value_of
from rtlab.campaign.pace import Pace
from rtlab.errors import ParseError
from rtlab.model import Event, Notify, Outcome, Record, Standing, Trial
from rtlab.store import Campaign
from rtlab.units import format_duration


class Telling:
    """Remembers when the session began, what the last trial gave, and how many could not be used."""

    def __init__(self, campaign: Campaign, pace: Pace, notify: Notify) -> None:
        self.campaign = campaign
        self.pace = pace
        self.notify = notify
        self._began = time.monotonic()
        self._last = ""
        self._not_ok = 0

    def show(self, trial: Trial, remaining: Sequence[Trial]) -> None:
        standing = Standing(
            trial=trial.number,
            trials=len(self.campaign.plan),
            block=trial.block,
            blocks=max(t.block for t in remaining) if remaining else trial.block,
            doing=_what(trial),
            elapsed_s=time.monotonic() - self._began,
            remaining_s=self.pace.remaining_s(remaining),
            last=self._last,
            not_ok=self._not_ok,
        )
        message = (
            f"{standing.trial}/{standing.trials} · block {standing.block}/{standing.blocks} · {standing.doing} · "
            f"{format_duration(standing.elapsed_s)} so far, {format_duration(standing.remaining_s)} left"
        )
        last = f" · last: {self._last}" if self._last else ""
        self.notify(
            Event(
                stage="trial",
                message=message + last,
                fraction=standing.fraction,
                machine=trial.machine,
                standing=standing,
            )
        )

    def tell(self, record: Record) -> None:
        trial = record.trial
        if record.outcome is not Outcome.OK:
            self._warn(trial, f"{record.outcome.value}: {record.reason}")
            return
        try:
            value = value_of(record, self.campaign, plugins.experiment(trial.experiment))
        except ParseError as error:
            self._warn(trial, f"cannot be parsed: {error.message}")
            return
        if value:
            self._last = f"{_what(trial)} {value}"

    def _warn(self, trial: Trial, what: str) -> None:
        self._not_ok += 1
        message = f"trial {trial.number} ({_what(trial)}) {what}"
        self.notify(Event(stage="trial", message=message, machine=trial.machine, level="warning"))


def _what(trial: Trial) -> str:
    return f"{trial.experiment} {trial.arm}"

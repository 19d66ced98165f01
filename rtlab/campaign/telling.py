"""What a running campaign says: where it is, how long it will take, and at once what went wrong."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rtlab import plugins
from rtlab.campaign.pace import Pace
from rtlab.errors import ParseError
from rtlab.model import Event, Notify, Outcome, Record, Trial
from rtlab.store import Campaign
from rtlab.units import format_duration, format_number, from_base


class Telling:
    """Remembers when the session began and what the last trial gave."""

    def __init__(self, campaign: Campaign, pace: Pace, notify: Notify) -> None:
        self.campaign = campaign
        self.pace = pace
        self.notify = notify
        self._began = time.monotonic()
        self._last = ""

    def show(self, trial: Trial, remaining: Sequence[Trial]) -> None:
        total = len(self.campaign.plan)
        blocks = max(t.block for t in remaining) if remaining else trial.block
        eta = format_duration(self.pace.remaining_s(remaining))
        elapsed = format_duration(time.monotonic() - self._began)
        self.notify(
            Event(
                stage="trial",
                message=f"{trial.number}/{total} · block {trial.block}/{blocks} · {trial.experiment} {trial.arm} · "
                f"{elapsed} gone, {eta} to go{self._last}",
                fraction=(trial.number - 1) / total,
                machine=trial.machine,
            )
        )

    def tell(self, record: Record) -> None:
        trial = record.trial
        if record.outcome is not Outcome.OK:
            self.notify(
                Event(
                    stage="trial",
                    message=f"trial {trial.number} ({_what(trial)}) {record.outcome.value}: {record.reason}",
                    machine=trial.machine,
                    level="warning",
                )
            )
            return
        experiment = plugins.experiment(trial.experiment)
        try:
            observed = experiment.parse(
                self.campaign.raw_output(record), self.campaign.spec.parameters[trial.experiment]
            )
        except ParseError as error:
            self.notify(
                Event(
                    stage="trial",
                    message=f"trial {trial.number} ({_what(trial)}) cannot be parsed: {error.message}",
                    machine=trial.machine,
                    level="warning",
                )
            )
            return
        primary = next((m for m in experiment.metrics if m.primary), None)
        values = [o.value for o in observed if primary and o.metric == primary.name and o.value is not None]
        if primary and values:
            shown = format_number(from_base(values[-1], primary.shown_unit), 3)
            self._last = f" · last: {trial.experiment} {trial.arm} {shown} {primary.shown_unit}"


def _what(trial: Trial) -> str:
    return f"{trial.experiment} {trial.arm}"

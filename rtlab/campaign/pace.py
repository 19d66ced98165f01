"""How long trials and reboots take here: first guesses, then what was seen, in this campaign or an earlier one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from rtlab import plugins
from rtlab.errors import StoreError
from rtlab.model import CampaignSpec, Json, Level, Record, Trial
from rtlab.store import Campaign

# First guess of what a reboot and the gate take, before any was seen (seconds).
REBOOT_GUESS_S = {Level.EMULATED: 120.0, Level.SIMULATED: 0.0}
REBOOT_GUESS_ELSE_S = 45.0
# What an earlier campaign's first trials do not teach, the rest will not either.
RECORDS_READ = 500
CAMPAIGNS_READ = 5


def elapsed_s(record: Record) -> float:
    """What an attempt took on the controller's clock, reboot and gate included; whole seconds."""
    began, ended = (datetime.fromisoformat(t.replace("Z", "+00:00")) for t in (record.started_at, record.ended_at))
    return max(0.0, (ended - began).total_seconds())


@dataclass
class Pace:
    """How long the trials of one spec take.

    Attributes:
        seen: (experiment, runtime) -> seconds, reboots left out.
        source: Name of the earlier campaign that taught something; empty when none did.
    """

    spec: CampaignSpec
    level: Level
    seen: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    reboots: list[float] = field(default_factory=list)
    source: str = ""

    def trial_s(self, trial: Trial) -> float:
        times = self.seen.get((trial.experiment, trial.runtime))
        if times:
            return sum(times) / len(times)
        slowdown = 4.0 if self.level is Level.EMULATED else 1.0
        guess = plugins.experiment(trial.experiment).duration_s(self.spec.parameters[trial.experiment])
        return 0.0 if self.level is Level.SIMULATED else slowdown * guess

    def reboot_s(self) -> float:
        if self.reboots:
            return sum(self.reboots) / len(self.reboots)
        return REBOOT_GUESS_S.get(self.level, REBOOT_GUESS_ELSE_S)

    def remaining_s(self, trials: Sequence[Trial]) -> float:
        """Seconds that these trials will take, reboots included."""
        boots = len({(t.machine, t.boot) for t in trials}) if self.spec.reboot != "never" else 0
        like = {(t.experiment, t.runtime): t for t in trials}
        counted = Counter((t.experiment, t.runtime) for t in trials)
        return sum(self.trial_s(like[kind]) * number for kind, number in counted.items()) + boots * self.reboot_s()

    def learn(self, campaign: Campaign) -> None:
        """Take what an earlier campaign's trials took, where the experiment had the same parameters on the same level.

        Reboots are told apart by comparing trials after a reboot with the others. Where each trial had one
        (``--reboot trial``), the first guess of a reboot is taken off. A damaged campaign teaches nothing.
        """
        try:
            spec, level, records = campaign.spec, campaign.testbed.level, campaign.records(RECORDS_READ)
        except StoreError:
            return
        same = {e for e in spec.experiments if _alike(spec.parameters.get(e), self.spec.parameters.get(e))}
        if level is not self.level or not same:
            return
        known = set(self.seen)
        mine = [r for r in records if r.trial.experiment in same and _key(r) not in known]
        for record in mine:
            if not record.rebooted:
                self.seen.setdefault(_key(record), []).append(elapsed_s(record))
        first: list[float] = []
        guess = self.reboot_s()
        for record in mine:
            if record.rebooted and (usual := self.seen.get(_key(record))):
                first.append(max(0.0, elapsed_s(record) - sum(usual) / len(usual)))
        alone: dict[tuple[str, str], list[float]] = {}
        for record in mine:
            if record.rebooted and _key(record) not in self.seen:
                alone.setdefault(_key(record), []).append(max(0.0, elapsed_s(record) - guess))
        self.seen.update(alone)
        if first and not self.reboots:
            self.reboots = [sum(first) / len(first)]
        if mine and not self.source:
            self.source = campaign.folder.name

    def learn_from(self, campaigns: Iterable[Campaign]) -> None:
        """Learn from these, the newest last, until every trial of the spec is known."""
        wanted = {(e, r) for e in self.spec.experiments for r in self.spec.runtimes}
        for campaign in list(campaigns)[-CAMPAIGNS_READ:][::-1]:
            if wanted <= self.seen.keys():
                return
            self.learn(campaign)


def _alike(earlier: Mapping[str, Json] | None, mine: Mapping[str, Json] | None) -> bool:
    """Equal parameters; a size that is yet to be chosen is taken to become the one that was chosen then."""
    if earlier and mine and earlier.get("calibrated") and mine.get("size_mb") == 0:
        earlier = {**earlier, "size_mb": 0, "calibrated": "", "seek_count": mine.get("seek_count")}
    return earlier == mine


def _key(record: Record) -> tuple[str, str]:
    return record.trial.experiment, record.trial.runtime

"""Runs before the first block that choose what a setting leaves to the machines (io's file size)."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import Any

from rtlab import plugins, store
from rtlab.campaign.machines import Lane
from rtlab.connection import client as probe_client
from rtlab.errors import ParseError
from rtlab.experiments import calibration
from rtlab.model import Event, Machine, Notify, Outcome, Record, Trial
from rtlab.state import now
from rtlab.store import Campaign
from rtlab.units import MIB

# An arm whose calibration fails so often is left out of it: its trials will tell why.
ATTEMPTS = 2
# How much longer than the trial's own deadline the controller waits for the probe's answer.
ANSWER_SLACK_S = 60.0


@dataclass(frozen=True, slots=True)
class Calibrating:
    """One campaign's runs of calibration; stored as trials are, so that an interrupted choice goes on."""

    campaign: Campaign
    lane: Lane
    notify: Notify

    def choose(self) -> None:
        """Choose what is left to the machines (io's file size) by runs before the first block, and keep it."""
        for name in self.campaign.spec.experiments:
            experiment: Any = plugins.experiment(name)
            parameters = self.campaign.spec.parameters[name]
            if not hasattr(experiment, "needs_calibration") or not experiment.needs_calibration(parameters):
                continue
            machines_here = [self.lane.named(n) for n in self.lane.names]
            machines = {
                arm: next(m for m in machines_here if arm in m.runtimes or not m.runtimes)
                for arm in self.campaign.spec.runtimes
            }
            readings, failed = self._readings(experiment)
            limits = calibration.Limits(
                disk_mb=self._room_mb(), longest_s=float(parameters["longest_s"]), seek_count=parameters["seek_count"]
            )
            while True:
                arms = [arm for arm in self.campaign.spec.runtimes if failed.count(arm) < ATTEMPTS]
                step = calibration.next_step(arms, readings, limits)
                if isinstance(step, calibration.Chosen):
                    break
                self._run(experiment, step, machines[step.arm])
                readings, failed = self._readings(experiment)
            told = ". ".join(s[:1].upper() + s[1:] for s in (step.reason, *step.cannot))
            chosen = {"size_mb": step.size_mb, "seek_count": step.seek_count, "calibrated": told}
            self.campaign.calibrated(name, {**parameters, **chosen})
            self.notify(Event(stage="calibration", message=f"{name}: {step.reason}"))
            for sentence in step.cannot:
                self.notify(Event(stage="calibration", message=f"{name}: {sentence}", level="warning"))

    def _room_mb(self) -> int:
        """MiB that a file of an experiment may take: half of what the fullest machine has free."""
        free = [taken[-1].get("disk_free_bytes") for taken in self.campaign.facts().values() if taken]
        return min([f for f in free if isinstance(f, int)], default=4096 * MIB) // 2 // MIB

    def _readings(self, experiment: Any) -> tuple[list[calibration.Reading], list[str]]:
        """What earlier runs told, those of an interrupted session included; and the arms of those that told nothing."""
        readings, failed = [], []
        for raw in self.campaign.calibration():
            trial = raw.record.trial
            if trial.experiment != experiment.name:
                continue
            try:
                if raw.record.outcome is not Outcome.OK:
                    raise ParseError(raw.record.reason)
                readings.append(experiment.reading(raw, trial.arm))
            except ParseError:
                failed.append(trial.arm)
        return readings, failed

    def _run(self, experiment: Any, step: calibration.Step, machine: Machine) -> None:
        message = f"{experiment.name}: {step.size_mb} MiB and {step.seek_count} seeks under {step.arm}"
        self.notify(Event(stage="calibration", message=message, machine=machine.name))
        self.lane.wake(machine.name)
        number = len(self.campaign.trial_folders(store.CALIBRATION)) + 1
        trial = Trial(
            number=number,
            block=0,
            kind="ab",
            arm=step.arm,
            experiment=experiment.name,
            runtime=step.arm,
            machine=machine.name,
            boot=0,
        )
        began, started_at = time.monotonic(), now()
        parameters = experiment.with_sizes(self.campaign.spec.parameters[experiment.name], step)
        spec = replace(self.campaign.spec, parameters={**self.campaign.spec.parameters, experiment.name: parameters})
        request = probe_client.trial_request(trial, spec, self.lane.named(machine.name), self.lane.testbed_id)
        answer = probe_client.ask(
            self.lane.shell(machine.name), machine, request, spec.trial_timeout_s + ANSWER_SLACK_S
        )
        read = probe_client.read_answer(answer)
        record = Record(
            trial=trial,
            attempt=1,
            outcome=read.outcome,
            reason=read.reason,
            started_at=started_at,
            ended_at=now(),
            boot_id=read.boot_id,
            rebooted=False,
            waited_s=0.0,
            exit_status=answer.exit_status,
            files={},
            overhead_s=time.monotonic() - began - answer.elapsed_s,
        )
        self.campaign.write_trial(record, read.files, store.CALIBRATION)
        if read.outcome is not Outcome.OK:
            message = f"{experiment.name} under {step.arm} {read.outcome.value}: {read.reason}"
            self.notify(Event(stage="calibration", message=message, machine=machine.name, level="warning"))

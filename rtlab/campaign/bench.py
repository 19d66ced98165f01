"""``rtlab bench``: carry out a campaign's plan, one trial after the other, so that nothing stored is ever lost.

For each trial: the machine made ready (rebooted by policy, gate passed, the other machines at rest) -> the probe asked
once -> raw output stored -> only then parsed, to warn early. A trial that has a record is done; everything else follows
from plan and records, so any interruption is resumed the same way.
"""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rtlab import content, plugins, stats, store
from rtlab.campaign import like, plan
from rtlab.campaign.pace import Pace, elapsed_s
from rtlab.connection import client as probe_client
from rtlab.errors import CommandFailed, HostUnfit, MachineUnreachable, ParseError, RtlabError, StoreError, UsageError
from rtlab.experiments import calibration
from rtlab.model import (
    CampaignSpec,
    CommandResult,
    Event,
    Json,
    Level,
    Machine,
    Notify,
    Outcome,
    Record,
    Shell,
    Testbed,
    Trial,
    Until,
)
from rtlab.providers.contract import Provider
from rtlab.state import StateFolder, now
from rtlab.stats.missing import numbered
from rtlab.store import Campaign, facts
from rtlab.units import MIB, format_bytes, format_duration, format_number, from_base

# Repeated blocks may add this share of the planned ones, rounded up (measurement.md §3).
EXTRA_BLOCKS = 0.2
# The campaign's own disk must keep this much free, or the next trial is not started.
KEEP_FREE_BYTES = 64 * 1024 * 1024
# How much longer than the trial's own deadline the controller waits for the probe's answer.
ANSWER_SLACK_S = 60.0
GATE_POLL_S = 2.0
# An arm whose calibration fails so often is left out of it: its trials will tell why.
CALIBRATION_ATTEMPTS = 2
# The gate waits this long for quiet, then the trial runs and its record says how long it waited. What no trial can do
# without (the engine, the runtime) is waited for up to the campaign's ready_timeout_s. On a machine that never gets
# quiet each further wait is half as long.
QUIET_CAP_S = 60.0
QUIET_CAP_LEAST_S = 4.0


# --------------------------------------------------------------------------- choosing a campaign


def choose_campaign(
    parent: Path,
    spec: CampaignSpec,
    testbed: Testbed,
    *,
    new: bool = False,
    resume: str | None = None,
    durable: bool = True,
) -> tuple[Campaign, bool]:
    """The campaign to work on, and whether it is resumed: the unfinished one with the same digest, or a new one.

    Raises:
        UsageError: an unfinished campaign with another spec is the newest and neither ``new`` nor ``resume`` was said;
            or the campaign to resume needs machines or runtimes that the testbed has not.
        StoreError: the disk is full or nearly so, or the campaign is damaged or of a newer rtlab.
    """
    if new and resume is not None:
        raise UsageError("--new and --resume exclude each other.", remedy="Say one of them.")
    if resume is not None:
        campaign = store.find(parent, resume)
        if campaign.finished:
            raise UsageError(
                f"{campaign.folder.name} is finished: there is nothing to resume.", remedy="Use `rtlab bench --new`."
            )
        _require_machines(campaign, testbed)
        return campaign, True
    if not new:
        digest = store.spec_digest(spec, testbed.id)
        unfinished = [c for c in store.known(parent) if not c.finished]
        for campaign in reversed(unfinished):
            if campaign.digest == digest:
                return campaign, True
        if unfinished:
            newest = unfinished[-1]
            raise UsageError(
                f"{newest.folder.name} is unfinished and was started with other settings or on another testbed.",
                remedy=f"Go on with it: rtlab bench --resume {newest.folder.name}\nOr start afresh: rtlab bench --new",
            )
    machines = tuple(m.name for m in testbed.machines)
    trials = plan.plan(spec, machines, spec.seed, runtimes_on={m.name: m.runtimes for m in testbed.machines})
    _require_space(parent)
    made_with = content.root() if testbed.provider == "vagrant" else None
    return store.create(parent, spec, testbed, trials, made_with=made_with, durable=durable), False


def _require_machines(campaign: Campaign, testbed: Testbed) -> None:
    """Every machine that the plan names is there, with the runtimes that it is to run."""
    _ = campaign.header  # StoreError when a newer rtlab made it
    there = {m.name: m.runtimes for m in testbed.machines}
    lacking = sorted(
        {
            f"{t.runtime} on {t.machine}"
            for t in campaign.plan
            if t.machine not in there or (there[t.machine] and t.runtime not in there[t.machine])
        }
    )
    if lacking:
        raise UsageError(
            f"{campaign.folder.name} cannot go on here: its plan needs {', '.join(lacking)}, "
            f"which this testbed has not.",
            remedy="Make a testbed as it had one (`rtlab teardown`, `rtlab up`), or start afresh: rtlab bench --new",
        )


def _require_space(folder: Path) -> None:
    """StoreError when another trial might not find room on the disk that holds the campaigns."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    try:
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise StoreError(f"Cannot tell how much is free at {folder}: {error.strerror}.") from error
    if free < KEEP_FREE_BYTES:
        raise StoreError(
            f"{folder} has only {format_bytes(free)} free; "
            f"{format_bytes(KEEP_FREE_BYTES)} are needed before the next trial may start.",
            remedy="Free some space and run `rtlab bench` again: it goes on where it stopped.",
        )


def pending(campaign: Campaign) -> tuple[Trial, ...]:
    """Trials that are planned, have no record, and whose block was not given up."""
    trials = campaign.plan
    done = {_number(folder) for folder in campaign.trial_folders()}
    given_up = {t.repeats for t in trials if t.repeats is not None} | campaign.given_up().keys()
    return tuple(t for t in trials if t.number not in done and t.block not in given_up)


def _number(folder: Path) -> int:
    head = folder.name.split(".", 1)[0]
    return int(head) if head.isdigit() else -1


# --------------------------------------------------------------------------- execution


@dataclass(frozen=True, slots=True, kw_only=True)
class Progressed:
    """What ``execute`` did.

    Attributes:
        done: Trials with a record now.
        not_ok: Attempts that are failed, timed out, invalid or not parseable.
        repeated_blocks: Blocks that were added because one was interrupted or held such a trial.
        short_of_blocks: Blocks that stay incomplete or were given up because the limit of repeats was reached.
        stopped: Why an adaptive campaign stopped; empty for others.
    """

    done: int
    not_ok: int
    repeated_blocks: int
    short_of_blocks: int
    stopped: str = ""


class Bench:
    """One session of work on one campaign: keeps connections open and remembers which machine is awake."""

    def __init__(
        self, campaign: Campaign, testbed: Testbed, provider: Provider, state: StateFolder, notify: Notify
    ) -> None:
        self.campaign = campaign
        self.spec = campaign.spec
        self.testbed = testbed
        self.provider = provider
        self.state = state
        self.notify = notify
        self.pace = Pace(self.spec, testbed.level)
        self.pace.learn(campaign)
        self._machines = {m.name: m for m in testbed.machines}
        self._shells: dict[str, Shell] = {}
        self._booted_for: dict[str, int] = {}
        self._awake: str | None = None
        self._quiet_cap_s = dict.fromkeys(self._machines, QUIET_CAP_S)
        # Another campaign, whose machines are compared with these before the first trial (``--like``).
        self.like: Campaign | None = None
        self._began = time.monotonic()
        self._last = ""

    def execute(self, *, strict: bool = False, accept_changes: bool = False) -> Progressed:
        """Carry out everything that is pending, then repeat the blocks that cannot be used.

        Args:
            strict: Refuse machines that are not twins.
            accept_changes: Go on although the machines' facts changed since the campaign began.

        Raises:
            Locked, MachineUnreachable, StoreError, HostUnfit: nothing stored is lost; the same command resumes.
        """
        with ExitStack() as stack:
            stack.enter_context(self.campaign.locked("rtlab bench"))
            stack.callback(self._finish)
            self.campaign.sweep()
            self._prepare_machines(strict=strict, accept_changes=accept_changes)
            self._calibrate()
            self._give_up_interrupted_blocks()
            if not pending(self.campaign):
                # An earlier session ended after the last trial and before it planned the repeats.
                self._repeat_unusable_blocks()
            self.campaign.finish(self._work())
            return self._outcome()

    def _work(self) -> str:
        """Run what is pending, repeats and an adaptive campaign's further blocks included. Returns why such a campaign
        stopped; empty for others."""
        while True:
            while trials := pending(self.campaign):
                waiting = {t.number for t in trials}
                begun = {t.block for t in self.campaign.plan if t.number not in waiting}
                for position, trial in enumerate(trials):
                    if trial.block not in begun and (reason := self._out_of_time()):
                        return reason
                    begun.add(trial.block)
                    self._show(trial, trials[position:])
                    self._run(trial)
                self._repeat_unusable_blocks()
            if self.spec.until is None:
                return ""
            if reason := self._look(self.spec.until):
                return reason
            names = [m.name for m in self.testbed.machines]
            self.campaign.append_to_plan(plan.next_block(self.spec, names, self.campaign.plan))

    # ------------------------------------------------------------- adaptive campaigns

    def _hours(self) -> float:
        """What the campaign's trials took; pauses between sessions do not count."""
        return sum(elapsed_s(record) for record in self.campaign.records()) / 3600

    def _out_of_time(self) -> str:
        until = self.spec.until
        if until is None or until.max_hours is None:
            return ""
        return stats.stop_reason(until, (), blocks=0, hours=self._hours(), mid_block=False) or ""

    def _look(self, until: Until) -> str:
        """Whether the precision is reached, between blocks, from what is stored alone; empty to go on."""
        from rtlab import report  # only adaptive campaigns pay for loading it

        primaries = [c for c in report.build(self.campaign).analysis.comparisons if not c.exploratory]
        hours = self._hours()
        planned = _planned_blocks(self.campaign.plan)
        full = min((len(c.blocks) for c in primaries), default=0)
        reason = stats.stop_reason(until, primaries, blocks=full, hours=hours, mid_block=False, planned=planned)
        widths = {f"{c.experiment}/{c.metric}/{c.arm}": stats.half_width(c.ratio) for c in primaries}
        self.campaign.write_look(
            {
                "at": now(),
                "planned": planned,
                "full": full,
                "hours": round(hours, 4),
                "half_widths": widths,
                "stopped": reason or "",
            }
        )
        known = [w for w in widths.values() if w is not None]
        worst = f"±{100 * max(known):.2g} %" if known and len(known) == len(widths) else "not known"
        self.notify(Event(stage="look", message=f"after {full} full blocks the worst primary ratio is {worst}"))
        return reason or ""

    # ------------------------------------------------------------- before the trials

    def _prepare_machines(self, *, strict: bool, accept_changes: bool) -> None:
        earlier = {name: taken[0] for name, taken in self.campaign.facts().items() if taken}
        found: dict[str, Mapping[str, Json]] = {}
        for machine in self.testbed.machines:
            self._wake(machine.name)
            shell = self._shell(machine.name)
            self.notify(Event(stage="facts", message="reading hardware, versions and digests", machine=machine.name))
            probe_client.install(shell, machine)
            probe_client.clean(shell, machine, self.testbed.id)
            found[machine.name] = probe_client.facts(shell, machine)
            self._check_disk(machine, found[machine.name])
        changes = [
            f"{name}: {change}"
            for name in found
            if name in earlier
            for change in facts.changes(earlier[name], found[name])
        ]
        if changes and not accept_changes:
            raise RtlabError(
                "The machines are not what they were when this campaign began:\n  " + "\n  ".join(changes),
                remedy="Start a new campaign (rtlab bench --new), or say --accept-changes to go on with this one.",
            )
        if self.like is not None:
            for line in like.facts_differences(self.like, list(found.values())):
                message = f"not as in {self.like.folder.name}: {line}"
                self.notify(Event(stage="like", message=message, level="warning"))
        differences = facts.twin_differences(found)
        for difference in differences:
            self.notify(Event(stage="facts", message=f"the machines differ: {difference}", level="warning"))
        if differences and strict:
            raise HostUnfit(
                "The machines are not twins:\n  " + "\n  ".join(differences),
                remedy="Make them equal (`rtlab teardown`, `rtlab up`), or bench without --strict.",
            )
        for name, taken in found.items():
            self.campaign.write_facts(name, taken)

    def _check_disk(self, machine: Machine, taken: Mapping[str, Json]) -> None:
        needed = max(
            plugins.experiment(name).needs_disk_bytes(self.spec.parameters[name]) for name in self.spec.experiments
        )
        free = taken.get("disk_free_bytes")
        if isinstance(free, int) and free < needed:
            raise HostUnfit(
                f"{machine.name} has {format_bytes(free)} free where containers are kept; "
                f"the experiments need {format_bytes(needed)}.",
                remedy="Make the disk larger ([testbed] disk_gb), or the io experiment smaller "
                "(--set io.size_mb=512, labelled in the report).",
            )

    def _calibrate(self) -> None:
        """Choose what is left to the machines (io's file size) by runs before the first block, and keep it."""
        for name in self.spec.experiments:
            experiment: Any = plugins.experiment(name)
            parameters = self.spec.parameters[name]
            if not hasattr(experiment, "needs_calibration") or not experiment.needs_calibration(parameters):
                continue
            machines = {
                arm: next(m for m in self.testbed.machines if arm in m.runtimes or not m.runtimes)
                for arm in self.spec.runtimes
            }
            readings, failed = self._calibration_readings(experiment)
            limits = calibration.Limits(
                disk_mb=self._room_mb(), longest_s=float(parameters["longest_s"]), seek_count=parameters["seek_count"]
            )
            while True:
                arms = [arm for arm in self.spec.runtimes if failed.count(arm) < CALIBRATION_ATTEMPTS]
                step = calibration.next_step(arms, readings, limits)
                if isinstance(step, calibration.Chosen):
                    break
                self._calibration_run(experiment, step, machines[step.arm])
                readings, failed = self._calibration_readings(experiment)
            told = ". ".join(s[:1].upper() + s[1:] for s in (step.reason, *step.cannot))
            chosen = {"size_mb": step.size_mb, "seek_count": step.seek_count, "calibrated": told}
            self.campaign.calibrated(name, {**parameters, **chosen})
            self.spec = self.campaign.spec
            self.pace.spec = self.spec
            self.notify(Event(stage="calibration", message=f"{name}: {step.reason}"))
            for sentence in step.cannot:
                self.notify(Event(stage="calibration", message=f"{name}: {sentence}", level="warning"))

    def _room_mb(self) -> int:
        """MiB that a file of an experiment may take: half of what the fullest machine has free."""
        free = [taken[-1].get("disk_free_bytes") for taken in self.campaign.facts().values() if taken]
        return min([f for f in free if isinstance(f, int)], default=4096 * MIB) // 2 // MIB

    def _calibration_readings(self, experiment: Any) -> tuple[list[calibration.Reading], list[str]]:
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

    def _calibration_run(self, experiment: Any, step: calibration.Step, machine: Machine) -> None:
        message = f"{experiment.name}: {step.size_mb} MiB and {step.seek_count} seeks under {step.arm}"
        self.notify(Event(stage="calibration", message=message, machine=machine.name))
        self._wake(machine.name)
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
        parameters = experiment.with_sizes(self.spec.parameters[experiment.name], step)
        spec = replace(self.spec, parameters={**self.spec.parameters, experiment.name: parameters})
        request = probe_client.trial_request(trial, spec, self._machines[machine.name], self.testbed.id)
        answer = probe_client.ask(self._shell(machine.name), machine, request, spec.trial_timeout_s + ANSWER_SLACK_S)
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

    def _give_up_interrupted_blocks(self) -> None:
        """A block of which only a part was done when an earlier session ended cannot be paired: repeat it whole, or do
        without it when the limit of repeats is reached.

        Simulated machines have no state that an interruption could disturb, and the paper's design has no blocks.
        """
        if self.testbed.level is Level.SIMULATED or self.spec.design == "paper":
            return
        trials = self.campaign.plan
        waiting = {t.number for t in pending(self.campaign)}
        begun = {t.block for t in trials if t.number not in waiting}
        interrupted = sorted({t.block for t in trials if t.number in waiting} & begun)
        for block in self._repeat(interrupted):
            reason = f"it was interrupted, and the limit of {self._most_repeats()} repeated blocks is reached"
            self.campaign.give_up(block, reason)
            self.notify(Event(stage="trial", message=f"block {block} is given up: {reason}", level="warning"))

    def _repeat_unusable_blocks(self) -> None:
        if self.spec.design == "paper":
            return
        unusable = self._unusable_numbers()
        trials = self.campaign.plan
        replaced = {t.repeats for t in trials if t.repeats is not None}
        gone = replaced | self.campaign.given_up().keys()
        beyond = self._repeat(sorted({t.block for t in trials if t.number in unusable and t.block not in gone}))
        if beyond:
            which = f"{numbered(beyond)} cannot be used and will not be repeated"
            message = f"{which}: the limit of {self._most_repeats()} repeated blocks is reached"
            self.notify(Event(stage="trial", message=message, level="warning"))

    def _most_repeats(self) -> int:
        return math.ceil(EXTRA_BLOCKS * max(self.spec.runs, _planned_blocks(self.campaign.plan)))

    def _repeat(self, blocks: Sequence[int]) -> tuple[int, ...]:
        """Plan the blocks anew, as far as the limit allows. Returns those beyond it."""
        left = self._most_repeats() - len({t.block for t in self.campaign.plan if t.repeats is not None})
        for block in blocks[: max(0, left)]:
            self.campaign.append_to_plan(plan.repeat_block(self.campaign.plan, block))
        return tuple(blocks[max(0, left) :])

    def _unusable_numbers(self) -> frozenset[int]:
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
            experiment.parse(self.campaign.raw_output(record), self.spec.parameters[experiment.name])
        except ParseError as error:
            return error.message
        return ""

    # ------------------------------------------------------------- one trial

    def _run(self, trial: Trial) -> None:
        if not self.campaign.folder.is_dir():
            raise StoreError(
                f"{self.campaign.folder} is gone.", remedy="Put it back, or start afresh: rtlab bench --new"
            )
        _require_space(self.campaign.folder)
        began = time.monotonic()
        elsewhere_s = 0.0
        started_at = now()
        rebooted, waited_s, boot_id = False, None, None
        answer: CommandResult | None = None
        reason, was_ready = "", False
        try:
            moment = time.monotonic()
            self._wake(trial.machine)
            rebooted = self._reboot_if_due(trial)
            waited_s, boot_id = self._wait_until_ready(trial)
            was_ready = True
            elsewhere_s += time.monotonic() - moment
            request = probe_client.trial_request(trial, self.spec, self._machines[trial.machine], self.testbed.id)
            shell = self._shell(trial.machine)
            moment = time.monotonic()
            answer = probe_client.ask(
                shell, self._machines[trial.machine], request, self.spec.trial_timeout_s + ANSWER_SLACK_S
            )
            elsewhere_s += time.monotonic() - moment
        except MachineUnreachable as error:
            reason = error.message
            self._drop_shell(trial.machine)
        read = probe_client.read_answer(answer, reason)
        record = Record(
            trial=trial,
            attempt=1,
            outcome=read.outcome,
            reason=read.reason,
            started_at=started_at,
            ended_at=now(),
            boot_id=read.boot_id or boot_id,
            rebooted=rebooted,
            waited_s=waited_s,
            exit_status=answer.exit_status if answer else None,
            files={},
            overhead_s=time.monotonic() - began - elsewhere_s,
        )
        record = self.campaign.write_trial(record, read.files)
        if answer is not None:
            self.pace.seen.setdefault((trial.experiment, trial.runtime), []).append(answer.elapsed_s)
        self._tell(record)
        if answer is not None and not answer.timed_out:
            return
        if was_ready:
            try:
                self._recover(trial.machine)
                return
            except MachineUnreachable as error:
                reason = error.message
        # It did not come back: whatever comes next would fail as well. The campaign stays resumable.
        raise MachineUnreachable(
            f"Trial {trial.number} ({trial.key}) is stored as {record.outcome.value}: {reason}",
            remedy="`rtlab status` shows the machines, `rtlab up` starts them; then `rtlab bench` goes on.",
        )

    def _recover(self, name: str) -> None:
        """After a trial in which the machine was lost, or its probe did not end: nothing of it disturbs the next one.

        Raises:
            MachineUnreachable: the machine may not be rebooted, and does not answer.
        """
        self._drop_shell(name)
        if self.spec.reboot != "never":
            self._booted_for.pop(name, None)  # the next trial there begins with a reboot (a reset, if it hangs)
            return
        self.notify(Event(stage="ready", message="removing what the lost trial left", machine=name, level="warning"))
        probe_client.clean(self._shell(name), self._machines[name], self.testbed.id)

    def _reboot_if_due(self, trial: Trial) -> bool:
        machine = self._machines[trial.machine]
        if self.spec.reboot == "never" or self._booted_for.get(machine.name) == trial.boot:
            return False
        if not machine.may_reboot:
            raise UsageError(
                f"{machine.name} must not be rebooted, but the campaign's reboot policy is {self.spec.reboot!r}.",
                remedy="Say --reboot never, or allow it: --allow-reboot.",
            )
        self.notify(Event(stage="reboot", message="rebooting", machine=machine.name))
        began = time.monotonic()
        self._drop_shell(machine.name)
        fresh = self.provider.reboot(self.testbed, machine, self.state, self.spec.ready_timeout_s)
        self._machines[machine.name] = fresh
        self._booted_for[machine.name] = trial.boot
        self.pace.reboots.append(time.monotonic() - began)
        return True

    def _wait_until_ready(self, trial: Trial) -> tuple[float, str | None]:
        """Hold until the machine is quiet and its engine answers. Returns (seconds waited, boot id).

        Raises:
            MachineUnreachable: not ready within the cap; says what was missing.
        """
        began = time.monotonic()
        machine = self._machines[trial.machine]
        lost = 0
        while True:
            try:
                state = probe_client.ready(self._shell(machine.name), machine, trial.runtime)
            except CommandFailed as error:
                # A connection that was cut while nobody used it, or a probe that failed once.
                lost += isinstance(error, MachineUnreachable)
                if lost > 1:
                    raise
                self._drop_shell(machine.name)
                state = probe_client.Readiness(boot_id=None, missing=(error.message,), blocking=True)
            waited = time.monotonic() - began
            if not state.missing:
                return waited, state.boot_id
            if waited > (self.spec.ready_timeout_s if state.blocking else self._quiet_cap_s[machine.name]):
                if state.blocking:
                    raise MachineUnreachable(
                        f"{machine.name} is not ready after {waited:.0f} s: {'; '.join(state.missing)}.",
                        remedy=f"`rtlab ssh {machine.name}` opens a shell there to look.",
                    )
                self._quiet_cap_s[machine.name] = max(QUIET_CAP_LEAST_S, self._quiet_cap_s[machine.name] / 2)
                self.notify(
                    Event(
                        stage="ready",
                        message=f"going on although the machine is not quiet: {'; '.join(state.missing)}",
                        machine=machine.name,
                        level="warning",
                    )
                )
                return waited, state.boot_id
            self.notify(Event(stage="ready", message=f"waiting: {state.missing[0]}", machine=machine.name))
            time.sleep(GATE_POLL_S)

    # ------------------------------------------------------------- machines

    def _shell(self, name: str) -> Shell:
        if name not in self._shells:
            self._shells[name] = self.provider.shell(self._machines[name])
        return self._shells[name]

    def _drop_shell(self, name: str) -> None:
        shell = self._shells.pop(name, None)
        if shell is not None:
            shell.close()

    def _wake(self, name: str) -> None:
        """Only this machine runs: all others rest, so that they take nothing from it."""
        if self._awake == name:
            return
        for other in self._machines.values():
            if other.name != name and self._awake in (other.name, None):
                self.provider.rest(self.testbed, other, self.state)
        self.provider.wake(self.testbed, self._machines[name], self.state)
        # A paused machine's connections are stale.
        self._drop_shell(name)
        self._awake = name

    def _finish(self) -> None:
        for name in list(self._shells):
            self._drop_shell(name)
        for machine in self._machines.values():
            try:
                self.provider.wake(self.testbed, machine, self.state)
            except RtlabError as error:
                self.notify(Event(stage="machines", message=error.message, machine=machine.name, level="warning"))

    # ------------------------------------------------------------- telling

    def _show(self, trial: Trial, remaining: Sequence[Trial]) -> None:
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

    def _tell(self, record: Record) -> None:
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
            observed = experiment.parse(self.campaign.raw_output(record), self.spec.parameters[trial.experiment])
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

    def _outcome(self) -> Progressed:
        unusable = self._unusable_numbers()
        trials = self.campaign.plan
        replaced = {t.repeats for t in trials if t.repeats is not None}
        short = {t.block for t in trials if t.number in unusable and t.block not in replaced}
        short |= self.campaign.given_up().keys()
        return Progressed(
            done=len(self.campaign.trial_folders()),
            not_ok=len(unusable),
            repeated_blocks=len({t.block for t in trials if t.repeats is not None}),
            short_of_blocks=len(short) if self.spec.design != "paper" else 0,
            stopped=self.campaign.stopped,
        )


def _planned_blocks(trials: Sequence[Trial]) -> int:
    """Blocks that the plan holds, without A/A blocks and repeats."""
    return len({t.block for t in trials if t.kind == "ab" and t.repeats is None})


def _what(trial: Trial) -> str:
    return f"{trial.experiment} {trial.arm}"

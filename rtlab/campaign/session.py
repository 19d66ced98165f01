"""``rtlab bench``: carry out a campaign's plan, one trial after the other, so that nothing stored is ever lost.

For each trial: the machine made ready (rebooted by policy, gate passed, the other machines at rest) -> the probe asked
once -> raw output stored -> only then parsed, to warn early. A trial that has a record is done; everything else follows
from plan and records, so any interruption is resumed the same way.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass

from rtlab.campaign import plan
from rtlab.campaign.adaptive import look, out_of_time
from rtlab.campaign.calibrating import ANSWER_SLACK_S, Calibrating
from rtlab.campaign.choosing import require_space
from rtlab.campaign.gate import Gate
from rtlab.campaign.inspection import inspect
from rtlab.campaign.machines import Lane
from rtlab.campaign.pace import Pace
from rtlab.campaign.repeats import Repeats, pending
from rtlab.campaign.telling import Telling
from rtlab.connection import client as probe_client
from rtlab.errors import MachineUnreachable, StoreError
from rtlab.model import CommandResult, Notify, Record, Testbed, Trial
from rtlab.providers.contract import Machines
from rtlab.state import now
from rtlab.store import Campaign


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


class Session:
    """One session of work on one campaign, from its lock to the last trial that is pending."""

    def __init__(self, campaign: Campaign, testbed: Testbed, machines: Machines, notify: Notify) -> None:
        self.campaign = campaign
        self.notify = notify
        self.pace = Pace(campaign.spec, testbed.level)
        self.pace.learn(campaign)
        self.lane = Lane(testbed, machines, campaign.spec, notify)
        self.gate = Gate(self.lane, campaign.spec.ready_timeout_s, notify)
        self.repeats = Repeats(campaign, testbed.level, notify)
        self.telling = Telling(campaign, self.pace, notify)

    def execute(
        self, *, like_campaign: Campaign | None = None, strict: bool = False, accept_changes: bool = False
    ) -> Progressed:
        """Carry out everything that is pending, then repeat the blocks that cannot be used.

        Args:
            like_campaign: Another campaign, whose machines are compared with these before the first trial (``--like``).
            strict: Refuse machines that are not twins.
            accept_changes: Go on although the machines' facts changed since the campaign began.

        Raises:
            Locked, MachineUnreachable, StoreError, HostUnfit: nothing stored is lost; the same command resumes.
        """
        with ExitStack() as stack:
            stack.enter_context(self.campaign.locked("rtlab bench"))
            stack.callback(self.lane.close)
            self.campaign.sweep()
            inspect(
                self.lane,
                self.campaign,
                self.notify,
                like_campaign=like_campaign,
                strict=strict,
                accept_changes=accept_changes,
            )
            Calibrating(self.campaign, self.lane, self.notify).choose()
            self.pace.spec = self.campaign.spec
            self.repeats.give_up_interrupted()
            if not pending(self.campaign):
                # An earlier session ended after the last trial and before it planned the repeats.
                self.repeats.repeat_unusable()
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
                    if trial.block not in begun and (reason := out_of_time(self.campaign)):
                        return reason
                    begun.add(trial.block)
                    self.telling.show(trial, trials[position:])
                    self._run(trial)
                self.repeats.repeat_unusable()
            if self.campaign.spec.until is None:
                return ""
            if reason := look(self.campaign, self.campaign.spec.until, self.notify):
                return reason
            self.campaign.append_to_plan(plan.next_block(self.campaign.spec, self.lane.names, self.campaign.plan))

    def _run(self, trial: Trial) -> None:
        if not self.campaign.folder.is_dir():
            raise StoreError(
                f"{self.campaign.folder} is gone.", remedy="Put it back, or start afresh: rtlab bench --new"
            )
        require_space(self.campaign.folder)
        began = time.monotonic()
        elsewhere_s = 0.0
        started_at = now()
        rebooted, waited_s, boot_id = False, None, None
        answer: CommandResult | None = None
        reason, was_ready = "", False
        try:
            moment = time.monotonic()
            self.lane.wake(trial.machine)
            reboot_s = self.lane.reboot_if_due(trial)
            rebooted = reboot_s is not None
            if reboot_s is not None:
                self.pace.reboots.append(reboot_s)
            waited_s, boot_id = self.gate.wait(trial.machine, trial.runtime)
            was_ready = True
            elsewhere_s += time.monotonic() - moment
            request = probe_client.trial_request(
                trial, self.campaign.spec, self.lane.named(trial.machine), self.lane.testbed_id
            )
            shell = self.lane.shell(trial.machine)
            moment = time.monotonic()
            answer = probe_client.ask(
                shell, self.lane.named(trial.machine), request, self.campaign.spec.trial_timeout_s + ANSWER_SLACK_S
            )
            elsewhere_s += time.monotonic() - moment
        except MachineUnreachable as error:
            reason = error.message
            self.lane.drop_shell(trial.machine)
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
        self.telling.tell(record)
        if answer is not None and not answer.timed_out:
            return
        if was_ready:
            try:
                self.lane.recover(trial.machine)
                return
            except MachineUnreachable as error:
                reason = error.message
        # It did not come back: whatever comes next would fail as well. The campaign stays resumable.
        raise MachineUnreachable(
            f"Trial {trial.number} ({trial.key}) is stored as {record.outcome.value}: {reason}",
            remedy="`rtlab status` shows the machines, `rtlab up` starts them; then `rtlab bench` goes on.",
        )

    def _outcome(self) -> Progressed:
        return Progressed(
            done=len(self.campaign.trial_folders()),
            not_ok=len(self.repeats.unusable_numbers()),
            repeated_blocks=len({t.block for t in self.campaign.plan if t.repeats is not None}),
            short_of_blocks=len(self.repeats.short()) if self.campaign.spec.design != "paper" else 0,
            stopped=self.campaign.stopped,
        )

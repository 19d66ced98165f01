"""Things broken on purpose while a campaign runs: what is said, what is kept, and that the same command goes on.

Signals reach real processes; machines are simulated ones whose shell fails where a test says so.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rtlab import config, plugins, report, testbed
from rtlab.campaign import choosing, gate, session
from rtlab.campaign.repeats import pending
from rtlab.errors import CommandFailed, MachineUnreachable, RtlabError, StoreError, UsageError
from rtlab.model import CampaignSpec, CommandResult, Event, Level, Machine, Outcome, Shell, Testbed, ignore_events
from rtlab.providers.simulated.provider import SimulatedProvider
from rtlab.state import StateFolder
from rtlab.store import Campaign
from tests.conftest import make_spec

# Enough blocks that a signal always comes in the middle, also on a quick machine.
LONG = ("bench", "--runs", "300", "--experiments", "boot")


def make(folder: Path, scenario: str = "no-difference") -> tuple[Testbed, StateFolder]:
    state = StateFolder(folder / ".rtlab")
    settings = replace(config.Config().testbed, provider="simulated", profile="debian-12", scenario=scenario)
    return testbed.up(settings, state, ignore_events).testbed, state


def start(folder: Path, *words: str, sigint: Any = signal.SIG_DFL, **how: Any) -> subprocess.Popen[str]:
    """A child with the signal dispositions of a program that a terminal starts, whatever this process ignores."""
    return subprocess.Popen(
        [sys.executable, "-m", "rtlab", *words],
        cwd=folder,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, sigint),
        **({"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | how),
    )


def rtlab(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    child = start(folder, *words)
    out, err = child.communicate(timeout=120)
    return subprocess.CompletedProcess(words, child.returncode, out, err)


def campaign_of(folder: Path) -> Campaign:
    (found,) = (folder / "campaigns").glob("2*")
    return Campaign(found)


def wait_for_trials(folder: Path, child: subprocess.Popen[str], count: int = 3) -> None:
    for _ in range(3000):
        if len(list(folder.glob("campaigns/2*/trials/0*"))) >= count:
            return
        assert child.poll() is None, child.communicate()
        time.sleep(0.01)
    raise AssertionError("no trial was stored")


def content(folder: Path) -> dict[str, str]:
    """Every file below the folder with its digest."""
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file() and p.name != ".lock"
    }


# --------------------------------------------------------------------------- signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_bench_says_how_to_go_on_and_the_same_command_does(tmp_path: Path, number: int) -> None:
    make(tmp_path)
    child = start(tmp_path, *LONG)
    wait_for_trials(tmp_path, child)
    sent = time.monotonic()
    child.send_signal(number)
    _, err = child.communicate(timeout=30)

    assert time.monotonic() - sent < 5
    assert child.returncode == 130
    assert "Interrupted. What was stored is safe; the same command goes on from there." in err
    assert "Traceback" not in err
    stored = campaign_of(tmp_path)
    before = content(stored.folder / "trials")
    plan = (stored.folder / "plan.jsonl").read_bytes()
    done = len(stored.records())
    assert 3 <= done < len(stored.plan)

    again = start(tmp_path, *LONG)
    wait_for_trials(tmp_path, again, done + 1)
    again.send_signal(signal.SIGTERM)
    _, err = again.communicate(timeout=30)

    assert f"Resuming {stored.folder.name}" in err
    assert campaign_of(tmp_path).folder == stored.folder
    assert (stored.folder / "plan.jsonl").read_bytes() == plan
    after = content(stored.folder / "trials")
    assert {name: after[name] for name in before} == before
    assert [r.trial.number for r in stored.records()] == list(range(1, len(stored.records()) + 1))


def test_ctrl_c_three_times_within_a_moment(tmp_path: Path) -> None:
    make(tmp_path)
    child = start(tmp_path, *LONG)
    wait_for_trials(tmp_path, child)
    for _ in range(3):
        child.send_signal(signal.SIGINT)
        time.sleep(0.005)
    _, err = child.communicate(timeout=30)

    assert child.returncode == 130
    assert err.count("Interrupted.") == 1
    assert "Traceback" not in err
    assert campaign_of(tmp_path).changed_files() == ()
    assert StateFolder(tmp_path / ".rtlab").journal()


def test_a_shells_background_job_ignores_ctrl_c_but_not_sigterm(tmp_path: Path) -> None:
    """A shell without job control starts `rtlab bench &` with SIGINT ignored, as POSIX has it."""
    make(tmp_path)
    child = start(tmp_path, *LONG, sigint=signal.SIG_IGN)
    wait_for_trials(tmp_path, child)
    child.send_signal(signal.SIGINT)
    time.sleep(0.2)
    assert child.poll() is None
    child.terminate()
    _, err = child.communicate(timeout=30)

    assert child.returncode == 130
    assert "Interrupted." in err


def test_ctrl_c_in_a_terminal_gives_the_terminal_back(tmp_path: Path) -> None:
    make(tmp_path)
    master, slave = pty.openpty()
    settings = termios.tcgetattr(slave)

    def own_terminal() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.setsid()
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    child = subprocess.Popen(
        [sys.executable, "-m", "rtlab", *LONG],
        cwd=tmp_path,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, "TERM": "xterm"},
        preexec_fn=own_terminal,
    )
    shown, pressed, deadline = b"", False, time.monotonic() + 60
    while child.poll() is None and time.monotonic() < deadline:
        if select.select([master], [], [], 0.05)[0]:
            shown += os.read(master, 65536)
        if not pressed and len(list(tmp_path.glob("campaigns/2*/trials/0*"))) >= 3:
            os.write(master, b"\x03")
            pressed = True
    while select.select([master], [], [], 0.1)[0]:
        shown += os.read(master, 65536)

    child.kill()  # nothing where it ended, as it should have
    assert child.wait(timeout=5) == 130
    assert b"Interrupted." in shown
    assert b"\x1b[?25l" in shown  # the live line hid the cursor
    assert shown.rindex(b"\x1b[?25h") > shown.rindex(b"\x1b[?25l")
    assert termios.tcgetattr(slave) == settings
    os.close(master)
    os.close(slave)


# --------------------------------------------------------------------------- which campaign


def test_a_second_bench_names_the_first_one_and_has_its_own_status(tmp_path: Path) -> None:
    make(tmp_path)
    first = start(tmp_path, *LONG)
    wait_for_trials(tmp_path, first)
    began = time.monotonic()
    second = rtlab(tmp_path, "bench", "--runs", "2")
    took = time.monotonic() - began
    others = [rtlab(tmp_path, *words) for words in (("up", "--provider", "simulated"), ("teardown", "--yes"))]
    first.terminate()
    first.communicate(timeout=30)

    assert second.returncode == 6, second.stderr
    assert re.search(rf"in use by `rtlab bench`, process {first.pid}, since \d\d:\d\d:\d\d", second.stderr)
    assert took < 30
    assert [(o.returncode, f"process {first.pid}" in o.stderr) for o in others] == [(6, True)] * 2
    assert StateFolder(tmp_path / ".rtlab").testbed()
    assert campaign_of(tmp_path).spec.runs == 300


def test_a_lock_that_a_dead_process_left_holds_nobody_up(tmp_path: Path) -> None:
    """Its text names a process that lives (this one has taken over the number); nobody holds the lock itself."""
    make(tmp_path)
    (tmp_path / ".rtlab" / "lock").write_text(f"`rtlab bench`, process {os.getpid()}, since 03:04:05")
    assert rtlab(tmp_path, "bench", "--runs", "1", "--experiments", "boot").returncode == 0


def test_an_unfinished_campaign_with_other_settings_is_never_replaced_silently(tmp_path: Path) -> None:
    bed, _ = make(tmp_path)
    old, _ = choosing.choose_campaign(tmp_path / "campaigns", spec_for(runs=3), bed)
    before = content(old.folder)

    with pytest.raises(UsageError, match=f"{old.folder.name} is unfinished") as caught:
        choosing.choose_campaign(tmp_path / "campaigns", spec_for(runs=4), bed)

    assert f"rtlab bench --resume {old.folder.name}" in caught.value.remedy
    assert "rtlab bench --new" in caught.value.remedy
    assert content(old.folder) == before
    assert choosing.choose_campaign(tmp_path / "campaigns", spec_for(runs=3), bed)[0].folder == old.folder
    resumed, is_resumed = choosing.choose_campaign(
        tmp_path / "campaigns", spec_for(runs=4), bed, resume=old.folder.name[:10]
    )
    assert (resumed.folder, is_resumed) == (old.folder, True)
    fresh, is_resumed = choosing.choose_campaign(tmp_path / "campaigns", spec_for(runs=4), bed, new=True)
    assert fresh.folder != old.folder
    assert not is_resumed
    with pytest.raises(UsageError, match="exclude each other"):
        choosing.choose_campaign(tmp_path / "campaigns", spec_for(), bed, new=True, resume=old.folder.name)


def test_a_campaign_whose_machines_are_not_here_is_not_resumed(tmp_path: Path) -> None:
    bed, _ = make(tmp_path)
    old, _ = choosing.choose_campaign(tmp_path / "campaigns", spec_for(), bed)
    smaller = replace(bed, machines=bed.machines[:1])

    with pytest.raises(UsageError, match="kata on node2, runc on node2"):
        choosing.choose_campaign(tmp_path / "campaigns", spec_for(), smaller, resume=old.folder.name)


def test_a_campaign_of_a_newer_rtlab_is_left_alone(tmp_path: Path) -> None:
    bed, _ = make(tmp_path)
    newer, _ = choosing.choose_campaign(tmp_path / "campaigns", spec_for(), bed)
    header = json.loads((newer.folder / "campaign.json").read_text()) | {"schema": 99, "rtlab": "9.0"}
    (newer.folder / "campaign.json").write_text(json.dumps(header))
    before = content(newer.folder)

    with pytest.raises(StoreError, match=r"schema 99 \(rtlab 9\.0\)"):
        choosing.choose_campaign(tmp_path / "campaigns", spec_for(), bed, resume=newer.folder.name)
    fresh, resumed = choosing.choose_campaign(tmp_path / "campaigns", spec_for(), bed)

    assert not resumed
    assert fresh.folder != newer.folder
    assert content(newer.folder) == before


# --------------------------------------------------------------------------- machines that fail

Fault = Callable[[str, dict[str, Any], str], "CommandResult | None"]


def answered(document: Any, **changes: Any) -> CommandResult:
    stdout = document if isinstance(document, bytes) else json.dumps(document).encode()
    result = CommandResult(
        argv=("probe",), exit_status=0, stdout=stdout, stderr=b"", started_at="2026-11-23T10:00:00Z", elapsed_s=0.0
    )
    return replace(result, **changes)


class FaultyShell:
    """A simulated machine's shell in front of which a fault may answer, or raise."""

    def __init__(self, shell: Shell, fault: Fault, machine: str) -> None:
        self._shell, self._fault, self._machine = shell, fault, machine

    def run(self, argv: tuple[str, ...], *, timeout_s: float, stdin: bytes = b"", root: bool = True) -> CommandResult:
        if stdin:
            request = json.loads(stdin)
            instead = self._fault(request["verb"], request, self._machine)
            if instead is not None:
                return instead
        return self._shell.run(argv, timeout_s=timeout_s, stdin=stdin, root=root)

    def put(self, content: bytes, path: str, mode: int) -> None:
        self._shell.put(content, path, mode)

    def get(self, path: str) -> bytes:
        return self._shell.get(path)

    def close(self) -> None:
        self._shell.close()


class Faulty(SimulatedProvider):
    """Simulated machines with a fault; ``reboots`` counts, ``no_return`` makes the next ones fail."""

    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self.reboots: list[str] = []
        self.no_return = 0

    def shell(self, machine: Machine) -> Shell:
        return FaultyShell(super().shell(machine), self.fault, machine.name)

    def reboot(self, testbed: Testbed, machine: Machine, state: StateFolder, timeout_s: float) -> Machine:
        self.reboots.append(machine.name)
        if self.no_return:
            self.no_return -= 1
            raise MachineUnreachable(f"{machine.name} did not come back from its reboot within {timeout_s:.0f} s.")
        return super().reboot(testbed, machine, state, timeout_s)


def parameters(*names: str) -> dict[str, Any]:
    """Default parameters; io with a size, so that no run before the first block is counted."""
    fixed = {"io": {"size_mb": 2048}}
    return {name: {**plugins.experiment(name).defaults("default"), **fixed.get(name, {})} for name in names}


def spec_for(**changes: Any) -> CampaignSpec:
    base = make_spec(runtimes=("runc", "kata"), reboot="block", runs=5, parameters=parameters("boot"))
    return replace(base, **changes)


def on_trial(number: int, answer: CommandResult | Exception) -> Fault:
    """The fault happens at that trial, every time it runs; its repeat has another number."""

    def fault(verb: str, request: dict[str, Any], _machine: str) -> CommandResult | None:
        if verb == "trial" and int(request["labels"]["rtlab.trial"].split("-")[0]) == number:
            if isinstance(answer, Exception):
                raise answer
            return answer
        return None

    return fault


def no_fault(_verb: str, _request: dict[str, Any], _machine: str) -> CommandResult | None:
    return None


class Lab:
    """A testbed, its campaign and what was reported."""

    def __init__(self, folder: Path, spec: CampaignSpec, fault: Fault, level: Level = Level.SIMULATED) -> None:
        bed, self.state = make(folder)
        self.bed = replace(bed, machines=tuple(replace(m, level=level) for m in bed.machines))
        self.provider = Faulty(fault)
        self.events: list[Event] = []
        self.campaign, _ = choosing.choose_campaign(folder / "campaigns", spec, self.bed, durable=False)

    def bench(self) -> session.Progressed:
        campaign = Campaign(self.campaign.folder, durable=False)
        return session.Session(
            campaign, self.bed, self.provider.open(self.bed, self.state), self.events.append
        ).execute()

    def record(self, number: int) -> Any:
        return next(r for r in self.campaign.records() if r.trial.number == number)

    def repeated(self) -> set[int]:
        return {t.repeats for t in self.campaign.plan if t.repeats is not None}

    def warnings(self) -> str:
        return "\n".join(e.message for e in self.events if e.level == "warning")


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(gate, "GATE_POLL_S", 0.0)
    yield


LOST = MachineUnreachable("The connection to the machine was lost while the probe ran.")


def test_a_machine_lost_in_a_trial_is_reset_its_block_repeated_and_the_campaign_goes_on(tmp_path: Path) -> None:
    lab = Lab(tmp_path, spec_for(experiments=("boot", "cpu"), parameters=parameters("boot", "cpu")), on_trial(5, LOST))
    plan = lab.campaign.plan
    done = lab.bench()

    assert lab.campaign.finished
    assert (done.not_ok, done.repeated_blocks, done.short_of_blocks) == (1, 1, 0)
    assert lab.record(5).outcome is Outcome.FAILED
    assert "lost" in lab.record(5).reason
    assert lab.repeated() == {plan[4].block}
    later = next(t for t in plan[5:] if t.machine == plan[4].machine)
    assert lab.record(later.number).rebooted


def test_without_reboots_a_lost_connection_costs_one_trial_and_what_it_left_is_removed(tmp_path: Path) -> None:
    asked: list[str] = []
    fails = on_trial(4, LOST)

    def fault(verb: str, request: dict[str, Any], machine: str) -> CommandResult | None:
        asked.append(verb)
        return fails(verb, request, machine)

    lab = Lab(tmp_path, spec_for(reboot="never"), fault)
    done = lab.bench()

    assert (done.not_ok, done.repeated_blocks, done.short_of_blocks) == (1, 1, 0)
    assert lab.provider.reboots == []
    assert asked.count("clean") == 2 + 1  # at the start on each machine, and after the loss


def test_a_machine_that_stays_away_stops_the_campaign_which_goes_on_later(tmp_path: Path) -> None:
    away = False

    def fault(verb: str, request: dict[str, Any], machine: str) -> CommandResult | None:
        nonlocal away
        if verb == "trial" and request["labels"]["rtlab.trial"].startswith("0004-"):
            away = True
        if away:
            raise LOST
        return None

    lab = Lab(tmp_path, spec_for(reboot="never"), fault)
    with pytest.raises(MachineUnreachable, match=r"Trial 4 .* is stored as failed") as caught:
        lab.bench()
    assert "`rtlab bench` goes on" in caught.value.remedy
    assert len(lab.campaign.records()) == 4

    lab.provider.fault = no_fault
    done = lab.bench()
    assert (done.short_of_blocks, done.repeated_blocks) == (0, 1)
    assert lab.campaign.finished


def test_a_machine_that_never_returns_from_its_reboot_is_named_and_nothing_is_lost(tmp_path: Path) -> None:
    lab = Lab(tmp_path, spec_for(), no_fault)
    lab.provider.no_return = 1

    with pytest.raises(MachineUnreachable, match="did not come back from its reboot within 60 s"):
        lab.bench()
    assert [r.outcome for r in lab.campaign.records()] == [Outcome.FAILED]

    done = lab.bench()
    assert (done.not_ok, done.repeated_blocks, done.short_of_blocks) == (1, 1, 0)


@pytest.mark.parametrize(
    ("answer", "outcome", "said"),
    [
        (answered(b'{"schema": 1, "outcome": "ok", "measur'), Outcome.FAILED, "no whole answer"),
        (answered(b""), Outcome.FAILED, "no whole answer"),
        (answered(b"\xff\x00\x1b[31m"), Outcome.FAILED, "no whole answer"),
        (answered(b"[]"), Outcome.FAILED, "no whole answer"),
        (answered(b"[" * 200_000), Outcome.FAILED, "no whole answer"),
        (answered({"outcome": "splendid"}), Outcome.FAILED, "no whole answer"),
        (answered({"outcome": "ok", "tool": "none"}), Outcome.FAILED, "no whole answer"),
        (answered(b'{"outcome": "ok", "measured": {"x": NaN}}'), Outcome.FAILED, "no whole answer"),
        (answered(b"Killed", exit_status=137), Outcome.FAILED, "status 137"),
        (answered(b"half", exit_status=None, timed_out=True), Outcome.TIMED_OUT, "timed out"),
        (answered({"outcome": "timed out", "reason": "the container did not end"}), Outcome.TIMED_OUT, "did not end"),
        (answered({"outcome": "failed", "reason": "docker run: \udcff\x00 no such image"}), Outcome.FAILED, "no such"),
        (answered({"outcome": "failed", "reason": None, "boot_id": 7}), Outcome.FAILED, ""),
        (answered({"outcome": "invalid", "reason": "it was not kata"}), Outcome.INVALID, "it was not kata"),
        (answered({"outcome": "ok", "measured": {}, "tool": {"stdout": "\ud800"}}), Outcome.OK, ""),
    ],
)
def test_whatever_the_probe_answers_is_kept_readable_and_its_block_repeated(
    tmp_path: Path, answer: CommandResult, outcome: Outcome, said: str
) -> None:
    lab = Lab(tmp_path, spec_for(), on_trial(3, answer))
    done = lab.bench()

    assert (done.not_ok, done.repeated_blocks, done.short_of_blocks) == (1, 1, 0)
    record = lab.record(3)
    assert record.outcome is outcome
    assert said in record.reason
    assert lab.campaign.changed_files() == ()
    assert lab.warnings()
    if "whole answer" in said:
        assert lab.campaign.raw_output(record).stdout == answer.stdout.decode("utf-8", "replace")


def test_after_a_probe_that_did_not_end_the_machine_is_reset(tmp_path: Path) -> None:
    hung = answered(b"", exit_status=None, timed_out=True)
    lab = Lab(tmp_path, spec_for(experiments=("boot", "cpu"), parameters=parameters("boot", "cpu")), on_trial(5, hung))
    plan = lab.campaign.plan
    lab.bench()

    later = next(t for t in plan[5:] if t.machine == plan[4].machine)
    assert lab.record(later.number).rebooted


@pytest.mark.parametrize(
    ("line", "usable"),
    [
        # Fields of 1.98 as bon_csv2html(1) lists them; the rates that were too quick to time are pluses.
        ("1.98,2.00,lab,1,1,2G,,8192,5,,,+++++,+++,,,,,+++++,+++,14779,90,,,,,,,,,,,,,,,,,,,1us,,2us,,3us,4us", True),
        ("1.98,2.00,lab,1,1,2G,,8192,5,,,15493", False),
        ("", False),
    ],
)
def test_what_bonnie_prints_decides_whether_the_block_counts(tmp_path: Path, line: str, usable: bool) -> None:
    fields = line.count(",") + 1
    line += "," * (50 - fields) if usable else ""
    broken = answered({"outcome": "ok", "measured": {"elapsed_ns": 1}, "tool": {"stdout": line + "\n"}})
    lab = Lab(tmp_path, spec_for(experiments=("io",), parameters=parameters("io")), on_trial(3, broken))
    done = lab.bench()

    assert done.repeated_blocks == (0 if usable else 1)
    assert ("cannot be parsed" in lab.warnings()) is not usable
    assert lab.record(3).outcome is Outcome.OK  # the tool ended well: what it printed is judged when it is parsed


def test_an_engine_that_does_not_answer_is_waited_for_and_then_named(tmp_path: Path) -> None:
    down = True

    def fault(verb: str, _request: dict[str, Any], _machine: str) -> CommandResult | None:
        silent = {"boot_id": None, "missing": ["the engine does not answer"], "blocking": True, "outcome": "ok"}
        return answered(silent) if verb == "ready" and down else None

    lab = Lab(tmp_path, spec_for(ready_timeout_s=0.05), fault)
    with pytest.raises(MachineUnreachable, match="the engine does not answer"):
        lab.bench()
    assert [r.outcome for r in lab.campaign.records()] == [Outcome.FAILED]

    down = False
    assert lab.bench().short_of_blocks == 0


def test_an_engine_that_was_replaced_between_two_trials_is_named(tmp_path: Path) -> None:
    """By its version or by a daemon's behind it; an engine that does not tell is not taken for another one."""
    builds = ["Docker 28.5.2, runc a", "", "Docker 28.5.2, runc a", "Docker 29.0.1, runc a"]
    told: list[str] = []

    def fault(verb: str, _request: dict[str, Any], machine: str) -> CommandResult | None:
        if verb != "ready" or machine != "node1":
            return None
        told.append(builds[min(len(told), 3)])
        return answered({"outcome": "ok", "boot_id": None, "missing": [], "blocking": False, "build": told[-1]})

    lab = Lab(tmp_path, spec_for(runs=4), fault)
    with pytest.raises(
        RtlabError, match=r"it was Docker 28\.5\.2, runc a, it is now Docker 29\.0\.1, runc a"
    ) as caught:
        lab.bench()
    assert "--new" in caught.value.remedy and len(told) == 4
    before = lab.campaign.records()
    assert len(before) >= 3 and all(r.outcome is Outcome.OK for r in before), "the trial itself was not begun"
    assert lab.bench().short_of_blocks == 0
    assert lab.campaign.records()[: len(before)] == before


class Clock:
    """Instead of a module ``time``: it stands still unless somebody sleeps, a second at a time, or moves it."""

    def __init__(self) -> None:
        self.at = 1000.0

    def sleep(self, _seconds: float) -> None:
        self.at += 1.0

    def module(self) -> SimpleNamespace:
        return SimpleNamespace(monotonic=lambda: self.at, sleep=self.sleep)


def test_a_machine_that_never_gets_quiet_is_waited_for_half_as_long_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a minute down to four seconds, each machine for itself."""
    monkeypatch.setattr(gate, "time", Clock().module())

    def fault(verb: str, _request: dict[str, Any], machine: str) -> CommandResult | None:
        busy = {"boot_id": "b", "missing": ["the load is 3.1"], "blocking": False, "outcome": "ok"}
        return answered(busy) if verb == "ready" and machine.endswith("1") else None

    lab = Lab(tmp_path, spec_for(runs=6), fault)
    assert lab.bench().not_ok == 0

    waited: dict[str, list[Any]] = {m.name: [] for m in lab.bed.machines}
    for record in sorted(lab.campaign.records(), key=lambda r: r.trial.number):
        waited[record.trial.machine].append(record.waited_s)
    busy, quiet = waited.values()
    assert busy == [61.0, 31.0, 16.0, 8.0, 5.0, 5.0]
    assert quiet and set(quiet) == {0.0}
    assert "the load is 3.1" in lab.warnings()


def test_the_overhead_of_a_trial_is_what_neither_machine_nor_gate_took(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(session, "time", clock.module())
    monkeypatch.setattr(session, "require_space", lambda _folder: None)
    before = session.probe_client.trial_request

    def slow_request(*arguments: Any) -> Any:
        clock.at += 3.0  # rtlab's own work
        return before(*arguments)

    def fault(verb: str, _request: dict[str, Any], _machine: str) -> None:
        clock.at += {"ready": 7.0, "trial": 110.0}.get(verb, 0.0)

    monkeypatch.setattr(session.probe_client, "trial_request", slow_request)
    lab = Lab(tmp_path, spec_for(), fault)
    lab.bench()

    assert {r.overhead_s for r in lab.campaign.records()} == {3.0}


@pytest.mark.parametrize("error", [LOST, CommandFailed("The probe did not answer `ready`.")])
def test_a_connection_that_was_cut_between_trials_is_opened_again(tmp_path: Path, error: CommandFailed) -> None:
    cut = [True, False] * 10

    def fault(verb: str, _request: dict[str, Any], _machine: str) -> CommandResult | None:
        if verb == "ready" and cut and cut.pop(0):
            raise error
        return None

    lab = Lab(tmp_path, spec_for(), fault)
    done = lab.bench()
    assert (done.not_ok, done.repeated_blocks) == (0, 0)


def test_repeats_stop_at_a_fifth_of_the_blocks_and_the_rest_is_counted(tmp_path: Path) -> None:
    """measurement.md §3: at most 20 % extra; 11 blocks allow 3."""

    def fault(verb: str, request: dict[str, Any], _machine: str) -> CommandResult | None:
        kata = verb == "trial" and request["runtime"]["name"] == "kata"
        return answered({"outcome": "failed", "reason": "kata never works here"}) if kata else None

    lab = Lab(tmp_path, spec_for(runs=11), fault)
    done = lab.bench()

    assert (done.repeated_blocks, done.short_of_blocks) == (3, 11)
    assert len(lab.campaign.plan) == 2 * (11 + 3)
    assert "the limit of 3 repeated blocks is reached" in lab.warnings()
    assert lab.campaign.finished


def test_a_campaign_short_of_blocks_ends_with_its_own_status(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('summary = "kata never works"\n[failures]\nkata = 1.0\n')
    make(tmp_path, str(tmp_path / "mine.toml"))
    done = rtlab(tmp_path, "bench", "--runs", "2", "--experiments", "boot", "--json")

    assert done.returncode == 4, done.stderr
    assert json.loads(done.stdout)["incomplete_blocks"] == 2


def test_a_block_that_an_interruption_split_is_repeated_whole(tmp_path: Path) -> None:
    """On machines that have a state; see measurement.md §3."""

    class Stop(Exception):
        pass

    def fault(verb: str, request: dict[str, Any], _machine: str) -> CommandResult | None:
        if verb == "trial" and request["labels"]["rtlab.trial"].startswith("0004-"):
            raise Stop
        return None

    lab = Lab(tmp_path, spec_for(), fault, level=Level.GUEST)
    with pytest.raises(Stop):
        lab.bench()
    assert len(lab.campaign.records()) == 3
    lab.provider.fault = no_fault
    done = lab.bench()

    assert lab.repeated() == {2}
    assert (done.short_of_blocks, done.repeated_blocks) == (0, 1)
    numbers = [r.trial.number for r in lab.campaign.records()]
    assert 4 not in numbers  # given up with its block
    assert numbers == [1, 2, 3, *range(5, 13)]


def test_an_interrupted_block_beyond_the_limit_is_given_up_and_in_no_pair(tmp_path: Path) -> None:
    """measurement.md §3: left out of the pairs, and at most 20 % extra; 5 blocks allow one repeat."""
    stops = ["0008-", "0016-"]

    class Stop(Exception):
        pass

    def fault(verb: str, request: dict[str, Any], _machine: str) -> CommandResult | None:
        if stops and verb == "trial" and request["labels"]["rtlab.trial"].startswith(stops[0]):
            stops.pop(0)
            raise Stop
        return None

    lab = Lab(
        tmp_path, spec_for(experiments=("boot", "cpu"), parameters=parameters("boot", "cpu")), fault, level=Level.GUEST
    )
    of = {t.number: t for t in lab.campaign.plan}
    assert of[8].block == 2 and of[16].block == 4  # four trials a block
    for _ in range(2):
        with pytest.raises(Stop):
            lab.bench()
    done = lab.bench()

    assert lab.repeated() == {2}
    assert set(lab.campaign.given_up()) == {4}
    assert "block 4 is given up: it was interrupted, and the limit of 1 repeated blocks is reached" in lab.warnings()
    assert (done.repeated_blocks, done.short_of_blocks, done.not_ok) == (1, 1, 0)
    numbers = {r.trial.number for r in lab.campaign.records()}
    assert {13, 14, 15} <= numbers and 16 not in numbers  # kept, and not carried on
    assert lab.campaign.finished and not pending(lab.campaign)
    built = report.build(lab.campaign)
    for comparison in built.analysis.comparisons:
        if comparison.metric in ("first_page_s", "work_cpu_s"):
            assert set(comparison.blocks) == {1, 3, 5, 6}, comparison.metric
    assert "Block 4 was given up" in "\n".join(c.message for c in built.caveats)
    assert "block 4 (interrupted, and not repeated" in "\n".join(c.message for c in built.caveats)
    assert not [c for c in built.caveats if c.kind == "unfinished"]
    again = lab.bench()  # nothing is left to do, and nothing is noted twice
    assert again == done
    assert len((lab.campaign.folder / "given-up.jsonl").read_text().splitlines()) == 1


def test_a_campaign_folder_that_vanished_is_named(tmp_path: Path) -> None:
    lab: Lab

    def fault(verb: str, request: dict[str, Any], _machine: str) -> CommandResult | None:
        if verb == "trial" and request["labels"]["rtlab.trial"].startswith("0003-"):
            os.rename(lab.campaign.folder, tmp_path / "elsewhere")
        return None

    lab = Lab(tmp_path, spec_for(), fault)
    with pytest.raises(StoreError, match=re.escape(str(lab.campaign.folder))):
        lab.bench()
    assert len(Campaign(tmp_path / "elsewhere").records()) == 2


def test_a_nearly_full_disk_is_refused_before_anything_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bed, _ = make(tmp_path)
    monkeypatch.setattr(choosing, "KEEP_FREE_BYTES", 1 << 60)
    with pytest.raises(StoreError, match="are needed before the next trial may start"):
        choosing.choose_campaign(tmp_path / "campaigns", spec_for(), bed)
    assert not (tmp_path / "campaigns").exists()


def test_repeats_are_planned_all_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kill or a full disk in the middle must not leave half a block's repeats in the plan."""
    lab = Lab(tmp_path, spec_for(), no_fault)
    before = lab.campaign.plan

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError):
        lab.campaign.append_to_plan(before[:2])
    monkeypatch.undo()
    assert lab.campaign.plan == before
    with open(lab.campaign.folder / "plan.jsonl", "a") as file:
        file.write('{"number": 11, "blo')
    lab.campaign.append_to_plan(before[:2])
    assert lab.campaign.plan == before + before[:2]


# --------------------------------------------------------------------------- calibration


def test_the_size_is_chosen_before_the_first_block_kept_in_the_campaign_and_not_chosen_again(tmp_path: Path) -> None:
    asked = {"io": plugins.experiment("io").defaults("default")}
    spec = spec_for(experiments=("io",), parameters=asked)
    lab = Lab(tmp_path, spec, no_fault)
    assert lab.bench().not_ok == 0

    campaign = Campaign(lab.campaign.folder)
    runs = [(r.record.trial.arm, r.record.trial.block) for r in campaign.calibration()]
    assert runs == [("runc", 0), ("kata", 0)]
    # The simulated runC reads 4512265 KiB/s: 1.5 s of that are 6610 MiB, rounded up to whole 64 MiB, with some noise.
    chosen = campaign.spec.parameters["io"]
    assert 5600 < chosen["size_mb"] < 7700 and chosen["size_mb"] % 64 == 0
    assert 18000 < chosen["seek_count"] < 28700  # 14779/s for 1.5 s
    assert "no phase ends below 1 s" in chosen["calibrated"]
    for raw in campaign.raw_outputs():
        assert raw.stdout.split(",")[5] == f"{chosen['size_mb']}M"
    assert {r.record.trial.number for r in campaign.raw_outputs()} == set(range(1, 11))
    assert campaign.changed_files() == ()

    # Found again by what was asked for; nothing is measured twice.
    unfinished = campaign.folder / "finished.json"
    unfinished.unlink()
    again, resumed = choosing.choose_campaign(tmp_path / "campaigns", replace(spec, seed=99), lab.bed)
    assert resumed and again.folder == campaign.folder
    lab.bench()
    assert len(Campaign(lab.campaign.folder).calibration()) == 2
    assert Campaign(lab.campaign.folder).spec.parameters["io"] == chosen


def test_an_arm_whose_runs_fail_is_left_out_of_the_calibration_after_two(tmp_path: Path) -> None:
    def fault(verb: str, request: dict[str, Any], _machine: str) -> CommandResult | None:
        if verb == "trial" and request["runtime"]["name"] == "kata":
            return answered({"outcome": "failed", "reason": "no such device"})
        return None

    lab = Lab(
        tmp_path, spec_for(experiments=("io",), parameters={"io": plugins.experiment("io").defaults("default")}), fault
    )
    lab.bench()
    campaign = Campaign(lab.campaign.folder)
    assert [r.record.trial.arm for r in campaign.calibration()].count("kata") == 2
    assert campaign.spec.parameters["io"]["size_mb"] > 4096
    assert any("no such device" in e.message for e in lab.events if e.stage == "calibration")


def test_a_size_that_is_set_is_taken_as_it_is(tmp_path: Path) -> None:
    lab = Lab(tmp_path, spec_for(experiments=("io",), parameters=parameters("io")), no_fault)
    lab.bench()
    assert Campaign(lab.campaign.folder).calibration() == ()
    assert Campaign(lab.campaign.folder).spec.parameters == parameters("io")

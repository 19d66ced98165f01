"""Faults of containers and their engine, for real, in a campaign under a private Docker: a workload and a shim that the
kernel kills for want of memory, a Docker that is replaced, one that is interrupted as it starts, a process that nothing
can end. After each the seven invariants hold (tests/invariants.py).

`pytest -m "local and slow"` runs them: each takes 10 to 60 s, of which Docker itself waits for whom it cannot kill."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import pytest

from rtlab.engines import private as own
from rtlab.engines.docker.private import Engine, ping
from rtlab.model import Outcome, Record
from rtlab.store import Campaign
from tests.invariants import Before, require, rtlab
from tests.local.stuck import control_groups
from tests.local.test_local_kills import testbed_of, traces
from tests.local.test_machine_faults import ended, little_memory, running

pytestmark = [
    pytest.mark.local,
    pytest.mark.timeout(900),
    pytest.mark.slow,
    pytest.mark.skipif(not own.find("dockerd"), reason="docker.io is missing"),
]
T = TypeVar("T")
# Eight programs that take 40 MiB each: in a group of 64 MiB none of them is the one that the kernel ends first.
HOGS = "import os; [os.fork() for _ in range(3)]; kept = [bytearray(1 << 20) for _ in range(40)]"
UP = ("up", "--provider", "local", "--profile", "debian-12", "--runtimes", "runc")
BENCH = ("bench", "--seed", "5", "--reboot", "never", "--experiments", "io", "--set", "io.size_mb=16")


@contextmanager
def private_docker(folder: Path) -> Iterator[Path]:
    """A working folder with a private Docker; whatever was done to it, nothing of it is left in the end."""
    folder.mkdir()
    try:
        up = rtlab(folder, *UP)
        assert up.returncode == 0, up.stderr
        yield folder
    finally:
        down = rtlab(folder, "teardown", "--yes")
    assert down.returncode == 0, down.stderr


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with private_docker(tmp_path_factory.mktemp("faults") / "work") as folder:
        yield folder


def engine(folder: Path) -> Engine:
    return Engine(json.loads((folder / ".rtlab" / "testbed.json").read_text())["id"])


def soon(look: Callable[[], T], within_s: float = 200) -> T:
    """What ``look`` finds, as soon as it finds something."""
    deadline = time.monotonic() + within_s
    while not (found := look()):
        assert time.monotonic() < deadline, "it does not come"
        time.sleep(0.005)
    return found


@contextmanager
def held(folder: Path) -> Iterator[tuple[str, list[int]]]:
    """A trial's container, held still while its workload runs: its id, and its processes, the first one first."""
    mine = engine(folder)

    def look() -> tuple[str, list[int]] | None:
        for group in mine.cgroups():
            with suppress(OSError, ValueError):
                pids = sorted(int(line) for line in (group / "cgroup.procs").read_text().split())
                if len(group.name) == 64 and any(Path(f"/proc/{p}/comm").read_text() == "bonnie++\n" for p in pids):
                    return group.name, pids
        return None

    cid, pids = soon(look)
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield cid, pids
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def records(folder: Path) -> tuple[Record, ...]:
    campaigns = list(folder.glob("campaigns/2*"))
    return Campaign(max(campaigns)).records() if campaigns else ()


def outcomes(folder: Path) -> list[Outcome]:
    return [r.outcome for r in records(folder)]


def only_daemons_are_left(folder: Path) -> None:
    mine = engine(folder)
    asked = subprocess.run(
        (own.find("docker"), "--host", f"unix://{mine.socket}", "ps", "--all", "--quiet"),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert asked.stdout.split() == []
    soon(lambda: sorted(p.program for p in mine.processes()) == ["containerd", "dockerd"], 20)


def want_of_memory(group: Path, victims: list[int]) -> None:
    """Other programs take all memory of a control group: the kernel's OOM killer ends the victims."""
    for victim in victims:
        Path(f"/proc/{victim}/oom_score_adj").write_text("1000")
    join = f"echo $$ > {group}/cgroup.procs && exec {sys.executable} -c '{HOGS}'"
    subprocess.run(("sh", "-c", join), check=False, timeout=60)
    soon(lambda: not Path(f"/proc/{victims[0]}/exe").exists(), 20)


def memory_of(pid: int) -> Path:
    """The control group that counts a process's memory."""
    return next(g for g in control_groups(pid) if list(g.glob("memory.limit_in_bytes")) or list(g.glob("memory.max")))


def test_a_workload_that_the_kernel_kills_for_want_of_memory_costs_that_trial(work: Path) -> None:
    with running(work, *BENCH, "--runs", "1", "--new", "--set", "io.limit_memory_mb=64") as process:
        with held(work) as (_, pids):
            before = Before.of(work)
            want_of_memory(memory_of(pids[0]), pids)
        done = ended(process)
    assert outcomes(work) == [Outcome.FAILED, Outcome.OK], "the block is repeated, the campaign goes on"
    assert "ended with status 137" in records(work)[0].reason and "want of memory" in records(work)[0].reason
    only_daemons_are_left(work)
    require(before, [done, rtlab(work, "report")], [0])


def shim_of(cid: str) -> int:
    for process, _ in own.all_processes().values():
        if process.program.startswith("containerd-shim") and cid in process.argv:
            return process.pid
    raise AssertionError("the container has no shim")


def test_a_shim_that_the_kernel_kills_for_want_of_memory_costs_that_trial(work: Path) -> None:
    with running(work, *BENCH, "--runs", "1", "--new") as process:
        with held(work) as (cid, _), little_memory(64 << 20) as group:
            before = Before.of(work)
            shim = shim_of(cid)
            (group / "cgroup.procs").write_text(str(shim))
            want_of_memory(group, [shim])
        done = ended(process)
    assert outcomes(work) == [Outcome.FAILED, Outcome.OK] and records(work)[0].reason
    only_daemons_are_left(work)
    require(before, [done, rtlab(work, "report")], [0])


def another_build(dockerd: str, folder: Path) -> Path:
    """The same program with another version in it, as an update puts it in place."""
    told = subprocess.run((dockerd, "--version"), capture_output=True, text=True, check=True).stdout
    version = re.search(r"version ([^, ]+)", told)
    assert version is not None
    old = version[1].encode()
    new = re.sub(rb"\d(?=\D*$)", lambda m: b"7" if m[0] != b"7" else b"6", old)
    content = Path(dockerd).read_bytes()
    assert old in content and old != new
    made = folder / "dockerd"
    made.write_bytes(content.replace(old, new))
    made.chmod(0o755)
    return made


def replaced(mine: Engine, program: str, log: Path) -> None:
    """The daemon ends, and another program takes its place, as a package's update does it."""
    (daemon,) = [p for p in mine.processes() if p.program == "dockerd"]
    assert own.end(daemon, signal.SIGTERM)
    soon(lambda: not own.alive(daemon), 60)
    folders = (str(Path(own.find("dockerd")).parent), str(Path(own.find("containerd")).parent))
    mine.daemon((program, "--config-file", str(mine.config_file)), log, lambda: ping(mine.socket), folders)


def test_a_docker_that_was_replaced_between_two_trials_is_noticed(work: Path, tmp_path: Path) -> None:
    mine, dockerd = engine(work), own.find("dockerd")
    other = another_build(dockerd, tmp_path)
    words = (*BENCH, "--runs", "2")
    try:
        with running(work, *words, "--new") as process:
            with held(work):
                before = Before.of(work)
                replaced(mine, str(other), tmp_path / "log")
            done = ended(process)
        assert done.returncode == 1 and "was replaced while the campaign ran: it was Docker" in done.stderr
        assert outcomes(work) == [Outcome.FAILED]
        again = rtlab(work, *words)
        assert again.returncode == 1 and "docker.version: was" in again.stderr, again.stderr
        accepted = rtlab(work, *words, "--accept-changes")
        assert accepted.returncode == 0, accepted.stderr
        assert outcomes(work) == [Outcome.FAILED, Outcome.OK, Outcome.OK]
        require(before, [done, again, accepted], [0, 1])
    finally:
        replaced(mine, dockerd, tmp_path / "log")


def test_ctrl_c_while_dockerd_starts_leaves_nothing_that_teardown_does_not_remove(tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    before = Before.of(folder)
    with running(folder, *UP) as process:
        name = soon(lambda: testbed_of(folder) if (folder / ".rtlab").is_dir() else "")
        soon(lambda: any(p.program == "dockerd" for p in Engine(name).processes()))
        process.send_signal(signal.SIGINT)
        done = ended(process)
    assert done.returncode == 130 and "nterrupted" in done.stderr
    require(before, [done], [130], torn_down=True)
    assert soon(lambda: not traces(name), 20)


def stuck(pid: int) -> subprocess.Popen[str]:
    """A program that holds a process in state D in the container of that one, until its own stdin is closed."""
    argv = (sys.executable, str(Path(__file__).with_name("stuck.py")), str(pid))
    holder = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    said = holder.stdout.readline()
    if said != "stuck\n":
        holder.communicate()
        raise AssertionError(said)
    return holder


def test_a_process_that_nothing_can_end_costs_its_trial_and_is_named(tmp_path: Path) -> None:
    """State D. Docker and its container wait for it until its file system is gone; rtlab does not."""
    if not os.access("/dev/fuse", os.W_OK):
        pytest.skip("there is no FUSE here")
    with private_docker(tmp_path / "work") as work, running(work, *BENCH, "--runs", "1", "--new") as process:
        with held(work) as (_, pids):
            before = Before.of(work)
            holder = stuck(pids[0])
        try:
            done = ended(process)
            assert outcomes(work) == [Outcome.FAILED, Outcome.OK], "the trial after it did not wait for it"
            (first,) = work.glob("campaigns/2*/trials/0001.*/probe.json")
            assert any("cat" in leak for leak in json.loads(first.read_text())["leaks"])
            name = engine(work).id
            removed = rtlab(work, "teardown", "--yes")
            assert removed.returncode == 5 and "cat[" in removed.stderr
        finally:
            holder.communicate()
        again = rtlab(work, "teardown", "--yes")
        require(before, [done, removed, again], [0, 5])
        assert again.returncode == 0 and traces(name) == []

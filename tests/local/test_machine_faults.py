"""Faults of the machine under rtlab, for real: a disk that reports errors, a clock that jumps, a machine that sleeps,
memory that runs out, a thousand mounts. After each the seven invariants hold (tests/invariants.py)."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rtlab import report, store
from tests import invariants
from tests.invariants import Before, require, rtlab

pytestmark = pytest.mark.local
BENCH = ("bench", "--runs", "30", "--experiments", "boot", "--seed", "5")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole campaign: what every disturbed one must become in the end."""
    folder = tmp_path_factory.mktemp("undisturbed")
    for words in (("up", "--provider", "simulated"), BENCH):
        assert rtlab(folder, *words).returncode == 0
    return folder


@pytest.fixture
def work(tmp_path: Path) -> Path:
    folder = tmp_path / "work"
    folder.mkdir()
    assert rtlab(folder, "up", "--provider", "simulated").returncode == 0
    return folder


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("a C compiler is missing")
    library = tmp_path_factory.mktemp("shim") / "shim.so"
    source = Path(__file__).with_name("shim.c")
    subprocess.run((compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"), check=True)
    return library


def trials(folder: Path) -> int:
    return len(list(folder.glob("campaigns/2*/trials/0*")))


@contextmanager
def running(folder: Path, *words: str, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "rtlab", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(invariants.ROOT), **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def after_trials(folder: Path, process: subprocess.Popen[str], count: int) -> None:
    for _ in range(20_000):
        if trials(folder) >= count or process.poll() is not None:
            return
        time.sleep(0.003)
    raise AssertionError("the campaign does not get on")


def ended(process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
    out, err = process.communicate(timeout=200)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def estimates(folder: Path) -> list[Any]:
    (campaign,) = folder.glob("campaigns/2*")
    built = report.build(store.Campaign(campaign))
    return [(c.metric, c.arm, c.ratio, c.verdict) for c in built.analysis.comparisons]


def test_a_disk_that_reports_errors_is_named_and_bench_goes_on_when_it_is_well(
    work: Path, undisturbed: Path, shim: Path, tmp_path: Path
) -> None:
    flag = tmp_path / "broken"
    env = {"LD_PRELOAD": str(shim), "FAULT_EIO": str(flag), "FAULT_BELOW": str(work / "campaigns")}
    with running(work, *BENCH, env=env) as process:
        after_trials(work, process, 5)
        flag.touch()
        failed = ended(process)
    assert failed.returncode == 1 and "the disk reports errors" in failed.stderr.lower()
    assert 5 <= trials(work) < 60
    before = Before.of(work)
    flag.unlink()
    done = rtlab(work, *BENCH)
    assert "Resuming" in done.stderr and estimates(work) == estimates(undisturbed)
    require(before, [failed, done], [0, 1], torn_down=True)


@pytest.mark.parametrize("jump", [3600, -3600, 86400 * 400])
def test_a_clock_that_jumps_changes_no_duration_and_no_order(
    work: Path, undisturbed: Path, shim: Path, tmp_path: Path, jump: int
) -> None:
    ahead = tmp_path / "ahead"
    ahead.write_text("0")
    with running(work, *BENCH, env={"LD_PRELOAD": str(shim), "FAULT_CLOCK": str(ahead)}) as process:
        after_trials(work, process, 5)
        before = Before.of(work)
        ahead.write_text(str(jump))
        done = ended(process)
    (campaign,) = work.glob("campaigns/2*")
    records = store.Campaign(campaign).records()
    begun = [r.started_at for r in records]
    assert begun != sorted(begun) or jump > 0, "the clock did jump"
    assert max(begun)[:13] != min(begun)[:13]
    assert [r.trial.number for r in records] == sorted(r.trial.number for r in records)
    assert all(0 <= (r.overhead_s or 0) < 60 and 0 <= (r.waited_s or 0) < 60 for r in records)
    assert estimates(work) == estimates(undisturbed)
    require(before, [done, rtlab(work, "report")], [0], torn_down=True)


def test_a_controller_that_slept_goes_on(work: Path, undisturbed: Path) -> None:
    """As a suspended laptop looks to a process: stopped, and later going on."""
    with running(work, *BENCH) as process:
        for count in (3, 20):
            after_trials(work, process, count)
            process.send_signal(signal.SIGSTOP)
            before = Before.of(work)
            time.sleep(1)
            status = rtlab(work, "status")
            assert status.returncode == 0
            process.send_signal(signal.SIGCONT)
        done = ended(process)
    assert estimates(work) == estimates(undisturbed)
    require(before, [status, done], [0], torn_down=True)


@contextmanager
def little_memory(bytes_: int) -> Iterator[Path]:
    """A control group with so much memory (version 1 or 2)."""
    first = Path("/sys/fs/cgroup/memory")
    group = (first if first.is_dir() else Path("/sys/fs/cgroup")) / f"rtlab-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / ("memory.limit_in_bytes" if first.is_dir() else "memory.max")).write_text(str(bytes_))
    except OSError as error:
        pytest.skip(f"no control group can be made: {error.strerror}")
    try:
        yield group
    finally:
        for _ in range(100):
            try:
                group.rmdir()
                break
            except OSError:
                time.sleep(0.05)


HOG = "kept = [bytearray(1 << 20) for _ in range(400)]"


def test_rtlab_killed_by_the_kernel_for_want_of_memory_loses_one_trial(work: Path, undisturbed: Path) -> None:
    with little_memory(300 << 20) as group, running(work, *BENCH) as process:
        after_trials(work, process, 5)
        process.send_signal(signal.SIGSTOP)  # otherwise it might be done before the memory is
        (group / "cgroup.procs").write_text(str(process.pid))
        Path(f"/proc/{process.pid}/oom_score_adj").write_text("1000")

        # The memory that another program of the group takes; once rtlab is dead, the kernel may end it as well.
        join = f"echo $$ > {group}/cgroup.procs && exec {sys.executable} -c '{HOG}'"
        subprocess.run(("sh", "-c", join), check=False, timeout=60)
        process.wait(timeout=30)
        died = ended(process)
    assert died.returncode == -signal.SIGKILL
    assert "Traceback" not in died.stderr and 5 <= trials(work) < 60
    before = Before.of(work)
    done = rtlab(work, *BENCH)
    assert "Resuming" in done.stderr and estimates(work) == estimates(undisturbed)
    require(before, [done], [0], torn_down=True)


MOUNTS = """
import ctypes, os, sys, time
from pathlib import Path
from rtlab.engines import private
libc = ctypes.CDLL(None, use_errno=True)
root, beside = Path(sys.argv[1]), Path(sys.argv[2])
for at in [beside, *(root / f"m{number:04d}" for number in range(1000))]:
    at.mkdir(parents=True)
    assert libc.mount(b"tmpfs", os.fsencode(at), b"tmpfs", 0, b"size=4k") == 0
private.mark_data(root, "0123abcd")
busy = open(root / "m0500" / "busy", "w")
began = time.process_time()
private.remove_data(root, "0123abcd")
print(len(private.mounts_below(root)) + root.exists(), len(private.mounts_below(beside)), time.process_time() - began)
"""


def test_a_thousand_mounts_that_something_left_are_released_in_time(tmp_path: Path) -> None:
    """In a mount namespace of its own, one of them in use; a mount beside them with a longer name stays."""
    done = subprocess.run(
        ("unshare", "-m", sys.executable, "-c", MOUNTS, str(tmp_path / "root"), str(tmp_path / "root-beside")),
        env={**os.environ, "PYTHONPATH": str(invariants.ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    left, there, seconds = done.stdout.split()
    assert (left, there) == ("0", "1") and float(seconds) < 10

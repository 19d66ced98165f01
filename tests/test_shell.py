"""Local commands: no shell in between, whole process groups ended, output kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from rtlab.connection.shell import LocalShell, run, run_checked
from rtlab.errors import CommandFailed


def test_words_reach_the_program_as_they_are() -> None:
    result = run(("printf", "%s|", "a b", "$(id)", "; rm -rf x"), timeout_s=10)

    assert result.ok
    assert result.stdout == b"a b|$(id)|; rm -rf x|"


def test_stdin_stdout_and_stderr_are_complete() -> None:
    content = os.urandom(300_000)

    result = run(("sh", "-c", "cat; echo oops >&2; exit 3"), timeout_s=10, stdin=content)

    assert result.exit_status == 3
    assert result.stdout == content
    assert result.tail() == "oops"


def test_a_time_out_ends_the_whole_group_and_is_a_result(tmp_path: Path) -> None:
    pid_file = tmp_path / "pid"
    began = time.monotonic()

    result = run(("sh", "-c", f"sleep 60 & echo $! > {pid_file}; echo begun; wait"), timeout_s=0.5)

    assert result.timed_out
    assert result.exit_status is None
    assert result.stdout == b"begun\n"
    assert time.monotonic() - began < 10
    child = int(pid_file.read_text())
    for _ in range(50):
        if not Path(f"/proc/{child}").exists() or "\tZ" in _state(child):
            break
        time.sleep(0.1)
    else:
        pytest.fail("the grandchild lives on")


def test_an_interrupted_end_is_an_end_at_once(tmp_path: Path) -> None:
    """Ctrl-C twice while a program that ignores SIGTERM runs: it must not live on behind the user's back."""
    (tmp_path / "stubborn.py").write_text(
        textwrap.dedent("""
            import os, signal, sys, time
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            open(sys.argv[1], "w").write(str(os.getpid()))
            time.sleep(60)
        """)
    )
    code = (
        "import signal, sys; from rtlab.connection.shell import run; "
        "signal.signal(signal.SIGINT, signal.default_int_handler); "
        f"run((sys.executable, {str(tmp_path / 'stubborn.py')!r}, sys.argv[1]), timeout_s=60)"
    )
    pid_file = tmp_path / "pid"
    with subprocess.Popen([sys.executable, "-c", code, str(pid_file)], stderr=subprocess.PIPE) as child:
        for _ in range(200):
            if pid_file.exists() and pid_file.read_text():
                break
            time.sleep(0.05)
        program = int(pid_file.read_text())
        child.send_signal(signal.SIGINT)
        time.sleep(1)
        assert "\tZ" not in _state(program)  # it ignores SIGTERM, and is given time
        child.send_signal(signal.SIGINT)
        child.wait(timeout=10)
    for _ in range(20):
        if "\tZ" in _state(program):
            return
        time.sleep(0.05)
    pytest.fail("the program lives on")


def _state(pid: int) -> str:
    try:
        return next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("State"))
    except (FileNotFoundError, StopIteration):
        return "State:\tZ"


def test_a_background_process_that_keeps_the_pipe_does_not_hold_us() -> None:
    began = time.monotonic()
    result = run(("sh", "-c", "setsid sleep 20 & echo done"), timeout_s=15)

    assert result.stdout == b"done\n"
    assert time.monotonic() - began < 8


def test_a_missing_program_says_so() -> None:
    with pytest.raises(CommandFailed, match="Cannot run no-such-program") as caught:
        run(("no-such-program",), timeout_s=1)
    assert "rtlab doctor" in caught.value.remedy


def test_run_checked_tells_status_and_last_lines(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(CommandFailed, match=r"(?s)Could not make tea: .*failed with status 4.*no water") as caught:
        run_checked(("sh", "-c", "echo no water >&2; exit 4"), timeout_s=5, doing="make tea", log=log)

    assert caught.value.exit_status == 4
    assert "no water" in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600


def test_put_is_atomic_and_sets_the_mode(tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    path = tmp_path / "deep" / "file"

    LocalShell().put(b"content", str(path), 0o640)

    assert path.read_bytes() == b"content"
    assert path.stat().st_mode & 0o777 == 0o640
    assert [p.name for p in path.parent.iterdir()] == ["file"]

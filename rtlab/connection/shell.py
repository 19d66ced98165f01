"""Runs commands on this machine: process groups, time limits, output kept. ``ssh`` does the same elsewhere."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from rtlab import atomic
from rtlab.errors import CommandFailed
from rtlab.model import CommandResult
from rtlab.state import now

# A tool that prints without end must not fill the controller's memory.
OUTPUT_CAP_BYTES = 64 * 1024 * 1024
# SIGTERM, then this long, then SIGKILL.
GRACE_S = 5.0


def run(
    argv: Sequence[str],
    *,
    timeout_s: float,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    log: Path | None = None,
) -> CommandResult:
    """Run a program in its own process group and wait for it, at most ``timeout_s``.

    On time-out or when the caller is interrupted the whole group is ended (SIGTERM, then SIGKILL).
    No shell interprets ``argv``.

    Args:
        env: Added to the environment; None changes nothing.
        log: File to which command line, output and exit status are appended.

    Raises:
        CommandFailed: the program cannot be started (not installed, not executable).
    """
    started_at, begin = now(), time.monotonic()
    process: subprocess.Popen[bytes] | None = None
    collectors: list[_Collector] = []
    timed_out = False
    try:
        # Started inside: an interruption right after it must end the program, too.
        process = _start(argv, env, cwd)
        assert process.stdin is not None
        collectors = [_Collector(process.stdout), _Collector(process.stderr)]
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(stdin)
            process.stdin.close()
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        timed_out = True
        assert process is not None
        end_group(process)
    except BaseException:
        if process is not None:
            end_group(process)
        raise
    for collector in collectors:
        # A daemon started by the program may keep the pipe open for ever: do not wait for it.
        collector.join(2.0)
    result = CommandResult(
        argv=tuple(argv),
        exit_status=None if timed_out else process.returncode,
        stdout=collectors[0].content(),
        stderr=collectors[1].content(),
        started_at=started_at,
        elapsed_s=time.monotonic() - begin,
        timed_out=timed_out,
    )
    if log is not None:
        append_to_log(log, result)
    return result


def _start(argv: Sequence[str], env: Mapping[str, str] | None, cwd: Path | None) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
            list(argv),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            cwd=cwd,
            env={**os.environ, **env} if env is not None else None,
        )
    except OSError as error:
        raise CommandFailed(
            f"Cannot run {argv[0]}: {error.strerror}.",
            remedy="`rtlab doctor` says what is missing and how to install it.",
            argv=argv,
        ) from error


def run_checked(
    argv: Sequence[str], *, timeout_s: float, doing: str = "", remedy: str = "", **more: object
) -> CommandResult:
    """Like ``run``, but raise CommandFailed unless it exits with 0.

    Args:
        doing: What this was for, in words: "create the network".
    """
    result = run(argv, timeout_s=timeout_s, **more)  # type: ignore[arg-type]
    if result.ok:
        return result
    what = f"after {timeout_s:.0f} s without an end" if result.timed_out else f"with status {result.exit_status}"
    purpose = f"Could not {doing}: " if doing else ""
    tail = result.tail()
    raise CommandFailed(
        f"{purpose}`{' '.join(argv)}` failed {what}." + (f"\n{tail}" if tail else ""),
        remedy=remedy,
        argv=argv,
        exit_status=result.exit_status,
        output_tail=tail,
    )


def end_group(process: subprocess.Popen[bytes]) -> None:
    """End a process and everything in its group: SIGTERM, a short wait, SIGKILL; at once when that is interrupted."""
    try:
        _signal_group(process, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GRACE_S)
    finally:  # also after another Ctrl-C
        _signal_group(process, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_S)


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def append_to_log(log: Path, result: CommandResult) -> None:
    """Keep what an external call did, readable, 0600."""
    status = "timed out" if result.timed_out else f"exit {result.exit_status}"
    text = (
        f"--- {result.started_at} {' '.join(result.argv)}\n"
        f"{result.stdout.decode('utf-8', 'replace')}{result.stderr.decode('utf-8', 'replace')}"
        f"--- {status} after {result.elapsed_s:.1f} s"
    )
    atomic.append_line(log, text)


class _Collector(threading.Thread):
    """Reads a pipe to its end; keeps at most OUTPUT_CAP_BYTES and throws the rest away."""

    def __init__(self, pipe: IO[bytes] | None) -> None:
        super().__init__(daemon=True)
        assert pipe is not None
        self._pipe = pipe
        self._chunks: list[bytes] = []
        self._size = 0
        self.start()

    def run(self) -> None:
        descriptor = self._pipe.fileno()
        while chunk := os.read(descriptor, 65536):
            if self._size < OUTPUT_CAP_BYTES:
                self._chunks.append(chunk)
                self._size += len(chunk)
        self._pipe.close()

    def content(self) -> bytes:
        return b"".join(self._chunks)[:OUTPUT_CAP_BYTES]


class LocalShell:
    """A ``model.Shell`` for this very machine."""

    def run(self, argv: tuple[str, ...], *, timeout_s: float, stdin: bytes = b"", root: bool = True) -> CommandResult:
        prefix = ("sudo", "-n", "--") if root and os.geteuid() != 0 else ()
        return run((*prefix, *argv), timeout_s=timeout_s, stdin=stdin)

    def put(self, content: bytes, path: str, mode: int) -> None:
        if os.geteuid() == 0:
            atomic.make_folder(Path(path).parent)
            atomic.write_bytes(Path(path), content, mode)
            return
        run_checked(
            ("sudo", "-n", "--", "install", "-D", "-m", f"{mode:o}", "/dev/stdin", path),
            timeout_s=30,
            stdin=content,
            doing=f"write {path}",
        )

    def get(self, path: str) -> bytes:
        return run_checked(("cat", "--", path), timeout_s=60, doing=f"read {path}").stdout

    def close(self) -> None:
        """Nothing is open."""

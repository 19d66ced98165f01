"""Errors, the protocol's constants, and commands with a time limit."""

import os
import subprocess
import time
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

SCHEMA = 1
VERSION = "1"
OUTPUT_CAP = 32 * 1024 * 1024

Document = Dict[str, Any]


def _monotonic_ns() -> int:
    return int(time.monotonic() * 1e9)


# 3.6 has no monotonic_ns.
monotonic_ns: Callable[[], int] = getattr(time, "monotonic_ns", _monotonic_ns)


class TrialFailed(Exception):
    """The trial cannot go on; the message is its reason."""


class TrialTimedOut(TrialFailed):
    """The trial's own deadline passed."""


class Invalid(TrialFailed):
    """A rule fixed beforehand is broken: the proof failed, or the tool's exit status."""


class Done(NamedTuple):
    """A command that came to its end."""

    exit_status: int
    stdout: str
    stderr: str


def command(argv: Sequence[str], timeout_s: float) -> Done:
    """Run a command of the machine's; raises TrialTimedOut."""
    process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, err = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise TrialTimedOut("%s did not end in time" % os.path.basename(argv[0]))
    except BaseException:
        # Told to stop: a command left running would create its container after the clean-up.
        process.kill()
        process.communicate()
        raise
    return Done(process.returncode, out.decode("utf-8", "surrogateescape"), err.decode("utf-8", "surrogateescape"))


def said_by(argv: List[str], timeout_s: float = 20) -> Optional[str]:
    """What a program prints, both streams; None when it cannot be run or does not end."""
    try:
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout_s
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace")

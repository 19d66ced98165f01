"""Commands in a running container. On the machine: Python 3.6 and the standard library."""

import gc
import time
from typing import Optional

from rtlab.probe.base import Document, Invalid, monotonic_ns
from rtlab.probe.engine import Executed
from rtlab.probe.trial import Trial

COMMAND = ["true"]
PATIENCE = 100  # times 10 ms


def measure(trial: Trial) -> Document:
    """One container that does nothing, and commands in it, one after the other; then a null driver."""
    cid = trial.create("tools", ["sh", "-c", "echo rtlab-begin; exec sleep 86400"])
    trial.engine.start(cid)
    trial.engine.follow(cid, "rtlab-begin")
    first = _timed(trial, cid)
    # After the first command, because looking inside is a command, too.
    trial.prove(cid)
    times = [_timed(trial, cid) for _ in range(int(trial.parameters["execs"]))]
    trial.remove(cid)
    null = [_nothing(trial) for _ in range(int(trial.parameters["null_execs"]))]
    return {"command": COMMAND, "first_ns": [first], "execs_ns": times, "null_ns": null}


def _timed(trial: Trial, cid: str) -> int:
    """From the request to the end of the command's output, which is its process's own end."""
    gc.disable()
    try:
        began = monotonic_ns()
        done = trial.engine.exec(cid, COMMAND)
        elapsed = monotonic_ns() - began
    finally:
        gc.enable()
    status = _status(done)
    if status != 0:
        raise Invalid("a command in the container ended with status %s: %s" % (status, done.stderr.strip()[-300:]))
    return elapsed


def _status(done: Executed) -> Optional[int]:
    """The engine may learn of the process's end a moment later than of its output's."""
    for _ in range(PATIENCE):
        status = done.exit_status()
        if status is not None:
            return status
        time.sleep(0.01)
    return None


def _nothing(trial: Trial) -> int:
    """As many calls to the engine as a command takes, without one."""
    gc.disable()
    try:
        began = monotonic_ns()
        for _ in range(2):
            trial.engine.ping()
        return monotonic_ns() - began
    finally:
        gc.enable()

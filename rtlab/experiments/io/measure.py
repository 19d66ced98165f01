"""Bonnie++. On the machine: Python 3.6 and the standard library."""

from rtlab.probe.base import Document, Invalid, monotonic_ns
from rtlab.probe.engine import STDERR, ending
from rtlab.probe.kernel import diskstats, meminfo
from rtlab.probe.proof import INSIDE, split_inside
from rtlab.probe.trial import Trial


def measure(trial: Trial) -> Document:
    """Bonnie++ in the container on its root file system; its own output is the result."""
    command = list(trial.parameters["command"])
    before = diskstats()
    script = INSIDE + '; "$@"; %s; exec sleep 86400' % ending("rtlab-done")
    cid = trial.create("tools", ["sh", "-c", script, "sh"] + command)
    trial.engine.start(cid)
    began = monotonic_ns()
    stdout, said = trial.engine.follow(cid, "rtlab-done")
    elapsed = monotonic_ns() - began
    after = diskstats()
    stderr, _ = trial.engine.follow(cid, "rtlab-done", STDERR)
    inside, stdout = split_inside(stdout)
    status = int(said)
    trial.tool = {"argv": command, "exit_status": status, "stdout": stdout, "stderr": stderr}
    trial.prove(cid, inside)
    trial.remove(cid)
    if status != 0:
        raise Invalid("%s ended with status %s: %s" % (command[0], status, stderr.strip()[-300:]))
    return {
        "elapsed_ns": elapsed,
        "machine_read_bytes": after["read_bytes"] - before["read_bytes"],
        "machine_written_bytes": after["written_bytes"] - before["written_bytes"],
        "memory_total_bytes": meminfo().get("MemTotal"),
    }

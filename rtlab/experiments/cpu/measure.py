"""Counters, then units of work. On the machine: Python 3.6 and the standard library."""

from shlex import quote
from typing import List, Optional, Tuple

from rtlab.probe.base import Document, Invalid, TrialFailed, monotonic_ns
from rtlab.probe.engine import STDERR, ending
from rtlab.probe.needs import cpu_seconds, engine_cpu_seconds
from rtlab.probe.trial import Trial
from rtlab.probe.window import observe


def measure(trial: Trial) -> Document:
    """Counters over the window, then CPU-seconds of each unit of work, counted over everything that it needs."""
    cid, measured, _ = observe(trial)
    trial.engine.stop(cid)
    trial.remove(cid)
    units = [(name, list(trial.parameters.get(name) or [])) for name in ("compute", "work")]
    units = [(name, command) for name, command in units if command]
    if units:
        measured.update(_units_of_work(trial, units))
    return measured


def _units_of_work(trial: Trial, units: List[Tuple[str, List[str]]]) -> Document:
    """Each command in turn, in one container, which waits for a line on its stdin before each: so that the counters are
    read first, and nothing waits by the clock."""
    script = "; ".join(
        ["echo rtlab-begin"]
        + ["read -r go; %s; %s" % (" ".join(map(quote, command)), ending("rtlab-" + name)) for name, command in units]
        + ["exec sleep 86400"]
    )
    cid = trial.create("tools", ["sh", "-c", script], stdin=True)
    stdin = trial.engine.stdin(cid)
    found: Document = {}
    said, complained = "rtlab-begin\n", ""
    try:
        trial.engine.start(cid)
        trial.engine.follow(cid, "rtlab-begin")
        for name, command in units:
            begin, engine_begin, at_begin = cpu_seconds(cid), engine_cpu_seconds(), monotonic_ns()
            stdin.sendall(b"go\n")
            stdout, status = trial.engine.follow(cid, "rtlab-" + name)
            end, engine_end, at_end = cpu_seconds(cid), engine_cpu_seconds(), monotonic_ns()
            mine = stdout[len(said) :]
            everything, _ = trial.engine.follow(cid, "rtlab-" + name, STDERR)
            stderr = everything[len(complained) :]
            said = stdout + "rtlab-%s %s\n" % (name, status)
            complained = everything + "rtlab-%s\n" % name
            trial.tool = {"argv": command, "exit_status": int(status), "stdout": said, "stderr": stderr}
            if int(status) != 0:
                raise Invalid("the unit of work ended with status %s: %s" % (status, stderr.strip()[-300:]))
            found[name] = {
                "command": command,
                "stdout": mine[-4000:],
                "begin": begin,
                "end": end,
                "cpu_s": end["total_s"] - begin["total_s"],
                "startup_cpu_s": begin["total_s"],
                "engine_cpu_s": engine_end - engine_begin,
                "elapsed_ns": at_end - at_begin,
            }
        found[units[0][0]]["cpus_inside"] = _cpus_inside(trial, cid)
    except OSError as error:
        raise TrialFailed("the container's stdin was cut: %s" % error)
    finally:
        stdin.close()
    trial.remove(cid)
    return found


def _cpus_inside(trial: Trial, cid: str) -> Optional[int]:
    text = trial.engine.exec(cid, ["nproc"]).stdout.strip()
    return int(text) if text.isdigit() else None

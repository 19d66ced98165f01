"""One request being carried out: its containers, its proof, and that nothing of it is left."""

import signal
import time
import traceback
from typing import Any, Callable, Dict, List, Optional, Sequence

from rtlab.probe.base import Document, Invalid, TrialFailed, TrialTimedOut, monotonic_ns
from rtlab.probe.engine import Engine, Limits
from rtlab.probe.kernel import Surroundings, boot_id
from rtlab.probe.leaks import PATIENCE_S, kill_all_of, leaks_of
from rtlab.probe.plugins import engine, load
from rtlab.probe.proof import (
    INSIDE,
    entry_of,
    evidence,
    identity_of,
    look_inside,
    objections,
    other_limits,
    split_inside,
)

# Cleaning up has this long after the trial's own deadline; rtlab waits a minute more for the answer.
CLEANING_S = 40.0


class Trial(object):
    """One request being carried out: remembers its containers, and removes them whatever happens."""

    def __init__(self, request: Document) -> None:
        self.request = request
        self.parameters: Document = request.get("parameters") or {}
        self.labels: Dict[str, str] = request.get("labels") or {}
        until = time.monotonic() + float(request["timeout_s"])
        self.engine: Engine = engine(request, until)
        self.containers: List[str] = []
        self.removed: List[str] = []
        self.networks: Dict[str, str] = {}  # files of network namespaces, of those that were looked at
        self.proof: Optional[Document] = None
        self.tool: Optional[Document] = None
        self.timeline: List[List[Any]] = []

    @property
    def runtime(self) -> str:
        """What the engine calls the runtime."""
        return str(self.request["runtime"]["docker_name"])

    def mark(self, name: str) -> None:
        self.timeline.append([name, monotonic_ns()])

    def image(self, role: str) -> str:
        try:
            return str(self.request["images"][role])
        except KeyError:
            raise TrialFailed("no image is known for %r" % role)

    def create(self, role: str, command: Optional[Sequence[str]] = None, stdin: bool = False) -> str:
        cid: str = self.engine.create(self.runtime, self.image(role), command, self.limits(), self.labels, stdin)
        self.containers.append(cid)
        return cid

    def limits(self) -> Limits:
        """The same limits for every arm."""
        cpus, memory_mb = self.parameters.get("limit_cpus"), self.parameters.get("limit_memory_mb")
        return Limits(float(cpus) if cpus else None, int(memory_mb) * 1024 * 1024 if memory_mb else None)

    def started(self, role: str, command: Optional[Sequence[str]] = None) -> str:
        cid = self.create(role, command)
        self.engine.start(cid)
        return cid

    def prove(self, cid: str, inside: Optional[Document] = None) -> None:
        """Prove the runtime by this container; Invalid when the proof fails."""
        if inside is None:
            inside = look_inside(self.engine, cid)
        self.networks[cid] = self.engine.namespace(cid)
        runtime = self.request["runtime"]
        seen = evidence(self.engine, cid, inside, entry_of(self.engine, self.runtime))
        seen["wanted_sha256"] = runtime.get("sha256")
        seen["installed_sha256"] = identity_of(seen["entry"])
        problems = objections(runtime["proof"], seen) + other_limits(self.limits(), seen)
        self.proof = {"ok": not problems, "objections": problems, "evidence": seen}
        if problems:
            raise Invalid("the proof failed: " + "; ".join(self.proof["objections"]))

    def remove(self, cid: str) -> None:
        self.engine.remove(cid)
        self.containers.remove(cid)
        self.removed.append(cid)

    def find_unnamed(self) -> None:
        """A create that was cut off never told its id: find such containers by this trial's labels."""
        labels = self.labels
        if "rtlab.testbed" not in labels or "rtlab.trial" not in labels:
            return
        wanted = {name: labels[name] for name in ("rtlab.testbed", "rtlab.trial")}
        self.containers += [cid for cid in self.engine.labelled(wanted) if cid not in self.containers]

    def finish(self, patient: bool = False) -> List[str]:
        """Remove what is still there, by force if need be; returns what could not be removed or is left over.

        ``patient``: a call may still be under way in the engine and make its container after we have looked.
        """
        problems: List[str] = []
        # Cleaning up has time of its own: the trial's may be used up.
        self.engine.deadline = time.monotonic() + CLEANING_S
        until: Optional[float] = None
        while True:
            try:
                self.find_unnamed()
            except TrialFailed as error:
                problems.append("containers of this trial: %s" % error)
                break
            finally:
                problems += self.remove_all()
            if until is None:
                until = time.monotonic() + PATIENCE_S
            if not patient or time.monotonic() > until:
                break
            time.sleep(0.5)
        # One patience for all of them: twenty containers that leak must not outlast rtlab's wait for the answer.
        until = time.monotonic() + PATIENCE_S
        for cid in dict.fromkeys(self.removed):  # one that could not be removed was tried again
            problems += leaks_of(cid, until - time.monotonic(), self.networks.get(cid, ""))
        return problems

    def remove_all(self) -> List[str]:
        """Remove every container that is known; returns what failed."""
        problems: List[str] = []
        for cid in list(self.containers):
            try:
                self.remove(cid)
            except TrialFailed as error:
                problems.append("container: %s" % error)
                self.containers.remove(cid)
                self.removed.append(cid)
                kill_all_of(cid)
        return problems


def carry_out(request: Document, measure: Optional[Callable[[Trial], Document]] = None) -> Document:
    """Carry out one experiment and describe it, whatever happens."""
    surroundings = Surroundings()
    trial = Trial(request)
    outcome: str = "ok"
    reason: str = ""
    measured: Document = {}
    signal.signal(signal.SIGTERM, _interrupted)
    try:
        if measure is None:
            measure = load("experiments", "measure", request.get("experiment")).measure
        trial.mark("begin")
        measured = measure(trial)
        trial.mark("end")
    except Invalid as error:
        outcome, reason = "invalid", str(error)
    except TrialTimedOut as error:
        outcome, reason = "timed out", str(error)
    except TrialFailed as error:
        outcome, reason = "failed", str(error)
    except Exception as error:  # a defect of ours must not leave containers behind, nor lose its own reason
        outcome, reason = "failed", "the probe failed: %s: %s" % (type(error).__name__, error)
        traceback.print_exc()
    # A second request to stop must not end the clean-up, which has its own time limit.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    leaks = trial.finish(patient=outcome in ("failed", "timed out"))
    if outcome == "ok" and (trial.proof is None or not trial.proof["ok"]):
        outcome, reason = "invalid", "the runtime was not proved in this trial"
    return {
        "outcome": outcome,
        "reason": reason,
        "boot_id": boot_id(),
        "measured": measured,
        "tool": trial.tool,
        "proof": trial.proof,
        "context": surroundings.describe(),
        "leaks": leaks,
        "timeline": trial.timeline,
    }


def _interrupted(*_: object) -> None:
    raise TrialFailed("the probe was told to stop")


def look(trial: Trial) -> Document:
    """One short container of the tools image, looked at from outside and inside."""
    cid = trial.create("tools", ["sh", "-c", INSIDE + "; echo rtlab-done; exec sleep 86400"])
    trial.engine.start(cid)
    stdout, _ = trial.engine.follow(cid, "rtlab-done")
    trial.prove(cid, split_inside(stdout)[0])
    trial.remove(cid)
    return {}

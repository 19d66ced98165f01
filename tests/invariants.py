"""What must hold after any fault, in one function: seven invariants (docs/faults.md names them)."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from rtlab import report, store
from rtlab.model import Outcome

ROOT = Path(__file__).parent.parent
# Of CPU time, the interpreter's start included; a busy machine takes longer by the clock.
LONGEST_STATUS_S = 4.0


def digests(folder: Path, pattern: str) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in folder.glob(pattern)
        if p.is_file()
    }


def rtlab(folder: Path, *words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rtlab", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=280,
    )


@dataclass(frozen=True)
class Before:
    """A working folder, and what stood in it and beside it before the fault.

    Attributes:
        trials: Every stored file of a trial that was acknowledged -> its digest.
        beside: Files of nobody's business here: canaries.
    """

    folder: Path
    trials: dict[str, str]
    beside: dict[str, str]

    @classmethod
    def of(cls, folder: Path) -> Before:
        canary = folder.parent / f"{folder.name}-canary" / "rtlab-like-name" / "file"
        canary.parent.mkdir(parents=True, exist_ok=True)
        canary.write_text("nobody's business")
        return cls(folder, digests(folder, "campaigns/2*/trials/0*/*"), digests(canary.parent.parent, "**/*"))


def require(
    before: Before,
    said: Iterable[subprocess.CompletedProcess[str]],
    statuses: Iterable[int],
    *,
    torn_down: bool = False,
) -> None:
    """The seven invariants.

    Args:
        said: What commands answered during the fault and after it.
        statuses: Those that docs/faults.md allows for it.
        torn_down: Remove the testbed now (twice), and require that nothing of it is left.
    """
    folder, said, allowed = before.folder, list(said), set(statuses)
    # I1: what was acknowledged is readable and identical.
    now = digests(folder, "campaigns/2*/trials/0*/*")
    assert {name: now.get(name) for name in before.trials} == before.trials
    # I2: no half trial is in a statistic.
    for file in folder.glob("campaigns/2*/campaign.json"):
        campaign = store.Campaign(file.parent)
        assert campaign.changed_files() == ()
        whole = {(r.trial.number) for r in campaign.records() if r.outcome is Outcome.OK}
        assert {o.trial.number for o in report.build(campaign).observations} <= whole
        assert len({t.number for t in campaign.plan}) == len(campaign.plan)
    # I3: `status` tells the truth, soon.
    began = sum(os.times()[2:4])
    status = rtlab(folder, "status", "--json")
    spent = sum(os.times()[2:4]) - began
    assert status.returncode in (0, 1) and "Traceback" not in status.stderr
    assert spent < LONGEST_STATUS_S, f"status took {spent:.1f} s of CPU time"
    if status.returncode == 0 and (campaigns := sorted(folder.glob("campaigns/2*"))):
        told = json.loads(status.stdout)
        assert campaigns[-1].name in json.dumps(told)
    # I4: teardown, twice, leaves nothing, or names what it left with status 5.
    if torn_down:
        first, second = rtlab(folder, "teardown", "--yes"), rtlab(folder, "teardown", "--yes")
        said += [first, second]
        allowed |= {0}
        if first.returncode == 5:
            allowed.add(5)
            assert "Could not remove" in first.stderr
        else:
            # Logs and the journal stay, for whoever wants to know what was done.
            kept = {"lock", "journal.jsonl"}
            left = [p for p in folder.glob(".rtlab/**/*") if p.is_file() and p.name not in kept]
            assert [p for p in left if "logs" not in p.parts] == []
    # I5: nothing outside rtlab's own was touched.
    canaries = folder.parent / f"{folder.name}-canary"
    assert digests(canaries, "**/*") == before.beside
    for done in said:
        # I6: no traceback for the user. I7: the exit status is a documented one.
        assert "Traceback (most recent" not in done.stderr + done.stdout, done.stderr
        assert done.returncode in allowed, (done.args, done.returncode, done.stderr)

"""How quick rtlab itself is, against the goals of the project. Run by hand; prints one line per figure.

    .venv/bin/python benchmarks/speed.py [--large] [CAMPAIGN]

With a campaign (measured on real machines) it also tells the controller's overhead per trial: everything that was
neither workload, reboot nor readiness gate, as stored in each record. With --large it writes a simulated campaign of
100 000 trials (by the store's own protocol, without the bench's progress; 1.7 GB) and reports it.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from rtlab import store
from rtlab.campaign import plan
from rtlab.connection import client as probe_client
from rtlab.model import CommandResult
from rtlab.providers.simulated import provider as simulated
from rtlab.providers.simulated import simulation

RTLAB = (sys.executable, "-m", "rtlab")


def seconds(*words: str, cwd: Path, repeat: int = 1) -> float:
    """Median wall-clock seconds of a command."""
    times = []
    for _ in range(repeat):
        began = time.monotonic()
        subprocess.run([*RTLAB, *words], cwd=cwd, check=True, capture_output=True)
        times.append(time.monotonic() - began)
    return statistics.median(times)


def report_of_two_thousand_trials() -> None:
    """In processor seconds, which a busy machine changes less than the time that passes."""
    with tempfile.TemporaryDirectory() as name:
        count = large(Path(name), blocks=200)
        taken = []
        for _ in range(3):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            seconds("report", "--brief", cwd=Path(name))
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    show(f"report of {count} trials, processor time", min(taken), "s", 4.0)


def show(what: str, value: float, unit: str, goal: float) -> None:
    print(f"{what:48} {value:8.3f} {unit:3}  goal {goal:g} {unit}  {'ok' if value <= goal else 'MISSED'}")


def large(parent: Path, blocks: int = 10_000) -> int:
    """Write a simulated campaign of two runtimes and five experiments; returns how many trials it has."""
    state, campaigns = parent / "from", parent / "campaigns"
    state.mkdir()
    subprocess.run([*RTLAB, "up", "--provider", "simulated"], cwd=state, check=True, capture_output=True)
    subprocess.run([*RTLAB, "bench", "--runs", "1"], cwd=state, check=True, capture_output=True)
    small = store.find(state / "campaigns")
    spec = replace(small.spec, runs=blocks)
    machines = {m.name: m for m in small.testbed.machines}
    trials = plan.plan(spec, tuple(machines), spec.seed, runtimes_on={n: m.runtimes for n, m in machines.items()})
    campaign = store.create(campaigns, spec, small.testbed, trials, durable=False)
    for name, taken in small.facts().items():
        campaign.write_facts(name, taken[-1])
    scenario = simulated.read_scenario(*simulated.scenario_text(""))
    (record, *_) = small.records()
    for trial in trials:
        request = probe_client.trial_request(trial, spec, machines[trial.machine], small.testbed.id)
        document = simulation.answer(scenario, request, machine=trial.machine, boot_id=f"boot {trial.boot}")
        stdout = json.dumps(document).encode()
        result = CommandResult(argv=(), exit_status=0, stdout=stdout, stderr=b"", started_at="", elapsed_s=0.0)
        answer = probe_client.read_answer(result)
        kept = replace(record, trial=trial, outcome=answer.outcome, reason=answer.reason, boot_id=answer.boot_id)
        campaign.write_trial(kept, answer.files)
    campaign.finish()
    return len(trials)


def report_of_a_large_campaign() -> None:
    with tempfile.TemporaryDirectory(dir=".") as name:
        count = large(Path(name))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        took = seconds("report", cwd=Path(name))
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        show(f"report of a simulated campaign of {count} trials", took, "s", 30.0)
        processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        show("  its processor time", processor, "s", 30.0)
        show("  its peak memory", after.ru_maxrss / 1024, "MiB", 1000.0)


def main() -> None:
    arguments = [a for a in sys.argv[1:] if a != "--large"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        show("rtlab --help", seconds("--help", cwd=folder, repeat=7), "s", 0.3)
        subprocess.run([*RTLAB, "up", "--provider", "simulated"], cwd=folder, check=True, capture_output=True)
        subprocess.run([*RTLAB, "bench", "--runs", "15"], cwd=folder, check=True, capture_output=True)
        show("report of a simulated campaign of 15 blocks", seconds("report", cwd=folder, repeat=3), "s", 3.0)
        subprocess.run([*RTLAB, "teardown"], cwd=folder, check=True, capture_output=True)
    report_of_two_thousand_trials()
    # ru_maxrss of children: the largest of all commands above, KiB on Linux.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    show("memory of the controller, peak of all commands", peak, "MiB", 150.0)
    for campaign in arguments:
        records = [json.loads(f.read_text()) for f in Path(campaign).glob("trials/*/record.json")]
        overheads = [r["overhead_s"] for r in records if r["overhead_s"] is not None]
        show(f"controller's overhead per trial, median of {len(overheads)}", statistics.median(overheads), "s", 0.5)
        show("controller's overhead per trial, worst", max(overheads), "s", 0.5)
    if "--large" in sys.argv:  # last: it has a goal of its own for memory
        report_of_a_large_campaign()


if __name__ == "__main__":
    main()

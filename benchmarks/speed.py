"""How quick rtlab itself is, against the goals of the project. Run by hand; prints one line per figure.

    .venv/bin/python benchmarks/speed.py [CAMPAIGN]

With a campaign (measured on real machines) it also tells the controller's overhead per trial: everything that was
neither workload, reboot nor readiness gate, as stored in each record.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RTLAB = (sys.executable, "-m", "rtlab")


def seconds(*words: str, cwd: Path, repeat: int = 1) -> float:
    """Median wall-clock seconds of a command."""
    times = []
    for _ in range(repeat):
        began = time.monotonic()
        subprocess.run([*RTLAB, *words], cwd=cwd, check=True, capture_output=True)
        times.append(time.monotonic() - began)
    return statistics.median(times)


def show(what: str, value: float, unit: str, goal: float) -> None:
    print(f"{what:48} {value:8.3f} {unit:3}  goal {goal:g} {unit}  {'ok' if value <= goal else 'MISSED'}")


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        show("rtlab --help", seconds("--help", cwd=folder, repeat=7), "s", 0.3)
        subprocess.run([*RTLAB, "up", "--provider", "simulated"], cwd=folder, check=True, capture_output=True)
        subprocess.run([*RTLAB, "bench", "--runs", "15"], cwd=folder, check=True, capture_output=True)
        show("report of a simulated campaign of 15 blocks", seconds("report", cwd=folder, repeat=3), "s", 3.0)
        subprocess.run([*RTLAB, "teardown"], cwd=folder, check=True, capture_output=True)
    # ru_maxrss of children: the largest of all commands above, KiB on Linux.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    show("memory of the controller, peak of all commands", peak, "MiB", 150.0)
    for campaign in sys.argv[1:]:
        records = [json.loads(f.read_text()) for f in Path(campaign).glob("trials/*/record.json")]
        overheads = [r["overhead_s"] for r in records if r["overhead_s"] is not None]
        show(f"controller's overhead per trial, median of {len(overheads)}", statistics.median(overheads), "s", 0.5)
        show("controller's overhead per trial, worst", max(overheads), "s", 0.5)


if __name__ == "__main__":
    main()

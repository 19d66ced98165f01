"""What a simulated machine measures of commands in a running container. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from rtlab.experiments.contract import Draw, Simulated
from rtlab.experiments.exec.experiment import Settings
from rtlab.experiments.simulation import NS

# Of the order that a virtual machine with two CPUs shows under runC; they stand for nothing.
TRUTH: Mapping[str, float] = {"exec_s": 0.05, "exec_p95_s": 0.07, "first_exec_s": 0.06, "null_s": 0.0006}


def simulate(draw: Draw, settings: Settings) -> Simulated:
    """So many times whose median and 95th percentile are those that were drawn."""
    usual, slow = draw("exec_s"), draw("exec_p95_s")
    late = settings.execs // 10
    times = [usual] * (settings.execs - late) + [max(usual, slow)] * late
    return Simulated(
        {
            "command": ["true"],
            "first_ns": [round(draw("first_exec_s") * NS)],
            "execs_ns": [round(s * NS) for s in times],
            "null_ns": [round(draw("null_s") * NS)] * settings.null_execs,
        }
    )

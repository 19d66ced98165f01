"""What a simulated machine's Bonnie++ prints. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from rtlab.experiments.contract import Draw, Simulated
from rtlab.experiments.io.experiment import Settings
from rtlab.experiments.simulation import NS
from rtlab.units import KIB, MIB

# The paper's for runC (Table II).
TRUTH: Mapping[str, float] = {
    "put_block_bytes_per_s": 1549371 * 1024.0,
    "put_block_cpu_percent": 89.0,
    "get_block_bytes_per_s": 4512265 * 1024.0,
    "get_block_cpu_percent": 99.0,
    "seeks_per_s": 14779.0,
}


def simulate(draw: Draw, settings: Settings) -> Simulated:
    """The line of Bonnie++ 2.00 (format 1.98), as ``bonnie`` reads it."""
    put, get = draw("put_block_bytes_per_s"), draw("get_block_bytes_per_s")
    values = [""] * 50
    values[0:6] = ["1.98", "simulated", "rtlab", "1", "0", f"{settings.size_mb}M"]
    values[7] = str(settings.seek_count or 8192)
    for index, rate, percent in ((11, put, "put_block_cpu_percent"), (17, get, "get_block_cpu_percent")):
        values[index], values[index + 1] = f"{rate / KIB:.0f}", f"{draw(percent):.0f}"
    values[19], values[20] = f"{draw('seeks_per_s'):.1f}", "50"
    size = settings.size_mb * MIB
    tool = {"argv": ["bonnie++"], "exit_status": 0, "stdout": ",".join(values) + "\n", "stderr": ""}
    return Simulated({"elapsed_ns": round((size / put + size / get + 1.0) * NS)}, tool)

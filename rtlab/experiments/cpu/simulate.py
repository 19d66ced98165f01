"""What a simulated machine measures of CPU time. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from rtlab.experiments.contract import Draw, Simulated
from rtlab.experiments.cpu.experiment import FACTORS, KEPT, NUMBER, TIMES, Settings
from rtlab.experiments.simulation import counted, share
from rtlab.model import Json

# The system's times are the paper's for runC (Table III); the others are of the order that a laptop shows.
TRUTH: Mapping[str, float] = {
    "compute_cpu_s": 2.0,
    "work_cpu_s": 2.0,
    "startup_cpu_s": 0.1,
    "engine_cpu_s": 0.03,
    "user_s": 90.94,
    "nice_s": 4.64,
    "system_s": 66.88,
    "idle_s": 1368.96,
    "iowait_s": 15.84,
}
# The truth holds for so much work.
UNITS, MEGABYTES = 4, 512


def simulate(draw: Draw, settings: Settings) -> Simulated:
    times = {name: share(settings) * draw(f"{name}_s") for name in TIMES}
    container = {"startup_cpu_s": draw("startup_cpu_s"), "engine_cpu_s": draw("engine_cpu_s")}
    units = settings.compute_units
    printed = f"{NUMBER}: {FACTORS[0]} {FACTORS[1]}\n" * units
    found: dict[str, Json] = {"work": container | {"cpu_s": draw("work_cpu_s") * settings.work_mb / MEGABYTES}}
    if units:
        found["compute"] = container | {"cpu_s": draw("compute_cpu_s") * units / UNITS, "stdout": printed[-KEPT:]}
    return Simulated(counted("cpu_times_s", times, settings) | found)

"""What a simulated machine measures of memory. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from rtlab.experiments.contract import Draw, Simulated
from rtlab.experiments.memory.experiment import Settings
from rtlab.experiments.simulation import counted

# The system's are the paper's for runC (Table IV); the others are of the order that a laptop shows.
TRUTH: Mapping[str, float] = {
    "container_pss_bytes": 5.2e6,
    "container_cgroup_bytes": 5.8e6,
    "container_available_bytes": 5.5e6,
    "fixed_pss_bytes": 13e6,
    "total_bytes": 8348545024.0,
    "used_bytes": 897396736.0,
    "free_bytes": 4956205056.0,
    "active_bytes": 1373134848.0,
    "buffers_bytes": 116535296.0,
    "cached_bytes": 2378407936.0,
}
_READ = ("total", "free", "active", "buffers", "cached")


def simulate(draw: Draw, settings: Settings) -> Simulated:
    document = counted("memory_bytes", {n: round(draw(f"{n}_bytes")) for n in _READ}, settings)
    document["after"]["memory_used_by_the_paper_bytes"] = round(draw("used_bytes"))
    fixed = draw("fixed_pss_bytes")
    slopes = {
        "pss_bytes": draw("container_pss_bytes"),
        "cgroup_bytes": draw("container_cgroup_bytes"),
        "available_fall_bytes": draw("container_available_bytes"),
    }
    steps = [
        {"containers": n} | {key: round(fixed * (key == "pss_bytes") + n * slope) for key, slope in slopes.items()}
        for n in settings.containers
    ]
    return Simulated(document | {"density": {"ksm": "0", "steps": steps}})

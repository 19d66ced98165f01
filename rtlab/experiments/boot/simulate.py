"""What a simulated machine measures of starts. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from rtlab.experiments.boot.experiment import Settings
from rtlab.experiments.contract import Draw, Simulated
from rtlab.experiments.simulation import NS

# The first page is the paper's for runC (Table I); the others are of the order that a laptop shows.
TRUTH: Mapping[str, float] = {
    "first_page_s": 0.633,
    "cold_first_page_s": 0.9,
    "created_s": 0.05,
    "started_s": 0.55,
    "stop_s": 1.1,
    "remove_s": 0.03,
    "cli_returned_s": 0.6,
    "cli_first_page_s": 0.66,
    "null_s": 0.002,
}


def simulate(draw: Draw, settings: Settings) -> Simulated:
    def starts(count: int, phases: Mapping[str, str], what: str) -> list[dict[str, int]]:
        middle = {phase: draw(metric) for phase, metric in phases.items()}
        found = []
        for index in range(count):
            scatter = draw.scatter(f"{what} {index}")
            found.append({phase: round(value * scatter * NS) for phase, value in middle.items()})
        return found

    phases = {f"{p}_ns": f"{p}_s" for p in ("created", "started", "first_page", "stop", "remove")}
    socket = starts(settings.starts, phases, "socket")
    if socket:
        socket[0]["first_page_ns"] = round(draw("cold_first_page_s") * NS)
    cli = starts(
        settings.cli_starts,
        {"returned_ns": "cli_returned_s", "first_page_ns": "cli_first_page_s" if socket else "first_page_s"},
        "cli",
    )
    null = starts(settings.null_starts, {"calls_ns": "null_s"}, "null")
    return Simulated({"socket": socket, "cli": cli, "null": null})

"""How youki is handed to Docker."""

from __future__ import annotations

from rtlab.model import Surroundings, Ways, Wiring
from rtlab.model.wiring import with_and_without_time_namespaces

PROGRAM = "youki"


def ways(around: Surroundings) -> Ways:
    """As it is; without the engine's private time namespaces where that fails."""
    path = around.find(PROGRAM)
    if not path:
        return "youki is not installed: no distribution has it (profile modules builds it)"
    return with_and_without_time_namespaces(Wiring(entry={"path": path}), "youki issue 3538")

"""How youki is handed to Docker."""

from __future__ import annotations

from rtlab.model import Surroundings, Ways, Wiring

PROGRAM = "youki"


def ways(around: Surroundings) -> Ways:
    """As it is; and where that fails with the engine's private time namespaces (Docker 29.5 on; youki issue 3538)
    switched off. Engines before know no such switch and ignore it."""
    path = around.find(PROGRAM)
    if not path:
        return "youki is not installed: no distribution has it (profile modules builds it)"
    note = "the engine's private time namespaces are switched off, for every runtime (youki issue 3538)"
    return (
        Wiring(entry={"path": path}),
        Wiring(entry={"path": path}, note=note, features={"time-namespaces": False}),
    )

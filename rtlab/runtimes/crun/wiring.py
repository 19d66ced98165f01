"""How crun is handed to Docker."""

from __future__ import annotations

from rtlab.model import Surroundings, Ways, Wiring

PROGRAM = "crun"


def ways(around: Surroundings) -> Ways:
    path = around.find(PROGRAM)
    return (Wiring(entry={"path": path}),) if path else "crun is not installed (apt-get install crun)"

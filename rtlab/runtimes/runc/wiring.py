"""How runC is handed to Docker: it is built in."""

from __future__ import annotations

from rtlab.model import Surroundings, Ways, Wiring

PROGRAM = "runc"


def ways(around: Surroundings) -> Ways:
    return (Wiring(entry=None),) if around.find(PROGRAM) else "runc is not installed (apt-get install runc)"

"""How runC is handed to Docker: it is built in. Before 1.2.0 it knows no time namespaces."""

from __future__ import annotations

from rtlab.model import Surroundings, Ways, Wiring
from rtlab.model.wiring import with_and_without_time_namespaces

PROGRAM = "runc"


def ways(around: Surroundings) -> Ways:
    built_in = with_and_without_time_namespaces(Wiring(entry=None), "runC before 1.2")
    return built_in if around.find(PROGRAM) else "runc is not installed (apt-get install runc)"

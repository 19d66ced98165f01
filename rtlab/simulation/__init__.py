"""Simulated machines: what they would measure, drawn from a scenario with known truth. Pure."""

from rtlab.simulation.documents import answer
from rtlab.simulation.scenario import Place, Scenario, parse

__all__ = ["Place", "Scenario", "answer", "parse"]

"""Simulated machines: what they would measure, drawn from a scenario with known truth. Pure."""

from rtlab.providers.simulated.documents import answer
from rtlab.providers.simulated.scenario import Place, Scenario, parse

__all__ = ["Place", "Scenario", "answer", "parse"]

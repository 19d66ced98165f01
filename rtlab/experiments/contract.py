"""What one folder of ``rtlab/experiments/`` holds.

``experiment.py``
    the controller's half: a module-level ``EXPERIMENT``, made from ``Declared``;
``measure.py``
    the machine's half: ``measure(trial)`` (Python 3.6, the standard library and ``rtlab.probe``);
``simulate.py``
    ``TRUTH``, what the baseline measures where a scenario says nothing else, by metric and in its base unit, and
    ``simulate(draw, settings)``, what the machine's half would have answered, as ``Simulated``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from rtlab.config import setting
from rtlab.model import CampaignSpec, Curves, Design, Json, Machine, Meters, PlaceInBoot, Runtime, Trial
from rtlab.units import MIB


class Declared:
    """What every experiment does alike, by its settings; the Protocol is ``rtlab.model.Experiment``."""

    name: str
    settings: type[Any]
    place: PlaceInBoot = "middle"
    by_default: bool = True
    curves: Curves | None = None
    meters: Meters | None = None

    def defaults(self, design: Design) -> Mapping[str, Json]:
        return setting.defaults(self.settings, design)

    def problems(self, parameters: Mapping[str, Json]) -> tuple[str, ...]:
        found = setting.problems(self.settings, parameters)
        return found or self.contradictions(setting.typed(self.settings, parameters))

    def contradictions(self, settings: Any) -> tuple[str, ...]:
        """What cannot be together, of settings that are each allowed."""
        return ()

    def needs_disk_bytes(self, parameters: Mapping[str, Json]) -> int:
        return 64 * MIB

    def request(self, trial: Trial, spec: CampaignSpec, machine: Machine, runtime: Runtime) -> dict[str, Json]:
        return dict(spec.parameters[self.name])


class Draw(Protocol):
    """One simulated trial's values, by the scenario's truth and noise."""

    def __call__(self, metric: str) -> float:
        """What this trial measures, in the metric's base unit."""

    def scatter(self, what: str) -> float:
        """A factor near 1: how one repetition within the trial differs from the trial's own value."""


@dataclass(frozen=True, slots=True)
class Simulated:
    """What the machine's half would have answered.

    Attributes:
        measured: As ``measure`` returns it.
        tool: As it leaves it in ``trial.tool``, for a workload that prints its own result.
    """

    measured: Mapping[str, Json]
    tool: Mapping[str, Json] | None = None

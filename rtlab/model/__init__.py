"""The words of rtlab as types: frozen dataclasses without I/O.

The glossary stands in docs/glossary.md. Values are in base units (see ``rtlab.units``); a name that
holds a number says its unit. ``None`` means "not known" or "does not apply", never 0.
"""

from rtlab.model.campaign import FEWEST_BLOCKS, CampaignSpec, Design, RebootPolicy, Trial, Until
from rtlab.model.events import Event, Notify, Standing, ignore_events
from rtlab.model.findings import Caveat, Comparison, Estimate, Summary, Verdict
from rtlab.model.machines import (
    CommandResult,
    EngineAt,
    Json,
    Level,
    Machine,
    Resource,
    Shell,
    Testbed,
)
from rtlab.model.observations import (
    Curves,
    Experiment,
    Meters,
    Metric,
    Observation,
    Outcome,
    PlaceInBoot,
    RawOutput,
    Record,
)
from rtlab.model.runtimes import Refusal, Runtime, RuntimeSettings, Unknown
from rtlab.model.wiring import Surroundings, Ways, Wiring

__all__ = [
    "FEWEST_BLOCKS",
    "CampaignSpec",
    "Caveat",
    "CommandResult",
    "Comparison",
    "Curves",
    "Design",
    "EngineAt",
    "Estimate",
    "Event",
    "Experiment",
    "Json",
    "Level",
    "Machine",
    "Meters",
    "Metric",
    "Notify",
    "Observation",
    "Outcome",
    "PlaceInBoot",
    "RawOutput",
    "RebootPolicy",
    "Record",
    "Refusal",
    "Resource",
    "Runtime",
    "RuntimeSettings",
    "Shell",
    "Standing",
    "Summary",
    "Surroundings",
    "Testbed",
    "Trial",
    "Unknown",
    "Until",
    "Verdict",
    "Ways",
    "Wiring",
    "ignore_events",
]

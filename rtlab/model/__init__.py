"""The words of rtlab as types: frozen dataclasses without I/O.

The glossary stands in docs/glossary.md. Values are in base units (see ``rtlab.units``); a name that
holds a number says its unit. ``None`` means "not known" or "does not apply", never 0.
"""

from rtlab.model.campaign import FEWEST_BLOCKS, CampaignSpec, Design, RebootPolicy, Trial, Until
from rtlab.model.findings import Caveat, Comparison, Estimate, Summary, Verdict
from rtlab.model.machines import (
    CommandResult,
    EngineAt,
    Event,
    Json,
    Level,
    Machine,
    Notify,
    Resource,
    Runtime,
    Shell,
    Testbed,
    ignore_events,
)
from rtlab.model.observations import Experiment, Metric, Observation, Outcome, RawOutput, Record

__all__ = [
    "FEWEST_BLOCKS",
    "CampaignSpec",
    "Caveat",
    "CommandResult",
    "Comparison",
    "Design",
    "EngineAt",
    "Estimate",
    "Event",
    "Experiment",
    "Json",
    "Level",
    "Machine",
    "Metric",
    "Notify",
    "Observation",
    "Outcome",
    "RawOutput",
    "RebootPolicy",
    "Record",
    "Resource",
    "Runtime",
    "Shell",
    "Summary",
    "Testbed",
    "Trial",
    "Until",
    "Verdict",
    "ignore_events",
]

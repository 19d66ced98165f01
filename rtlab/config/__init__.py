"""``rtlab.toml`` and the command line -> settings. Each default is written once, in ``settings``.

Experiments' own parameters are the exception: their defaults stand in each experiment's module.
Types and ranges stand in the annotations; pydantic checks them, and ``load`` reports every problem at once.
"""

from rtlab.config.reading import FILE_NAME, MAX_FILE_BYTES, line_of, load, option
from rtlab.config.relevance import campaign_refusal, idle, refusal, require_campaign_use, require_use
from rtlab.config.resolve import campaign_spec
from rtlab.config.setting import describe
from rtlab.config.settings import (
    KATA_VERSION,
    MAX_RUNS,
    SECTIONS,
    VARIANT,
    CampaignSettings,
    Config,
    TestbedSettings,
)
from rtlab.config.template import reference, template

__all__ = [
    "FILE_NAME",
    "KATA_VERSION",
    "MAX_FILE_BYTES",
    "MAX_RUNS",
    "SECTIONS",
    "VARIANT",
    "CampaignSettings",
    "Config",
    "TestbedSettings",
    "campaign_refusal",
    "campaign_spec",
    "describe",
    "idle",
    "line_of",
    "load",
    "option",
    "reference",
    "refusal",
    "require_campaign_use",
    "require_use",
    "template",
]

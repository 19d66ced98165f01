"""``rtlab.toml`` and the command line -> settings. Each default is written once, in ``settings``.

Experiments' own parameters and runtimes' own settings are the exception: each stands in its plug-in's folder.
Types and ranges stand in the annotations; pydantic checks them, and ``load`` reports every problem at once.
"""

from rtlab.config.reading import FILE_NAME, MAX_FILE_BYTES, line_of, load, option
from rtlab.config.relevance import campaign_refusal, idle, refusal, require_campaign_use, require_use
from rtlab.config.resolve import campaign_spec
from rtlab.config.sections import Config, kept, of_runtimes, recalled, section
from rtlab.config.setting import describe
from rtlab.config.settings import MAX_RUNS, VARIANT, CampaignSettings, TestbedSettings
from rtlab.config.template import reference, template

__all__ = [
    "FILE_NAME",
    "MAX_FILE_BYTES",
    "MAX_RUNS",
    "VARIANT",
    "CampaignSettings",
    "Config",
    "TestbedSettings",
    "campaign_refusal",
    "campaign_spec",
    "describe",
    "idle",
    "kept",
    "line_of",
    "load",
    "of_runtimes",
    "option",
    "recalled",
    "reference",
    "refusal",
    "require_campaign_use",
    "require_use",
    "section",
    "template",
]

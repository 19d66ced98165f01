"""The sections of ``rtlab.toml`` as classes of settings, and what a file and a command line say together.

What can be set of a runtime is declared in its folder (``rtlab.model.RuntimeSettings``) and can be written in two
places that mean the same: ``version`` in ``[runtimes.kata]`` is ``kata_version`` in ``[testbed]``, and an option.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Literal

from rtlab import plugins
from rtlab.config.setting import hints, same, setting
from rtlab.config.settings import CampaignSettings, TestbedSettings
from rtlab.model import RuntimeSettings

NAMES = ("testbed", "campaign")
# The key of a runtime's settings that is a section in [testbed], under the runtime's name.
VARIANTS = "variants"

ABOUT_BUILD = (
    "local, static: which build is taken. auto: the engine's and profile's; system: the machine's own, while the "
    "engine stays today's."
)


@cache
def section(name: str) -> type[Any]:
    """What ``[NAME]`` may hold, as a class of settings: of a testbed with what can be set of each runtime."""
    if name == "campaign":
        return CampaignSettings
    own: list[tuple[str, Any, Any]] = []
    for runtime in plugins.names("runtimes"):
        kind = plugins.runtime(runtime).settings
        types = hints(kind)
        own += [(key, types[short], same(kind, short)) for short, key in keys(runtime).items()]
    return dataclasses.make_dataclass(
        "TestbedSettings", own, bases=(TestbedSettings,), frozen=True, slots=True, kw_only=True
    )


@cache
def of_runtime(runtime: str) -> type[Any]:
    """What ``[runtimes.NAME]`` may hold, as a class of settings."""
    kind = plugins.runtime(runtime).settings
    types = hints(kind)
    build = ("build", Literal["auto", "system"], setting("auto", ABOUT_BUILD))
    own = [(key, types[key], same(kind, key)) for key in keys(runtime) if key != VARIANTS]
    return dataclasses.make_dataclass(f"Section_{runtime}", [build, *own], frozen=True, kw_only=True)


def keys(runtime: str) -> dict[str, str]:
    """Key of a runtime's settings -> the same setting's name in ``[testbed]``."""
    declared = (item.name for item in dataclasses.fields(plugins.runtime(runtime).settings))
    return {key: runtime if key == VARIANTS else f"{runtime}_{key}" for key in declared}


def as_testbed(runtime: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of its section as the settings of ``[testbed]`` that they stand for, without ``build``."""
    named = keys(runtime)
    return {named[key]: value for key, value in values.items() if key in named}


def of_runtimes(testbed: TestbedSettings) -> Iterator[RuntimeSettings]:
    """What a testbed's settings say of each runtime that there is."""
    for runtime in plugins.names("runtimes"):
        named = keys(runtime).items()
        # Settings that were made without a configuration say nothing of runtimes.
        given = {key: getattr(testbed, name) for key, name in named if hasattr(testbed, name)}
        yield plugins.runtime(runtime).settings(**given)


def kept(testbed: TestbedSettings) -> dict[str, Any]:
    """Those settings of runtimes that are kept with a testbed, by their names in ``[testbed]``, where they are set."""
    return {name: value for name in _kept() if (value := getattr(testbed, name, None))}


def recalled(details: Mapping[str, Any]) -> dict[str, Any]:
    """The same from what was kept, which may be damaged: ``load`` checks the rest."""
    default = section("testbed")()
    kinds = {name: Mapping if isinstance(getattr(default, name), Mapping) else str for name in _kept()}
    return {name: value for name, kind in kinds.items() if isinstance(value := details.get(name), kind) and value}


def _kept() -> Iterator[str]:
    for runtime in plugins.names("runtimes"):
        named = keys(runtime)
        yield from (named[key] for key in plugins.runtime(runtime).settings.kept)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All of ``rtlab.toml``.

    Attributes:
        parameters: Per experiment, only what the file sets; the experiment fills in the rest.
        source: The file it came from; empty when there is none.
        stated: What the file decides, with its place there: ``{"testbed.box": "rtlab.toml line 3: testbed.box"}``. Of
            an experiment the whole section is one: ``experiments.io``.
    """

    testbed: TestbedSettings = field(default_factory=lambda: section("testbed")())
    campaign: CampaignSettings = field(default_factory=CampaignSettings)
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    source: str = ""
    stated: Mapping[str, str] = field(default_factory=dict)

"""A runtime's own section, ``[runtimes.gvisor]``: which build of it is taken, and what decides its release.

Each key is a setting of ``[testbed]`` under a shorter name: ``kata_version`` is ``version`` in ``[runtimes.kata]``. The
runtime says which are its own (``rtlab.model.Runtime.settings``), and both ways of writing it mean the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

from rtlab import plugins
from rtlab.config.setting import again, hints, setting
from rtlab.config.settings import TestbedSettings

ABOUT_BUILD = (
    "local, static: which build is taken. auto: the engine's and profile's; system: the machine's own, while the "
    "engine stays today's."
)


def keys(runtime: str) -> dict[str, str]:
    """Key of its section -> the same setting's name in ``[testbed]``."""
    named = sorted(plugins.runtime(runtime).settings)
    return {name.removeprefix(f"{runtime}_"): name for name in named if name.startswith(f"{runtime}_")}


@cache
def section(runtime: str) -> type[Any]:
    """What ``[runtimes.NAME]`` may hold, as a class of settings."""
    types, defaults = hints(TestbedSettings), TestbedSettings()
    build = ("build", Literal["auto", "system"], setting("auto", ABOUT_BUILD))
    own = [
        (key, types[name], again(TestbedSettings, name, getattr(defaults, name))) for key, name in keys(runtime).items()
    ]
    return dataclasses.make_dataclass(f"Section_{runtime}", [build, *own], frozen=True, kw_only=True)


def as_testbed(runtime: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of its section as the settings of ``[testbed]`` that they stand for, without ``build``."""
    named = keys(runtime)
    return {named[key]: value for key, value in values.items() if key in named}

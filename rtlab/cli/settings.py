"""From command-line options to settings: the file first, options over it, `auto` resolved and explained."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rtlab import config as configuration
from rtlab.cli import console
from rtlab.config import Config, TestbedSettings
from rtlab.errors import Unsafe, UsageError
from rtlab.state import StateFolder

# Where the user works: state, campaigns and rtlab.toml are below the current folder.
STATE = ".rtlab"
CAMPAIGNS = "campaigns"


def state_folder() -> StateFolder:
    return StateFolder(Path.cwd() / STATE)


def campaigns_folder() -> Path:
    """Where campaigns are. A link there is followed when whoever runs rtlab made it: root writes where root decides.

    Raises:
        Unsafe: somebody else made the link.
    """
    folder = Path.cwd() / CAMPAIGNS
    if folder.is_symlink() and folder.lstat().st_uid != os.geteuid():
        raise Unsafe(
            f"{folder} is a link that somebody else made: it is not followed.",
            remedy=f"Look where it leads (readlink -f {CAMPAIGNS}); then work there, or make the link yourself.",
        )
    return folder


def load(file: Path | None, section: str, options: Mapping[str, Any], **more: Mapping[str, Any]) -> Config:
    """The configuration with the given options laid over one section; options not given are left out."""
    given = {k: _listed(k, v) for k, v in options.items() if v not in (None, "")}
    return configuration.load(file, {section: given, **more})


def _listed(key: str, value: Any) -> Any:
    if key in ("runtimes", "experiments") and isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def testbed(file: Path | None, typed: Iterable[str] | None = None, **options: Any) -> TestbedSettings:
    """Settings for ``up`` with provider, backend and profile decided; says on stderr what `auto` chose, and why.

    Args:
        typed: Those of the options that the user typed; None: all that are given.

    Raises:
        UsageError: an option would do nothing.
    """
    from rtlab.artifacts import profile
    from rtlab.host import choice

    if options.get("provider") in ("libvirt", "virtualbox"):
        options = {**options, "provider": "vagrant", "backend": options["provider"]}
    named_runtimes = bool(options.get("runtimes"))
    wanted = load(file, "testbed", options).testbed
    given = [key for key, value in options.items() if value not in (None, "")] if typed is None else list(typed)
    if wanted.provider != "auto":
        configuration.require_use(given, wanted)  # before anything is asked of this machine
    decided, reason = choice.resolve(wanted, runtimes_named=named_runtimes)
    if reason:
        console.say(reason)
    configuration.require_use(given, decided)
    profile.require_use(profile.load(decided.profile), given)
    return decided


def percent(option: str, text: str) -> float:
    """``5%``, ``5 %`` or ``5`` as 5.0.

    Raises:
        UsageError: it is no number above 0 and below 100.
    """
    try:
        value = float(text.strip().removesuffix("%"))
    except ValueError:
        value = 0.0
    if not 0 < value < 100:
        raise UsageError(f"{option} takes a percentage above 0 and below 100, like 5%, not {text[:40]!r}.")
    return value


def parameters(assignments: list[str]) -> dict[str, dict[str, Any]]:
    """``io.size_mb=512`` … as nested parameters; values are numbers, true/false, lists or text.

    Raises:
        UsageError: an assignment is not of the form experiment.key=value.
    """
    import json

    nested: dict[str, dict[str, Any]] = {}
    for assignment in assignments:
        place, equals, text = assignment.partition("=")
        experiment, dot, key = place.partition(".")
        if not (equals and dot and experiment and key):
            raise UsageError(
                f"--set takes experiment.key=value, not {assignment[:80]!r}.",
                remedy="For example: --set io.size_mb=512",
            )
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        except RecursionError:
            raise UsageError(f"--set {place[:80]} is nested too deeply.") from None
        nested.setdefault(experiment, {})[key] = value
    return nested

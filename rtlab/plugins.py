"""Finds the plug-ins: one folder each in ``rtlab.engines``, ``rtlab.experiments``, ``rtlab.runtimes``,
``rtlab.providers``.

A folder is one when it has a module ``engine``, ``experiment``, ``runtime`` or ``provider``, which defines ENGINE,
EXPERIMENT, RUNTIME or PROVIDER. Nothing has to be registered.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import importlib.util
import json
import pkgutil
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, Literal, cast

from rtlab.errors import UsageError
from rtlab.model import Experiment, Json, Runtime

Kind = Literal["engines", "experiments", "runtimes", "providers"]
_ATTRIBUTE = {"engines": "ENGINE", "experiments": "EXPERIMENT", "runtimes": "RUNTIME", "providers": "PROVIDER"}


@cache
def _all(kind: Kind) -> dict[str, Any]:
    package = importlib.import_module(f"rtlab.{kind}")
    found: dict[str, Any] = {}
    for module_info in sorted(pkgutil.iter_modules(package.__path__), key=lambda m: m.name):
        name = f"rtlab.{kind}.{module_info.name}.{kind[:-1]}"
        if not module_info.ispkg or not importlib.util.find_spec(name):
            continue
        plugin = getattr(importlib.import_module(name), _ATTRIBUTE[kind])
        if plugin.name in found:
            raise RuntimeError(f"two {kind} are called {plugin.name!r}")
        found[plugin.name] = plugin
    return found


@cache
def documents(kind: Kind, file: str) -> dict[str, Any]:
    """Name -> the JSON document of that name in the folder of each plug-in that has one; no plug-in is loaded."""
    folder = Path(importlib.import_module(f"rtlab.{kind}").__path__[0])
    return {path.parent.name: json.loads(path.read_text("utf-8")) for path in sorted(folder.glob(f"*/{file}"))}


def doctors(kind: Kind) -> dict[str, Any]:
    """Name -> the module ``doctor`` in the folder of each plug-in that has one: what it has doctor look at (see
    ``rtlab.host.checks``). No plug-in is loaded: what it needs may be what is missing."""
    return _modules(kind, "doctor")


def choices() -> dict[str, Any]:
    """Name -> the module ``choice`` in each provider's folder: when it is taken (see ``rtlab.host.choice``)."""
    return _modules("providers", "choice")


@cache
def _modules(kind: Kind, part: str) -> dict[str, Any]:
    folder = importlib.import_module(f"rtlab.{kind}").__path__
    modules = {m.name: f"rtlab.{kind}.{m.name}.{part}" for m in pkgutil.iter_modules(folder) if m.ispkg}
    return {name: importlib.import_module(modules[name]) for name in sorted(modules) if _is_there(modules[name])}


def _is_there(module: str) -> bool:
    return importlib.util.find_spec(module) is not None


def names(kind: Kind) -> tuple[str, ...]:
    """Names of all plug-ins of a kind: experiments in the order within one boot, engines with the machines' first one
    at the head."""
    plugins = _all(kind)
    if kind in ("engines", "experiments"):
        return tuple(sorted(plugins, key=lambda n: plugins[n].order))
    return tuple(plugins)


def _load(kind: Kind, name: str) -> Any:
    plugins = _all(kind)
    if name in plugins:
        return plugins[name]
    close = difflib.get_close_matches(name, plugins, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise UsageError(
        f"There is no {kind[:-1]} called {name[:60]!r}.{hint}",
        remedy=f"Known {kind}: {', '.join(names(kind))}.",
    )


def experiment(name: str) -> Experiment:
    """The experiment of that name; UsageError names the nearest one otherwise."""
    return cast(Experiment, _load("experiments", name))


def simulation(name: str) -> Any | None:
    """The module ``simulate`` in the experiment's folder (see ``rtlab.experiments.contract``); None without one."""
    module = f"{type(experiment(name)).__module__.rpartition('.')[0]}.simulate"
    return importlib.import_module(module) if importlib.util.find_spec(module) else None


def experiment_of(name: str, parameters: Mapping[str, Json]) -> Experiment:
    """The experiment as a campaign with these parameters knew it: metrics may have been added or renamed since."""
    found = experiment(name)
    as_measured = getattr(found, "as_measured", None)
    return found if as_measured is None else cast(Experiment, as_measured(parameters))


def runtime(name: str) -> Runtime:
    """The runtime of that name; ``kata:small`` is Kata under a name of its own, with which engines know it, too, and
    ``runc@containerd`` is runC driven by another engine than the machine's first."""
    plain, at, engine_name = name.partition("@")
    if at:
        other = engine(engine_name)
        found = runtime(plain)
        if other.name == names("engines")[0]:
            raise UsageError(f"{other.title} drives {plain} where no engine is named.", remedy=f"Say only {plain}.")
        return dataclasses.replace(found, name=name, title=f"{found.title} ({other.title})", engine=other.name)
    base, colon, variant = name.partition(":")
    found = cast(Runtime, _load("runtimes", base))
    if not colon:
        return found
    if not found.variants or not variant:
        raise UsageError(f"The runtime {base} has no variant {variant[:40]!r}.", remedy=f"Say only {base}.")
    return dataclasses.replace(
        found, name=name, title=f"{found.title} ({variant})", docker_name=f"{found.docker_name}-{variant}"
    )


def engine(name: str) -> Any:
    """The engine of that name (see ``rtlab.engines.contract.Engine``)."""
    return _load("engines", name)


def arm_name(runtime_name: str, engine_name: str) -> str:
    """What an arm of a runtime under an engine is called: the machine's first engine is not named."""
    return runtime_name if engine_name == names("engines")[0] else f"{runtime_name}@{engine_name}"


def arms(runtimes: Sequence[str], engines: Sequence[str]) -> tuple[str, ...]:
    """Every runtime under every engine, engine by engine."""
    return tuple(arm_name(name, engine) for engine in engines for name in runtimes)


def provider(name: str) -> Any:
    """The provider of that name (see ``rtlab.providers.contract.Provider``)."""
    return _load("providers", name)

"""What lies beside the probe in its archive, or in a checkout: found by listing, so that no name stands here."""

import importlib
import importlib.util
import pkgutil
from functools import lru_cache
from types import ModuleType
from typing import Any, Dict, Tuple

from rtlab.probe.base import Document, TrialFailed


@lru_cache(maxsize=None)
def found(kind: str, part: str) -> Dict[str, str]:
    """Names of the folders of ``rtlab.<kind>`` that have a module ``part``, and those modules' full names."""
    package = importlib.import_module("rtlab." + kind)
    names = {}
    for info in pkgutil.iter_modules(package.__path__):
        module = "rtlab.%s.%s.%s" % (kind, info[1], part)
        if info[2] and importlib.util.find_spec(module):
            names[info[1]] = module
    return names


def load(kind: str, part: str, name: object) -> ModuleType:
    modules = found(kind, part)
    if name not in modules:
        raise TrialFailed("the probe knows no %s %r" % (kind[:-1], name))
    return importlib.import_module(modules[str(name)])


def every(kind: str, part: str) -> Dict[str, ModuleType]:
    return {name: importlib.import_module(module) for name, module in sorted(found(kind, part).items())}


@lru_cache(maxsize=None)
def beside_containers() -> Tuple[str, ...]:
    """Programs that may live outside of the container's cgroup and name it in their command line: shim, sandbox and
    gofer, VMM, proxy, virtiofsd. Names as the kernel cuts them, 15 characters. A program that merely mentions the id (a
    docker command, a grep, an editor) is none of them."""
    modules = list(every("engines", "client").values()) + list(every("runtimes", "proof").values())
    return tuple(name for module in modules for name in getattr(module, "PROGRAMS"))  # noqa: B009


@lru_cache(maxsize=None)
def daemons() -> Tuple[str, ...]:
    return tuple(name for module in every("engines", "client").values() for name in getattr(module, "DAEMONS"))  # noqa: B009


def engine(request: Document, deadline: float) -> Any:
    """The engine that a request names, with every call bounded by the deadline."""
    asked = request["engine"]
    client = getattr(load("engines", "client", asked["name"]), "Client")  # noqa: B009
    return client(asked["socket"], deadline, asked)

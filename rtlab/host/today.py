"""Whether today's engine and runtimes can be had here, found out without fetching or building them.

Profile ``current`` has what vendors release, ``modules`` the same compiled here from Go modules and a crate.
"""

from __future__ import annotations

from functools import cache

from rtlab.artifacts import builds, profile, programs
from rtlab.artifacts.builds import Build, Crate, GoModule, compiler, crate
from rtlab.errors import HostUnfit

PROFILE = "modules"
RELEASES = "current"
# Answers of ``found`` with which nothing is compiled.
RELEASED, BUILT, REACHABLE = "released", "built", "reachable"


@cache
def found() -> tuple[str, str]:
    """Where engine and runC come from, or empty and why nowhere.

    ``released`` (the cache has them, or their vendors' servers answer), ``built`` (the cache has them compiled),
    ``reachable`` (a module proxy answers).
    """
    if not refusal(RELEASES):
        return RELEASED, ""
    if _built():
        return BUILT, ""
    silent = _silent_proxy()
    return ("", silent) if silent else (REACHABLE, "")


def profile_of(where: str) -> str:
    """The profile for an answer of ``found``."""
    return RELEASES if where == RELEASED else PROFILE


def refusal(name: str = PROFILE) -> str:
    """Why that profile's engine and runC cannot be had here now; empty when they can."""
    if name == RELEASES:
        silent = () if programs.releases_are_kept(profile.load(RELEASES)) else _silent_servers()
        return f"{', '.join(silent)} cannot be reached" if silent else ""
    return "" if _built() else _silent_proxy() or lacks_compiler()


def _built() -> bool:
    return all(builds.ready(pin) for pin in _needed())


@cache
def _silent_servers() -> tuple[str, ...]:
    return profile.unreachable(profile.load(RELEASES), box=False)


@cache
def _silent_proxy() -> str:
    """Why no proxy serves the first module that is not built yet; empty when one does."""
    asked = next(pin for pin in _needed() if isinstance(pin, GoModule) and not builds.ready(pin))
    silent = builds.unreachable(asked)
    return f"no Go module proxy serves {builds.title(asked)} here ({silent})" if silent else ""


@cache
def lacks_compiler() -> str:
    """Why runC cannot be compiled here; empty when it can."""
    pin = builds.pinned("runc")
    try:
        compiler.identity(builds.title(pin), getattr(pin, "libraries", ()), getattr(pin, "packages", ()))
    except HostUnfit as error:
        return error.message
    return ""


@cache
def lacks_rust() -> str:
    """Why the pinned youki can be had neither from the cache nor by compiling it; empty when it can."""
    pin = builds.pinned("youki")
    try:
        if isinstance(pin, Crate):
            crate.made_with(pin)
    except HostUnfit as error:
        return error.message
    return ""


def forget() -> None:
    """Look again the next time: something was installed."""
    for answer in (found, _silent_servers, _silent_proxy, lacks_compiler, lacks_rust):
        answer.cache_clear()


def _needed() -> tuple[Build, ...]:
    wanted = profile.load(PROFILE).builds
    return tuple(builds.pinned(name) for name in (*wanted["engine"], *wanted["runc"]))

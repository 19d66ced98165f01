"""Whether today's engine and runtimes (profile ``modules``) can be had here, found out without building them."""

from __future__ import annotations

from functools import cache

from rtlab.artifacts import builds, profile
from rtlab.artifacts.builds import Build, Crate, GoModule, compiler, crate
from rtlab.errors import HostUnfit

PROFILE = "modules"


@cache
def found() -> tuple[str, str]:
    """``built`` (the cache has engine and runC), ``reachable`` (a module proxy answers), or empty and why."""
    pins = _needed()
    if all(builds.ready(pin) for pin in pins):
        return "built", ""
    asked = next(pin for pin in pins if isinstance(pin, GoModule) and not builds.ready(pin))
    silent = builds.unreachable(asked)
    return ("", f"no Go module proxy serves {builds.title(asked)} here ({silent})") if silent else ("reachable", "")


def refusal() -> str:
    """Why today's engine and runC cannot be had here now; empty when they can."""
    where, silent = found()
    return silent or ("" if where == "built" else lacks_compiler())


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
    for answer in (found, lacks_compiler, lacks_rust):
        answer.cache_clear()


def _needed() -> tuple[Build, ...]:
    wanted = profile.load(PROFILE).builds
    return tuple(builds.pinned(name) for name in (*wanted["engine"], *wanted["runc"]))

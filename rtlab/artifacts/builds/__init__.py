"""Builds: obtainable versions of engines' and runtimes' programs, as data, and how each is obtained."""

from __future__ import annotations

import sys
from functools import cache as remember
from pathlib import Path

from rtlab.artifacts.builds import archive, crate, gomodule, keeping, reading, toolchain
from rtlab.artifacts.builds.keeping import Obtained
from rtlab.artifacts.builds.kinds import Build, Crate, Distribution, GoModule, Release, UserFile, kind_of, title
from rtlab.errors import ConfigError, HostUnfit, UsageError
from rtlab.model import Notify, ignore_events

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = [
    "Build",
    "Crate",
    "Distribution",
    "GoModule",
    "Obtained",
    "Release",
    "UserFile",
    "kept",
    "kind_of",
    "names",
    "obtain",
    "pinned",
    "ready",
    "title",
    "unreachable",
]

PINS = Path(__file__).with_name("pins.toml")


def obtain(build: Build, notify: Notify = ignore_events) -> Obtained:
    """The programs of a build as files of this machine, verified: from the cache at once, or fetched and made now.

    Raises:
        HostUnfit: this machine lacks what making it needs; the remedy names the packages.
        Unsafe: what was fetched is not what was pinned; both digests are named.
        CommandFailed: a server did not answer, or a compiler failed; the log is named.
        Locked: another rtlab has been building the same for two hours.
    """
    if isinstance(build, GoModule):
        return gomodule.obtain(build, notify)
    if isinstance(build, Crate):
        return crate.obtain(build, notify)
    if isinstance(build, Distribution):
        return archive.installed(build)
    return archive.obtain(build, notify)


def kept(build: Build) -> Obtained | None:
    """What ``obtain`` would give without a server or a compiler, verified; None where it would need one."""
    try:
        if isinstance(build, GoModule):
            return keeping.kept(build, gomodule.made_with(build))
        if isinstance(build, Crate):
            return keeping.kept(build, crate.made_with(build))
        return archive.installed(build) if isinstance(build, Distribution) else keeping.kept(build, {})
    except HostUnfit:
        return None


def ready(build: Build) -> bool:
    """Whether ``obtain`` would ask no server and compile nothing."""
    return isinstance(build, Distribution) or kept(build) is not None


def unreachable(build: GoModule) -> str:
    """Why no Go module proxy serves a module now, in words without addresses; empty when one does. At most 5 s each."""
    return toolchain.silence(f"{build.module}/@v/{build.version}.info")


@remember
def _all_pinned() -> dict[str, Build]:
    try:
        data = tomllib.loads(PINS.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{PINS}: {error}.", remedy="Install rtlab again: its pins are part of it.") from error
    return reading.builds(data["builds"], f"{PINS}: builds")


def forget() -> None:
    """Read the pins again the next time."""
    _all_pinned.cache_clear()


def names() -> tuple[str, ...]:
    """The builds that rtlab pins itself."""
    return tuple(_all_pinned())


def pinned(name: str) -> Build:
    """The build that rtlab pins under that name: ``runc``, ``gvisor``, ``containerd``, ``moby`` …"""
    found = _all_pinned().get(name)
    if found is None:
        raise UsageError(f"rtlab pins no build called {name[:60]!r}.", remedy=f"It pins: {', '.join(names())}.")
    return found

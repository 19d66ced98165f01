"""The programs that a profile brings as builds, obtained for the runtimes that are wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rtlab.artifacts import builds
from rtlab.artifacts.builds import Build, Obtained
from rtlab.artifacts.profile import Profile
from rtlab.errors import CommandFailed, ConfigError, HostUnfit
from rtlab.model import Event, Json, Notify

ENGINE = "engine"
# What nothing can run without: the engine, and the runtime that it starts by default.
NEEDED = (ENGINE, "runc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """What was obtained, on this machine.

    Attributes:
        of: ``engine``, or a runtime's name, to its builds.
        lacking: Runtime -> why its build cannot be had.
        instead: Runtime -> why its first build could not be had and the next best was taken.
    """

    of: Mapping[str, tuple[Obtained, ...]] = field(default_factory=dict)
    lacking: Mapping[str, str] = field(default_factory=dict)
    instead: Mapping[str, str] = field(default_factory=dict)

    @property
    def builds(self) -> tuple[Obtained, ...]:
        return tuple(one for obtained in self.of.values() for one in obtained)

    @property
    def runtimes(self) -> frozenset[str]:
        return frozenset(self.of) - {ENGINE}

    @property
    def titles(self) -> str:
        """For people: ``moby v2.0.0-beta.24, runc v1.5.2``."""
        return ", ".join(builds.title(one.build) for one in self.builds)

    @property
    def origin(self) -> str:
        """``built from modules``, ``as released`` …, for the whole."""
        kinds = {builds.kind_of(one.build) for one in self.builds}
        made = kinds & {"go-module", "crate"}
        if made == kinds:
            return "built from modules"
        return "released, or built here from source" if made else "as released"

    def records(self) -> dict[str, Json]:
        """What a testbed keeps of them: build -> ``Obtained.record``."""
        return {one.build.name: one.record() for one in self.builds}

    def files(self, name: str) -> list[dict[str, str]]:
        """A role's ``…_programs``: name, path on the controller and SHA-256 of each file."""
        return [
            {"name": program, "path": str(file), "sha256": one.sha256[program]}
            for one in self.of.get(name, ())
            for program, file in one.programs.items()
        ]


def obtain(
    wanted: Sequence[str], profile: Profile, notify: Notify, *, further: Sequence[str] = (), own: Sequence[str] = ()
) -> Programs:
    """The profile's builds of engine, runC and these runtimes; from the cache, or fetched and made now.

    Args:
        further: Builds that other engines need, beside the profile's.
        own: Runtimes that nothing is obtained for: the machine's own are taken.

    Raises:
        HostUnfit, CommandFailed, Unsafe: the engine or runC cannot be had; another runtime may be lacking.
    """
    names = [name for name in dict.fromkeys((*NEEDED, *wanted)) if name in profile.builds and name not in own]
    pins = {name: [builds.pinned(build) for build in profile.builds[name]] for name in names}
    if ENGINE in pins:
        pins[ENGINE] += [builds.pinned(build) for build in further if build not in profile.builds[ENGINE]]
    # Looked at once: to know that a build is whole is to read all of it.
    there = {pin.name: builds.kept(pin) for several in pins.values() for pin in several}
    _announce([pin for several in pins.values() for pin in several if there[pin.name] is None], notify)
    obtained: dict[str, tuple[Obtained, ...]] = {}
    lacking: dict[str, str] = {}
    instead: dict[str, str] = {}
    for name, several in pins.items():
        try:
            obtained[name] = tuple(there[pin.name] or builds.obtain(pin, notify) for pin in several)
        except (HostUnfit, CommandFailed, ConfigError) as error:
            if name in NEEDED:
                raise
            why = error.message.partition("\n")[0]
            others = _instead(name, profile, why, notify)
            if others:
                obtained[name] = others
                instead[name] = why
            else:
                lacking[name] = why
                notify(Event(stage="builds", message=f"no {name}: {why}", level="warning"))
    return Programs(of=obtained, lacking=lacking, instead=instead)


def _instead(name: str, profile: Profile, why: str, notify: Notify) -> tuple[Obtained, ...]:
    """The next best builds of a runtime; none when the profile knows none, or they cannot be had either."""
    pins = [builds.pinned(build) for build in profile.instead.get(name, ())]
    if not pins:
        return ()
    titles = ", ".join(map(builds.title, pins))
    notify(Event(stage="builds", message=f"{titles} instead, built here: {why}", level="warning"))
    try:
        return tuple(builds.obtain(pin, notify) for pin in pins)
    except (HostUnfit, CommandFailed):
        return ()


def releases_are_kept(profile: Profile) -> bool:
    """Whether the profile takes engine and runC as their vendors serve them, and the cache has all of it."""
    pins = [builds.pinned(build) for name in NEEDED for build in profile.builds.get(name, ())]
    released = [pin for pin in pins if builds.kind_of(pin) == "release"]
    return bool(released) and all(builds.ready(pin) for pin in released)


def _announce(missing: Sequence[Build], notify: Notify) -> None:
    """Say what will take time: compiling takes minutes."""
    made = [pin for pin in missing if builds.kind_of(pin) in ("go-module", "crate")]
    fetched = [pin for pin in missing if builds.kind_of(pin) in ("release", "file")]
    if fetched:
        notify(Event(stage="builds", message=f"fetching {', '.join(map(builds.title, fetched))}; the cache keeps them"))
    if made:
        seconds = sum(getattr(pin, "seconds", 0.0) for pin in made)
        message = (
            f"building {', '.join(map(builds.title, made))}: about {max(seconds / 60, 1):.0f} min on two cores, once"
        )
        notify(Event(stage="builds", message=f"{message}; the cache keeps them"))

"""The programs that a profile brings as builds, obtained for the runtimes that are wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rtlab.artifacts import builds
from rtlab.artifacts.builds import Obtained
from rtlab.artifacts.profile import Profile
from rtlab.errors import CommandFailed, HostUnfit
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
    """

    of: Mapping[str, tuple[Obtained, ...]] = field(default_factory=dict)
    lacking: Mapping[str, str] = field(default_factory=dict)

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


def obtain(wanted: Sequence[str], profile: Profile, notify: Notify) -> Programs:
    """The profile's builds of engine, runC and these runtimes; from the cache, or fetched and made now.

    Raises:
        HostUnfit, CommandFailed, Unsafe: the engine or runC cannot be had; another runtime may be lacking.
    """
    names = [name for name in dict.fromkeys((*NEEDED, *wanted)) if name in profile.builds]
    pins = {name: [builds.pinned(build) for build in profile.builds[name]] for name in names}
    missing = [pin for several in pins.values() for pin in several if not builds.ready(pin)]
    if missing:
        seconds = sum(getattr(pin, "seconds", 0.0) for pin in missing)
        listed = ", ".join(builds.title(pin) for pin in missing)
        message = f"building {listed}: about {max(seconds / 60, 1):.0f} min on two cores, once; the cache keeps them"
        notify(Event(stage="builds", message=message))
    obtained: dict[str, tuple[Obtained, ...]] = {}
    lacking: dict[str, str] = {}
    for name, several in pins.items():
        try:
            obtained[name] = tuple(builds.obtain(pin, notify) for pin in several)
        except (HostUnfit, CommandFailed) as error:
            if name in NEEDED:
                raise
            lacking[name] = error.message.partition("\n")[0]
            notify(Event(stage="builds", message=f"no {name}: {lacking[name]}", level="warning"))
    return Programs(of=obtained, lacking=lacking)

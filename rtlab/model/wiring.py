"""How a runtime is handed to an engine of rtlab's own, and what it may ask of the place where it is to run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

# Docker's switch, since 29.5.
WITHOUT_TIME_NAMESPACES: Mapping[str, bool] = {"time-namespaces": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wiring:
    """One way to hand a runtime to Docker.

    Attributes:
        entry: Its value in daemon.json's ``runtimes``; None for the one that is built in.
        note: What is special about it, for the record; empty otherwise.
        features: Switches of the engine's that it needs; they then hold for every runtime.
    """

    entry: Mapping[str, Any] | None
    note: str = ""
    features: Mapping[str, bool] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """The machine, as far as a runtime's wirings depend on it. Each question is asked when it is put.

    Attributes:
        find: A program's name or path -> where it is; empty when it is not there.
        said: A command -> what it printed, stdout and stderr; empty when it could not be run.
        kvm_refuses: Why KVM boots no guest here; empty when it does.
        engine_version: Docker's, ``20.10.24``.
        engine_major: Docker's major version; 0 when not known.
        asked: The profile's variables of roles: a platform that is asked for.
    """

    find: Callable[[str], str]
    said: Callable[[tuple[str, ...]], str]
    kvm_refuses: Callable[[], str]
    engine_version: str
    engine_major: int
    asked: Mapping[str, Any] = field(default_factory=dict)


def with_and_without_time_namespaces(way: Wiring, why: str) -> tuple[Wiring, ...]:
    """A way as it is; and, where that fails with the engine's private time namespaces (its default since Docker 29.5),
    with them switched off. Engines before know no such switch and ignore it.

    Args:
        why: What makes this runtime fail with them, for the note.
    """
    note = f"the engine's private time namespaces are switched off, for every runtime ({why})"
    return way, replace(way, note="; ".join(filter(None, (way.note, note))), features=WITHOUT_TIME_NAMESPACES)


# The ways to try, best first; or, in a sentence, why there is none.
Ways = tuple[Wiring, ...] | str

"""What drives containers: the controller's half of an engine. Adding one is one folder here and a role.

``engine.py`` holds this half as ``ENGINE``, ``client.py`` the machine's half (see ``rtlab/probe/engine.py``). An arm
names its engine where that is not the machine's first: ``runc@containerd``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from rtlab.model import EngineAt, Json, Resource, Runtime

# Between an arm's runtime and its engine.
AT = "@"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where on this very machine a private engine of a testbed may be.

    Attributes:
        programs: Folder of the programs that were brought for it.
        data: Folder for images and layers; marked as this testbed's.
        logs: Folder for the daemons' logs.
        python: Interpreter of the probe.
    """

    testbed_id: str
    programs: Path
    data: Path
    logs: Path
    python: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """A private engine that answers.

    Attributes:
        at: What the machine's half must know of it.
        wired: Runtimes that it was handed, each as the engine's configuration has it.
        notes: Runtime -> what is special about its wiring.
        refused: Runtime -> why it cannot be handed to this engine.
    """

    at: EngineAt
    wired: Mapping[str, Json]
    notes: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)


class Engine(Protocol):
    """What an engine's ``ENGINE`` must have. Methods raise RtlabError and its family only.

    Attributes:
        name: Of its folder, and in arms and settings.
        title: For tables and sentences.
        role: The Ansible role that installs it on machines; empty: there is none yet.
        order: The lowest one drives every arm that names none.
        builds: The pinned builds of what it needs beside the runtimes' own.
        shared: Folders that it makes where others may have made them, innermost first.
    """

    name: str
    title: str
    role: str
    order: int
    builds: tuple[str, ...]
    shared: tuple[str, ...]

    def refusal(self, runtime: Runtime, parameters: Mapping[str, Json]) -> str:
        """Why an experiment with these parameters cannot be carried out by this engine; empty when it can."""

    def beside(self, place: Place, programs: Sequence[tuple[Runtime, str]], images: tuple[Path, ...]) -> Started:
        """Start it on this machine beside the testbed's first engine, with these runtimes and images; again at once
        where it answers already.

        Args:
            programs: Each runtime with the path of its program.

        Raises:
            HostUnfit, CommandFailed: it cannot run here; with the remedy or the end of its log.
        """

    def answers(self, testbed_id: str) -> bool:
        """Whether the testbed's own one runs on this machine."""

    def resources(self, testbed_id: str) -> tuple[Resource, ...]:
        """What of it exists beyond the folders, processes and mounts that every private engine has."""

    def forget(self, testbed_id: str) -> None:
        """Remove that, after everything of the testbed's has ended."""

"""Docker, the controller's half: the engine that every machine has first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rtlab.engines.contract import Place, Started
from rtlab.engines.docker import private
from rtlab.errors import UsageError
from rtlab.model import Json, Resource, Runtime


@dataclass(frozen=True, slots=True)
class Docker:
    """See the module; the Protocol is ``rtlab.engines.contract.Engine``."""

    name: str = "docker"
    title: str = "Docker"
    role: str = "docker"
    order: int = 1
    builds: tuple[str, ...] = ("moby", "docker-cli", "containerd")
    shared: tuple[str, ...] = private.SHARED_FOLDERS

    def refusal(self, runtime: Runtime, parameters: Mapping[str, Json]) -> str:
        """It carries out every experiment."""
        return ""

    def beside(self, place: Place, programs: Sequence[tuple[Runtime, str]], images: tuple[Path, ...]) -> Started:
        raise UsageError("Docker is the first engine of every machine, never one beside another.")

    def answers(self, testbed_id: str) -> bool:
        return private.Engine(testbed_id).answers()

    def resources(self, testbed_id: str) -> tuple[Resource, ...]:
        return ()

    def forget(self, testbed_id: str) -> None:
        """There is nothing."""


ENGINE = Docker()

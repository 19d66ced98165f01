"""containerd by CRI, the controller's half: what a container costs where nothing but containerd drives it."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtlab import atomic
from rtlab.connection.shell import run
from rtlab.engines.containerd import private
from rtlab.engines.contract import Place, Started
from rtlab.errors import HostUnfit
from rtlab.model import EngineAt, Json, Resource, Runtime

# grpcio by hash, for the machine's half alone.
MODULES = Path(__file__).with_name("grpcio.txt")
GVISOR_SHIM = "io.containerd.runsc.v1"
PIP_S = 600.0


@dataclass(frozen=True, slots=True)
class Containerd:
    """See the module; the Protocol is ``rtlab.engines.contract.Engine``."""

    name: str = "containerd"
    title: str = "containerd"
    role: str = ""
    order: int = 2
    builds: tuple[str, ...] = ("containerd", "cni")
    shared: tuple[str, ...] = (str(private.CNI_RESULTS), str(private.CNI_RESULTS.parent))

    def refusal(self, runtime: Runtime, parameters: Mapping[str, Json]) -> str:
        """Nobody starts a pod by a command line, so what is measured by one only cannot be measured here.

        A sandbox with a kernel of its own is the pod's: a container's limits do not bound it, and its kernel shows the
        whole machine.
        """
        limits = [key for key in ("limit_cpus", "limit_memory_mb") if parameters.get(key)]
        if limits and runtime.own_kernel:
            return f"{' and '.join(limits)} would not bound its sandbox, which belongs to the pod (set 0: no limit)"
        if parameters.get("cli_starts") and not parameters.get("starts", 1):
            return "it is measured by the engine's command line alone, and containerd's CRI has none"
        return ""

    def beside(self, place: Place, programs: Sequence[tuple[Runtime, str]], images: tuple[Path, ...]) -> Started:
        require(place.programs)
        engine = private.Engine(place.testbed_id)
        wired: dict[str, Any] = {}
        notes: dict[str, str] = {}
        refused: dict[str, str] = {}
        for folder in (engine.folder, engine.place):
            atomic.make_folder(folder, 0o700)
        for runtime, program in programs:
            if runtime.shim == GVISOR_SHIM:
                wired[runtime.docker_name] = handler = engine.runsc(place.programs, program)
                if "path" in handler:
                    notes[runtime.name] = (
                        "by gVisor's own shim, started by a script that lets it go on without CAP_SYS_RESOURCE, which "
                        "its OOM score needs"
                    )
            elif runtime.shim:
                refused[runtime.name] = f"rtlab does not wire {runtime.shim} to containerd yet"
            else:
                wired[runtime.docker_name] = engine.runc_like(program)
        modules = install(place)
        if not engine.answers() or engine.configured() != engine.toml(place.data, place.programs, wired):
            engine.end_daemon()
            engine.make_netns()
            engine.start(place.data, place.programs, wired, place.logs)
            log = place.logs / "local-cri-images.log"
            engine.load_pause(place.programs, log)
            for image in images:
                engine.load(place.programs, image, log)
        settings = {"cgroup": engine.name, "logs": str(engine.logs), "modules": str(modules)}
        at = EngineAt(name=self.name, socket=str(engine.socket), cli="", settings=settings)
        return Started(at=at, wired=wired, notes=notes, refused=refused)

    def answers(self, testbed_id: str) -> bool:
        return private.Engine(testbed_id).answers()

    def resources(self, testbed_id: str) -> tuple[Resource, ...]:
        return tuple(
            Resource(kind="file", name=str(file)) for file in private.Engine(testbed_id).kept_by_cni() if file.exists()
        )

    def forget(self, testbed_id: str) -> None:
        for file in private.Engine(testbed_id).kept_by_cni():
            file.unlink(missing_ok=True)


def require(folder: Path) -> None:
    """HostUnfit unless the folder has containerd, its shim and CNI's plug-ins."""
    missing = [name for name in (*private.PROGRAMS, *private.CNI_PROGRAMS) if not os.access(folder / name, os.X_OK)]
    if missing:
        raise HostUnfit(
            f"The engine containerd needs {', '.join(missing)} in {folder}.",
            remedy="Take a profile that brings builds (--profile modules), or leave --engines containerd out.",
        )


def install(place: Place) -> Path:
    """grpcio beside the testbed's programs, as pinned; at once where it is there.

    Raises:
        HostUnfit: pip is missing, or could not get it.
    """
    wanted = MODULES.read_bytes() + place.python.encode() + sys.version.encode()
    folder = place.programs.parent / "modules"
    mark = folder / "rtlab-pins"
    digest = hashlib.sha256(wanted).hexdigest()
    if mark.is_file() and mark.read_text() == digest:
        return folder
    done = run(
        (
            *(place.python, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"),
            *("--require-hashes", "--only-binary", ":all:", "--no-deps", "--upgrade", "--target", str(folder)),
            *("-r", str(MODULES)),
        ),
        timeout_s=PIP_S,
    )
    if not done.ok:
        raise HostUnfit(
            f"The engine containerd needs grpcio, and pip did not get it: {done.tail(2)}",
            remedy=f"{place.python} -m pip must work and reach a package index, once; or leave --engines containerd "
            "out.",
        )
    atomic.write_bytes(mark, digest.encode(), 0o600)
    return folder


ENGINE = Containerd()

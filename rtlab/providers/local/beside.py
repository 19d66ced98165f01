"""Further engines beside the local machine's Docker: started with the same builds, each runtime tried under each."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rtlab import atomic, plugins
from rtlab.artifacts import images
from rtlab.artifacts.profile import Profile
from rtlab.connection import archive
from rtlab.connection import client as probe_client
from rtlab.connection.shell import LocalShell
from rtlab.engines.contract import Place
from rtlab.errors import HostUnfit, RtlabError
from rtlab.model import EngineAt, Event, Machine, Notify, Runtime
from rtlab.providers.local.programs import Brought
from rtlab.state import StateFolder

FILE = "engines.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """What was found out about one further engine, kept in the state folder: the next ``up`` need not try again.

    Attributes:
        key: Digest of what it depends on.
        at: Where it is, as JSON values.
        notes: Arm -> what is special about its wiring.
        unavailable: Arm -> why it cannot run here.
    """

    key: str
    at: Mapping[str, Any]
    notes: Mapping[str, str] = field(default_factory=dict)
    unavailable: Mapping[str, str] = field(default_factory=dict)


def others(engines: Sequence[str]) -> tuple[str, ...]:
    """The engines that are not the machine's first."""
    return tuple(name for name in engines if name != plugins.names("engines")[0])


def check(engines: Sequence[str], profile: Profile, source: str) -> None:
    """HostUnfit before anything is made where a further engine has nothing to start from."""
    for name in others(engines):
        if not profile.builds or source == "system":
            raise HostUnfit(
                f"The engine {name} is started from builds, and this testbed has none "
                + (f"(profile {profile.name})." if not profile.builds else "(--engine system)."),
                remedy=f"Say --profile modules, or leave {name} out of --engines.",
            )
        if wrong := [role for role, wanted in profile.images.items() if wanted["source"] != "debian-packages"]:
            raise HostUnfit(
                f"The engine {name} is given images that rtlab makes here; profile {profile.name} takes "
                f"{', '.join(wrong)} from a registry.",
                remedy=f"Say --profile modules, or leave {name} out of --engines.",
            )


def require_builds(engines: Sequence[str], brought: Brought) -> None:
    """HostUnfit where builds were wanted and cannot be had here: there is nothing to fall back to."""
    if brought.folder is None and (wanted := others(engines)):
        raise HostUnfit(
            f"The engine {wanted[0]} is started from builds, and none can be had here: {brought.fallback}",
            remedy=f"Leave {wanted[0]} out of --engines.",
        )


def start(
    machine: Machine,
    place: Place,
    engines: Sequence[str],
    runtimes: Sequence[str],
    brought: Brought,
    state: StateFolder,
    notify: Notify,
) -> tuple[Machine, dict[str, Beside]]:
    """The machine with every further engine started and every runtime tried under it.

    Raises:
        HostUnfit, CommandFailed: an engine did not come up.
    """
    known = read(place.data)
    found: dict[str, Beside] = {}
    for name in others(engines):
        engine = plugins.engine(name)
        key = key_of(name, place, runtimes, brought)
        earlier = known.get(name)
        if earlier is not None and earlier.key == key and engine.answers(place.testbed_id):
            found[name] = earlier
        else:
            notify(Event(stage="machines", message=f"starting a private {engine.title}", machine=machine.name))
            for folder in engine.shared:
                if not os.path.exists(folder):
                    state.note("intend", "shared folder", folder, place.testbed_id)
            found[name] = _tried(machine, place, name, key, runtimes, brought, notify)
        machine = dataclasses.replace(machine, beside=(*machine.beside, EngineAt(**found[name].at)))
    atomic.write_json(place.data / FILE, {name: asdict(one) for name, one in found.items()}, 0o600)
    return machine, found


def remove_shared_folders(made: Sequence[str]) -> None:
    """Remove the folders that further engines of ours made and that nobody has put anything into since."""
    for name in others(plugins.names("engines")):
        for folder in plugins.engine(name).shared:
            if folder in made:
                with contextlib.suppress(OSError):
                    os.rmdir(folder)


def _tried(
    machine: Machine,
    place: Place,
    name: str,
    key: str,
    runtimes: Sequence[str],
    brought: Brought,
    notify: Notify,
) -> Beside:
    """Start one engine, and prove each runtime under it by a container."""
    programs: list[tuple[Runtime, str]] = []
    unavailable: dict[str, str] = {}
    for runtime in map(plugins.runtime, runtimes):
        program = brought.find(runtime.name, runtime.docker_name)
        if program:
            programs.append((runtime, program))
        else:
            why = brought.lacking.get(runtime.name) or f"{runtime.docker_name} is not here"
            unavailable[plugins.arm_name(runtime.name, name)] = why
    made = {role: images.build(role, notify=notify) for role in images.ROLES}
    started = plugins.engine(name).beside(place, programs, tuple(one.path for one in made.values()))
    unavailable |= {plugins.arm_name(runtime, name): why for runtime, why in started.refused.items()}
    with_it = dataclasses.replace(machine, beside=(started.at,))
    references: dict[str, str] = {role: one.reference for role, one in made.items()}
    shell = LocalShell()
    probe_client.install(shell, with_it)
    for runtime, _ in programs:
        arm = plugins.arm_name(runtime.name, name)
        if arm in unavailable:
            continue
        notify(Event(stage="machines", message=f"trying {arm}", machine=machine.name))
        try:
            probe_client.prove(shell, with_it, arm, references, place.testbed_id)
        except RtlabError as error:
            unavailable[arm] = error.message.partition(": ")[2] or error.message
            message = f"{arm} cannot run here: {unavailable[arm]}"
            notify(Event(stage="machines", message=message, machine=machine.name, level="warning"))
    notes = {plugins.arm_name(runtime, name): note for runtime, note in started.notes.items()}
    return Beside(key=key, at=asdict(started.at), notes=notes, unavailable=unavailable)


def key_of(name: str, place: Place, runtimes: Sequence[str], brought: Brought) -> str:
    """Digest of everything that may change what runs under an engine: programs, what rtlab asks them, its own code."""
    seen = [name, str(place.programs), place.python, list(runtimes), brought.records, dict(brought.lacking)]
    content = json.dumps(seen, sort_keys=True).encode() + archive.built() + _CODE
    return hashlib.sha256(content).hexdigest()


_CODE = b"".join(file.read_bytes() for file in sorted(Path(plugins.__file__).parent.glob("engines/**/*.py")))


def read(data: Path) -> dict[str, Beside]:
    """What an earlier ``up`` found out, by engine; empty when there is nothing (readable)."""
    try:
        stored = json.loads((data / FILE).read_text())
        return {name: Beside(**one) for name, one in stored.items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}

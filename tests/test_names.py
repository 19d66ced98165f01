"""No plug-in's name stands as a string outside its folder, so that one is added or taken away by its folder alone.

A text counts when it is nothing but names: "kata", or "boot,io"; the words between an f-string's values do not. What is
exempt stands here with its reason.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import rtlab
from rtlab import plugins
from rtlab.config import sections

PACKAGE = Path(rtlab.__file__).parent
KINDS = ("engines", "experiments", "providers", "runtimes")

RUNTIMES = {"runc", "crun", "youki", "gvisor", "kata"}
# Module (or room) -> the names that it may hold, and why.
ALLOWED: dict[str, tuple[set[str], str]] = {
    # Decided by the design.
    "rtlab.config.settings": ({"runc", "kata", "gvisor", "docker"}, "the default runtimes, engine and baseline"),
    "rtlab.report.paper": ({"runc", "kata"}, "the paper's tables"),
    "rtlab.artifacts.profile": (RUNTIMES | {"docker"}, "profiles: which roles and digests a pin is for"),
    "rtlab.artifacts.builds": ({"local", "static"}, "of Go and of Rust: GOTOOLCHAIN=local, LINK_TYPE=static"),
    # The same word for another thing.
    "rtlab.cli.plan": ({"boot"}, "the column of a plan"),
    "rtlab.connection.playbook": ({"local"}, "a transport, and Ansible's connection of that name"),
    "rtlab.cli.ssh": ({"local"}, "a transport"),
    "rtlab.connection.ssh": ({"exec"}, "a channel's request in SSH"),
    "rtlab.experiments.io.simulate": ({"simulated"}, "the version that such a Bonnie++ prints"),
    "rtlab.probe": ({"cpu", "memory", "io", "network"}, "the kernel's words: controllers, pressure, counters"),
    "rtlab.providers.contract": ({"vagrant"}, "the logger of python-vagrant"),
    "rtlab.providers.simulated.documents": ({"cpu", "docker"}, "keys of a machine's facts"),
    "rtlab.providers.static.inventory": ({"local"}, "Ansible's connection of that name"),
    "rtlab.providers.vagrant": ({"network", "memory"}, "a kind of resource; a check's id"),
    "rtlab.publish.exports": ({"boot"}, "a column of the plan"),
    "rtlab.report.files": ({"boot"}, "a column of the plan"),
    "rtlab.runtimes.gvisor.proof": ({"network"}, "a flag of runsc"),
    "rtlab.engines": (
        {"runc", "crun", "youki", "containerd", "network"},
        "names by which an engine may know a runtime; the programs that Docker is made of; a word of the CRI",
    ),
    "rtlab.artifacts.programs": ({"runc"}, "what an engine starts by default"),
    "rtlab.cli.show": ({"simulated"}, "a key of the evidence"),
    "rtlab.model.machines": (
        {"local", "simulated", "docker"},
        "transports, a level; the engine before there were others",
    ),
    "rtlab.host": (
        {"runc", "youki", "docker", "containerd", "vagrant", "local"},
        "pins of builds; programs; a transport",
    ),
    "rtlab.providers.local": ({"docker", "runc", "containerd"}, "the private engine, and what is built into it"),
    "rtlab.publish.redaction": ({"local", "simulated"}, "transports"),
    "rtlab.publish.allowlist": (
        {"containerd", "cpu", "docker", "kata", "network"},
        "keys of a machine's facts and of a testbed's details",
    ),
    "rtlab.report.build": ({"containerd", "cpu", "docker", "network"}, "keys of a machine's facts"),
}


# Names of a runtime's settings elsewhere, and why.
SETTINGS: dict[str, tuple[set[str], str]] = {
    "rtlab.publish.allowlist": ({"kata_version", "kata_flavour"}, "keys of a testbed's details"),
}


def plugs() -> dict[str, set[str]]:
    """Name -> the folders in which it may stand."""
    found: dict[str, set[str]] = {}
    for kind in KINDS:
        for folder in (PACKAGE / kind).iterdir():
            if (folder / "__init__.py").is_file():
                found.setdefault(folder.name, set()).add(f"rtlab.{kind}.{folder.name}")
    return found


NAMES = plugs()


def named(text: str) -> set[str]:
    """The plug-ins that a text names, when it is nothing but names."""
    words = [word for word in re.split(r"[,\s]+", text) if word]
    return set(words) if words and set(words) <= NAMES.keys() else set()


def inside(module: str, place: str) -> bool:
    return f"{module}.".startswith(f"{place}.")


def said() -> dict[tuple[str, str], int]:
    """(module, name of a plug-in that is not its own) -> a line."""
    found = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        if "_content" in file.parts:
            continue
        module = ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts).removesuffix(".__init__")
        tree = ast.parse(file.read_text())
        parts = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
                for name in named(node.value):
                    if not any(inside(module, home) for home in NAMES[name]):
                        found[module, name] = node.lineno
    return found


SAID = said()


def allowed(module: str, name: str) -> bool:
    return any(inside(module, place) and name in names for place, (names, _) in ALLOWED.items())


def test_there_are_plug_ins() -> None:
    assert {"boot", "docker", "kata", "local"} <= NAMES.keys()
    assert named("boot,io") == {"boot", "io"} and not named("boot the machine") and not named(", ")


def test_no_plug_ins_name_stands_outside_its_folder() -> None:
    wrong = [f"{m} line {line}: {name!r}" for (m, name), line in SAID.items() if not allowed(m, name)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("place", ALLOWED)
def test_what_is_no_longer_needed_is_struck_out(place: str) -> None:
    """Of modules and plug-ins that are there."""
    path = PACKAGE.parent.joinpath(*place.split("."))
    if path.is_dir() or path.with_suffix(".py").is_file():
        names, why = ALLOWED[place]
        assert why and names & NAMES.keys() <= {name for module, name in SAID if inside(module, place)}


def test_a_runtimes_settings_are_named_in_its_folder_alone() -> None:
    """As a text or as an attribute: ``kata_version``. What is exempt is there."""
    homes = {key: name for name in plugins.names("runtimes") for key in sections.keys(name).values() if key != name}
    assert {"kata_version", "crun_url"} <= homes.keys()
    found: dict[str, set[str]] = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        module = ".".join(file.relative_to(PACKAGE.parent).with_suffix("").parts)
        if "_content" in file.parts:
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            name = node.value if isinstance(node, ast.Constant) else getattr(node, "attr", None)
            if isinstance(name, str) and name in homes and not inside(module, f"rtlab.runtimes.{homes[name]}"):
                found.setdefault(module, set()).add(name)
    assert found == {module: names for module, (names, _) in SETTINGS.items()}

"""Imports point one way, each third-party library has one home, and only the command line prints or exits."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import rtlab

PACKAGE = Path(rtlab.__file__).parent

# Lower numbers know nothing of higher ones. A name covers its sub-modules unless these are named themselves.
LEVELS = {
    "rtlab.errors": 0,
    "rtlab.units": 0,
    "rtlab.text": 0,
    "rtlab": 0,
    "rtlab.model": 1,
    "rtlab.plugins": 2,
    "rtlab.experiments.io.bonnie": 2,
    "rtlab.calibration": 2,
    "rtlab.experiments.counters": 2,
    "rtlab.experiments.parameters": 2,
    "rtlab.campaign.plan": 2,
    "rtlab.stats": 2,
    "rtlab.report.tables": 2,
    "rtlab.report.latex": 2,
    "rtlab.report.plots": 2,
    "rtlab.report.paper": 2,
    "rtlab.report.ages": 2,
    "rtlab.store.facts": 2,
    "rtlab.publish.redaction": 2,
    "rtlab.publish.vocabulary": 2,
    "rtlab.providers.simulated.simulation": 2,
    "rtlab.runtimes": 2,
    "rtlab.experiments": 2,
    "rtlab.content": 2,
    "rtlab.arrival": 2,
    "rtlab.cli": 9,
}
EDGES = 3
ORCHESTRATION = {
    "rtlab.testbed",
    "rtlab.campaign.bench",
    "rtlab.report",
    "rtlab.report.compare",
    "rtlab.host.doctor",
    "rtlab.publish.exports",
    "rtlab.host.choice",
    "rtlab.campaign.forecast",
    "rtlab.campaign.like",
    "rtlab.publish.pack",
}

HOMES = {
    "paramiko": {"rtlab.connection.ssh", "rtlab.connection.keys"},
    "ansible_runner": {"rtlab.connection.playbook"},
    "vagrant": {"rtlab.providers.vagrant.provider"},
    "jinja2": {"rtlab.report.page"},
    "pycdlib": {"rtlab.providers.vagrant.seed"},
    "pyarrow": {"rtlab.publish.exports.parquet"},
}


def modules() -> dict[str, ast.Module]:
    found = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        if "_content" in file.parts:
            continue
        parts = list(file.relative_to(PACKAGE.parent).with_suffix("").parts)
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(file.read_text())
    return found


def imports(tree: ast.Module) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
            if node.module.split(".")[0] == "rtlab":
                names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def level(name: str) -> int:
    if any(name == o or name.startswith(o + ".") for o in ORCHESTRATION):
        return 5
    while name:
        if name in LEVELS and (name != "rtlab"):
            return LEVELS[name]
        name = name.rpartition(".")[0]
        if name == "rtlab":
            return EDGES
    return EDGES


MODULES = modules()


@pytest.mark.parametrize("name", [n for n in MODULES if n not in ("rtlab", "rtlab.__main__")])
def test_imports_point_one_way(name: str) -> None:
    known = [i for i in imports(MODULES[name]) if i in MODULES and i != "rtlab"]
    wrong = [i for i in known if level(i) > level(name)]
    assert not wrong, f"{name} (level {level(name)}) imports {wrong}"


@pytest.mark.parametrize("library", HOMES)
def test_a_third_party_library_has_one_home(library: str) -> None:
    users = {n for n, tree in MODULES.items() if any(i.split(".")[0] == library for i in imports(tree))}
    assert users <= HOMES[library]


@pytest.mark.parametrize("name", [n for n in MODULES if not n.startswith(("rtlab.cli", "rtlab.probe"))])
def test_only_the_command_line_prints_or_exits(name: str) -> None:
    for node in ast.walk(MODULES[name]):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if (name, called) == ("rtlab.host.virtualization", "sys.exit"):
                continue  # it runs itself as a child process, whose exit status is the answer
            assert called not in {"print", "sys.exit", "exit", "typer.echo"}, f"{name} line {node.lineno}: {called}"


@pytest.mark.parametrize("name", MODULES)
def test_no_shell_and_no_pickle(name: str) -> None:
    assert not imports(MODULES[name]) & {"pickle", "marshal", "shelve", "dill"}
    for node in ast.walk(MODULES[name]):
        if isinstance(node, ast.Call):
            shell = [k for k in node.keywords if k.arg == "shell" and ast.unparse(k.value) != "False"]
            is_subprocess = ast.unparse(node.func).startswith(("subprocess.", "os.system", "os.popen"))
            assert not (shell and is_subprocess), f"{name} line {node.lineno}"


def test_no_module_is_a_drawer_for_odds_and_ends() -> None:
    names = {n.rpartition(".")[2] for n in MODULES}
    assert not names & {"utils", "util", "helpers", "helper", "manager", "common", "misc", "data", "info"}

"""Imports point one way, each third-party library has one home, and only the command line prints or exits."""

from __future__ import annotations

import ast
import graphlib
import sys
from functools import cache
from pathlib import Path

import pytest

import rtlab

PACKAGE = Path(rtlab.__file__).parent

# What each room may import besides itself. A room is a folder or a module of rtlab/; one that is not here fails.
WORDS = {"errors", "units", "text", "model"}
BASE = WORDS | {"atomic", "content", "files", "state", "plugins"}
ROOMS: dict[str, set[str]] = {
    "errors": set(),
    "units": set(),
    "text": set(),
    "model": {"errors", "units", "text"},
    "files": {"errors"},
    "ownership": set(),
    "atomic": {"errors", "files", "ownership"},
    "scratch": WORDS | {"atomic", "ownership"},
    "arrival": WORDS,
    "collection": set(),
    "content": WORDS,
    "plugins": WORDS,
    "state": WORDS | {"arrival", "atomic", "files", "ownership"},
    "config": BASE,
    "stats": {"model", "units"},
    "probe": set(),
    "connection": BASE | {"arrival"},
    "artifacts": BASE | {"config", "connection"},
    "engines": BASE | {"config", "connection"},
    "experiments": WORDS | {"config"},
    "runtimes": WORDS | {"config", "content", "artifacts", "host"},
    # CPUID is read here as it is on the machines.
    "host": BASE | {"config", "connection", "artifacts", "engines", "probe"},
    "providers": BASE | {"config", "connection", "artifacts", "engines", "host"},
    "testbed": BASE | {"config", "connection", "artifacts", "engines", "host", "providers"},
    "store": WORDS | {"arrival", "atomic", "files", "ownership", "scratch", "state"},
    "report": BASE | {"collection", "stats", "store"},
    "campaign": BASE | {"config", "connection", "experiments", "providers", "testbed", "stats", "store", "report"},
    "publish": BASE | {"ownership", "scratch", "store", "report"},
}
ROOMS["cli"] = set(ROOMS)
ROOMS["__main__"] = {"cli"}

# What runs on the machines: it imports the standard library, the probe and its own plug-in's other machine files, and
# nothing else imports it.
HALVES = {"experiments": {"measure"}, "runtimes": {"proof"}, "engines": {"client", "messages"}}

# Plug-ins know nothing of one another: in these rooms a folder, or a module that is a plug-in, imports no other one.
PLUGINS = {"engines": "ENGINE", "experiments": "EXPERIMENT", "runtimes": "RUNTIME", "providers": "PROVIDER"}

# Imports that break the rules above, until the code that makes them is moved. The list only ever gets shorter.
DEBTS: set[tuple[str, str]] = set()

# Every third-party library, and the modules or rooms that use it.
HOMES = {
    "ansible_runner": {"rtlab.connection.playbook"},
    "cryptography": {"rtlab.connection.keys"},
    "grpc": {"rtlab.engines.containerd.client"},
    "jinja2": {"rtlab.report.page"},
    "markupsafe": {"rtlab.report.page"},
    "matplotlib": {"rtlab.report.plots"},
    "numpy": {"rtlab.stats"},
    "paramiko": {"rtlab.connection.ssh", "rtlab.connection.known_hosts"},
    "psutil": {"rtlab.probe"},
    "pyarrow": {"rtlab.publish.exports.parquet"},
    "pycdlib": {"rtlab.providers.vagrant.seed"},
    "pydantic": {"rtlab.config", "rtlab.state", "rtlab.store"},
    "rich": {"rtlab.cli.console", "rtlab.cli.progress"},
    "scipy": {"rtlab.stats"},
    "tomli": {
        "rtlab.artifacts",
        "rtlab.config",
        "rtlab.providers.simulated.provider",
        "rtlab.publish.credentials",
    },
    "typer": {"rtlab.cli"},
    "vagrant": {"rtlab.providers.vagrant.watched"},
    "yaml": {"rtlab.runtimes.kata"},
}


# Files above MOST_LINES and functions above MOST_LINES_OF_A_FUNCTION, until they are split, with the lines they may
# have till then. The table only ever gets shorter.
MOST_LINES, MOST_LINES_OF_A_FUNCTION = 500, 80
LONG: dict[str, int] = {}


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


MODULES = modules()


def room(name: str) -> str:
    return name.split(".")[1] if "." in name else name


def imported(name: str) -> set[str]:
    """The modules of rtlab that a module imports, a package only where something of its own is taken from it."""
    found: set[str] = set()
    for node in ast.walk(MODULES[name]):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{name} line {node.lineno}: relative import"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {i if i in MODULES else node.module for i in inner}
    return {i for i in found if i in MODULES and i != "rtlab"}


def plugin(name: str) -> str:
    """The plug-in that a module belongs to, such as the one in ``experiments/io``; empty for what all of them share."""
    parts = name.split(".")
    if len(parts) < 3 or parts[1] not in PLUGINS:
        return ""
    top = ".".join(parts[:3])
    is_one = any(n.startswith(top + ".") for n in MODULES) or any(
        isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == PLUGINS[parts[1]] for node in MODULES[top].body
    )
    return top if is_one else ""


def is_half(name: str) -> bool:
    """Whether a module is the machine's half of a plug-in."""
    return name.rpartition(".")[2] in HALVES.get(room(name), set())


@cache
def violations() -> set[tuple[str, str]]:
    found = set()
    for name in MODULES:
        for other in imported(name):
            if is_half(other):
                wrong = not (is_half(name) and plugin(name) == plugin(other))
            elif is_half(name):
                wrong = room(other) != "probe"
            elif room(name) != room(other):
                wrong = room(other) not in ROOMS.get(room(name), set())
            else:
                wrong = plugin(name) != plugin(other) and bool(plugin(other))
            if wrong:
                found.add((name, other))
    return found


def test_every_module_is_in_a_room() -> None:
    assert {room(n) for n in MODULES if n != "rtlab"} <= set(ROOMS)


@pytest.mark.parametrize("name", [n for n in MODULES if n != "rtlab"])
def test_a_room_imports_what_it_may(name: str) -> None:
    wrong = sorted(other for user, other in violations() - DEBTS if user == name)
    assert not wrong, f"{name} may not import {wrong}"


def test_debts_are_struck_out_when_paid() -> None:
    assert not DEBTS - violations()


def test_the_rules_have_no_circle() -> None:
    tuple(graphlib.TopologicalSorter(ROOMS).static_order())


def test_a_third_party_library_has_one_home() -> None:
    users: dict[str, set[str]] = {}
    for name, tree in MODULES.items():
        for library in {i.split(".")[0] for i in imports(tree)} - {"rtlab"} - sys.stdlib_module_names:
            users.setdefault(library, set()).add(name)
    assert set(users) - {"tomli"} == set(HOMES) - {"tomli"}  # tomli is for Python 3.10
    homeless = {
        (library, user)
        for library, modules in users.items()
        for user in modules
        if not any(f"{user}.".startswith(f"{home}.") for home in HOMES[library])
    }
    assert not homeless


@pytest.mark.parametrize("name", [n for n in MODULES if not n.startswith(("rtlab.cli", "rtlab.probe"))])
def test_only_the_command_line_prints_or_exits(name: str) -> None:
    for node in ast.walk(MODULES[name]):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            if (name, called) == ("rtlab.host.virtualization", "sys.exit"):
                continue  # it runs itself as a child process, whose exit status is the answer
            if (name, called) == ("rtlab.host.cpuid", "print"):
                continue  # a program of its own, run on any machine
            assert called not in {"print", "sys.exit", "exit", "typer.echo"}, f"{name} line {node.lineno}: {called}"


@pytest.mark.parametrize("name", MODULES)
def test_no_shell_and_no_pickle(name: str) -> None:
    assert not imports(MODULES[name]) & {"pickle", "marshal", "shelve", "dill"}
    for node in ast.walk(MODULES[name]):
        if isinstance(node, ast.Call):
            shell = [k for k in node.keywords if k.arg == "shell" and ast.unparse(k.value) != "False"]
            is_subprocess = ast.unparse(node.func).startswith(("subprocess.", "os.system", "os.popen"))
            assert not (shell and is_subprocess), f"{name} line {node.lineno}"


@pytest.mark.parametrize("name", [n for n in MODULES if n.startswith("rtlab.cli.") and n != "rtlab.cli.console"])
def test_what_a_command_shows_goes_through_the_console_which_cleans_it(name: str) -> None:
    for node in ast.walk(MODULES[name]):
        if isinstance(node, ast.Call):
            assert ast.unparse(node.func) not in {"console.out.print", "console.err.print"}, f"line {node.lineno}"


def test_no_module_is_a_drawer_for_odds_and_ends() -> None:
    names = {n.rpartition(".")[2] for n in MODULES}
    assert not names & {"utils", "util", "helpers", "helper", "manager", "common", "misc", "data", "info"}


def lines() -> dict[str, int]:
    """Of every module and function too long by the rule, by its dotted name."""
    found = {}
    for name, tree in MODULES.items():
        file = PACKAGE.parent.joinpath(*name.split("."))
        file = file / "__init__.py" if file.is_dir() else file.with_suffix(".py")
        if (count := len(file.read_text().splitlines())) > MOST_LINES:
            found[name] = count
        holders: list[tuple[str, ast.AST]] = [(name, tree)]
        while holders:
            prefix, holder = holders.pop()
            for node in ast.iter_child_nodes(holder):
                if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                    inner = f"{prefix}.{node.name}"
                    holders.append((inner, node))
                    count = (node.end_lineno or node.lineno) - node.lineno + 1
                    if not isinstance(node, ast.ClassDef) and count > MOST_LINES_OF_A_FUNCTION:
                        found[inner] = count
                else:
                    holders.append((prefix, node))
    return found


def test_nothing_is_too_long() -> None:
    found = lines()
    assert not {name: count for name, count in found.items() if count > LONG.get(name, 0)}
    assert not LONG.keys() - found.keys(), "split: strike it out"


def test_a_command_fits_on_a_screen() -> None:
    """Options come from one table, and what a command does is told by the functions that it calls."""
    long = {
        f"{name}.{node.name}": count
        for name, tree in MODULES.items()
        if room(name) == "cli"
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and (count := (node.end_lineno or 0) - node.lineno + 1) >= 60
    }
    assert not long

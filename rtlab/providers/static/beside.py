"""An engine of rtlab's own on a machine of the user's, beside whatever engine it has: what the roles are told to make.

It is laid out as on this very machine (``rtlab.engines.docker.private``), and run by two units of systemd, so that it
is there again after a reboot. Nothing is written but what ``traces`` lists, and the containers' cgroup ``rtlab-<id>``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rtlab import plugins
from rtlab.engines.docker.private import CLI, Engine
from rtlab.model import EngineAt, Machine, Shell, Surroundings
from rtlab.model.machines import MOBY_V2_IS

ROOT = Path("/opt/rtlab")
ASK_S = 60.0
# What an engine calls, and what starts and feeds it here.
NEEDED = ("iptables", "ip", "nsenter", "unshare", "mount", "umount", "pkill", "find", "systemctl")
# Prints what is missing, a line each; the names are arguments.
_LACKS = """
[ "$(uname -m)" = x86_64 ] || echo "a processor of type x86_64 (it has $(uname -m))"
[ -d /run/systemd/system ] || echo systemd
[ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" != Y ] || set -- "$@" apparmor_parser
for name; do command -v "$name" >/dev/null || echo "$name"; done
"""
PATH = ("env", "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")


@dataclass(frozen=True, slots=True, kw_only=True)
class Own:
    """Runtimes that are a machine's own, beside an engine that was brought.

    Attributes:
        entries: Name under which Docker knows it -> its entry in daemon.json.
        unavailable: Runtime -> why it cannot run.
    """

    entries: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    unavailable: Mapping[str, str] = field(default_factory=dict)


def folder(testbed_id: str) -> Path:
    return ROOT / testbed_id


def traces(testbed_id: str) -> tuple[str, ...]:
    """The paths that exist on a machine as long as something of this testbed does."""
    private = Engine(testbed_id)
    units = (f"/etc/systemd/system/{unit}" for unit in units_of(testbed_id))
    return (str(folder(testbed_id)), str(private.folder), str(private.netns), *units)


def units_of(testbed_id: str) -> tuple[str, str]:
    """The engine's unit, and containerd's."""
    name = Engine(testbed_id).name
    return f"{name}.service", f"{name}-containerd.service"


def lacks(shell: Shell) -> tuple[str, ...]:
    """What the machine must have for such an engine and has not."""
    told = shell.run((*PATH, "sh", "-c", _LACKS, "sh", *NEEDED), timeout_s=ASK_S).text()
    return tuple(line for line in told.splitlines() if line.strip())


def at(machine: Machine, testbed_id: str) -> Machine:
    """The machine with that engine as the one that runs its containers."""
    private = Engine(testbed_id)
    return replace(
        machine,
        engine=EngineAt(socket=str(private.socket), cli=str(folder(testbed_id) / "bin" / CLI)),
        netns=str(private.netns),
        home=str(folder(testbed_id)),
    )


def own_runtimes(shell: Shell, names: Iterable[str], asked: Mapping[str, Any]) -> Own:
    """How the machine's own builds of these runtimes are handed to an engine of today."""

    def find(program: str) -> str:
        return shell.run((*PATH, "sh", "-c", 'command -v "$1"', "sh", program), timeout_s=ASK_S).text().strip()

    def said(argv: tuple[str, ...]) -> str:
        result = shell.run(argv, timeout_s=ASK_S)
        return result.text() + result.stderr.decode("utf-8", "replace")

    def kvm_refuses() -> str:
        return "" if shell.run(("test", "-c", "/dev/kvm"), timeout_s=ASK_S).ok else "the machine has no /dev/kvm"

    version = ".".join(map(str, MOBY_V2_IS))
    around = Surroundings(
        find=find,
        said=said,
        kvm_refuses=kvm_refuses,
        engine_version=version,
        engine_major=MOBY_V2_IS[0],
        asked=asked,
    )
    entries: dict[str, Mapping[str, Any]] = {}
    unavailable: dict[str, str] = {}
    for name in names:
        runtime = plugins.runtime(name)
        ways = runtime.ways(around)
        if isinstance(ways, str):
            unavailable[name] = ways
        elif ways[0].entry is not None:
            entries[runtime.docker_name] = ways[0].entry
    return Own(entries=entries, unavailable=unavailable)


def variables(testbed_id: str, entries: Mapping[str, Any]) -> dict[str, Any]:
    """What the roles are told to make.

    Args:
        entries: Runtimes of the machine's own, as in daemon.json.
    """
    private = Engine(testbed_id)
    data = folder(testbed_id) / "data"
    engine, containerd = units_of(testbed_id)
    return {
        "rtlab_beside": True,
        "rtlab_bin": str(folder(testbed_id) / "bin"),
        "docker_daemon_json": str(folder(testbed_id) / "daemon.json"),
        "docker_unit": engine,
        "docker_beside": {
            "name": private.name,
            "folder": str(folder(testbed_id)),
            "data": str(data),
            "run": str(private.folder),
            "netns": str(private.netns),
            "containerd_unit": containerd,
            "containerd_toml": private.containerd_toml(data),
            "daemon_options": private.daemon_json(data, entries, MOBY_V2_IS[0]),
        },
    }

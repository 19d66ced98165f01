"""This very machine: what it is, and whether root may make here what a private engine needs."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from rtlab.connection.shell import run
from rtlab.engines import private as own
from rtlab.engines.docker.private import Engine, Programs
from rtlab.errors import HostUnfit
from rtlab.host import virtualization
from rtlab.model import EngineAt, Level, Machine

MACHINE = "local"
_CAP_NET_ADMIN, _CAP_SYS_ADMIN = 12, 21
_INSTEAD = "`rtlab up --provider simulated` shows the whole tool without any machine."


def check_rights(status: str | None = None, mounts: str | None = None, euid: int | None = None) -> None:
    """HostUnfit unless root may make namespaces, mounts and cgroups here.

    Args:
        status, mounts, euid: For tests; otherwise this process's own.
    """
    if (os.geteuid() if euid is None else euid) != 0:
        raise HostUnfit(
            "The local provider starts a Docker of its own on this machine, which only root may do.",
            remedy=f"sudo {sys.executable} -m rtlab up --provider local",
        )
    text = status if status is not None else Path("/proc/self/status").read_text()
    match = re.search(r"^CapEff:\s*([0-9a-f]+)$", text, re.M)
    capabilities = int(match[1], 16) if match else 0
    missing = [
        name
        for name, bit in (("CAP_SYS_ADMIN", _CAP_SYS_ADMIN), ("CAP_NET_ADMIN", _CAP_NET_ADMIN))
        if not capabilities >> bit & 1
    ]
    if missing:
        raise HostUnfit(
            f"No Docker can run here: root lacks {' and '.join(missing)} (an unprivileged container, it seems).",
            remedy=f"Run rtlab on the host itself, or in a privileged container (docker run --privileged). {_INSTEAD}",
        )
    table = mounts if mounts is not None else Path("/proc/self/mounts").read_text()
    cgroups = [words for words in map(str.split, table.splitlines()) if words[2] in ("cgroup", "cgroup2")]
    if not any("rw" in words[3].split(",") for words in cgroups):
        how = "mounted read-only" if cgroups else "not mounted"
        raise HostUnfit(
            f"No Docker can run here: cgroups are {how} (an unprivileged container, it seems).",
            remedy=f"mount -t cgroup2 none /sys/fs/cgroup; or run rtlab on the host itself. {_INSTEAD}",
        )


def level() -> Level:
    """What this machine is."""
    program = own.find("systemd-detect-virt")
    said = run((program, "--vm"), timeout_s=10).text().strip() if program else ""
    return virtualization.this_machine(said).level


def machine_of(private: Engine, programs: Programs, data: Path) -> Machine:
    """The machine as everything else sees it."""
    return Machine(
        name=MACHINE,
        transport="local",
        python=sys.executable,
        sudo=os.geteuid() != 0,
        engine=EngineAt(socket=str(private.socket), cli=programs.docker),
        netns=str(private.netns),
        home=str(data / "home"),
        may_reboot=False,
        level=level(),
    )

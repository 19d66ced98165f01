"""VirtualBox, as the backend of Vagrant machines: found, paused and removed through VBoxManage."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rtlab.connection.shell import run, run_checked
from rtlab.model import CommandResult, Resource

TIMEOUT_S = 120.0
_NAME = re.compile(r"rtlab-([0-9a-f]{8})-([a-z0-9-]+)\Z")
_STATES = {"running": "running", "starting": "running", "stopping": "running", "paused": "paused"}


def vboxmanage(*argv: str, log: Path | None = None) -> CommandResult:
    """Run one VBoxManage command, in English, whatever its outcome."""
    return run(("VBoxManage", *argv), timeout_s=TIMEOUT_S, env={"LC_ALL": "C"}, log=log)


def answers() -> bool:
    """Whether VirtualBox is installed and its driver works."""
    return shutil.which("VBoxManage") is not None and vboxmanage("list", "vms").ok


def parse_machines(text: str) -> dict[str, str]:
    """``VBoxManage list vms`` -> name -> uuid. A machine whose folder is lost is called ``<inaccessible>`` there."""
    return dict(re.findall(r'^"(.*)" \{([0-9a-f-]{36})\}\s*$', text, re.M))


def machines() -> dict[str, str]:
    """All machines of this user, rtlab's or not: name -> uuid."""
    result = run_checked(
        ("VBoxManage", "list", "vms"), timeout_s=TIMEOUT_S, env={"LC_ALL": "C"}, doing="list VirtualBox's machines"
    )
    return parse_machines(result.text())


def states(testbed_id: str) -> dict[str, str]:
    """Machine -> ``running``, ``paused`` or ``stopped``, for the testbed's machines that exist."""
    found = {}
    for name in machines():
        match = _NAME.match(name)
        if match and match[1] == testbed_id:
            info = vboxmanage("showvminfo", name, "--machinereadable").text()
            word = re.search(r'^VMState="(\w+)"', info, re.M)
            found[match[2]] = _STATES.get(word[1], "stopped") if word else "stopped"
    return found


def resources(testbed_id: str) -> tuple[Resource, ...]:
    """Everything in VirtualBox that carries the testbed's id. A machine's disk goes with it."""
    return tuple(
        Resource(kind="domain", name=n) for n in machines() if (m := _NAME.match(n)) is not None and m[1] == testbed_id
    )


def testbed_ids() -> tuple[str, ...]:
    """Ids of all testbeds of which a machine exists."""
    return tuple(sorted({match[1] for name in machines() if (match := _NAME.match(name))}))


def remove(resource: Resource, log: Path) -> str:
    """Power off, unregister and delete a machine; empty when it is gone, otherwise what VirtualBox said."""
    vboxmanage("controlvm", resource.name, "poweroff", log=log)
    result = vboxmanage("unregistervm", resource.name, "--delete", log=log)
    existing = machines()
    gone = resource.name not in existing and resource.name not in existing.values()
    return "" if gone else result.tail(2) or "VirtualBox still has it"


def unnamed(uuids: Iterable[str]) -> tuple[Resource, ...]:
    """Those of the machines (by uuid) that exist without rtlab's name: Vagrant imports first and names later."""
    known = {uuid: name for name, uuid in machines().items()}
    return tuple(Resource(kind="domain", name=u) for u in uuids if u in known and not _NAME.match(known[u]))


def pause(name: str, log: Path) -> None:
    """Stop a machine's virtual CPUs."""
    run_checked(("VBoxManage", "controlvm", name, "pause"), timeout_s=TIMEOUT_S, doing=f"pause {name}", log=log)


def resume(name: str, log: Path) -> None:
    """Let a paused machine go on."""
    run_checked(("VBoxManage", "controlvm", name, "resume"), timeout_s=TIMEOUT_S, doing=f"resume {name}", log=log)


def reset(name: str, log: Path) -> None:
    """Turn a machine that hangs off and on, without asking its guest."""
    run_checked(("VBoxManage", "controlvm", name, "reset"), timeout_s=TIMEOUT_S, doing=f"reset {name}", log=log)


def describe() -> dict[str, Any]:
    """Versions worth keeping with a campaign."""
    return {"virtualbox_version": vboxmanage("--version").text().strip()}

"""Starts libvirt's daemons by hand where no service manager does, and stops exactly those again.

What was started is recorded in /run/rtlab, not in a state folder: several working folders may share the daemons, and
whoever removes the last testbed stops them.
"""

from __future__ import annotations

import contextlib
import grp
import json
import os
import re
import shutil
import signal
import stat
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from rtlab import atomic
from rtlab.connection.shell import run, run_checked
from rtlab.errors import HostUnfit
from rtlab.host import virtualization
from rtlab.model import Event, Notify
from rtlab.providers.vagrant import libvirt

RECORD = Path("/run/rtlab/libvirtd.json")
# Name -> pid file that the daemon writes; virtlogd first, because libvirtd asks it for each machine's console log.
DAEMONS = {"virtlogd": Path("/run/virtlogd.pid"), "libvirtd": Path("/run/libvirtd.pid")}
START_TIMEOUT_S = 30.0
_TABLES = ("filter", "nat", "mangle")


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """One daemon that rtlab started; ``start_ticks`` tells it from a later process with the same pid."""

    name: str
    pid: int
    start_ticks: int


def ensure(log: Path, notify: Notify) -> None:
    """Make libvirt answer; nothing happens when it does already.

    Raises:
        HostUnfit: it is not installed, or a service manager or root is needed to start it.
    """
    if shutil.which("virsh") is None or shutil.which("libvirtd") is None:
        raise HostUnfit("libvirt is not installed.", remedy="`rtlab doctor --fix` installs it.")
    if libvirt.answers():
        return
    if Path("/run/systemd/system").exists():
        raise HostUnfit("libvirtd is not running.", remedy="sudo systemctl start libvirtd")
    if os.geteuid() != 0:
        raise HostUnfit(
            "libvirtd is not running, and only root can start it.",
            remedy="Start it: sudo virtlogd -d; sudo libvirtd -d",
        )
    before = {"bridges": sorted(_bridges()), "chains": sorted(_chains()), "kvm": _open_kvm()}
    atomic.make_folder(RECORD.parent)
    atomic.write_json(RECORD, {"started": [], "before": before})
    started: list[Started] = []
    for name, pid_file in DAEMONS.items():
        if _alive(pid_file):
            continue
        notify(Event(stage="machines", message=f"Starting {name}"))
        run_checked((name, "-d"), timeout_s=START_TIMEOUT_S, doing=f"start {name}", log=log)
        deadline = time.monotonic() + START_TIMEOUT_S
        while not (pid := _alive(pid_file)):
            if time.monotonic() > deadline:
                raise HostUnfit(f"{name} did not start.", remedy=f"See {log}, or start it by hand: {name} -v")
            time.sleep(0.1)
        started.append(Started(name=name, pid=pid, start_ticks=_start_ticks(pid)))
        atomic.write_json(RECORD, {"started": [asdict(s) for s in started], "before": before})
    deadline = time.monotonic() + START_TIMEOUT_S
    while not libvirt.answers():
        if time.monotonic() > deadline:
            raise HostUnfit(
                f"libvirtd runs but does not answer at {libvirt.URI}.", remedy="See /var/log/libvirt and `libvirtd -v`."
            )
        time.sleep(0.3)


def _open_kvm() -> dict[str, int]:
    """Give /dev/kvm the group and mode that udev gives it where udev runs; returns what it had (empty: unchanged).

    While libvirt probes QEMU as root it sees a KVM that its own user may not open, calls what it found outdated and
    probes again for every call: 4 s each on an idle machine, minutes for one `vagrant up` (seen with libvirt 9.0).
    """
    node = Path(virtualization.DEVICE)
    try:
        group = grp.getgrnam("kvm").gr_gid
        had = node.stat()
    except (KeyError, OSError):
        return {}
    if had.st_mode & 0o006 == 0o006 or (had.st_gid == group and had.st_mode & 0o060 == 0o060):
        return {}
    os.chown(node, -1, group)
    node.chmod(0o660)
    return {"gid": had.st_gid, "mode": stat.S_IMODE(had.st_mode)}


def running() -> tuple[Started, ...]:
    """The daemons that rtlab started and that still run."""
    if not RECORD.exists():
        return ()
    try:
        entries = [Started(**entry) for entry in json.loads(RECORD.read_text())["started"]]
    except (ValueError, KeyError, TypeError):
        return ()
    return tuple(e for e in entries if _start_ticks(e.pid) == e.start_ticks)


def in_use() -> bool:
    """Whether anybody's machine runs, or any testbed of rtlab's exists. True when libvirt does not say."""
    if not libvirt.answers():
        return False
    active = [state for state in libvirt.domains().values() if state != "shut off"]
    return bool(active or libvirt.testbed_ids())


def stop(log: Path) -> tuple[Started, ...]:
    """Stop what rtlab started unless it is in use; returns what still runs though it should not."""
    started = running()
    if not started:
        RECORD.unlink(missing_ok=True)
        return ()
    if in_use():
        return ()
    before = json.loads(RECORD.read_text()).get("before", {})
    # Networks that libvirtd itself brought up (autostart) would outlive it, with a bridge and a dnsmasq each.
    for name in libvirt.virsh("net-list", "--name").text().split():
        match = re.search(r"<bridge name='([^']+)'", libvirt.virsh("net-dumpxml", name).text())
        if match and match[1] not in before.get("bridges", []):
            libvirt.virsh("net-destroy", name, log=log)
    remaining = []
    for entry in reversed(started):
        if not _end(entry):
            remaining.append(entry)
    if not remaining:
        _remove_chains(set(before.get("chains", [])), log)
        if kvm := before.get("kvm"):
            os.chown(virtualization.DEVICE, -1, kvm["gid"])
            os.chmod(virtualization.DEVICE, kvm["mode"])
        RECORD.unlink(missing_ok=True)
    return tuple(remaining)


def _end(entry: Started) -> bool:
    for number, wait_s in ((signal.SIGTERM, 15.0), (signal.SIGKILL, 5.0)):
        if _start_ticks(entry.pid) != entry.start_ticks:
            return True
        with contextlib.suppress(ProcessLookupError):
            os.kill(entry.pid, number)
        deadline = time.monotonic() + wait_s
        while time.monotonic() < deadline:
            if _start_ticks(entry.pid) != entry.start_ticks:
                return True
            time.sleep(0.1)
    return False


def _alive(pid_file: Path) -> int:
    """The pid in a pid file if that process lives, else 0."""
    try:
        pid = int(pid_file.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 0
    return pid if _start_ticks(pid) else 0


def _start_ticks(pid: int) -> int:
    """When a process started (clock ticks after boot); 0 when there is none, or only a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return 0 if fields[0] == "Z" else int(fields[19])


def _bridges() -> set[str]:
    return {p.parent.name for p in Path("/sys/class/net").glob("*/bridge")}


def _chains() -> set[str]:
    """``table/chain`` of libvirt's iptables chains."""
    found = set()
    for table in _TABLES:
        result = run(("iptables", "-w", "10", "-t", table, "-S"), timeout_s=30)
        found |= {f"{table}/{name}" for name in re.findall(r"^-N (LIBVIRT_\w+)", result.text(), re.M)}
    return found


def _remove_chains(before: set[str], log: Path) -> None:
    """Remove the chains that libvirtd leaves behind, and the jumps to them."""
    for table in _TABLES:
        listed = run(("iptables", "-w", "10", "-t", table, "-S"), timeout_s=30).text()
        new = {c.partition("/")[2] for c in _chains() - before if c.startswith(f"{table}/")}
        for line in listed.splitlines():
            match = re.match(r"-A (\S+) -j (LIBVIRT_\w+)$", line)
            if match and match[2] in new:
                run(("iptables", "-w", "10", "-t", table, "-D", match[1], "-j", match[2]), timeout_s=30, log=log)
        for chain in new:
            run(("iptables", "-w", "10", "-t", table, "-F", chain), timeout_s=30, log=log)
            run(("iptables", "-w", "10", "-t", table, "-X", chain), timeout_s=30, log=log)

"""The processes that a container needs, and what they use: by one rule for every runtime."""

import ctypes
import os
import re
from typing import Dict, Iterable, List, Optional, Set, Tuple

from rtlab.probe.base import Document
from rtlab.probe.kernel import Process, processes, read, ticks
from rtlab.probe.plugins import beside_containers, daemons

_LIBC = ctypes.CDLL(None, use_errno=True)
# The number of the system call kcmp, and of its question about address spaces (linux/kcmp.h).
_KCMP = dict(x86_64=312, aarch64=272)  # noqa: C408 (no keys of a document)
_KCMP_VM = 1


def cgroups_of(pid: int) -> Dict[str, str]:
    """Paths of the cgroups of a process that matter here: {'cpuacct': path, 'memory': path} or {'': path} (v2)."""
    found = {}
    for line in read("/proc/%s/cgroup" % pid).splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            found[controller] = path
    return found


def needed_by(cid: str) -> Dict[int, Process]:
    """Pids of everything that the container needs, by one rule for every runtime.

    A process counts when its cgroup names the container; when it is one of ``beside_containers`` and its command line
    names the container; when it descends from one that counts; and vhost kernel threads of a VMM that counts. Engine
    daemons and the probe never do.
    """
    table = processes()
    me = os.getpid()
    parts = beside_containers()
    counted: Set[int] = set()
    for pid, (_, comm, line) in table.items():
        if pid != me and ((comm.startswith(parts) and cid in line) or cid in read("/proc/%s/cgroup" % pid)):
            counted.add(pid)
    grown = True
    while grown:
        grown = False
        for pid, (parent, _, _) in table.items():
            if pid not in counted and parent in counted and pid != me:
                counted.add(pid)
                grown = True
    for pid, (_, comm, _) in table.items():
        if comm.startswith("vhost-") and comm[6:].isdigit() and int(comm[6:]) in counted:
            counted.add(pid)
    return {pid: table[pid] for pid in counted}


def cpu_of_process(pid: int) -> float:
    """CPU-seconds of a process with its threads, dead ones and waited-for children included."""
    stat = read("/proc/%s/stat" % pid)
    if not stat:
        return 0.0
    words = stat[stat.rindex(")") + 2 :].split()
    return sum(int(w) for w in words[11:15]) / ticks()


def cgroup_cpu_s(pid: int, cid: str) -> Tuple[Optional[str], float]:
    """(path, CPU-seconds) of the outermost cgroup above ``pid`` that names the container, or (None, 0).

    The outermost one, because a nested cgroup's usage is part of its parent's, which may have no process itself (v2).
    """
    groups = cgroups_of(pid)
    if "cpuacct" in groups:
        path = outermost(groups["cpuacct"], cid)
        for root in ("/sys/fs/cgroup/cpuacct", "/sys/fs/cgroup/cpu,cpuacct"):
            text = read(root + path + "/cpuacct.usage").strip() if path else ""
            if text:
                return path, int(text) / 1e9
    if "" in groups:
        path = outermost(groups[""], cid)
        for root in ("/sys/fs/cgroup", "/sys/fs/cgroup/unified"):
            match = re.search(r"^usage_usec (\d+)", read(root + path + "/cpu.stat"), re.M) if path else None
            if match:
                return path, int(match.group(1)) / 1e6
    return None, 0.0


def outermost(path: str, cid: str) -> str:
    """The path down to the first folder that names the container; empty when none does."""
    if cid not in path:
        return ""
    end = path.index(cid) + len(cid)
    return path[:end] + path[end:].split("/")[0]


def cgroup_memory_bytes(pid: int) -> Optional[int]:
    groups = cgroups_of(pid)
    if "memory" in groups:
        text = read("/sys/fs/cgroup/memory" + groups["memory"] + "/memory.usage_in_bytes").strip()
    else:
        text = read("/sys/fs/cgroup" + groups.get("", "/-") + "/memory.current").strip()
    return int(text) if text else None


def cpu_seconds(cid: str) -> Document:
    """CPU-seconds used so far by everything that the container needs: by cgroup where the container has one of its own,
    by process for what lives outside of it. One definition for every runtime."""
    counted = needed_by(cid)
    groups: Dict[str, float] = {}
    outside: Dict[int, Tuple[str, float]] = {}
    for pid, (_, comm, _) in counted.items():
        path, used = cgroup_cpu_s(pid, cid)
        if path is not None:
            groups[path] = used
        else:
            outside[pid] = (comm, cpu_of_process(pid))
    return {
        "total_s": sum(groups.values()) + sum(s for _, s in outside.values()),
        "cgroup_s": sum(groups.values()),
        "outside": sorted([comm, round(s, 3)] for comm, s in outside.values()),
    }


def engine_cpu_seconds() -> float:
    """CPU-seconds so far of the engine's daemons: a line of its own, never part of the container's."""
    serving = daemons()
    return sum(cpu_of_process(pid) for pid, (_, comm, _) in processes().items() if comm in serving)


def address_spaces(pids: Iterable[int]) -> List[int]:
    """One process for each address space among these, by kcmp(2).

    Processes that share one (gVisor's stubs, a vfork) show the same pages, and each of them all of them. Where the
    kernel does not tell, every process counts as its own.
    """
    found: List[int] = []
    for pid in sorted(pids):
        if not any(_share_memory(pid, other) for other in found):
            found.append(pid)
    return found


def _share_memory(pid: int, other: int) -> bool:
    number = _KCMP.get(os.uname().machine)
    if number is None:
        return False
    return int(_LIBC.syscall(*map(ctypes.c_long, (number, pid, other, _KCMP_VM, 0, 0)))) == 0


def pss_bytes(cid: str) -> Optional[int]:
    """Proportional set size of everything that the container needs, in bytes, each address space once; None where the
    kernel does not tell."""
    total, known = 0, False
    for pid in address_spaces(needed_by(cid)):
        text = read("/proc/%s/smaps_rollup" % pid) or read("/proc/%s/smaps" % pid)
        for match in re.finditer(r"^Pss:\s+(\d+) kB", text, re.M):
            total += int(match.group(1)) * 1024
            known = True
    return total if known else None

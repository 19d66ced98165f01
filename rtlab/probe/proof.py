"""Evidence of which runtime ran a container, and the judgement that is the same for all of them.

What is particular to a runtime stands in its folder, ``proof.py``: ``PROGRAMS`` (names of what lives beside its
containers), ``proof(seen, installed)`` (objections), and, where there is something to know, ``belonging(path, search)``
(programs behind or beside an entry's) and ``facts(path, entry)`` (its settings in force).
"""

import hashlib
import json
import os
import platform
import re
from typing import List, Optional, Sequence, Set, Tuple

from rtlab.probe.base import Document
from rtlab.probe.engine import Engine, Limits
from rtlab.probe.kernel import anonymous, boot_id, read
from rtlab.probe.needs import needed_by
from rtlab.probe.plugins import every
from rtlab.probe.programs import digest_of, digest_of_process, environment_of, holds_kvm, is_script, which

# Only cat and what a shell has itself: it runs in every image. cgroup v2 and v1 print quota and period alike.
INSIDE = (
    "cat /proc/sys/kernel/random/boot_id 2>/dev/null || echo none; cat /proc/version; echo cpus $(nproc 2>/dev/null); "
    'while read -r key value unit; do if [ "$key" = MemTotal: ]; then echo memory_kib $value; fi; done </proc/meminfo; '
    "(cd /sys/fs/cgroup 2>/dev/null; "
    "echo cpu_limit $(cat cpu.max cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us 2>/dev/null); "
    "echo memory_limit $(cat memory.max memory/memory.limit_in_bytes 2>/dev/null)); "
    "echo rtlab-inside-end"
)
INSIDE_END = "rtlab-inside-end"
# cgroup v1 prints a huge number where there is no limit.
NO_LIMIT = 1 << 60


def split_inside(text: str) -> Tuple[Document, str]:
    """What INSIDE printed, and the rest of the output of the workload that began with it.

    ``inside_boot_id``, ``inside_version``; ``inside_cpus``, ``inside_memory_bytes``: what the kernel inside shows;
    ``inside_cpu_limit`` (CPUs), ``inside_memory_limit_bytes``: of its cgroup. None where it does not tell.
    """
    head, marker, rest = text.partition(INSIDE_END + "\n")
    found: Document = dict.fromkeys(
        (
            "inside_boot_id",
            "inside_version",
            "inside_cpus",
            "inside_memory_bytes",
            "inside_cpu_limit",
            "inside_memory_limit_bytes",
        )
    )
    if not marker:
        return found, text
    lines = head.split("\n")
    found["inside_boot_id"] = lines[0].strip()
    found["inside_version"] = anonymous(lines[1].strip()) if len(lines) > 1 and lines[1] else None
    told = {words[0]: words[1:] for words in (line.split() for line in lines[2:]) if words}

    def number(key: str, at: int = 0) -> Optional[int]:
        words = told.get(key) or []
        return int(words[at]) if len(words) > at and re.match(r"\d{1,20}$", words[at]) else None

    found["inside_cpus"] = number("cpus")
    kib = number("memory_kib")
    found["inside_memory_bytes"] = None if kib is None else kib * 1024
    quota, period = number("cpu_limit"), number("cpu_limit", 1)
    found["inside_cpu_limit"] = quota / float(period) if quota and period else None
    limit = number("memory_limit")
    found["inside_memory_limit_bytes"] = limit if limit is not None and limit < NO_LIMIT else None
    return found, rest


def evidence(engine: Engine, cid: str, inside: Document, entry: Document) -> Document:
    """What can be seen of the container's runtime from outside, with what was read inside.

    ``entry`` is what the engine's own entry for the runtime comes to (``entry_of``). Names and comms are told for
    people; what decides are digests of the files that run, boot ids, state files, and who holds KVM.
    """
    table = needed_by(cid)
    found: Document = {
        "machine_boot_id": boot_id(),
        "machine_kernel": platform.release(),
        "processes": sorted({comm for _, comm, _ in table.values()}),
        "entry": entry,
        "shim": None,
        "shim_sha256": None,
        "binary": None,
        "binary_sha256": None,
        "binary_is_script": False,
        "running": [],
        "kvm_held_by": [],
        "runtime_root": None,
        "state_files": [],
    }
    found.update(inside)
    running: Set[Tuple[str, str]] = set()
    for number, (_, comm, _) in table.items():
        digest = digest_of_process(number)
        if comm.startswith("containerd-shim"):
            found.update(seen_of_shim(engine, number, cid), shim_sha256=digest)
        elif digest:
            running.add((comm, digest))
        if holds_kvm(number):
            found["kvm_held_by"].append([comm, digest])
    # More than enough to find a runtime's own processes; a workload may have thousands.
    found["running"] = [list(pair) for pair in sorted(running)[:64]]
    found["kvm_held_by"].sort(key=str)
    return found


def seen_of_shim(engine: Engine, pid: int, cid: str) -> Document:
    """What the shim's bundle says: the program that it was told to run, and that program's files for the container."""
    found: Document = {"shim": os.path.basename(os.path.realpath("/proc/%d/exe" % pid))}
    bundle = os.path.realpath("/proc/%d/cwd" % pid)
    try:
        options = json.loads(read(os.path.join(bundle, "options.json")) or "{}")
    except ValueError:
        options = {}
    named = options.get("binary_name") or options.get("BinaryName") or ""
    root = options.get("root") or options.get("Root") or ""
    path = which(named, environment_of(pid).get("PATH")) if named else None
    if path:
        path = engine.wrapped(path)
        found.update(binary=path, binary_sha256=digest_of(path), binary_is_script=is_script(path))
    found["runtime_root"] = root or None
    for folder in [os.path.join(root, name) for name in engine.state_folders(cid)] if root else []:
        if os.path.isdir(folder):
            found["state_files"] = sorted(os.listdir(folder))
            found["state_is_runcs"] = '"init_process_pid"' in read(os.path.join(folder, "state.json"))
    return found


def entry_of(engine: Engine, name: str) -> Document:
    """What the engine's entry of that name comes to on this machine.

    ``path``: the program; for a shim v2 runtime the shim. ``sha256``: its digest. What the runtimes know of programs
    behind or beside it: ``runtime_sha256``, of the one that a shim calls; ``parts``, digests of what belongs to it.
    """
    entry = engine.runtimes().get(name) or {}
    path = engine.program(name, entry)
    found: Document = {
        "path": path,
        "sha256": digest_of(path) if path else None,
        "arguments": entry.get("runtimeArgs") or [],
        "parts": {},
    }
    for runtime in every("runtimes", "proof").values():
        if path and hasattr(runtime, "belonging"):
            found.update(runtime.belonging(path, engine.search_path()))
    return found


def installed_programs(entry: Document) -> List[str]:
    """Digests of the program that an engine's entry comes to and of its parts; empty when there is none."""
    program = entry.get("runtime_sha256") or entry.get("sha256")
    parts = [digest for _, digest in sorted((entry.get("parts") or {}).items()) if digest]
    return [program] + parts if program else []


def identity_of(entry: Document) -> Optional[str]:
    """One digest for a runtime's build: the program's own, or one over all of its programs; None when there is none."""
    programs = installed_programs(entry)
    if len(programs) < 2:
        return programs[0] if programs else None
    return hashlib.sha256("\n".join(programs).encode()).hexdigest()


def objections(proof: str, seen: Document) -> List[str]:
    """Why this evidence does not prove the runtime; empty when it does. Pure, so that tests can deceive it.

    ``seen["wanted_sha256"]``: identity of the build that `rtlab up` proved on this machine; None the first time.
    """
    proofs = every("runtimes", "proof")
    if proof not in proofs:
        return ["there is no proof called %r" % proof]
    problems = []
    if not seen.get("inside_version"):
        problems.append("the container did not tell its kernel")
    entry = seen.get("entry") or {}
    installed = installed_programs(entry)
    if not installed:
        problems.append("the engine's entry names no program that is there: %s" % (entry.get("path") or "none"))
    wanted, there = seen.get("wanted_sha256"), identity_of(entry)
    if wanted and there and there != wanted:
        problems.append("another build was put in place since `rtlab up`: %s, not %s" % (there[:12], wanted[:12]))
    found: List[str] = proofs[proof].proof(seen, installed)
    return problems + found


def same_kernel(seen: Document) -> bool:
    """The boot id read inside is the machine's. Two unknowns are not the same kernel."""
    return bool(seen.get("machine_boot_id")) and seen.get("inside_boot_id") == seen.get("machine_boot_id")


def ran_by_binary(seen: Document, installed: List[str]) -> List[str]:
    """Objections unless the shim's bundle names the installed program: for runtimes that end before their container."""
    ran = seen.get("binary_sha256")
    if seen.get("binary_is_script"):
        return ["the shim's bundle names a script (%s): what that runs is not known" % seen.get("binary")]
    if ran is None or ran not in installed:
        return [
            "the shim's bundle names another program than the installed one: %s (%s), not %s"
            % (seen.get("binary") or "none", (ran or "no digest")[:12], shortened(installed))
        ]
    return []


def shortened(digests: Sequence[str]) -> str:
    return ", ".join(digest[:12] for digest in digests) or "unknown"


def native(seen: Document, installed: List[str], left_its_files: bool, otherwise: str) -> List[str]:
    """Objections to a runtime that leaves nothing running and uses the machine's kernel: told by files that only this
    runtime writes for a container."""
    problems = []
    if not same_kernel(seen):
        problems.append("the boot id inside is not the machine's: another kernel runs in it")
    if seen.get("kvm_held_by"):
        problems.append("a process of this container holds a virtual machine")
    if any(digest in installed for _, digest in seen.get("running") or []):
        problems.append("the installed program still runs: it is none that ends before its container")
    return problems + ran_by_binary(seen, installed) + ([] if left_its_files else [otherwise])


def other_limits(limits: Limits, seen: Document) -> List[str]:
    """Limits of the container's cgroup that are visible inside and are not the wanted ones. Pure."""
    problems = []
    cpus, memory = seen.get("inside_cpu_limit"), seen.get("inside_memory_limit_bytes")
    if limits.cpus is not None and cpus is not None and abs(cpus - limits.cpus) > 0.01:
        problems.append("inside, the container is limited to %g CPUs, not %g" % (cpus, limits.cpus))
    if limits.memory_bytes is not None and memory is not None and memory != limits.memory_bytes:
        problems.append("inside, the container is limited to %d bytes, not %d" % (memory, limits.memory_bytes))
    return problems


def look_inside(engine: Engine, cid: str) -> Document:
    """What INSIDE tells of a running container, by exec."""
    return split_inside(engine.exec(cid, ["sh", "-c", INSIDE]).stdout)[0]

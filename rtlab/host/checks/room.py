"""Room: disk, memory and CPUs."""

from __future__ import annotations

from collections.abc import Iterator

from rtlab.host.checks.contract import MACHINES, Check, Group, Look, check
from rtlab.units import GIB, MIB, format_bytes

# Room for boxes, images and one campaign, and for Docker's images of the local provider.
VAGRANT_DISK_BYTES = 12 * GIB
LOCAL_DISK_BYTES = 5 * GIB
CACHE_DISK_BYTES = 3 * GIB
# A host needs this much for itself beside its machines.
HOST_MEMORY_BYTES = 1 * GIB


def room(look: Look) -> Iterator[Check]:
    facts, settings = look.facts, look.settings
    for group, needed in (("local", LOCAL_DISK_BYTES), ("libvirt", VAGRANT_DISK_BYTES)):
        groups: tuple[Group, ...] = ("local",) if group == "local" else MACHINES
        yield check(
            f"disk-{group}",
            "disk here" if group == "local" else "disk for machines",
            "ok" if facts.state_free_bytes >= needed else "missing",
            f"{format_bytes(facts.state_free_bytes)} free, {format_bytes(needed)} needed ({facts.state_path})",
            "images, the engine's data or the machines' disks, and raw outputs go there; Bonnie++ writes 2 GB",
            "Free some space, or work in a folder on another disk.",
            *groups,
        )
    yield check(
        "disk-cache",
        "disk for the cache",
        "ok" if facts.cache_free_bytes >= CACHE_DISK_BYTES and not facts.cache_refused else "missing",
        facts.cache_refused.rstrip(".")
        or f"{format_bytes(facts.cache_free_bytes)} free of {format_bytes(CACHE_DISK_BYTES)} ({facts.cache_path})",
        "boxes and images are kept there",
        "Set RTLAB_CACHE to a folder that you may write to."
        if facts.cache_refused
        else "Free some space, or set RTLAB_CACHE to a folder on another disk.",
        "local",
        *MACHINES,
    )
    memory = settings.nodes * settings.memory_mb * MIB + HOST_MEMORY_BYTES
    fits = facts.memory_available_bytes >= memory
    yield check(
        "memory",
        "memory for the machines",
        "ok" if fits else "missing",
        f"{format_bytes(facts.memory_available_bytes)} available of {format_bytes(facts.memory_bytes)}; "
        f"{settings.nodes} x {settings.memory_mb} MiB and 1 GiB for the host are wanted",
        "a host that swaps measures its disk",
        f"rtlab up --memory-mb {max(512, _fitting_memory(look))}  (the paper's machines have 8192)",
        *MACHINES,
    )
    yield check(
        "cores",
        "CPUs for the machines",
        "ok" if facts.cores >= settings.cpus else "warning",
        f"{facts.cores} here, {settings.cpus} per machine are wanted",
        "more virtual CPUs than real ones make the machine wait for itself; only one machine works at a time",
        f"rtlab up --cpus {max(1, facts.cores)}",
        *MACHINES,
    )


def _fitting_memory(look: Look) -> int:
    """MiB per machine that fit beside the host, rounded down to 256."""
    free = look.facts.memory_available_bytes - HOST_MEMORY_BYTES
    return free // look.settings.nodes // MIB // 256 * 256

"""What doctor looks at for Vagrant's machines: Vagrant, libvirt or VirtualBox beneath it, room for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rtlab.host.checks.contract import MACHINES, Check, Look, SwitchedOn, check
from rtlab.host.checks.programs import program
from rtlab.host.checks.room import disk
from rtlab.host.facts import HostFacts
from rtlab.providers.vagrant.doctor_virtualbox import virtualbox
from rtlab.units import GIB, MIB, format_bytes

TITLES: Mapping[str, str] = {
    "libvirt": "Vagrant machines with libvirt",
    "virtualbox": "Vagrant machines with VirtualBox",
}
NEEDS: Mapping[str, frozenset[str]] = {
    group: frozenset({"architecture", "cache", "images", "connection"}) for group in MACHINES
}

# Program, package, groups, and why.
PROGRAMS = (
    ("qemu-system-x86_64", "qemu-system-x86", ("libvirt",), "it runs the machines"),
    ("qemu-img", "qemu-utils", MACHINES, "it makes the machines' disks"),
    ("libvirtd", "libvirt-daemon-system", ("libvirt",), "Vagrant reaches QEMU through it"),
    ("virsh", "libvirt-clients", ("libvirt",), "teardown checks with it that nothing is left"),
    ("dnsmasq", "dnsmasq-base", ("libvirt",), "it gives the machines their addresses"),
    ("extlinux", "extlinux", MACHINES, "the boxes' boot loader"),
    ("sfdisk", "fdisk", MACHINES, "it partitions the boxes' disks"),
    ("mkfs.ext4", "e2fsprogs", MACHINES, "it makes the boxes' file system"),
)

# For boxes, images and one campaign.
DISK_BYTES = 12 * GIB
# A host needs this much for itself beside its machines.
HOST_MEMORY_BYTES = 1 * GIB


def checks(look: Look) -> Iterator[Check]:
    yield check(
        "root-machines",
        "root for boxes and libvirt",
        "ok" if look.admin else "warning",
        look.rights,
        "building a box needs a loop device; libvirt's system connection needs root or the group libvirt",
        look.sudo("usermod -aG libvirt,kvm $USER") + ", log in again, and use a ready box",
        *MACHINES,
    )
    for family in (libvirt, vagrant, virtualbox, programs, room):
        yield from family(look)


def programs(look: Look) -> Iterator[Check]:
    for name, package, groups, why in PROGRAMS:
        yield program(look, name, package, why, *groups)


def switched_on(facts: HostFacts, accel: str, group: str) -> SwitchedOn:
    loads = accel == "kvm" and facts.cpu_flag and not facts.kvm_node
    starts = group == "libvirt" and facts.systemd and not facts.libvirt_answers
    return SwitchedOn(
        modules=("kvm_amd" if facts.cpu_flag == "svm" else "kvm_intel",) if loads else (),
        services=("libvirtd",) if starts else (),
        mends=frozenset({"kvm"} if loads else set()) | frozenset({"libvirt"} if starts else set()),
    )


def libvirt(look: Look) -> Iterator[Check]:
    facts = look.facts
    why = "Vagrant's libvirt machines are libvirt's"
    start = (
        look.sudo("systemctl enable --now libvirtd")
        if facts.systemd
        else f"{look.sudo('virtlogd -d')} && {look.sudo('libvirtd -d')}"
    )
    if facts.libvirt_answers:
        yield check("libvirt", "libvirt answers", "ok", facts.libvirt or "yes", why, "", "libvirt")
    elif "libvirtd" not in facts.programs:
        yield check(
            "libvirt",
            "libvirt answers",
            "missing",
            "not installed",
            why,
            look.install("libvirt-daemon-system", "libvirt-daemon-driver-qemu", "libvirt-clients"),
            "libvirt",
        )
    else:
        yield check(
            "libvirt",
            "libvirt answers",
            # Without systemd `rtlab up` starts it as root, and teardown ends it; with systemd that is systemd's.
            "warning" if facts.root and not facts.systemd else "missing",
            f"{facts.libvirt} is installed, its daemon does not answer",
            why,
            start,
            "libvirt",
        )


def vagrant(look: Look) -> Iterator[Check]:
    facts = look.facts
    yield check(
        "vagrant",
        "Vagrant",
        "ok" if facts.vagrant else "missing",
        facts.vagrant or "not installed",
        "it makes the machines",
        look.install("vagrant"),
        *MACHINES,
    )
    plugin = facts.vagrant_plugins.get("vagrant-libvirt", "")
    yield check(
        "vagrant-libvirt",
        "plug-in vagrant-libvirt",
        "ok" if plugin else "missing",
        plugin or "not installed",
        "Vagrant reaches libvirt through it",
        look.install("vagrant-libvirt"),
        "libvirt",
    )
    yield check(
        "python-vagrant",
        "python-vagrant",
        "ok" if facts.python_vagrant else "missing",
        facts.python_vagrant or "not installed",
        "every call of Vagrant goes through it",
        "python3 -m pip install 'python-vagrant>=1.0,<2'",
        *MACHINES,
    )


def room(look: Look) -> Iterator[Check]:
    facts, settings = look.facts, look.settings
    yield disk(look, "libvirt", "disk for machines", DISK_BYTES, *MACHINES)
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

"""Programs that providers call, and the packages that bring them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rtlab.host.checks.contract import MACHINES, Check, Group, Look, check, version


@dataclass(frozen=True, slots=True)
class _Need:
    """A program that a provider calls, and the package that has it."""

    program: str
    package: str
    groups: tuple[Group, ...]
    why: str


_NEEDS = (
    _Need("containerd", "containerd", ("local",), "the private engine has a containerd of its own"),
    _Need("containerd-shim-runc-v2", "containerd", ("local",), "it keeps each container"),
    _Need("ip", "iproute2", ("local",), "the private engine lives in a network namespace"),
    _Need("nsenter", "util-linux", ("local",), "the private engine is started inside its namespaces"),
    _Need("iptables", "iptables", ("local",), "the engine publishes ports with it, inside its own namespace"),
    _Need("qemu-system-x86_64", "qemu-system-x86", ("libvirt",), "it runs the machines"),
    _Need("qemu-img", "qemu-utils", MACHINES, "it makes the machines' disks"),
    _Need("libvirtd", "libvirt-daemon-system", ("libvirt",), "Vagrant reaches QEMU through it"),
    _Need("virsh", "libvirt-clients", ("libvirt",), "teardown checks with it that nothing is left"),
    _Need("dnsmasq", "dnsmasq-base", ("libvirt",), "it gives the machines their addresses"),
    _Need("mmdebstrap", "mmdebstrap", ("local", *MACHINES), "boxes and images are made with it from packages"),
    _Need("extlinux", "extlinux", MACHINES, "the boxes' boot loader"),
    _Need("sfdisk", "fdisk", MACHINES, "it partitions the boxes' disks"),
    _Need("mkfs.ext4", "e2fsprogs", MACHINES, "it makes the boxes' file system"),
    _Need("ssh", "openssh-client", ("static", *MACHINES), "Ansible and `rtlab ssh` reach the machines with it"),
)


def programs(look: Look) -> Iterator[Check]:
    docker = look.facts.programs.get("docker", "")
    # Debian 13 has the command in a package of its own.
    split = look.facts.os_id == "debian" and version(look.facts.os_version) >= (13,)
    yield check(
        "program-docker",
        "docker",
        "ok" if docker or look.modules else "missing",
        docker or "not installed",
        "starts are timed through Docker's command line too",
        look.install("docker-cli" if split else "docker.io"),
        "local",
    )
    for need in _NEEDS:
        path = look.facts.programs.get(need.program, "")
        if look.modules and need.package == "containerd":
            continue
        yield check(
            f"program-{need.program}",
            need.program,
            "ok" if path else "missing",
            path or "not installed",
            need.why,
            look.install(need.package),
            *need.groups,
        )

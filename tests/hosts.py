"""Hosts as ``rtlab.host.facts`` records them, for tests of what is judged and chosen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from rtlab.host.facts import PROGRAMS, HostFacts
from rtlab.units import GIB

# A well-equipped machine of metal: Debian 12, 16 CPUs, 64 GiB, everything installed but VirtualBox.
METAL = HostFacts(
    os_id="debian",
    os_version="12",
    os_name="Debian GNU/Linux 12 (bookworm)",
    arch="x86_64",
    kernel="6.1.0-28-amd64",
    python="3.11.2",
    root=True,
    systemd=True,
    dmi="Example Rack 1",
    cpu_model="Example CPU",
    cpu_flag="vmx",
    cores=16,
    memory_bytes=64 * GIB,
    memory_available_bytes=60 * GIB,
    kvm_node=True,
    kvm_opens=True,
    kvm_boots=True,
    kvm_proof="a 512-byte guest reached 64-bit code",
    nested="Y",
    vagrant="2.3.4",
    vagrant_plugins={"vagrant-libvirt": "0.11.2"},
    python_vagrant="1.0.0",
    libvirt="9.0.0",
    libvirt_answers=True,
    engine="20.10.24",
    engine_package="docker.io",
    sys_admin=True,
    net_admin=True,
    netns=True,
    cgroups="v2",
    overlay=True,
    apparmor=True,
    programs={name: f"/usr/bin/{name}" for name in PROGRAMS if name != "VBoxManage"},
    runtimes={"runc": "1.1.5", "crun": "1.8.1", "gvisor": "0.0~20221219.0"},
    state_path="/srv/work",
    state_free_bytes=200 * GIB,
    cache_path="/root/.cache/rtlab",
    cache_free_bytes=200 * GIB,
    governor="performance",
    turbo=False,
    ksm=False,
    clocksource="tsc",
    steal_percent=0.0,
    load=0.1,
)

VIRTUALBOX = replace(
    METAL, virtualbox="7.0.20", vboxdrv=True, programs={**METAL.programs, "VBoxManage": "/usr/bin/VBoxManage"}
)

# Recorded on a CI machine: a guest whose /dev/kvm (module kvm_pvm) opens although the CPU has no svm.
GUEST = replace(
    METAL,
    kernel="6.18.44",
    systemd=False,
    container="docker",
    hypervisor="kvm",
    dmi="",
    cpu_model="AMD EPYC",
    cpu_flag="",
    cores=2,
    kvm_boots=False,
    kvm_proof="the CPU offers neither vmx nor svm",
    nested="",
    libvirt_answers=False,
    cgroups="hybrid",
    apparmor=False,
)

# A hosted CI runner: a guest whose KVM does boot guests.
NESTED = replace(
    GUEST, container="", hypervisor="microsoft", cpu_flag="vmx", kvm_boots=True, systemd=True, cgroups="v2"
)


def without(facts: HostFacts, *programs: str, **changes: Any) -> HostFacts:
    """The same host without some programs."""
    return replace(facts, programs={k: v for k, v in facts.programs.items() if k not in programs}, **changes)

"""Which hypervisor makes the machines, and by what they run."""

from __future__ import annotations

import shutil
from types import ModuleType

from rtlab.config import TestbedSettings
from rtlab.errors import CommandFailed, HostUnfit, UsageError
from rtlab.host import virtualization
from rtlab.providers.vagrant import virtualbox


def reachable(module: ModuleType) -> bool:
    """Whether libvirt, or VirtualBox, answers."""
    try:
        return bool(module.answers())
    except CommandFailed:
        return False


def backend_of(settings: TestbedSettings) -> str:
    """VirtualBox or libvirt, as asked for or as there is; HostUnfit where neither Vagrant nor it can be used."""
    if shutil.which("vagrant") is None:
        raise HostUnfit("Vagrant is not installed.", remedy="`rtlab doctor --fix` installs it.")
    if (backend := str(settings.backend)) == "auto":
        backend = "virtualbox" if reachable(virtualbox) else "libvirt"
    if backend == "virtualbox" and not reachable(virtualbox):
        raise HostUnfit(
            "VirtualBox is not usable: VBoxManage is missing or fails.",
            remedy="`rtlab doctor` says what is missing; --provider libvirt uses libvirt instead.",
        )
    return backend


def accelerator(settings: TestbedSettings, backend: str) -> str:
    """``kvm`` only when a guest really boots with it; never a silent substitute."""
    if backend == "virtualbox":
        if settings.accel == "tcg":
            raise UsageError("VirtualBox cannot emulate machines.", remedy="Use --provider libvirt with --accel tcg.")
        return "virtualbox"
    if settings.accel == "tcg":
        return "tcg"
    proof = virtualization.prove(shutil.which("qemu-system-x86_64") or "")
    if not proof.usable:
        raise HostUnfit(
            f"Hardware virtualization is not usable here: {proof.reason}.",
            remedy="Emulated machines work everywhere, but no figure from them means anything: --accel tcg.",
        )
    return "kvm"

"""What this host is, and whether its hardware virtualization works."""

from __future__ import annotations

from collections.abc import Iterator

from rtlab.host.checks.contract import Check, Look, Status, check


def virtualization(look: Look) -> Iterator[Check]:
    facts = look.facts
    guest = facts.hypervisor
    yield check(
        "host-kind",
        "this host",
        "warning" if facts.witnesses_disagree else "ok",
        (f"a guest of {guest}" if guest else "bare metal as far as can be seen")
        + (f", inside a {facts.container} container" if facts.container else "")
        + (f" ({facts.dmi})" if facts.dmi else "")
        + (f"; {facts.witnesses_disagree}" if facts.witnesses_disagree else ""),
        "on a guest, a Vagrant machine would make Kata a third level: containers run directly on it instead",
        "Ask who runs this machine whether its CPU is emulated (TCG); figures from an emulated one mean nothing.",
    )
    why = "machines at usable speed, and Kata, need the CPU's virtualization"
    yield check(
        "cpu-flag",
        "CPU virtualization",
        "ok" if facts.cpu_flag else "missing",
        f"{facts.cpu_flag or 'neither vmx nor svm'} ({facts.cpu_model or 'unknown CPU'})",
        why,
        "On the host of this guest switch on nested virtualization (libvirt: <cpu mode='host-passthrough'/>; "
        "VirtualBox: VBoxManage modifyvm NAME --nested-hw-virt on), or use emulated machines: --accel tcg."
        if guest
        else "Switch on VT-x or AMD-V (SVM) in the firmware, or use emulated machines: --accel tcg.",
        "libvirt",
        "virtualbox",
    )
    yield _kvm(look, why)
    wants_nested = bool(facts.cpu_flag and facts.kvm_node)
    nested = facts.nested in ("Y", "1")
    module = "kvm_amd" if facts.cpu_flag == "svm" else "kvm_intel"
    yield check(
        "nested",
        "nested virtualization",
        "ok" if nested else "warning",
        f"{module}.nested = {facts.nested or 'unknown'}" if wants_nested else "no KVM of the CPU's own",
        "Kata inside the machines starts guests of its own",
        f"echo 'options {module} nested=1' | {look.sudo('tee')} /etc/modprobe.d/{module}-nested.conf; "
        f"{look.sudo(f'modprobe -r {module}')}; {look.sudo(f'modprobe {module}')}"
        if wants_nested
        else "See: CPU virtualization.",
        "libvirt",
    )


def _kvm(look: Look, why: str) -> Check:
    """A /dev/kvm node proves nothing: some hosts carry one that boots no ordinary guest."""
    facts = look.facts
    status: Status = "missing"
    if not facts.kvm_node:
        found = "there is no /dev/kvm"
        module = "kvm_amd" if facts.cpu_flag == "svm" else "kvm_intel"
        remedy = look.sudo(f"modprobe {module}") if facts.cpu_flag else "See: CPU virtualization."
    elif not facts.kvm_opens:
        found = "/dev/kvm is there, but this user may not open it"
        remedy = look.sudo("usermod -aG kvm $USER") + ", then log in again"
    elif not facts.cpu_flag:
        found, remedy = (
            "/dev/kvm opens, but without vmx or svm it boots no ordinary guest",
            "See: CPU virtualization.",
        )
    elif facts.kvm_boots is None:
        status, found = (
            "warning",
            f"/dev/kvm opens; whether it boots a guest was not tried. {facts.kvm_proof}".strip(),
        )
        remedy = "rtlab doctor"
    elif not facts.kvm_boots:
        found = f"/dev/kvm opens, but boots no guest: {facts.kvm_proof}"
        remedy = "Use --provider local, or emulated machines: rtlab up --provider libvirt --accel tcg"
    elif not facts.cpu_flag:
        found, remedy = (
            "/dev/kvm booted a guest, but the CPU has neither vmx nor svm",
            "See: CPU virtualization.",
        )
    else:
        status, found, remedy = "ok", facts.kvm_proof or "a guest booted", ""
    return check("kvm", "KVM boots a guest", status, found, why, remedy, "libvirt")

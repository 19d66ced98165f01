"""VirtualBox: its driver, Vagrant and the kernel beside it."""

from __future__ import annotations

from collections.abc import Iterator

from rtlab.host.checks.contract import Check, Look, Status, check, version

# VirtualBox series -> first Vagrant that knows it. Sources: Vagrant's changelog (2.3.2, 2.4.2, 2.4.9).
VAGRANT_FOR_VIRTUALBOX = (("7.0", "2.3.2"), ("7.1", "2.4.2"), ("7.2", "2.4.9"))
# Linux from 6.12 on switches the CPU's virtualization on when KVM is loaded (kvm.enable_virt_at_load). VirtualBox
# before 7.2.10 then finds it taken (its issues 141 and 188); from 7.2.10 on it goes through KVM and needs it so
# (711 and 713), except on 6.12 itself, where reports disagree (void-packages 61332).
KVM_TAKES_CPU_FROM = (6, 12)
VIRTUALBOX_THROUGH_KVM_FROM = (7, 2, 10)


def virtualbox(look: Look) -> Iterator[Check]:
    facts = look.facts
    why = "the paper's machines are VirtualBox's"
    if not facts.virtualbox:
        yield check(
            "virtualbox",
            "VirtualBox",
            "missing",
            "not installed",
            why,
            "Install it from https://www.virtualbox.org/wiki/Linux_Downloads; libvirt machines do the same work.",
            "virtualbox",
        )
        return
    yield check("virtualbox", "VirtualBox", "ok", facts.virtualbox, why, "", "virtualbox")
    yield check(
        "vboxdrv",
        "VirtualBox's kernel driver",
        "ok" if facts.vboxdrv else "missing",
        "/dev/vboxdrv is there" if facts.vboxdrv else "vboxdrv is not loaded",
        "no machine starts without it",
        look.sudo("/sbin/vboxconfig"),
        "virtualbox",
    )
    yield _vagrant_knows_virtualbox(look)
    yield _kernel_and_virtualbox(look)
    yield check(
        "kvm-guests",
        "KVM guests beside VirtualBox",
        "missing" if facts.kvm_guests else "ok",
        f"{facts.kvm_guests} QEMU process(es) run" if facts.kvm_guests else "none",
        "VirtualBox and KVM at the same time are unsafe on one CPU",
        "Stop the other guests first: virsh -c qemu:///system list",
        "virtualbox",
    )


def _vagrant_knows_virtualbox(look: Look) -> Check:
    facts = look.facts
    box, vagrant = version(facts.virtualbox), version(facts.vagrant)
    needed = next((v for series, v in VAGRANT_FOR_VIRTUALBOX if box[:2] == version(series)), "")
    newest = VAGRANT_FOR_VIRTUALBOX[-1]
    status: Status
    if not needed and box[:2] > version(newest[0]):
        status, needed = "warning", f"newer than {newest[1]}"
    elif not needed:
        status, needed = "warning", VAGRANT_FOR_VIRTUALBOX[0][1]
    else:
        status = "ok" if vagrant >= version(needed) else "missing"
    return check(
        "vagrant-virtualbox",
        "Vagrant knows this VirtualBox",
        status,
        f"VirtualBox {facts.virtualbox} with Vagrant {facts.vagrant or 'none'}; it needs Vagrant {needed}",
        "Vagrant refuses versions of VirtualBox that it does not know",
        f"Install Vagrant {needed} or later from https://developer.hashicorp.com/vagrant/install",
        "virtualbox",
    )


def _kernel_and_virtualbox(look: Look) -> Check:
    facts = look.facts
    kernel, box = version(facts.kernel), version(facts.virtualbox)
    at_load = facts.virt_at_load in ("Y", "1")
    loaded = bool(facts.virt_at_load)
    status: Status = "ok"
    remedy = ""
    found = f"kernel {facts.kernel}, enable_virt_at_load = {facts.virt_at_load or 'not there'}"
    setting = look.sudo("tee /etc/modprobe.d/rtlab-kvm.conf")
    if kernel[:2] >= KVM_TAKES_CPU_FROM:
        through_kvm = box >= VIRTUALBOX_THROUGH_KVM_FROM
        if not through_kvm and at_load:
            status = "missing"
            remedy = f"echo 'options kvm enable_virt_at_load=0' | {setting}, then reboot; or VirtualBox 7.2.10 or later"
        elif through_kvm and loaded and not at_load:
            status = "warning" if kernel[:2] == KVM_TAKES_CPU_FROM else "missing"
            remedy = f"echo 'options kvm enable_virt_at_load=1' | {setting}, then reboot"
    return check(
        "virtualbox-kernel",
        "VirtualBox and this kernel",
        status,
        found,
        "from Linux 6.12 on KVM holds the CPU: VirtualBox before 7.2.10 needs it freed, later ones go through KVM",
        remedy,
        "virtualbox",
    )

"""Vagrant, and libvirt beneath it."""

from __future__ import annotations

from collections.abc import Iterator

from rtlab.host.checks.contract import MACHINES, Check, Look, check


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

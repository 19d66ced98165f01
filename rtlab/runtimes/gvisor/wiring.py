"""How gVisor is handed to Docker."""

from __future__ import annotations

import re

from rtlab.model import Surroundings, Ways, Wiring

PROGRAM = "runsc"


def ways(around: Surroundings) -> Ways:
    """As people run it first; or why it cannot be."""
    path = around.find(PROGRAM)
    if not path:
        return "runsc is not installed (apt-get install runsc)"
    default = default_platform(around.said((path, "flags")))
    asked = str(around.asked.get("gvisor_platform", ""))
    return in_order(path, default, asked, kvm=not around.kvm_refuses())


def default_platform(flags: str) -> str:
    """What a runsc with these flags runs on when nobody says: ``systrap`` since mid-2023, ``ptrace`` before; empty if
    it does not tell."""
    match = re.search(r"-platform\b.*?\(default \"?(\w+)\"?\)", flags, re.S)
    return match[1] if match else ""


def in_order(path: str, default: str, asked: str, *, kvm: bool) -> tuple[Wiring, ...]:
    """gVisor as people run it first: its own network stack, and no arguments at all where that is the platform.

    Docker wraps a runtime with arguments in a script, which costs each call a shell. ptrace is deprecated and comes
    last, and ``--network=host`` (the container's own namespace with the machine's network stack, which old releases
    need on new kernels) only after everything else: both change what is measured, and are recorded.

    Args:
        default: This runsc's own platform; empty when not known.
        asked: The profile's; empty for none.
        kvm: Whether the machine's KVM boots guests.
    """
    sound = dict.fromkeys(p for p in (asked, default, "systrap", "kvm" if kvm else "") if p and p != "ptrace")
    platforms = (*sound, "ptrace")
    found = []
    for network in ((), ("--network=host",)):
        for platform in platforms:
            arguments = [*([] if platform == default else [f"--platform={platform}"]), *network]
            note = f"platform {platform}" + (", with --network=host: the kernel's network stack" if network else "")
            found.append(Wiring(entry={"path": path, **({"runtimeArgs": arguments} if arguments else {})}, note=note))
    return tuple(found)

"""How Kata is handed to Docker."""

from __future__ import annotations

from rtlab.model import Surroundings, Ways, Wiring

# Where its release archives unpack to; ours first.
FOLDERS = ("/opt/rtlab/kata", "/opt/kata")
SHIMS = tuple(f"{folder}/bin/containerd-shim-kata-v2" for folder in FOLDERS)
COMMANDS = tuple(f"{folder}/bin/kata-runtime" for folder in FOLDERS)
# Docker drives shims by their path from 23 on (stack-facts §2).
SHIMS_FROM_DOCKER = 23


def ways(around: Surroundings) -> Ways:
    """As this Docker can drive it, if it is installed and KVM boots a guest."""
    shim = next(filter(None, map(around.find, SHIMS)), "")
    command = next(filter(None, map(around.find, COMMANDS)), "")
    if not shim and not command:
        return f"Kata is not installed (looked in {' and '.join(FOLDERS)})"
    if why := around.kvm_refuses():
        return f"Kata needs a KVM that boots guests: {why}"
    if around.engine_major >= SHIMS_FROM_DOCKER and shim:
        return (Wiring(entry={"runtimeType": shim}),)
    if command:
        return (Wiring(entry={"path": command}),)
    return f"Docker {around.engine_version} can drive Kata 1.x only; Kata 3.x needs Docker 23 or later"

"""Kata: A light virtual machine around each container."""

from __future__ import annotations

from typing import Any

from rtlab.model import Runtime
from rtlab.runtimes.kata import wiring
from rtlab.runtimes.kata.settings import KataSettings


def _check(pins: Any) -> str:
    from rtlab.runtimes.kata import compatibility  # only `up` pays for loading it

    return compatibility.require(pins.role_variables, pins.box.get("kernel_arguments", ()), pins.suite)


RUNTIME = Runtime(
    name="kata",
    title="Kata",
    docker_name="kata",
    shim="io.containerd.kata.v2",
    role="kata",
    proof="kata",
    own_kernel=True,
    needs_kvm=True,
    unpacked=True,
    variants=True,
    summary="A light virtual machine around each container.",
    settings=KataSettings,
    check=_check,
    programs=wiring.SHIMS + wiring.COMMANDS,
    ways=wiring.ways,
)

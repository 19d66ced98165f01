"""Kata: A light virtual machine around each container."""

from __future__ import annotations

from typing import Any

from rtlab.model import Runtime
from rtlab.runtimes.kata import wiring


def _pin(pins: Any, settings: Any) -> Any:
    from rtlab.runtimes.kata import release  # only `up` pays for loading it

    return release.chosen(pins, settings.kata_version, settings.kata_flavour)


def _check(pins: Any) -> str:
    from rtlab.runtimes.kata import compatibility

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
    variants=True,
    summary="A light virtual machine around each container.",
    settings=frozenset({"kata", "kata_version", "kata_flavour", "kata_archive", "kata_sha256"}),
    pin=_pin,
    check=_check,
    programs=wiring.SHIMS + wiring.COMMANDS,
    ways=wiring.ways,
)

"""Kata: A light virtual machine around each container."""

from rtlab.model import Runtime

RUNTIME = Runtime(
    name="kata",
    title="Kata",
    docker_name="kata",
    role="kata",
    proof="kata",
    own_kernel=True,
    needs_kvm=True,
    variants=True,
    summary="A light virtual machine around each container.",
)

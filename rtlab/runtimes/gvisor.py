"""gVisor: A user-space kernel that intercepts system calls."""

from rtlab.model import Runtime

RUNTIME = Runtime(
    name="gvisor",
    title="gVisor",
    docker_name="runsc",
    role="gvisor",
    proof="gvisor",
    own_kernel=True,
    needs_kvm=False,
    summary="A user-space kernel that intercepts system calls.",
)

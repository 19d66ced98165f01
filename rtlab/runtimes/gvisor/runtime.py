"""gVisor: A user-space kernel that intercepts system calls."""

from rtlab.model import Runtime
from rtlab.runtimes.gvisor import wiring
from rtlab.runtimes.gvisor.settings import GvisorSettings

RUNTIME = Runtime(
    name="gvisor",
    title="gVisor",
    docker_name="runsc",
    role="gvisor",
    proof="gvisor",
    own_kernel=True,
    needs_kvm=False,
    shim="io.containerd.runsc.v1",
    # Debian 13's package on its own kernel: gVisor issue 10704, mended after that release.
    known_errors={
        "cannot run with network enabled in root network namespace": (
            "this gVisor is older than this kernel: Linux 6.11 and later need a release after 2024-07-29"
        ),
    },
    settings=GvisorSettings,
    summary="A user-space kernel that intercepts system calls.",
    programs=(wiring.PROGRAM,),
    ways=wiring.ways,
)

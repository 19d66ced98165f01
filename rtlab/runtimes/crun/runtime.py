"""crun: An OCI runtime in C."""

from rtlab.model import Runtime
from rtlab.runtimes.crun import wiring

RUNTIME = Runtime(
    name="crun",
    title="crun",
    docker_name="crun",
    role="crun",
    proof="crun",
    own_kernel=False,
    needs_kvm=False,
    settings=frozenset({"crun_url", "crun_sha256"}),
    summary="An OCI runtime in C.",
    programs=(wiring.PROGRAM,),
    ways=wiring.ways,
)

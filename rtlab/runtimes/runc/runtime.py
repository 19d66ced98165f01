"""runC: The OCI reference runtime; Docker's default."""

from rtlab.model import Runtime
from rtlab.runtimes.runc import wiring

RUNTIME = Runtime(
    name="runc",
    title="runC",
    docker_name="runc",
    role="runc",
    proof="runc",
    own_kernel=False,
    needs_kvm=False,
    summary="The OCI reference runtime; Docker's default.",
    programs=(wiring.PROGRAM,),
    ways=wiring.ways,
)

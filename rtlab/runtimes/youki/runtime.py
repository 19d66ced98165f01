"""youki: An OCI runtime in Rust."""

from rtlab.model import Runtime
from rtlab.model.wiring import WITHOUT_TIME_NAMESPACES
from rtlab.runtimes.youki import wiring

RUNTIME = Runtime(
    name="youki",
    title="youki",
    docker_name="youki",
    role="youki",
    proof="youki",
    own_kernel=False,
    needs_kvm=False,
    summary="An OCI runtime in Rust.",
    programs=(wiring.PROGRAM,),
    ways=wiring.ways,
    features=WITHOUT_TIME_NAMESPACES,
)

"""crun: An OCI runtime in C."""

from rtlab.model import Runtime
from rtlab.runtimes.crun import wiring
from rtlab.runtimes.crun.settings import CrunSettings

RUNTIME = Runtime(
    name="crun",
    title="crun",
    docker_name="crun",
    role="crun",
    proof="crun",
    own_kernel=False,
    needs_kvm=False,
    settings=CrunSettings,
    summary="An OCI runtime in C.",
    programs=(wiring.PROGRAM,),
    ways=wiring.ways,
)

"""What is left of a container that was removed."""

import os
import signal
import time
from typing import List

from rtlab.probe.kernel import processes, read
from rtlab.probe.needs import needed_by
from rtlab.probe.plugins import daemons

PATIENCE_S = 3.0


def leaks_of(cid: str, patience_s: float = PATIENCE_S, network: str = "") -> List[str]:
    """What is left of a removed container: processes and mounts that name it, and its network namespace
    (the file ``network``), after a short patience.

    Mounts as this process and the engine's daemons see them, which may have a mount namespace of their own.
    """
    deadline = time.monotonic() + patience_s
    while True:
        left = ["process %s" % comm for _, (_, comm, _) in sorted(needed_by(cid).items())]
        viewers = ["self"] + [str(p) for p, (_, comm, _) in processes().items() if comm in daemons()]
        mounts = {
            line.split()[4] for v in viewers for line in read("/proc/%s/mountinfo" % v).splitlines() if cid in line
        }
        left += ["mount %s" % path.replace(cid, "<id>") for path in sorted(mounts)]
        if network and any(os.path.ismount("/proc/%s/root%s" % (v, network)) for v in viewers):
            left.append("network namespace")
        if not left or time.monotonic() > deadline:
            return left
        time.sleep(0.1)


def kill_all_of(cid: str) -> None:
    for pid in needed_by(cid):
        try:
            os.kill(pid, signal.SIGKILL)
        except OSError:
            pass

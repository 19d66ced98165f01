"""Whether the machine is ready for a trial."""

import os
import re
import time
from typing import List

from rtlab.probe.base import Document, TrialFailed
from rtlab.probe.kernel import boot_id, pressure, processes, read
from rtlab.probe.plugins import engine

BUSY = ("apt", "apt-get", "dpkg", "unattended-upgr", "snapd", "cloud-init", "fstrim", "updatedb", "mandb")
QUIET_PRESSURE = 20.0
QUIET_PROCESSES = 3


def ready(request: Document) -> Document:
    """One reading of the gate: what is missing, and whether a trial cannot run without it."""
    missing: List[str] = []
    blocking: bool = False
    build: str = ""
    wanted = (request.get("runtime") or {}).get("docker_name")
    try:
        asked = engine(request, time.monotonic() + 20)
        runtimes, build = asked.runtimes(), asked.build()
        if wanted and wanted not in runtimes:
            missing.append("the engine does not know the runtime %s" % wanted)
            blocking = True
    except TrialFailed as error:
        missing.append(str(error))
        blocking = True
    # The engine's own network namespace or another's: programs that disturb are looked for on the whole machine.
    busy = sorted({comm for _, comm, _ in processes().values() if comm in BUSY})
    if busy and not request.get("netns"):
        missing.append("%s is running" % ", ".join(busy))
    psi, _ = pressure()
    if psi is not None:
        high = [k for k, v in psi.items() if v["avg10"] > QUIET_PRESSURE]
        if high:
            missing.append("pressure on %s" % ", ".join(high))
    else:
        match = re.search(r"^procs_running (\d+)", read("/proc/stat"), re.M)
        running = int(match.group(1)) if match else 0
        if running > QUIET_PROCESSES + (os.cpu_count() or 1):
            missing.append("%d processes want a CPU" % running)
    return {"outcome": "ok", "boot_id": boot_id(), "missing": missing, "blocking": blocking, "build": build}

"""The counters of tables III to V, over a window around a container's start."""

import sys
import time
from typing import Any, Callable, Dict, Optional, Tuple

from rtlab.probe.base import Document, TrialFailed, TrialTimedOut
from rtlab.probe.kernel import meminfo, read
from rtlab.probe.page import wait_for_page
from rtlab.probe.trial import Trial


def counters() -> Document:
    """The counters of tables III to V, now. psutil gives them; /proc/meminfo stands beside because psutil's `used`
    changed its meaning in 7.1."""
    try:
        import psutil
    except ImportError as error:
        raise TrialFailed("psutil is missing for %s: %s" % (sys.executable, error))
    memory = psutil.virtual_memory()
    raw = meminfo()
    total = psutil.net_io_counters(nowrap=False)
    per_nic = psutil.net_io_counters(pernic=True, nowrap=False)
    fields = ("bytes_sent", "bytes_recv", "packets_sent", "packets_recv", "errin", "errout", "dropin", "dropout")

    def network(one: Any) -> Optional[Dict[str, int]]:
        return {name: getattr(one, name) for name in fields} if one is not None else None

    uplinks = {line.split()[0] for line in read("/proc/net/route").splitlines()[1:] if line.split()[1] == "00000000"}
    return {
        "at_uptime_s": float(read("/proc/uptime").split()[0]),
        "psutil": psutil.__version__,
        "cpu_times_s": dict(psutil.cpu_times()._asdict()),
        "memory_bytes": dict(memory._asdict()),
        # What psutil < 7.1 called used, to the byte, from the same fields (cached there includes SReclaimable).
        "memory_used_by_the_paper_bytes": raw["MemTotal"]
        - raw["MemFree"]
        - raw.get("Buffers", 0)
        - raw.get("Cached", 0)
        - raw.get("SReclaimable", 0),
        "meminfo_bytes": raw,
        "network": network(total),
        "uplinks": {name: network(per_nic[name]) for name in sorted(uplinks) if name in per_nic},
        "interfaces": len(per_nic),
    }


def observe(trial: Trial, action: Optional[Callable[[str], Any]] = None) -> Tuple[str, Document, Any]:
    """Start the httpd container and read the counters: over a window from its start, or once at a fixed uptime.

    ``action(gateway)`` runs inside the window (the network experiment's page).
    """
    counters()  # once unread: imports psutil, so that the first real reading does not pay for it
    before = counters()
    began = time.monotonic()
    cid = trial.started("httpd")
    address, gateway = trial.engine.address(cid)
    wait_for_page(trial.engine, address, int(trial.parameters["page_port"]), trial.parameters["page_sha256"])
    acted = action(gateway) if action else None
    uptime = trial.parameters.get("uptime_s")
    if uptime:
        wait_s = max(0.0, float(uptime) - float(read("/proc/uptime").split()[0]))
    else:
        wait_s = max(0.0, float(trial.parameters["window_s"]) - (time.monotonic() - began))
    if wait_s > trial.engine.left():
        raise TrialTimedOut("the window of %.0f s does not fit into the trial's time limit" % wait_s)
    time.sleep(wait_s)
    after = counters()
    measured = {"before": before, "after": after, "window_s": time.monotonic() - began}
    trial.prove(cid)
    return cid, measured, acted

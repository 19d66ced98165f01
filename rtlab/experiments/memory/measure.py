"""Counters, then idle containers. On the machine: Python 3.6 and the standard library."""

import time
from typing import List, Optional

from rtlab.probe.base import Document
from rtlab.probe.kernel import meminfo, read
from rtlab.probe.needs import cgroup_memory_bytes, pss_bytes
from rtlab.probe.page import wait_for_page
from rtlab.probe.trial import Trial
from rtlab.probe.window import observe


def measure(trial: Trial) -> Document:
    """Counters over the window, then N idle containers by three meters."""
    cid, measured, _ = observe(trial)
    trial.engine.stop(cid)
    trial.remove(cid)
    steps = sorted(int(n) for n in trial.parameters["containers"])
    measured["density"] = {"ksm": read("/sys/kernel/mm/ksm/run").strip(), "steps": []}
    if not steps:
        return measured
    settle = float(trial.parameters["settle_s"])
    time.sleep(settle)
    idle = meminfo()["MemAvailable"]
    running: List[str] = []
    for target in steps:
        while len(running) < target:
            cid = trial.started("httpd")
            address, _ = trial.engine.address(cid)
            wait_for_page(trial.engine, address, int(trial.parameters["page_port"]), trial.parameters["page_sha256"])
            running.append(cid)
        time.sleep(settle)
        available = meminfo()["MemAvailable"]
        pss = [pss_bytes(c) for c in running]
        groups = [cgroup_memory_bytes(trial.engine.pid(c)) for c in running]
        measured["density"]["steps"].append(
            {
                "containers": target,
                "pss_bytes": _sum(pss),
                "cgroup_bytes": _sum(groups),
                "available_fall_bytes": idle - available,
            }
        )
    for cid in running:
        trial.remove(cid)
    return measured


def _sum(values: List[Optional[int]]) -> Optional[int]:
    """None where the kernel does not tell one of them."""
    known = [value for value in values if value is not None]
    return sum(known) if len(known) == len(values) else None

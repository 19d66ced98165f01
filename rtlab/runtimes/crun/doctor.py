"""What doctor says of crun."""

from __future__ import annotations

from rtlab.host.checks.contract import Check, Look, version
from rtlab.host.checks.runtimes import installed, told

PROGRAMS = ("crun",)

# Before it, it refuses containers where cgroup v1 and v2 are mounted side by side.
HYBRID_FROM = (1, 9)


def check(look: Look) -> Check:
    there = look.facts.runtimes.get("crun", "")
    if there and version(there) < HYBRID_FROM and look.facts.cgroups == "hybrid":
        found = f"{there} refuses containers where cgroups are hybrid, as here"
        return told("crun", "warning", found, "Boot with systemd.unified_cgroup_hierarchy=1, or leave crun out.")
    return installed(look, "crun", look.install("crun"))

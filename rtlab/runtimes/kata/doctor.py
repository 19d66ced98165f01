"""What doctor says of Kata."""

from __future__ import annotations

from rtlab.host.checks.contract import Check, Look, proven
from rtlab.host.checks.runtimes import installed, told

# Where its release archives and packages put the command line, and the shim that is there without one.
PROGRAMS = ("/opt/kata/bin/kata-runtime", "/usr/bin/kata-runtime", "/opt/kata/bin/containerd-shim-kata-v2")

ARCHIVE = (
    "Give a release archive: rtlab up --kata-archive FILE --kata-sha256 SUM "
    "(github.com/kata-containers/kata-containers/releases)"
)


def check(look: Look) -> Check:
    if not proven(look.facts):
        there = look.facts.runtimes.get("kata", "") or "not installed"
        found = f"{there}; KVM boots no guest here, so it could not start"
        return told("kata", "warning", found, "See: KVM boots a guest.")
    return installed(look, "kata", ARCHIVE)

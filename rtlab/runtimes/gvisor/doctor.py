"""What doctor says of gVisor."""

from __future__ import annotations

from rtlab.host.checks.contract import Check, Look
from rtlab.host.checks.runtimes import installed, todays

PROGRAMS = ("runsc",)

NO_PACKAGE = "Ubuntu has no package: see https://gvisor.dev/docs/user_guide/install/ (doctor --fix leaves it out)."


def check(look: Look) -> Check:
    if look.modules:
        return todays("gvisor")
    return installed(look, "gvisor", NO_PACKAGE if look.facts.os_id == "ubuntu" else look.install("runsc"))

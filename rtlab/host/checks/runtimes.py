"""What doctor says of runtimes. Each one's folder brings its own part, a module ``doctor`` with

- ``PROGRAMS``: what its builds on a machine are started by, names or paths; the first that is there counts;
- ``check(look)``: one check, of the id ``runtime-NAME``.

Here is what these have in common.
"""

from __future__ import annotations

from collections.abc import Iterator

from rtlab import plugins
from rtlab.config.settings import COMPARED_FIRST
from rtlab.host.checks.contract import Check, Look, Status, check, wanting


def runtimes(look: Look) -> Iterator[Check]:
    parts = plugins.doctors("runtimes")
    for name in in_order():
        if name in parts:
            yield parts[name].check(look)


def in_order() -> tuple[str, ...]:
    """All runtimes, what people compare first at the head."""
    return (*COMPARED_FIRST, *(name for name in plugins.names("runtimes") if name not in COMPARED_FIRST))


def told(name: str, status: Status, found: str, remedy: str, why: str = "the runtime under comparison") -> Check:
    return check(f"runtime-{name}", f"runtime {name}", status, found, why, remedy, *wanting("runtimes"))


def todays(name: str) -> Check:
    """It comes with today's engine."""
    return told(name, "ok", "today's", "", "it is compared")


def installed(look: Look, name: str, remedy: str) -> Check:
    """Whether this machine has a build of its own."""
    there = look.facts.runtimes.get(name, "")
    return told(name, "ok" if there else "warning", there or "not installed", remedy)

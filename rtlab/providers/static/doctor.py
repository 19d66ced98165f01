"""What doctor looks at for machines of an inventory: nothing here but the programs that reach them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rtlab.host.checks.contract import Check, Look, SwitchedOn
from rtlab.host.facts import HostFacts

TITLES: Mapping[str, str] = {"static": "Machines of an inventory (static)"}
NEEDS: Mapping[str, frozenset[str]] = {"static": frozenset({"connection"})}


def checks(look: Look) -> Iterator[Check]:
    yield from ()


def switched_on(facts: HostFacts, accel: str, group: str) -> SwitchedOn:
    return SwitchedOn()

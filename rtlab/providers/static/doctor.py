"""What doctor looks at for machines of an inventory: nothing here but the programs that reach them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from rtlab.host.checks.contract import Check, Look

TITLES: Mapping[str, str] = {"static": "Machines of an inventory (static)"}


def checks(look: Look) -> Iterator[Check]:
    yield from ()

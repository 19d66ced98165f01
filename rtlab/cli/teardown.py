"""``rtlab teardown``."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from rtlab.cli import console, documents, place


def command(
    testbed_id: Annotated[
        str, typer.Option("--id", help="Remove this testbed, whose folder was lost; `rtlab teardown` lists candidates.")
    ] = "",
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask (only asked when the state was lost).")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was removed as JSON.")] = False,
) -> None:
    """Remove the machines, disks, networks, keys, daemons and mounts that `up` made here, and nothing else.

    \b
    rtlab teardown
    rtlab teardown --id 1a2b3c4d     a testbed whose folder was lost

    Campaigns stay. It works after a half-failed `up`, and twice in a row. Exit status 5 when something could not be
    removed; it is named.
    """
    from rtlab import testbed
    from rtlab.errors import LeftOver, UsageError
    from rtlab.text import counted

    state = place.state_folder()
    if not testbed_id and state.testbed_id() is None:
        found = testbed.candidates()
        if as_json:
            documents.show("teardown", {"testbed": None, "removed": [], "left": [], "candidates": found})
            return
        if not found:
            console.say("Nothing to do: there is no testbed here, and none whose folder was lost.")
            return
        rows = [(one, provider) for provider, ids in found.items() for one in ids]
        console.print_table("There is no testbed in this folder, but these exist:", ("id", "provider"), rows)
        console.say("Another folder's testbed may be among them. Remove one with: rtlab teardown --id ID")
        return
    if testbed_id and not all(c in "0123456789abcdef" for c in testbed_id):
        raise UsageError(f"{testbed_id[:40]!r} is not an id of a testbed.", remedy="Ids are 8 hex digits.")
    if testbed_id:
        _confirm_foreign(testbed_id, yes)
    with console.progress() as notify:
        down = testbed.teardown(state, notify, testbed_id=testbed_id or None)
    if as_json:
        documents.show(
            "teardown",
            {
                "testbed": down.testbed_id,
                "removed": [asdict(r) for r in down.removed],
                "left": [asdict(r) for r in down.left],
                "candidates": {},
            },
        )
    else:
        console.say(f"Testbed {down.testbed_id}: {counted(len(down.removed), 'thing')} removed, {len(down.left)} left.")
    if down.left:
        lines = "\n".join(f"  {r.kind} {r.name}: {r.note}" for r in down.left)
        raise LeftOver(f"Could not remove:\n{lines}", remedy="Mend the cause and run `rtlab teardown` again.")


def _confirm_foreign(testbed_id: str, yes: bool) -> None:
    from rtlab.errors import UsageError

    own = place.state_folder().testbed_id()
    if yes or own == testbed_id or not console.err.is_terminal:
        return
    if not console.confirm(f"Remove everything of testbed {testbed_id}, which another folder may be using?"):
        raise UsageError("Nothing was removed.")

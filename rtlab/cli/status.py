"""``rtlab status``."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Annotated

import typer

from rtlab.cli import console, settings


def command(as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False) -> None:
    """Show this folder's machines, who is working on them, and how far the newest campaign is.

    \b
    rtlab status
    rtlab status --json
    """
    from rtlab import store, testbed
    from rtlab.campaign.repeats import pending
    from rtlab.errors import StoreError

    bed, machines = testbed.status(settings.state_folder())
    try:
        campaign = store.find(settings.campaigns_folder())
        waiting, total = len(pending(campaign)), len(campaign.plan)
        progress = {"name": campaign.folder.name, "trials": total, "pending": waiting}
    except StoreError as error:
        progress = None
        if os.path.lexists(settings.campaigns_folder()):
            console.say(error.message)
    if as_json:
        console.print_json({"testbed": bed.id, "machines": [asdict(m) for m in machines], "campaign": progress})
        return
    levels = {m.name: m.level.value for m in bed.machines}
    console.print_table(
        f"Testbed {bed.id} ({bed.provider}, profile {bed.profile}, made {bed.created_at})",
        ("machine", "state", "what it is", "address", "note"),
        [(m.name, m.state, levels.get(m.name, ""), m.address, m.note) for m in machines],
    )
    if progress:
        done = total - waiting
        console.print_line(f"Campaign {progress['name']}: {done} of {total} trials done.")

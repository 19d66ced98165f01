"""``rtlab verify``."""

from __future__ import annotations

from typing import Annotated

import typer

from rtlab.cli import completion, console, documents, place


def command(
    campaign: Annotated[
        str,
        typer.Argument(help="A campaign's folder or name; the newest by default.", autocompletion=completion.campaigns),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Check that every raw file of a campaign is what was stored (SHA-256).

    \b
    rtlab verify
    rtlab verify campaigns/20261123T101500Z-campaign
    rtlab verify 20261123T101500Z-campaign      an unpacked `rtlab pack`: the bag's manifest as well

    Exit status 0 when everything is unchanged, 1 otherwise.
    """
    from rtlab import store
    from rtlab.errors import StoreError
    from rtlab.publish import bag as bags
    from rtlab.text import counted

    found = store.find(place.campaigns_folder(), campaign or None)
    changed = (*found.changed_files(), *bags.changed_in_bag(found.folder))
    count = len(found.trial_folders())
    if as_json:
        documents.show("verify", {"campaign": str(found.folder), "trials": count, "changed": list(changed)})
        if changed:
            raise typer.Exit(1)
        return
    if changed:
        raise StoreError(
            f"{found.folder.name}: {counted(len(changed), 'difference')} from what was stored:\n  "
            + "\n  ".join(changed[:20]),
            remedy="Get an unchanged copy of the campaign.",
        )
    bag = " The bag's manifest agrees." if bags.bag_of(found.folder) else ""
    console.say(f"{found.folder.name}: all raw files of {count} trials are unchanged.{bag}")

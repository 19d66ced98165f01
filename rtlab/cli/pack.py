"""``rtlab pack``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rtlab.cli import completion, console, documents, place

# So many fields are named on the terminal.
LISTED = 20


def command(
    campaign: Annotated[
        str,
        typer.Argument(help="A campaign's folder or name; the newest by default.", autocompletion=completion.campaigns),
    ] = "",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The archive.", show_default="the campaign's name + .zip")
    ] = None,
    author: Annotated[
        list[str] | None, typer.Option(help="For the citation: 'Family, Given', or a name. Repeatable.")
    ] = None,
    licence: Annotated[str, typer.Option("--license", help="SPDX identifier, such as CC-BY-4.0.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print what was packed as JSON.")] = False,
) -> None:
    """Make an archive of a campaign that is fit to publish: raw files, report, checksums, metadata, citation.

    \b
    rtlab pack
    rtlab pack 20261123T101500Z-campaign --author "Doe, Jane" --license CC-BY-4.0

    Only facts on an allow-list leave; names of accounts and hosts, addresses, URLs and secrets are replaced in texts.
    Look at the result before you publish it: no search finds what it does not know.
    Exit status 0 when the archive is there, 1 when the campaign or the disk is at fault.
    """
    from rtlab import store
    from rtlab.publish import pack

    found = store.find(place.campaigns_folder(), campaign or None)
    packed = pack.pack(found, output, authors=author or (), licence=licence)
    if as_json:
        documents.show(
            "pack",
            {
                "archive": str(packed.file),
                "sha256": packed.sha256,
                "files": packed.files,
                "replaced": dict(packed.replaced),
                "withheld": dict(packed.withheld),
                "raw_files_changed": list(packed.changed),
            },
        )
        return
    console.say(f"{packed.file}: {packed.files} files, SHA-256 {packed.sha256}")
    for field, number in list(packed.withheld.items())[:LISTED]:
        console.say(f"  left out: {field} ({number}×)")
    if len(packed.withheld) > LISTED:
        console.say(f"  and {len(packed.withheld) - LISTED} more fields (--json names all)")
    if packed.replaced:
        listed = ", ".join(f"{kind} {number}×" for kind, number in packed.replaced.items())
        console.say(f"  replaced in texts: {listed}")
    if packed.changed:
        console.say(f"  {len(packed.changed)} raw files differ from what was measured; redacted.json names them.")
    else:
        console.say("  every raw file is as it was measured.")
    if not licence:
        console.say("No licence is granted in it; --license CC-BY-4.0 (or another) would.")
    console.say("Look at it before you publish it; unpacked, `rtlab verify` and `rtlab report` open it.")

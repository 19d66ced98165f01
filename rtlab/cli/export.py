"""``rtlab export``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from rtlab.cli import completion, console, documents, place


def command(
    name: Annotated[
        str,
        typer.Argument(
            metavar="FORMAT",
            help="One of the formats above; empty lists them.",
            autocompletion=completion.export_formats,
        ),
    ] = "",
    campaign: Annotated[
        str,
        typer.Argument(help="A campaign's folder or name; the newest by default.", autocompletion=completion.campaigns),
    ] = "",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The file; stdout by default.")] = None,
    runtime: Annotated[
        str,
        typer.Option(help="For pyperf: which runtime; the baseline by default.", autocompletion=completion.runtimes),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="The list of formats, or what was written, as JSON.")] = False,
) -> None:
    """Give a campaign to another tool, in its own format.

    \b
    rtlab export                                     list the formats
    rtlab export hyperfine -o starts.json            start times; hyperfine's plot scripts read it
    rtlab export pyperf --runtime runc -o runc.json  then: pyperf compare_to runc.json kata.json
    rtlab export github-smaller-is-better -o b.json  for github-action-benchmark
    rtlab export bencher | bencher run --adapter json --file /dev/stdin
    rtlab export latex -o tables.tex                 tables I-V for a paper
    rtlab export parquet -o observations.parquet     every single value

    Failed and missing values are left out, never written as 0. Everything says where it was measured; names in exports
    of emulated and simulated campaigns say that they mean nothing.
    Exit status 0, 1 when there is no such campaign or it cannot be read, 2 for an unknown format or runtime.
    """
    from rtlab import atomic, report, store
    from rtlab.errors import UsageError
    from rtlab.publish import exports

    if not name:
        _list_formats(as_json)
        return
    exports.require(name)
    if as_json and output is None:
        raise UsageError("--json would mix with the export on stdout.", remedy="Name a file: --output FILE.")
    if output is not None:
        store.require_target(output)
    found = store.find(place.campaigns_folder(), campaign or None)
    content = exports.export(report.build(found), name, runtime)
    if output is None:
        sys.stdout.buffer.write(content)
        return
    atomic.write_bytes(output, content)
    if as_json:
        documents.show("export", {"file": str(output), "bytes": len(content)})
        return
    console.say(f"{output}: {len(content)} bytes")


def _list_formats(as_json: bool) -> None:
    from rtlab.publish import exports

    if as_json:
        documents.show("formats", {"formats": {known: form.about for known, form in exports.FORMATS.items()}})
        return
    rows = [(known, form.about) for known, form in exports.FORMATS.items()]
    console.print_table("Formats of rtlab export", ("format", "what it is"), rows)

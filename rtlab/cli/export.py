"""``rtlab export``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from rtlab.cli import console, settings


def command(
    name: Annotated[str, typer.Argument(metavar="FORMAT", help="One of the formats above; empty lists them.")] = "",
    campaign: Annotated[str, typer.Argument(help="A campaign's folder or name; the newest by default.")] = "",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The file; stdout by default.")] = None,
    runtime: Annotated[str, typer.Option(help="For pyperf: which runtime; the baseline by default.")] = "",
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
    """
    from rtlab import atomic, report, store
    from rtlab.errors import UsageError
    from rtlab.publish import exports

    if not name and as_json:
        console.print_json({known: form.about for known, form in exports.FORMATS.items()})
        return
    if not name:
        rows = [(known, form.about) for known, form in exports.FORMATS.items()]
        console.print_table("Formats of rtlab export", ("format", "what it is"), rows)
        return
    exports.require(name)
    if as_json and output is None:
        raise UsageError("--json would mix with the export on stdout.", remedy="Name a file: --output FILE.")
    if output is not None:
        store.require_target(output)
    found = store.find(settings.campaigns_folder(), campaign or None)
    content = exports.export(report.build(found), name, runtime)
    if output is None:
        sys.stdout.buffer.write(content)
        return
    atomic.write_bytes(output, content)
    if as_json:
        console.print_json({"file": str(output), "bytes": len(content)})
        return
    console.say(f"{output}: {len(content)} bytes")

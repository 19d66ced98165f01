"""``rtlab compare``."""

from __future__ import annotations

from typing import Annotated

import typer

from rtlab.cli import console, settings


def command(
    first: Annotated[str, typer.Argument(help="A campaign's folder or name: before.")],
    second: Annotated[str, typer.Argument(help="Another one: after.")],
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Compare although machines' kind, design or parameters differ.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """What changed from one campaign to another: each ratio to the shared baseline, beyond noise or not.

    \b
    rtlab compare 20261101T 20261123T         last month and today
    rtlab compare a/campaigns/X b/campaigns/Y --json

    What the two differ in (hardware, kernel, versions, digests) stands first. Absolute values are never judged: two
    campaigns share no state of the host.

    Exit status 0 not slower, 10 slower beyond the margin, 11 inconclusive, 12 cannot be compared, 1 error, 2 usage.
    """
    from rtlab import report, store
    from rtlab.report import compare as comparing

    parent = settings.campaigns_folder()
    found = comparing.compare(
        report.build(store.find(parent, first)), report.build(store.find(parent, second)), anyway=anyway
    )
    if as_json:
        console.print_json(found.as_json())
    else:
        _terminal(found)
    if found.status:
        raise typer.Exit(found.status)


def _terminal(found: object) -> None:
    from rtlab.report.compare import ComparedCampaigns

    assert isinstance(found, ComparedCampaigns)
    console.print_line(f"From {found.first} to {found.second}")
    for difference in found.differences:
        console.print_line(f"  differs: {difference}")
    if not found.differences:
        console.print_line("  same machines, versions and settings, as far as was recorded")
    console.print_line()
    for change in found.primaries:
        console.print_line(f"• {change.sentence}")
    others = [c for c in found.changes if c.exploratory]
    if others:
        console.print_line(f"{len(others)} further metrics, exploratory: --json lists them.")

"""``rtlab compare``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from rtlab.cli import completion, console, documents, place

if TYPE_CHECKING:
    from rtlab.report.compare import ComparedCampaigns

# So many columns take both campaigns' ratios with their intervals.
WHOLE_TABLE = 112


def command(
    first: Annotated[
        str, typer.Argument(help="A campaign's folder or name: before.", autocompletion=completion.campaigns)
    ],
    second: Annotated[str, typer.Argument(help="Another one: after.", autocompletion=completion.campaigns)],
    anyway: Annotated[
        bool, typer.Option("--anyway", help="Compare although machines' kind, design or parameters differ.")
    ] = False,
    everything: Annotated[bool, typer.Option("--all", help="List everything that the campaigns differ in.")] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print a comment for a pull request, for GitHub.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """What changed from one campaign to another: each ratio to the shared baseline, beyond noise or not.

    \b
    rtlab compare 20261101T 20261123T         last month and today
    rtlab compare a/campaigns/X b/campaigns/Y --json
    rtlab compare X Y --markdown > comment.md     then: gh pr comment --body-file comment.md

    First the answer, then both campaigns' ratios, then what the two differ in and may explain it (runtimes, engine,
    kernel, processor). Absolute values are never judged: two campaigns share no state of the host.

    Exit status 0 not slower, 10 slower beyond the margin, 11 inconclusive, 12 cannot be compared, 1 error, 2 usage.
    """
    from rtlab import report, store
    from rtlab.errors import UsageError
    from rtlab.report import compare as comparing

    if markdown and as_json:
        raise UsageError("--markdown and --json exclude each other.", remedy="Say one of them.")
    parent = place.campaigns_folder()
    found = comparing.compare(
        report.build(store.find(parent, first)), report.build(store.find(parent, second)), anyway=anyway
    )
    if as_json:
        documents.show("compare", found.as_json())
    elif markdown:
        sys.stdout.write(comparing.markdown(found))
    else:
        _terminal(found, everything)
    if found.status:
        raise typer.Exit(found.status)


def _terminal(found: ComparedCampaigns, everything: bool) -> None:
    console.print_line(found.result)
    if found.meaningless:
        console.print_line(found.where)
    narrow = console.out.is_terminal and console.out.width < WHOLE_TABLE
    rows = []
    for one in found.lines():
        # The change keeps its interval: the verdict is about it.
        both = [shown.partition(" (")[0] if narrow else shown for shown in (one.before, one.after)]
        rows.append((one.experiment, one.arm, *both, one.change, f"{one.sign} {one.verdict}"))
    console.print_table("", ("experiment", "runtime", "before", "after", "change", "verdict"), rows)
    console.print_line(
        f"Ratios to {found.baseline}; 95 % intervals in brackets. The verdicts are decided together (Holm)."
    )
    if found.exploratory:
        console.print_line(f"{len(found.exploratory)} further metrics, exploratory: --json lists them.")
    console.print_line()
    console.print_line(f"From {found.first} to {found.second}:")
    for difference in found.differences:
        console.print_line(f"  {difference}")
    if not found.differences:
        console.print_line("  same runtimes, engine, kernel and processor, as far as was recorded")
    if found.further and not everything:
        console.print_line(f"  and {len(found.further)} further facts (--all lists them)")
    for difference in found.further if everything else ():
        console.print_line(f"  {difference}")

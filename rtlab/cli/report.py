"""``rtlab report``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from rtlab.cli import completion, console, documents, place
from rtlab.errors import UsageError

if TYPE_CHECKING:
    from rtlab.report import Report

FORMATS = ("terminal", "markdown", "csv", "json")


def command(
    campaign: Annotated[
        str,
        typer.Argument(help="A campaign's folder or name; the newest by default.", autocompletion=completion.campaigns),
    ] = "",
    output: Annotated[
        str,
        typer.Option(
            "--format", help=f"What stdout gets: {', '.join(FORMATS)}.", autocompletion=completion.report_formats
        ),
    ] = "terminal",
    pdf: Annotated[bool, typer.Option("--pdf", help="The plots as PDF too, in report/plots.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """Tables I-V beside the paper's values, verdicts and plots of a campaign, from its raw files alone.

    \b
    rtlab report                                   the newest campaign, in the terminal
    rtlab report 20261123T101500Z --format markdown
    rtlab report --json | jq '.comparisons[] | .sentence'

    It also writes, below the campaign's folder, report/index.html (everything: plots, provenance, the list of all
    trials), report/tables.{md,csv,json,tex}, report/plots/*.svg, derived/observations.csv and derived/estimates.json.
    These may be deleted: another `rtlab report` makes the same again, byte for byte.
    """
    from rtlab import report as reports
    from rtlab import store
    from rtlab.report import tables

    chosen = "json" if as_json else output
    if chosen not in FORMATS:
        raise UsageError(f"--format takes {', '.join(FORMATS)}, not {chosen[:40]!r}.")
    found = store.find(place.campaigns_folder(), campaign or None)
    built = reports.build(found)
    reports.write(built, found.folder, pdf=pdf)
    if chosen == "json":
        documents.show("report", reports.as_json(built))
    elif chosen == "csv":
        sys.stdout.write(tables.as_csv(built.tables, built.testbed.level.value))
    elif chosen == "markdown":
        sys.stdout.write(reports.markdown(built))
    else:
        _terminal(built)
    console.say(f"Page: {found.folder / 'report' / 'index.html'}")


def _terminal(report: Report) -> None:
    console.print_line(f"{report.name}: measured on {report.where}")
    console.print_line(report.meaning)
    console.print_line(report.design())
    for caveat in report.heading:
        console.print_line(f"{caveat.kind.capitalize()}: {caveat.message}")
    for machine, what, version in report.versions:
        console.print_line(f"  {machine}: {what}: {version}")
    console.print_line()
    console.print_line(report.verdicts_heading)
    for comparison in report.primaries():
        console.print_line(f"• {comparison.sentence}")
    for line in report.beside():
        console.print_line(f"  {line}")
    for caveat in report.notes:
        where = f" ({caveat.where})" if caveat.where else ""
        console.print_line(f"Note{where}: {caveat.message}")
    for table in report.tables:
        console.print_line()
        rows = [(row.runtime, row.statistic, *table.shown(row)) for row in table.rows]
        console.print_table(table.heading, ("runtime", "", *table.heads()), rows)
        for note in table.notes:
            console.print_line(f"  {note}")

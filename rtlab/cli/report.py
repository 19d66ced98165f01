"""``rtlab report``."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtlab.cli import completion, console, documents, place
from rtlab.collection import no_collection
from rtlab.errors import UsageError

if TYPE_CHECKING:
    from rtlab.report import Report

FORMATS = ("terminal", "markdown", "csv", "json")
# Without a terminal tables keep to this; running text is not broken there.
PIPED = 80
_UNBROKEN = 1_000_000


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
    brief: Annotated[bool, typer.Option("--brief", help="The table of answers alone.")] = False,
    open_: Annotated[bool, typer.Option("--open", help="Open the page in this desktop's browser.")] = False,
    pdf: Annotated[bool, typer.Option("--pdf", help="The plots as PDF too, in report/plots.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The same as --format json.")] = False,
) -> None:
    """What a campaign found: one table of every experiment and runtime, from its raw files alone.

    \b
    rtlab report                                   the newest campaign: the table, and what weakens it
    rtlab report --brief                           the table alone
    rtlab report --open                            everything, as a page in the browser
    rtlab report 20261123T101500Z --format markdown
    rtlab report --json | jq '.comparisons[] | .sentence'

    It also writes, below the campaign's folder, report/index.html (everything: plots, the paper's tables, provenance,
    the list of all trials), report/tables.{md,csv,json,tex}, report/plots/*.svg, derived/observations.csv and
    derived/estimates.json. These may be deleted: another `rtlab report` makes the same again, byte for byte.
    """
    chosen = "json" if as_json else output
    if chosen not in FORMATS:
        raise UsageError(f"--format takes {', '.join(FORMATS)}, not {chosen[:40]!r}.")
    if brief and chosen != "terminal":
        raise UsageError("--brief is for the terminal; the other formats are whole.")
    with no_collection():
        page = _made(campaign, chosen, brief=brief, pdf=pdf)
    if open_ and not webbrowser.open(page.resolve().as_uri()):
        console.say(f"No browser could be started here. Open {page} where there is one.")


def _made(campaign: str, chosen: str, *, brief: bool, pdf: bool) -> Path:
    """Write the report and show it in the chosen format; returns its page."""
    from rtlab import report as reports
    from rtlab import store

    found = store.find(place.campaigns_folder(), campaign or None)
    built = reports.build(found)
    reports.write(built, found.folder, pdf=pdf)
    page = found.folder / "report" / "index.html"
    if chosen == "json":
        documents.show("report", reports.as_json(built))
    elif chosen == "csv":
        sys.stdout.write(reports.as_csv(built))
    elif chosen == "markdown":
        sys.stdout.write(reports.markdown(built))
    else:
        _terminal(built, brief=brief)
    if chosen != "terminal" or not brief:
        _say_where(page)
    return page


def _terminal(report: Report, *, brief: bool) -> None:
    from rtlab.report import terminal

    width = console.width()
    for line in terminal.answer_lines(report.answer, width or PIPED):
        console.print_parts([(part.text, part.look) for part in line])
    if brief:
        return
    console.print_line()
    for line in terminal.lessening_lines(report, width or _UNBROKEN):
        console.print_parts([(part.text, part.look) for part in line])
    console.print_line()


def _say_where(page: Path) -> None:
    console.say(f"Page: {page}")
    console.say(f"Tables I-V, sentences, estimates: {page.parent}/tables.md, .csv, .json, .tex")

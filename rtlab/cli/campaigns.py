"""``rtlab campaigns``."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rtlab.cli import console, documents, place

if TYPE_CHECKING:
    from rtlab.report.answer import Cell, Line


def command(
    verdicts: Annotated[
        bool, typer.Option("--verdicts/--no-verdicts", help="Read every raw file for the verdicts; the list is slower.")
    ] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON, with every verdict.")] = False,
) -> None:
    """List the campaigns in this folder, the newest last: state, blocks, and the verdicts in a line.

    \b
    rtlab campaigns
    rtlab campaigns --no-verdicts      at once, however many trials there are
    rtlab campaigns --json | jq -r '.campaigns[] | select(.state == "unfinished") | .name'

    Exit status 0, also when there is none.
    """
    rows = [_row(folder, verdicts) for folder in _folders()]
    if as_json:
        documents.show("campaigns", {"campaigns": rows})
        return
    if not rows:
        console.say("There is no campaign here. Begin one: rtlab bench")
        return
    console.print_table(
        "",
        ("campaign", "state", "blocks", "verdicts" if verdicts else "runtimes"),
        [(row["name"], row["state"], _blocks(row), _summary(row, verdicts)) for row in rows],
    )


def _folders() -> list[Path]:
    from rtlab import store

    return store.folders(place.campaigns_folder())


def _row(folder: Path, with_verdicts: bool) -> dict[str, Any]:
    """One campaign for `--json`; one that cannot be read is listed as well, with the reason."""
    from rtlab import report, store
    from rtlab.campaign.overview import overview
    from rtlab.errors import RtlabError

    row: dict[str, Any] = {"name": folder.name, "state": "unreadable", "reason": ""}
    try:
        campaign = store.Campaign(folder)
        found = overview(campaign)
        row |= {
            "state": found.state,
            "level": campaign.testbed.level.value,
            "baseline": campaign.spec.baseline,
            "runtimes": list(campaign.spec.runtimes),
            "experiments": list(campaign.spec.experiments),
            "trials": found.trials,
            "pending": found.pending,
            "not_ok": len(found.failures),
            "blocks": found.blocks,
            "full_blocks": found.full_blocks,
        }
        if with_verdicts:
            row["verdicts"] = [_verdict(line, cell) for line, cell in report.build(campaign).answer.cells]
    except RtlabError as error:
        row["reason"] = error.message
    return row


def _verdict(line: Line, cell: Cell) -> dict[str, Any]:
    return {
        "experiment": line.experiment,
        "metric": line.metric,
        "arm": cell.arm,
        "verdict": cell.verdict.value if cell.verdict else None,
        "word": cell.word,
        "ratio": cell.ratio,
    }


def _blocks(row: dict[str, Any]) -> str:
    if "blocks" not in row:
        return ""
    return str(row["blocks"]) if row["full_blocks"] == row["blocks"] else f"{row['full_blocks']} of {row['blocks']}"


def _summary(row: dict[str, Any], with_verdicts: bool) -> str:
    """``gvisor: 3 worse, 2 unclear``, in the report's words; figures that mean nothing are said to."""
    if row["reason"]:
        return str(row["reason"])
    if not with_verdicts:
        return ", ".join(row["runtimes"])
    if len(row["runtimes"]) < 2:
        return f"{row['runtimes'][0]} alone: nothing is compared"
    told = []
    for arm in dict.fromkeys(v["arm"] for v in row["verdicts"]):
        counted = Counter(v["word"] for v in row["verdicts"] if v["arm"] == arm)
        told.append(f"{arm}: {', '.join(f'{number} {verdict}' for verdict, number in counted.items())}")
    from rtlab.model import Level

    nothing = (Level.EMULATED.value, Level.SIMULATED.value)
    meaningless = f" ({row['level']}: without meaning)" if row["level"] in nothing else ""
    return ("; ".join(told) or "no verdict yet") + meaningless

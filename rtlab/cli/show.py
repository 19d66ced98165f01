"""``rtlab show``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rtlab.cli import completion, console, documents, place

if TYPE_CHECKING:
    from rtlab.model import Observation, RawOutput
    from rtlab.store import Campaign

# The end of what a tool printed, in lines, and of one line, in characters.
TAIL, LONGEST = 10, 2_000


def command(
    trial: Annotated[
        str,
        typer.Argument(
            help="The trial's number, or the name of its folder.", metavar="TRIAL", autocompletion=completion.trials
        ),
    ],
    campaign: Annotated[
        str,
        typer.Option(help="A campaign's folder or name.", show_default="newest", autocompletion=completion.campaigns),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON, with the raw output whole.")] = False,
) -> None:
    """What happened in one trial: how it ended and why, what was proved, the values, the end of the raw output.

    \b
    rtlab show 17
    rtlab show 17 --campaign 20261123T101500Z-campaign
    rtlab show 17 --json | jq .observations

    The numbers stand in `rtlab plan`, in warnings, and in the report's list of trials. Only what is stored is read,
    and it is compared with its SHA-256 first. Exit status 0, 1 when there is no such trial or it was changed.
    """
    from rtlab import store

    found = store.find(place.campaigns_folder(), campaign or None)
    attempts = [_attempt(found, raw) for raw in _raw_outputs(found, trial)]
    if as_json:
        documents.show("show", {"campaign": str(found.folder), "attempts": attempts})
        return
    for attempt in attempts:
        _print(attempt)


def _raw_outputs(campaign: Campaign, name: str) -> list[RawOutput]:
    """Every attempt at the trial; StoreError when it has not run or is not planned."""
    from rtlab.errors import StoreError

    number = int(name) if name.isdigit() else None
    records = [r for f in campaign.trial_folders() if (r := _named(campaign, f, name, number)) is not None]
    if records:
        return [campaign.raw_output(record) for record in records]
    planned = next((t for t in campaign.plan if t.number == number), None)
    if planned is not None:
        raise StoreError(
            f"Trial {number} ({planned.experiment} {planned.arm} on {planned.machine}) has not run yet.",
            remedy=f"`rtlab bench --resume {campaign.folder.name}` goes on.",
        )
    raise StoreError(
        f"{campaign.folder.name} has no trial {name[:80]!r}.",
        remedy=f"Its plan has the numbers 1 to {len(campaign.plan)}.",
    )


def _named(campaign: Campaign, folder: Path, name: str, number: int | None) -> Any:
    """The record in a folder, if the folder is the one that is meant."""
    head = folder.name.split(".", 1)[0]
    if folder.name != Path(name).name and not (number is not None and head.isdigit() and int(head) == number):
        return None
    return campaign.record(folder)


def _attempt(campaign: Campaign, raw: RawOutput) -> dict[str, Any]:
    """One attempt for `--json`."""
    from rtlab import store
    from rtlab.report import causes

    values, problem = _observed(campaign, raw)
    folder = campaign.folder / "trials" / store.folder_name(raw.record)
    proof = raw.probe.get("proof")
    return {
        "record": {**asdict(raw.record), "outcome": raw.record.outcome.value},
        "proof": proof if isinstance(proof, Mapping) else None,
        "observations": [
            {"metric": o.metric, "index": o.index, "value": o.value, "unit": o.unit, "note": o.note} for o in values
        ],
        "not_parseable": problem,
        "happened": causes.during(raw.record, raw.probe),
        "stdout": raw.stdout,
        "stderr": raw.stderr,
        "files": [str(folder / name) for name in ("record.json", *sorted(raw.record.files))],
    }


def _observed(campaign: Campaign, raw: RawOutput) -> tuple[tuple[Observation, ...], str]:
    """The values, or why there are none."""
    from rtlab import plugins
    from rtlab.errors import ParseError, UsageError

    name = raw.record.trial.experiment
    parameters = campaign.spec.parameters.get(name, {})
    if raw.record.outcome.value != "ok":
        return (), ""
    try:
        return plugins.experiment_of(name, parameters).parse(raw, parameters), ""
    except (ParseError, UsageError) as error:
        return (), error.message


def _print(attempt: dict[str, Any]) -> None:
    from rtlab.units import format_duration

    record, trial = attempt["record"], attempt["record"]["trial"]
    again = f", attempt {record['attempt']}" if record["attempt"] > 1 else ""
    console.print_line(
        f"Trial {trial['number']}{again}: {trial['experiment']} {trial['arm']} on {trial['machine']}, "
        f"block {trial['block']}{' (A/A)' if trial['kind'] == 'aa' else ''}: {record['outcome']}"
    )
    if record["reason"]:
        console.print_line(f"Why: {record['reason']}")
    if attempt["not_parseable"]:
        console.print_line(f"Its output cannot be used: {attempt['not_parseable']}")
    gate = f"; quiet after {format_duration(record['waited_s'])}" if record["waited_s"] is not None else ""
    boot = f", boot id {record['boot_id']}" if record["boot_id"] else ""
    reboot = "after a reboot" if record["rebooted"] else "without a reboot"
    console.print_line(f"From {record['started_at']} to {record['ended_at']}, {reboot}{gate}{boot}")
    for line in attempt["happened"]:
        console.print_line(f"Meanwhile: {line}")
    _print_proof(attempt["proof"])
    _print_values(attempt["observations"])
    for name in ("stdout", "stderr"):
        _print_tail(name, attempt[name])
    console.print_line("Files:")
    for file in attempt["files"]:
        console.print_line(f"  {file}")


def _print_proof(proof: Mapping[str, Any] | None) -> None:
    evidence = proof.get("evidence") if proof else None
    if proof is None or not isinstance(evidence, Mapping):
        console.print_line("Proof: none was taken")
        return
    if evidence.get("simulated"):
        console.print_line("Proof: simulated, there was nothing to prove")
        return
    objections = proof.get("objections")
    refused = [str(o) for o in objections] if isinstance(objections, list) else []
    console.print_line(f"Proof: {'; '.join(refused) if refused else 'the runtime is the one that was asked for'}")
    for key, value in evidence.items():
        if value not in (None, "", [], {}):
            console.print_line(f"  {key}: {str(value)[:LONGEST]}")


def _print_values(observations: list[dict[str, Any]]) -> None:
    from rtlab.units import readable

    together: dict[tuple[str, str], list[str]] = {}
    for o in observations:
        value = "no value" if o["value"] is None else readable(o["value"], str(o["unit"]), 6)
        together.setdefault((str(o["metric"]), str(o["note"])), []).append(value)
    if together:
        rows = [(metric, "  ".join(values), note) for (metric, note), values in together.items()]
        console.print_table("Values", ("metric", "values", "note"), rows)


def _print_tail(name: str, text: str) -> None:
    lines = text.rstrip("\n").splitlines()
    if not lines:
        console.print_line(f"{name}: empty")
        return
    cut = f" (the last {TAIL} of {len(lines)} lines)" if len(lines) > TAIL else ""
    console.print_line(f"{name}{cut}:")
    for line in lines[-TAIL:]:
        console.print_line(f"  {line[:LONGEST]}")

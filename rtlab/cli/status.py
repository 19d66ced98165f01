"""``rtlab status``."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from rtlab.cli import completion, console, documents, place

if TYPE_CHECKING:
    from rtlab.campaign.overview import Overview
    from rtlab.model import Testbed
    from rtlab.providers.contract import MachineStatus

# So many of the trials that failed are named, the newest; `rtlab show` tells all of one.
NAMED = 5
WATCH_EVERY_S = 2.0


def command(
    campaign: Annotated[
        str, typer.Option(help="This campaign.", show_default="newest", autocompletion=completion.campaigns)
    ] = "",
    watch: Annotated[
        bool, typer.Option("--watch", help="Keep showing the campaign's progress until it ends; Ctrl-C stops looking.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show this folder's machines, who is working on them, and how far the newest campaign is.

    \b
    rtlab status
    rtlab status --watch      in another terminal than `rtlab bench`: done, failed, time left, last value
    rtlab status --json

    Watching only reads: it asks no machine for anything.
    Exit status 0, 1 when there is no testbed here (with --watch: no campaign).
    """
    from rtlab import store, testbed
    from rtlab.campaign.overview import overview
    from rtlab.errors import StoreError, UsageError

    if watch and as_json:
        raise UsageError("--watch is for people, --json for programs.", remedy="Leave out one of them.")
    if watch:
        _watch(campaign)
        return
    bed, machines = testbed.status(place.state_folder())
    try:
        found = overview(store.find(place.campaigns_folder(), campaign or None))
    except StoreError as error:
        if campaign:
            raise
        found = None
        if os.path.lexists(place.campaigns_folder()):
            console.say(error.message)
    if as_json:
        documents.show(
            "status",
            {
                "testbed": bed.id,
                "machines": [asdict(m) for m in machines],
                "campaign": as_document(found) if found else None,
            },
        )
        return
    _print_machines(bed, machines)
    if found:
        for line in _lines(found, console.out.width):
            console.print_line(line)


def as_document(found: Overview) -> dict[str, object]:
    """A campaign's state for `--json`."""
    return {**asdict(found), "remaining_s": round(found.remaining_s, 1)}


def _print_machines(bed: Testbed, machines: tuple[MachineStatus, ...]) -> None:
    levels = {m.name: m.level.value for m in bed.machines}
    console.print_table(
        f"Testbed {bed.id} ({bed.provider}, profile {bed.profile}, made {bed.created_at})",
        ("machine", "state", "what it is", "address", "note"),
        [(m.name, m.state, levels.get(m.name, ""), m.address, m.note) for m in machines],
    )


def _watch(name: str) -> None:
    """Draw the campaign again and again until it is finished."""
    from rtlab import store
    from rtlab.campaign.overview import overview
    from rtlab.cli import progress

    campaign = store.find(place.campaigns_folder(), name or None)
    over = False

    def drawn(width: int) -> list[str] | None:
        nonlocal over
        if over:
            return None
        found = overview(campaign)
        over = found.state == "finished"
        return _lines(found, width)

    progress.watch(console.out, drawn, WATCH_EVERY_S)


def _lines(found: Overview, width: int) -> list[str]:
    """The state of a campaign, each line whole words and at most ``width``."""
    from rtlab.cli.progress import fitted, with_bar
    from rtlab.text import clean, counted
    from rtlab.units import format_duration

    share = found.done / found.trials if found.trials else 1.0
    left = max(0.0, found.remaining_s - (found.since_s or 0.0))
    above = [(0, f"{found.done} of {found.trials} trials"), (0, f"{share:.0%}"), (9, "")]
    if found.state != "finished":
        above.append((0, f"{format_duration(left)} left" if left else "nearly done"))
    below = [(0, f"{found.full_blocks} of {found.blocks} blocks full")]
    if found.repeated_blocks:
        below.append((2, f"{found.repeated_blocks} repeated"))
    below.append((1, f"{counted(len(found.failures), 'trial')} not usable" if found.failures else "no trial failed"))
    if found.last:
        below.append((0, f"last: {found.last}"))
    lines = [f"Campaign {found.name}: {found.state}", with_bar(above, share, width), fitted(below, width)]
    if found.stopped:
        lines.append(f"Stopped: {clean(found.stopped)}")
    for failure in found.failures[-NAMED:]:
        told = f"  trial {failure.trial} ({clean(failure.what)}) {failure.outcome}: {clean(failure.reason)}"
        lines.append(fitted([(0, told)], width))
    if len(found.failures) > NAMED:
        lines.append(f"  and {len(found.failures) - NAMED} more before them (--json lists all)")
    return lines

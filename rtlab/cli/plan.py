"""``rtlab plan``: the plan of a campaign and how long it takes, without running anything."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from rtlab.cli import completion, console, documents, options, place
from rtlab.cli.options import Given
from rtlab.model import CampaignSpec, Testbed, Trial

if TYPE_CHECKING:
    from rtlab.campaign.pace import Pace
    from rtlab.store import Campaign

# So many trials are listed; the rest is summed up.
LISTED = 60


@options.settings("campaign")
def command(
    given: Given,
    new: Annotated[bool, typer.Option("--new", help="As if no campaign were unfinished.")] = False,
    target: Annotated[
        str, typer.Option(help="Instead: how many blocks a half-width of this size (5%) takes, from a past campaign.")
    ] = "",
    campaign: Annotated[
        str,
        typer.Option(help="For --target: that campaign.", show_default="newest", autocompletion=completion.campaigns),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show every trial that `rtlab bench` would run, in order, and how long it will take.

    \b
    rtlab plan --runs 15
    rtlab plan --runs 15 --design paper
    rtlab plan --target 5%      how many blocks until each ratio is known to 5 %, and how long

    It takes the options of `rtlab bench`. The order is random: the plan ends with the command, seed included, that
    runs exactly what was shown. Where a campaign of the same settings is unfinished, `rtlab bench` goes on with it, and
    what is left of that one is shown.

    How long is learned from earlier campaigns here, where experiments had the same parameters.
    Exit status 0, 1 when there is no testbed (or no campaign for --target), 2 for what this testbed cannot do.
    """
    if target:
        foretell(campaign, options.percent("--target", target) / 100, as_json)
        return
    testbed = place.state_folder().testbed()
    show(Wanted(given.spec(testbed), testbed, given, new=new), as_json)


@dataclass(frozen=True)
class Wanted:
    """A campaign that is asked for.

    Attributes:
        new, resume, like: As `rtlab bench` was given them.
    """

    spec: CampaignSpec
    testbed: Testbed
    given: Given
    new: bool = False
    resume: str = ""
    like: str = ""


@dataclass(frozen=True)
class Plan:
    """What `rtlab bench` would run.

    Attributes:
        goes_on: The campaign that it would go on with; None for a new one.
        trials: What is left to run.
        command: The command that runs exactly this.
    """

    spec: CampaignSpec
    testbed: Testbed
    goes_on: Campaign | None
    trials: tuple[Trial, ...]
    command: str


def show(wanted: Wanted, as_json: bool) -> None:
    """Print what `rtlab bench` would run, and how long that takes."""
    from rtlab import store
    from rtlab.campaign.pace import Pace

    found = planned(wanted)
    pace = Pace(found.spec, found.testbed.level)
    known = store.known(place.campaigns_folder())
    pace.learn_from((*known, found.goes_on) if found.goes_on else known)
    decides = can_decide(found.spec, found.testbed)
    if as_json:
        documents.show(
            "plan",
            {
                "seed": found.spec.seed,
                "goes_on_with": found.goes_on.folder.name if found.goes_on else None,
                "command": found.command,
                "duration_s": round(pace.remaining_s(found.trials), 1),
                "learned_from": pace.source or None,
                "can_decide": decides,
                "trials": [asdict(trial) for trial in found.trials],
            },
        )
        return
    _print(found, pace, decides)


def planned(wanted: Wanted) -> Plan:
    """What `rtlab bench` would run: what is left of an unfinished campaign of the same settings, or a new one.

    Raises:
        UsageError, StoreError: `rtlab bench` would refuse.
    """
    from rtlab.campaign import choosing, like
    from rtlab.campaign.repeats import pending

    campaign = choosing.unfinished(
        place.campaigns_folder(), wanted.spec, wanted.testbed, new=wanted.new, resume=wanted.resume or None
    )
    if campaign is not None:
        words = ["--resume", campaign.folder.name]
        return Plan(campaign.spec, wanted.testbed, campaign, pending(campaign), shlex.join(["rtlab", "bench", *words]))
    words = ["--like", wanted.like] if wanted.like else list(wanted.given.words)
    if not wanted.like and "seed" not in wanted.given.values:
        words += ["--seed", str(wanted.spec.seed)]
    words += ["--new"] if wanted.new else []
    trials = like.planned(wanted.spec, wanted.testbed)
    return Plan(wanted.spec, wanted.testbed, None, trials, shlex.join(["rtlab", "bench", *words]))


def _print(found: Plan, pace: Pace, decides: Sequence[str]) -> None:
    from rtlab.units import format_duration, percent

    spec, trials = found.spec, found.trials
    title = f"{len(trials)} trials, {spec.runs} blocks, seed {spec.seed}, reboot: {spec.reboot}"
    if found.goes_on:
        title = f"{len(trials)} of {len(found.goes_on.plan)} trials are left of {found.goes_on.folder.name}"
    rows = [
        (str(t.number), str(t.block) + (" A/A" if t.kind == "aa" else ""), t.machine, t.arm, t.experiment, str(t.boot))
        for t in trials[:LISTED]
    ]
    console.print_table(f"Plan: {title}", ("trial", "block", "machine", "arm", "experiment", "boot"), rows)
    if len(trials) > LISTED:
        console.say(f"… and {len(trials) - LISTED} more (--json lists all).")
    if spec.until is not None:
        each = format_duration(pace.remaining_s(trials) / max(1, len({t.block for t in trials})))
        console.say(
            f"Then further blocks ({each} each) until every primary ratio is known to "
            f"±{percent(spec.until.target)}, {spec.until.max_blocks} at most."
        )
    for sentence in decides:
        console.say(sentence)
    known = f"as in {pace.source}" if pace.source else "a first guess"
    console.say(f"This takes about {format_duration(pace.remaining_s(trials))} ({known}). Nothing was run.")
    console.say(f"Run exactly this: {found.command}")


def can_decide(spec: CampaignSpec, testbed: Testbed) -> tuple[str, ...]:
    """What this campaign can and cannot decide, in sentences; none for the paper's design, which has no blocks."""
    from rtlab import plugins
    from rtlab.campaign.plan import balance, machines_used
    from rtlab.stats import power

    if len(spec.runtimes) == 1:
        return (
            f"Nothing will be compared: {spec.runtimes[0]} is the only runtime of this campaign. Its values are "
            "measured and described; a ratio needs a second runtime (`rtlab up --runtimes` installs more).",
        )
    if spec.design == "paper":
        return ()
    judged = [n for n in spec.experiments if any(m.primary for m in plugins.experiment(n).metrics)]
    family = len(judged) * (len(spec.runtimes) - 1)
    machines = len(testbed.machines)
    used = machines_used(spec.runs, machines)
    told = power.sentences(spec.runs, margin=spec.margin, family=family, machines=used)
    # On two machines every fourth block balances all: nothing is said of it unless it cannot be.
    about = balance(spec.runs, machines) if family and (machines > 2 or spec.runs < 2) else ""
    return (*told, about) if about else told


def foretell(name: str, target: float, as_json: bool) -> None:
    """Print how many blocks a precision takes."""
    from rtlab import store
    from rtlab.campaign import forecast
    from rtlab.units import format_duration, percent

    found = forecast.foretell(store.find(place.campaigns_folder(), name or None), target)
    if as_json:
        documents.show("precision", asdict(found))
        return
    rows = [
        (
            f.experiment,
            f.arm,
            str(f.blocks_seen),
            f"±{percent(f.half_width)}" if f.half_width is not None else "no interval",
            _blocks(f.blocks, f.half_width),
            _blocks(f.careful_blocks, f.half_width),
        )
        for f in found.forecasts
    ]
    console.print_table(
        f"Blocks until ±{percent(target)}, from {found.campaign}",
        ("experiment", "runtime", "blocks", "known to", "takes", "careful"),
        rows,
    )
    careful = round(100 * forecast.CAREFUL)
    console.print_line(
        f"“takes”: blocks for the scatter as seen; “careful”: for its upper limit ({careful} %), "
        "as few blocks may understate it."
    )
    if found.blocks is None:
        console.print_line("For some ratios this cannot be said: they have no interval, or are too noisy.")
        return
    time = format_duration(found.blocks * found.block_s)
    console.print_line(f"All together: {found.blocks} blocks, about {time} ({format_duration(found.block_s)} a block).")
    console.say(f"Next: rtlab bench --until {100 * target:g}%, which looks first after 15 blocks.")


def _blocks(number: int | None, width: float | None) -> str:
    from rtlab.stats.adaptive import MOST_BLOCKS

    if number is not None:
        return str(number)
    return "not known" if width is None else f"over {MOST_BLOCKS}"

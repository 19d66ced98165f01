"""``rtlab plan``: the plan of a campaign and how long it takes, without running anything."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from rtlab.cli import console, settings
from rtlab.model import CampaignSpec, Testbed

# So many trials are listed; the rest is summed up.
LISTED = 60


def command(
    runs: Annotated[int | None, typer.Option(help="Blocks.", show_default="15")] = None,
    experiments: Annotated[str, typer.Option(help="Comma-separated.")] = "",
    runtimes: Annotated[str, typer.Option(help="Comma-separated.")] = "",
    design: Annotated[str, typer.Option(help="default or paper.")] = "",
    reboot: Annotated[str, typer.Option(help="trial, block, never or auto.")] = "",
    seed: Annotated[int | None, typer.Option(help="Of the random order.")] = None,
    aa: Annotated[bool | None, typer.Option("--aa/--no-aa", help="With A/A blocks.")] = None,
    target: Annotated[
        str, typer.Option(help="Instead: how many blocks a half-width of this size (5%) takes, from a past campaign.")
    ] = "",
    campaign: Annotated[str, typer.Option(help="For --target: that campaign.", show_default="newest")] = "",
    config: Annotated[Path | None, typer.Option(help="Configuration file.", show_default="rtlab.toml")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show every trial that `rtlab bench` would run, in order, and how long it will take.

    \b
    rtlab plan --runs 15
    rtlab plan --runs 15 --design paper
    rtlab plan --target 5%      how many blocks until each ratio is known to 5 %, and how long

    How long is learned from earlier campaigns here, where experiments had the same parameters.
    """
    from rtlab import config as configuration
    from rtlab.errors import UsageError

    if target:
        foretell(campaign, settings.percent("--target", target) / 100, as_json)
        return
    if campaign:
        raise UsageError("--campaign belongs to --target.", remedy="For example: rtlab plan --target 5%")
    testbed = settings.state_folder().testbed()
    options = {
        "runs": runs,
        "experiments": experiments,
        "runtimes": runtimes,
        "design": design,
        "reboot": reboot,
        "seed": seed,
        "aa": aa,
    }
    spec = configuration.campaign_spec(settings.load(config, "campaign", options), testbed)
    show(spec, testbed, as_json)


def show(spec: CampaignSpec, testbed: Testbed, as_json: bool) -> None:
    """Print the plan of ``spec`` on ``testbed``."""
    from rtlab import store
    from rtlab.campaign import plan
    from rtlab.campaign.pace import Pace
    from rtlab.units import format_duration

    machines = tuple(m.name for m in testbed.machines)
    trials = plan.plan(spec, machines, spec.seed, runtimes_on={m.name: m.runtimes for m in testbed.machines})
    pace = Pace(spec, testbed.level)
    pace.learn_from(store.known(settings.campaigns_folder()))
    seconds = pace.remaining_s(trials)
    if as_json:
        console.print_json(
            {
                "seed": spec.seed,
                "duration_s": round(seconds, 1),
                "learned_from": pace.source or None,
                "can_decide": can_decide(spec, testbed),
                "trials": [asdict(trial) for trial in trials],
            }
        )
        return
    rows = [
        (str(t.number), str(t.block) + (" A/A" if t.kind == "aa" else ""), t.machine, t.arm, t.experiment, str(t.boot))
        for t in trials[:LISTED]
    ]
    console.print_table(
        f"Plan: {spec.runs} blocks, {len(trials)} trials, seed {spec.seed}, reboot: {spec.reboot}",
        ("trial", "block", "machine", "arm", "experiment", "boot"),
        rows,
    )
    if len(trials) > LISTED:
        console.say(f"… and {len(trials) - LISTED} more (--json lists all).")
    if spec.until is not None:
        each = format_duration(pace.remaining_s(trials) / max(1, spec.runs))
        console.say(
            f"Then further blocks ({each} each) until every primary ratio is known to "
            f"±{100 * spec.until.target:.3g} %, {spec.until.max_blocks} at most."
        )
    for sentence in can_decide(spec, testbed):
        console.say(sentence)
    known = f"as in {pace.source}" if pace.source else "a first guess"
    console.say(f"This takes about {format_duration(seconds)} ({known}); nothing was run.")


def can_decide(spec: CampaignSpec, testbed: Testbed) -> tuple[str, ...]:
    """What this campaign can and cannot decide, in sentences; none for the paper's design, which has no blocks."""
    from rtlab import plugins
    from rtlab.campaign.plan import balance, machines_used
    from rtlab.stats import power

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
    from rtlab.units import format_duration

    found = forecast.foretell(store.find(settings.campaigns_folder(), name or None), target)
    if as_json:
        console.print_json(asdict(found))
        return
    rows = [
        (
            f.experiment,
            f.arm,
            str(f.blocks_seen),
            f"±{100 * f.half_width:.2g} %" if f.half_width is not None else "no interval",
            _blocks(f.blocks, f.half_width),
            _blocks(f.careful_blocks, f.half_width),
        )
        for f in found.forecasts
    ]
    console.print_table(
        f"Blocks until ±{100 * target:.3g} %, from {found.campaign}",
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

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
    config: Annotated[Path | None, typer.Option(help="Configuration file.", show_default="rtlab.toml")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print it as JSON.")] = False,
) -> None:
    """Show every trial that `rtlab bench` would run, in order, and how long it will take.

    \b
    rtlab plan --runs 15
    rtlab plan --runs 15 --design paper
    """
    from rtlab import config as configuration

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
    from rtlab import bench, plan
    from rtlab.units import format_duration

    machines = tuple(m.name for m in testbed.machines)
    trials = plan.plan(spec, machines, spec.seed, runtimes_on={m.name: m.runtimes for m in testbed.machines})
    seconds = bench.Pace(spec, testbed.level).remaining_s(trials)
    if as_json:
        console.print_json(
            {"seed": spec.seed, "duration_s": round(seconds, 1), "trials": [asdict(trial) for trial in trials]}
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
    console.say(f"This takes about {format_duration(seconds)}; nothing was run.")

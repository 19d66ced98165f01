"""``rtlab bench``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rtlab.cli import console, settings

if TYPE_CHECKING:
    from rtlab.model import CampaignSpec, Testbed
    from rtlab.store import Campaign


def command(
    runs: Annotated[int | None, typer.Option(help="Blocks: how often every arm runs.", show_default="15")] = None,
    experiments: Annotated[str, typer.Option(help="Comma-separated: boot,io,cpu,memory,network.")] = "",
    runtimes: Annotated[str, typer.Option(help="Comma-separated; by default all of the testbed.")] = "",
    engines: Annotated[str, typer.Option(help="Comma-separated: docker,containerd; by default all.")] = "",
    baseline: Annotated[str, typer.Option(help="The runtime that the others are compared with.")] = "",
    design: Annotated[str, typer.Option(help="default (randomized blocks), or paper (the study to the letter).")] = "",
    reboot: Annotated[str, typer.Option(help="trial, block, never, or auto.")] = "",
    seed: Annotated[int | None, typer.Option(help="Of the random order; stored in any case.")] = None,
    aa: Annotated[bool | None, typer.Option("--aa/--no-aa", help="Add 4 A/A blocks: the noise floor.")] = None,
    margin_percent: Annotated[float | None, typer.Option("--margin", help="Practical margin, percent.")] = None,
    until: Annotated[
        str, typer.Option(help="Adaptive: go on until every primary ratio is known to this half-width (5%).")
    ] = "",
    max_blocks: Annotated[
        int | None, typer.Option(help="With --until: stop after so many blocks.", show_default="40")
    ] = None,
    max_hours: Annotated[float | None, typer.Option(help="With --until: stop after so many hours.")] = None,
    name: Annotated[str, typer.Option(help="Part of the campaign folder's name.")] = "",
    assignments: Annotated[
        list[str] | None, typer.Option("--set", help="An experiment's parameter: io.size_mb=512. Repeatable.")
    ] = None,
    strict: Annotated[bool | None, typer.Option("--strict/--no-strict", help="Refuse machines that differ.")] = None,
    like: Annotated[str, typer.Option(help="The spec and seed of this stored campaign again.")] = "",
    new: Annotated[bool, typer.Option("--new", help="Start a new campaign although one is unfinished.")] = False,
    resume: Annotated[str, typer.Option(help='Go on with this campaign; "last": the newest.')] = "",
    accept_changes: Annotated[
        bool, typer.Option("--accept-changes", help="Resume although the machines changed.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and its duration; run nothing.")] = False,
    config: Annotated[Path | None, typer.Option(help="Configuration file.", show_default="rtlab.toml")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result (or the plan) as JSON.")] = False,
) -> None:
    """Run a campaign: every experiment under every runtime, in randomized blocks, everything stored.

    \b
    rtlab bench --runs 15                  the paper's number of runs
    rtlab bench --runs 3 --experiments boot,io
    rtlab bench --runs 15 --design paper   the study to the letter: a reboot before every test
    rtlab bench --until 5% --max-hours 6   blocks are added until the ratios are that precise
    rtlab bench --like CAMPAIGN            the same spec and seed again; says first what cannot be the same
    rtlab bench --dry-run                  what would run, and how long it takes

    Ctrl-C, a crash or a lost machine cost at most the running trial: the same command goes on from there.
    Exit status 0 when every block is complete, 4 when some could not be completed (the report counts them), 6 when
    another rtlab is at work here (it is named), 130 when it was interrupted.
    """
    from rtlab import config as configuration
    from rtlab import plugins
    from rtlab.campaign import choosing
    from rtlab.campaign.session import Session
    from rtlab.errors import UsageError
    from rtlab.model import Level

    state = settings.state_folder()
    testbed = state.testbed()
    loaded = settings.load(
        config,
        "campaign",
        {
            "runs": runs,
            "experiments": experiments,
            "runtimes": runtimes,
            "engines": engines,
            "baseline": baseline,
            "design": design,
            "reboot": reboot,
            "seed": seed,
            "aa": aa,
            "until_percent": settings.percent("--until", until) if until else None,
            "max_blocks": max_blocks,
            "max_hours": max_hours,
            "margin_percent": margin_percent,
            "name": name,
            "strict": strict,
        },
        experiments=settings.parameters(assignments or []),
    )
    earlier = None
    if like:
        mine = {
            "--runs": runs,
            "--experiments": experiments,
            "--runtimes": runtimes,
            "--engines": engines,
            "--baseline": baseline,
            "--design": design,
            "--reboot": reboot,
            "--seed": seed,
            "--aa": aa,
            "--margin": margin_percent,
            "--until": until,
            "--max-blocks": max_blocks,
            "--max-hours": max_hours,
            "--set": assignments,
        }
        earlier, spec = _like(like, testbed, [k for k, v in mine.items() if v not in (None, "", [])])
    else:
        spec = configuration.campaign_spec(loaded, testbed)
    if not like and spec.until is None and (max_blocks is not None or max_hours is not None):
        raise UsageError("--max-blocks and --max-hours belong to --until.", remedy="For example: --until 5%")
    if dry_run:
        from rtlab.cli.plan import show

        show(spec, testbed, as_json)
        return
    from rtlab.cli.plan import can_decide

    machines = plugins.provider(testbed.provider).open(testbed, state)
    with state.locked("rtlab bench"), console.progress() as notify:
        campaign, resumed = choosing.choose_campaign(
            settings.campaigns_folder(),
            spec,
            testbed,
            new=new,
            resume=resume or None,
            durable=testbed.level is not Level.SIMULATED,
        )
        console.say(f"{'Resuming' if resumed else 'Campaign'} {campaign.folder.name} (seed {campaign.spec.seed})")
        if not resumed:
            for sentence in can_decide(campaign.spec, testbed):
                console.say(sentence)
        done = Session(campaign, testbed, machines, notify).execute(
            like_campaign=earlier, strict=loaded.campaign.strict, accept_changes=accept_changes
        )
    if as_json:
        console.print_json(
            {
                "campaign": str(campaign.folder),
                "trials": done.done,
                "not_ok": done.not_ok,
                "repeated_blocks": done.repeated_blocks,
                "incomplete_blocks": done.short_of_blocks,
                "stopped": done.stopped or None,
            }
        )
    else:
        if done.stopped:
            console.say(f"Stopped: {done.stopped}.")
        console.say(
            f"{done.done} trials stored in {campaign.folder}; {done.not_ok} not usable, "
            f"{done.repeated_blocks} blocks repeated. Next: rtlab report"
        )
    if done.short_of_blocks:
        raise typer.Exit(4)


def _like(name: str, testbed: Testbed, given: list[str]) -> tuple[Campaign, CampaignSpec]:
    """The campaign to repeat and its spec for this testbed; says what cannot be the same."""
    from rtlab import store
    from rtlab.campaign import like
    from rtlab.errors import UsageError

    if given:
        raise UsageError(
            f"--like takes everything from the campaign; {', '.join(given)} would change it.",
            remedy="Leave out one or the other.",
        )
    campaign = store.find(settings.campaigns_folder(), name)
    spec = like.spec(campaign, testbed)
    console.say_differences(campaign.folder.name, like.spec_differences(campaign, spec, testbed))
    return campaign, spec

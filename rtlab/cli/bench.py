"""``rtlab bench``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rtlab.cli import completion, console, documents, options, place
from rtlab.cli.options import Given

if TYPE_CHECKING:
    from rtlab.campaign.session import Progressed
    from rtlab.model import CampaignSpec, Testbed
    from rtlab.store import Campaign


@options.settings("campaign")
def command(
    given: Given,
    like: Annotated[
        str,
        typer.Option(help="The spec and seed of this stored campaign again.", autocompletion=completion.campaigns),
    ] = "",
    new: Annotated[bool, typer.Option("--new", help="Start a new campaign although one is unfinished.")] = False,
    resume: Annotated[
        str,
        typer.Option(help='Go on with this campaign; "last": the newest.', autocompletion=completion.campaigns),
    ] = "",
    accept_changes: Annotated[
        bool, typer.Option("--accept-changes", help="Resume although the machines changed.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and its duration; run nothing.")] = False,
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
    state = place.state_folder()
    testbed = state.testbed()
    earlier, spec = _like(like, testbed, given) if like else (None, given.spec(testbed, tell=not resume))
    if dry_run:
        from rtlab.cli.plan import Wanted, show

        show(Wanted(spec, testbed, given, new=new, resume=resume, like=earlier.folder.name if earlier else ""), as_json)
        return
    campaign, done = _run(given, spec, testbed, earlier, new=new, resume=resume, accept_changes=accept_changes)
    _tell(campaign, done, as_json)
    if done.short_of_blocks:
        raise typer.Exit(4)


def _run(
    given: Given,
    spec: CampaignSpec,
    testbed: Testbed,
    earlier: Campaign | None,
    *,
    new: bool,
    resume: str,
    accept_changes: bool,
) -> tuple[Campaign, Progressed]:
    state = place.state_folder()
    strict = given.config().campaign.strict
    # The imports take seconds on a busy machine: something is on the screen before them.
    with state.locked("rtlab bench"), console.progress("Opening the campaign") as notify:
        from rtlab import plugins
        from rtlab.campaign import choosing
        from rtlab.campaign.session import Session
        from rtlab.cli.plan import can_decide
        from rtlab.model import Level

        machines = plugins.provider(testbed.provider).open(testbed, state)
        campaign, resumed = choosing.choose_campaign(
            place.campaigns_folder(),
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
            like_campaign=earlier, strict=strict, accept_changes=accept_changes
        )
    return campaign, done


def _tell(campaign: Campaign, done: Progressed, as_json: bool) -> None:
    if as_json:
        documents.show(
            "bench",
            {
                "campaign": str(campaign.folder),
                "trials": done.done,
                "not_ok": done.not_ok,
                "repeated_blocks": done.repeated_blocks,
                "incomplete_blocks": done.short_of_blocks,
                "stopped": done.stopped or None,
            },
        )
        return
    if done.stopped:
        console.say(f"Stopped: {done.stopped}.")
    console.say(
        f"{done.done} trials stored in {campaign.folder}; {done.not_ok} not usable, "
        f"{done.repeated_blocks} blocks repeated. Next: rtlab report"
    )


def _like(name: str, testbed: Testbed, given: Given) -> tuple[Campaign, CampaignSpec]:
    """The campaign to repeat and its spec for this testbed; says what cannot be the same."""
    from rtlab import store
    from rtlab.campaign import like
    from rtlab.errors import UsageError

    # Neither says what is to be run.
    changing = [option for option in given.names if option not in ("--name", "--strict")]
    if changing:
        raise UsageError(
            f"--like takes everything from the campaign; {', '.join(changing)} would change it.",
            remedy="Leave out one or the other.",
        )
    campaign = store.find(place.campaigns_folder(), name)
    spec = like.spec(campaign, testbed)
    console.say_differences(campaign.folder.name, like.spec_differences(campaign, spec, testbed))
    return campaign, spec

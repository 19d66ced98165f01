"""``rtlab doctor``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from rtlab.cli import console, documents, options, place
from rtlab.cli.options import Given

if TYPE_CHECKING:
    from rtlab.host.doctor import Changes, Diagnosis

# Exit status of "the chosen provider cannot run here": the same as HostUnfit's.
UNFIT = 3
MARKS = {"ok": "ok", "warning": "warning", "missing": "MISSING", "not needed": "not needed"}


@options.settings("testbed", "provider", "accel", "engine")
def command(
    given: Given,
    fix: Annotated[bool, typer.Option("--fix", help="List what to install, ask, and install it.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="With --fix: do not ask.")] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="List checks that are fine, too, with why each matters.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print facts, checks and choice as JSON.")] = False,
) -> None:
    """Find out what this machine can really do, what is missing, and the command that mends it.

    \b
    rtlab doctor                        what `rtlab up` would take here, and why
    rtlab doctor --provider libvirt     what Vagrant machines would need here
    rtlab doctor --fix                  install it: lists the changes and asks first
    rtlab doctor --json                 for scripts

    /dev/kvm counts only when a tiny guest really boots with it. Nothing is changed without --fix.
    Exit status 0 when the chosen provider can run, 3 when something is missing.
    """
    from rtlab.errors import UsageError
    from rtlab.host import doctor

    if yes and not fix:
        raise UsageError("--yes goes with --fix.", remedy="rtlab doctor --fix --yes")
    wanted = given.config().testbed
    with console.progress("Looking at this machine: a tiny guest is booted where there is a /dev/kvm"):
        diagnosis = doctor.examine(wanted)
    if fix:
        plan = doctor.planned(diagnosis)
        if plan and _agreed(plan, yes):
            with console.progress() as notify:
                done = doctor.fix(plan, place.state_folder(), notify)
            console.say(f"Done: {done.changed.get('localhost', 0)} changes. All output: {done.log}")
            diagnosis = doctor.examine(wanted)
        elif not plan:
            console.say(f"Nothing to install for {diagnosis.choice.title}.")
            for check in plan.by_hand:
                console.say(f"By hand: {check.title}: {check.found}. {check.remedy}")
    if as_json:
        documents.show("doctor", doctor.to_json(diagnosis))
    else:
        _show(diagnosis, everything)
    if not diagnosis.choice.usable:
        raise typer.Exit(UNFIT)


def _agreed(plan: Changes, yes: bool) -> bool:
    """List the changes and ask; without a terminal the answer is no unless --yes was given."""
    from rtlab.errors import UsageError

    console.say(f"To make {plan.group} work, `doctor --fix` changes this machine so:")
    for title, names in (
        ("install packages", plan.packages),
        ("install where this system has them", plan.optional),
        ("load kernel modules, now and at every boot (/etc/modules-load.d/rtlab.conf)", plan.modules),
        ("enable and start services", plan.services),
        ("not touched", plan.left_alone),
    ):
        if names:
            console.say(f"  {title}: {', '.join(names)}")
    for check in plan.by_hand:
        console.say(f"  by hand: {check.title}: {check.found}. {check.remedy}")
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError("Nothing was changed: there is no terminal to ask at.", remedy="rtlab doctor --fix --yes")
    return console.confirm("Go on?")


def _show(diagnosis: Diagnosis, everything: bool) -> None:
    """The chosen provider's checks in full, the others in a line each. Commands stand on lines of their own."""
    from rtlab.host.doctor import titles

    chosen, facts = diagnosis.choice, diagnosis.facts
    kind = next(c.found for c in diagnosis.checks if c.id == "host-kind")
    console.print_line(f"{facts.os_name}, kernel {facts.kernel}: {kind}; {facts.cores} CPUs, {facts.cpu_model}\n")
    for group, title in titles().items():
        mine = [c for c in diagnosis.checks if c.needed_for[0] == group]
        wrong = [c for c in mine if c.status != "ok"]
        if group not in ("any", "figures", chosen.group) and not everything:
            lacking = [c.title for c in diagnosis.checks if c.status == "not needed" and group in c.needed_for]
            found = f"lacks {', '.join(lacking)}" if lacking else "nothing is missing"
            console.print_line(f"{title}: {found} (rtlab doctor --provider {group})")
            continue
        fine = len(mine) - len(wrong)
        console.print_line(f"{title}: {fine} of {len(mine)} checks are fine")
        for check in mine if everything else wrong:
            console.print_line(f"  {MARKS[check.status]:10}  {check.title}: {check.found}")
            if everything or check.status == "missing":
                console.print_line(f"{'':14}({check.why})")
            if check.remedy:
                console.print_line(f"{'':12}→ {check.remedy}")
    others = [c for c in chosen.lacks if c.needed_for[0] not in ("any", chosen.group)]
    if others and not everything:
        console.print_line("Missing for it, too:")
        for check in others:
            console.print_line(f"  {MARKS[check.status]:10}  {check.title}: {check.found}\n{'':12}→ {check.remedy}")
    can = "can run here" if chosen.usable else "CANNOT run here yet"
    console.print_line(f"\n{chosen.title[0].upper()}{chosen.title[1:]} {can}; chosen because {chosen.reason}.")
    console.print_line(f"Machines: {chosen.level.value}. Runtimes: {', '.join(chosen.runtimes) or 'none'}.")
    if chosen.usable:
        tcg = " --accel tcg" if chosen.accel == "tcg" else ""
        console.print_line("Next: rtlab up" + (f" --provider {diagnosis.asked}" if diagnosis.asked else "") + tcg)
        return
    console.print_line(
        "`rtlab doctor --fix` installs what can be installed. Without machines: rtlab up --provider simulated"
    )

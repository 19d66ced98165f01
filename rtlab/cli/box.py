"""``rtlab box``: Vagrant boxes made here."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer

from rtlab.cli import completion, console, documents, place
from rtlab.cli.arguments import Command

app = typer.Typer(
    add_completion=False,
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Vagrant boxes made here: public box registries are closing, and a box should be known to the byte.",
)


def _as_json(box: Any) -> dict[str, Any]:
    return {key: str(value) if key.endswith("path") else value for key, value in asdict(box).items()}


@app.command("build", cls=Command)
def build(
    suite: Annotated[
        str,
        typer.Argument(
            help="debian-12, debian-13, ubuntu-18.04, ubuntu-22.04, ubuntu-24.04.", autocompletion=completion.suites
        ),
    ],
    provider: Annotated[
        str, typer.Option(help="libvirt or virtualbox.", autocompletion=completion.backends)
    ] = "libvirt",
    profile: Annotated[
        str,
        typer.Option(
            help="Take pins (URL, SHA-256, kernel arguments) from this profile instead of the suite's.",
            autocompletion=completion.profiles,
        ),
    ] = "",
    disk_gb: Annotated[int, typer.Option(min=2, max=2000, help="Size of the disk, GB; it is sparse.")] = 10,
    rebuild: Annotated[bool, typer.Option("--rebuild", help="Make it anew, with today's packages.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the box as JSON.")] = False,
) -> None:
    """Make a box: Debian by mmdebstrap from its packages, Ubuntu from Canonical's cloud image by pinned SHA-256.

    \b
    rtlab box build debian-12
    rtlab box build debian-12 --profile debian-12      with the profile's kernel arguments
    rtlab box build ubuntu-18.04 --provider virtualbox

    It is cached by content; `rtlab up` makes what it needs by itself.
    Exit status 0 when the box is there, 1 when it could not be made, 2 for a wrong name, 3 when a program is missing.
    """
    from typing import cast

    from rtlab.artifacts import box as boxes
    from rtlab.artifacts import profile as profiles
    from rtlab.errors import UsageError

    recipe = None
    if profile:
        pins = profiles.load(profile)
        if pins.suite != suite:
            raise UsageError(f"Profile {profile} is for {pins.suite}, not for {suite[:40]!r}.")
        recipe = pins.box
    with console.progress() as notify:
        made = boxes.build(
            suite, cast(boxes.Backend, provider), settings=recipe, disk_gb=disk_gb, rebuild=rebuild, notify=notify
        )
    _show(made, as_json)


@app.command("keep", cls=Command)
def keep(
    machine: Annotated[
        str, typer.Argument(help="A machine of this folder's testbed.", autocompletion=completion.machines)
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print the box as JSON.")] = False,
) -> None:
    """Keep a provisioned machine as a box, without its identities: later machines come up ready.

    \b
    rtlab box keep node1
    rtlab up --box PATH      in another folder, or after `rtlab teardown`

    The machine is halted. Host keys, machine-id, engine id and authorized keys do not go into the box.
    Exit status 0 when the box is there, 1 otherwise, 2 when there is no such machine, 6 when rtlab is at work here.
    """
    from rtlab.errors import UsageError
    from rtlab.providers.vagrant import kept

    state = place.state_folder()
    testbed = state.testbed()
    try:
        found = testbed.machine(machine)
    except KeyError:
        names = ", ".join(m.name for m in testbed.machines)
        raise UsageError(f"There is no machine {machine[:60]!r}.", remedy=f"Machines here: {names}.") from None
    with state.locked("rtlab box keep"), console.progress() as notify:
        made = kept.keep(testbed, found, state=state, notify=notify)
    _show(made, as_json)


def _show(made: Any, as_json: bool) -> None:
    if as_json:
        documents.show("box", _as_json(made))
        return
    console.say(f"{made.name} {made.version} for {made.backend}{' (was there already)' if made.cached else ''}")
    console.say(f"SHA-256 {made.sha256}")
    console.print_line(str(made.path))

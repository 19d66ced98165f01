"""``rtlab ssh``."""

from __future__ import annotations

import os
import shutil
from typing import Annotated

import typer

from rtlab.cli import completion, place
from rtlab.model import Machine


def command(
    machine: Annotated[
        str,
        typer.Argument(help="The machine's name, as `rtlab status` shows it.", autocompletion=completion.machines),
    ],
    words: Annotated[list[str] | None, typer.Argument(help="A command to run there instead of a shell.")] = None,
) -> None:
    """Open a shell on a machine, or run one command there.

    \b
    rtlab ssh node1
    rtlab ssh node1 -- docker ps -a
    rtlab ssh node1 -- 'cd /var/log && ls'    (one word: a line for the shell there)

    Exit status: the command's or shell's own; 1 when there is no testbed, 2 when there is no such machine, 3 when
    OpenSSH's client is missing.
    """
    from rtlab.errors import HostUnfit, UsageError

    bed = place.state_folder().testbed()
    try:
        found = bed.machine(machine)
    except KeyError:
        names = ", ".join(m.name for m in bed.machines)
        raise UsageError(f"There is no machine {machine[:60]!r}.", remedy=f"Machines here: {names}.") from None
    argv = ssh_argv(found, tuple(words or ()))
    if shutil.which(argv[0]) is None:
        raise HostUnfit(f"{argv[0]} is not installed.", remedy="apt install openssh-client")
    os.execvp(argv[0], argv)


def ssh_argv(machine: Machine, words: tuple[str, ...]) -> list[str]:
    """The command that opens a shell there: OpenSSH with the testbed's own key and known hosts only.

    A single word is a line for the machine's shell, as with ssh itself; of several, each stays one argument.
    """
    import shlex

    if machine.transport == "local":
        inside = ["nsenter", f"--net={machine.netns}", "--"] if machine.netns else []
        docker = f"unix://{machine.engine.socket}"
        program = ("/bin/sh", "-c", *words) if len(words) == 1 else words or (os.environ.get("SHELL", "/bin/sh"),)
        return ["env", f"DOCKER_HOST={docker}", *inside, *program]
    if machine.transport != "ssh":
        from rtlab.errors import UsageError

        raise UsageError(f"{machine.name} is simulated: there is nothing to log in to.")
    key = ["-i", machine.key_file, "-o", "IdentitiesOnly=yes"] if machine.key_file else []
    remote = list(words) if len(words) == 1 else [shlex.join(words)] if words else []
    return [
        "ssh",
        "-F",
        "/dev/null",
        *key,
        "-o",
        f'UserKnownHostsFile="{machine.known_hosts_file}"',  # a folder may have a blank in its name
        "-o",
        "StrictHostKeyChecking=yes",
        "-p",
        str(machine.port),
        "--",  # whatever a machine's user is called, it is no option
        f"{machine.user}@{machine.address}",
        *remote,
    ]

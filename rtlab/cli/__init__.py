"""The commands. This package is the only place of rtlab that prints or exits.

Each command is one module here with a function ``command``; a module is imported only when its command runs, so
that ``rtlab --help`` stays quick.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import sys
import time
from types import FrameType
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from rtlab.cli import edge
from rtlab.cli.arguments import Command
from rtlab.text import clean

# name -> (module, one line for `rtlab --help`), in the order in which a newcomer meets them.
COMMANDS: dict[str, tuple[str, str]] = {
    "init": ("init", "Write a commented rtlab.toml with every default."),
    "doctor": ("doctor", "Find out what this machine can do, and what is missing."),
    "up": ("up", "Create the machines, install every runtime and prove it."),
    "bench": ("bench", "Run a campaign: plan, measure, store; resumes where it stopped."),
    "report": ("report", "Tables, verdicts and plots of a campaign, from its raw files."),
    "campaigns": ("campaigns", "List the campaigns here, each with its verdicts in a line."),
    "show": ("show", "What happened in one trial: outcome, proof, values, raw output."),
    "teardown": ("teardown", "Remove everything that `up` made here, and nothing else."),
    "status": ("status", "Show the machines and the state of the last campaign."),
    "ssh": ("ssh", "Open a shell on a machine, or run one command there."),
    "plan": ("plan", "Show what a campaign would run, and how long it takes."),
    "compare": ("compare", "What changed between two campaigns, beyond noise or not."),
    "verify": ("verify", "Check that a campaign's raw files are unchanged."),
    "export": ("export", "Give a campaign to other tools: hyperfine, pyperf, Bencher, LaTeX …"),
    "pack": ("pack", "Make an archive of a campaign that is fit to publish."),
    "box": ("box", "Build Vagrant boxes from distribution packages or cloud images."),
}

EPILOG = "A first campaign: rtlab doctor · rtlab up · rtlab bench --runs 3 · rtlab report · rtlab teardown"


class LazyGroup(TyperGroup):
    """A command group that knows its commands' names and loads a command's module when it is used."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, name: str) -> Any:
        if name not in COMMANDS:
            return None
        module = importlib.import_module(f"rtlab.cli.{COMMANDS[name][0]}")
        if hasattr(module, "app"):
            found = get_command(module.app)
        else:
            single = typer.Typer(add_completion=False, rich_markup_mode=None)
            single.command(name=name, no_args_is_help=False, cls=Command)(module.command)
            found = get_command(single)
        found.name = name
        return found

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


app = typer.Typer(
    cls=LazyGroup,
    help="What does a container pay for running under Kata Containers or gVisor instead of runC, on this hardware?",
    epilog=EPILOG,
    rich_markup_mode=None,
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)


def _show_version(asked: bool) -> None:
    if asked:
        from rtlab import __version__

        print(f"rtlab {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    pass


# What the process ends with after Ctrl-C, SIGTERM or SIGHUP, as after a shell's own command.
INTERRUPTED = 130
# Of a usage error, whose words are the user's own.
MOST_SAID = 1000
# When signals came (monotonic seconds). Typer turns a KeyboardInterrupt into a status, which a remote command has too.
_signals: list[float] = []
# Ctrl-C again within this time of the last one is the same impatient hand; later, it cuts the cleaning up short.
PATIENCE_S = 2.0


def main() -> None:
    """Entry point of the console script: run a command, turn errors into a message and an exit status."""
    edge.prepare()
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as in a shell's background job
        signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGHUP, _interrupt)
    try:
        status = edge.flushed(run(sys.argv[1:]))
    except KeyboardInterrupt:  # another Ctrl-C, while the first one was dealt with
        status = INTERRUPTED
    if not _signals:
        sys.exit(status)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    _say_interrupted()
    # No waiting for threads: what must be undone was undone on the way here.
    os._exit(INTERRUPTED)


def _say_interrupted() -> None:
    """How to go on; in a terminal the cursor comes back, which a second Ctrl-C may have kept hidden."""
    with contextlib.suppress(OSError, ValueError):
        show_cursor = "\x1b[?25h" if sys.stderr.isatty() else ""
        print(
            f"{show_cursor}Interrupted. What was stored is safe; the same command goes on from there.", file=sys.stderr
        )
        sys.stderr.flush()
        sys.stdout.flush()


def run(arguments: list[str]) -> int:
    """Run one command line and return its exit status (docs/faults.md lists them)."""
    from rtlab.cli import documents

    documents.begin()
    command = get_command(app)
    try:
        status = command.main(arguments, prog_name="rtlab", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        if not _signals:
            _say_interrupted()
        return _failed(arguments, "Interrupted", "What was stored is safe; the same command goes on from there.")
    except typer.Exit as error:
        return error.exit_code
    except BrokenPipeError:
        return 1
    except Exception as error:
        # Typer carries its own copy of click since 0.20, so a usage error is known by what it can do.
        if hasattr(error, "show") and hasattr(error, "exit_code"):
            if isinstance(said := getattr(error, "message", None), str):
                error.message = clean(said, keep_lines=True)[:MOST_SAID]  # type: ignore[attr-defined]
            error.show()
            return _failed(arguments, "UsageError", error.format_message(), status=2)  # type: ignore[attr-defined]
        told = edge.sentence(error)
        if told is None:
            raise
        from rtlab.cli.console import print_error

        print_error(told)
        return _failed(arguments, type(told).__name__, told.message, told.remedy, told.exit_code)
    return status if isinstance(status, int) else 0


def _failed(arguments: list[str], kind: str, message: str, remedy: str = "", status: int = INTERRUPTED) -> int:
    """The exit status; who asked for JSON gets the error so, too."""
    from rtlab.cli import documents

    if documents.asked(arguments):
        with contextlib.suppress(OSError):  # nobody reads any more
            documents.show_error(kind, message, remedy, status)
    return status


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """SIGTERM and SIGHUP end a command as Ctrl-C does: through the cleanup paths, which a later one cuts short."""
    moment = time.monotonic()
    if _signals and moment - _signals[-1] < PATIENCE_S:
        return
    _signals.append(moment)
    raise KeyboardInterrupt

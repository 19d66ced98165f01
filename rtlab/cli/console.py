"""What the terminal sees: tables, progress with ETA, plain lines where there is no terminal, errors."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from rtlab.errors import RtlabError
from rtlab.model import Event
from rtlab.text import clean, json_line

# Results go to stdout, everything about the work itself to stderr, so that pipes stay useful.
# A terminal gets whole words per line; what reads a pipe gets whole lines.
out = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
err = Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty())

# Without a terminal, one line of life this often at most (seconds), besides stage changes and warnings.
PLAIN_EVERY_S = 30.0
# Where nothing happens at all, the last line is said again after this.
STILL_EVERY_S = 300.0


def say(message: str) -> None:
    """One line for a person, on stderr."""
    err.print(escape(clean(message)))


def print_json(value: Any) -> None:
    """One JSON document on stdout, for machines."""
    utf8 = (sys.stdout.encoding or "").lower().replace("-", "").startswith("utf")
    document = json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=not utf8)
    sys.stdout.write(json_line(document) + "\n")


def print_line(message: str = "") -> None:
    """One line of a result, on stdout."""
    out.print(escape(clean(message, keep_lines=True)))


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on stdout. Cells are text, never markup; columns of numbers stand right and are never broken."""
    table = Table(
        title=escape(clean(title)) if title else None, title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    for index, column in enumerate(columns):
        cells = [clean(row[index]) for row in rows]
        numeric = 2 * sum(cell[:1].isdigit() for cell in cells) > len(cells)
        table.add_column(
            escape(clean(column)),
            overflow="fold",
            justify="right" if numeric else "left",
            vertical="bottom",
            # Neither a number nor a short word is broken over two lines.
            min_width=min(16, max((len(word) for cell in cells for word in cell.split()), default=1)),
        )
    for row in rows:
        table.add_row(*(escape(clean(cell, keep_lines=True)) for cell in row))
    # A file or a pipe has no width to keep to.
    wide = out if out.is_terminal else Console(file=out.file, width=max(out.width, 160), highlight=False)
    wide.print(table)


def print_error(error: RtlabError) -> None:
    """What happened, then what to do."""
    err.print(f"[bold red]Error:[/] {escape(clean(error.message, keep_lines=True))}")
    if error.remedy:
        err.print(f"[bold]→[/] {escape(clean(error.remedy, keep_lines=True))}")


class ProgressLine:
    """Shows events: one live line per stage in a terminal, a plain line now and then elsewhere."""

    def __init__(self) -> None:
        self._live = err.is_terminal and not err.is_dumb_terminal
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            console=err,
            transient=True,
            refresh_per_second=1,  # with the local provider it shares the machine with what is measured
        )
        self._tasks: dict[str, TaskID] = {}
        self._last_line_at = 0.0
        self._last_stage = ""
        self._last_line = ""
        self._finished = True
        self._held_back = False
        self._over = threading.Event()
        self._printing = threading.Lock()

    def __call__(self, event: Event) -> None:
        message = clean(event.message)
        where = f"{event.machine}: " if event.machine else ""
        if event.level == "warning":
            err.print(f"[yellow]Warning:[/] {escape(where + message)}")
            return
        if not self._live:
            self._plain(event, f"{event.stage}: {where}{message}")
            return
        if event.stage not in self._tasks:
            for task in self._tasks.values():
                self._progress.remove_task(task)
            self._tasks = {event.stage: self._progress.add_task("", total=None)}
        completed = None if event.fraction is None else event.fraction
        self._progress.update(
            self._tasks[event.stage],
            description=escape((where + message)[:100]),
            total=None if event.fraction is None else 1.0,
            completed=completed,
        )

    def _plain(self, event: Event, line: str) -> None:
        finished = event.fraction == 1.0
        share = f" ({event.fraction:.0%})" if event.fraction is not None else ""
        with self._printing:
            due = time.monotonic() - self._last_line_at >= PLAIN_EVERY_S
            self._last_line, self._finished = line + share, finished
            self._held_back = not (finished or due or event.stage != self._last_stage)
            self._last_stage = event.stage
            if not self._held_back:
                self._print_last()

    def _print_last(self, prefix: str = "") -> None:
        err.print(escape(f"[{time.strftime('%H:%M:%S')}] {prefix}{self._last_line}"))
        self._last_line_at = time.monotonic()
        self._held_back = False

    def _beat(self) -> None:
        """Print what was held back when its time has come, and what goes on where nothing has happened for long."""
        while not self._over.wait(PLAIN_EVERY_S / 10):
            with self._printing:
                silent_s = time.monotonic() - self._last_line_at
                if self._held_back and silent_s >= PLAIN_EVERY_S:
                    self._print_last()
                elif not self._finished and silent_s >= STILL_EVERY_S:
                    self._print_last("still ")

    @contextmanager
    def shown(self) -> Iterator[ProgressLine]:
        """Show the live line, or plain ones now and then, for the duration."""
        if self._live:
            with self._progress:
                yield self
            return
        beat = threading.Thread(target=self._beat, daemon=True, name="rtlab-progress")
        beat.start()
        try:
            yield self
        finally:
            self._over.set()
            beat.join()


@contextmanager
def progress() -> Iterator[ProgressLine]:
    """A Notify that shows what is going on, for the duration of a ``with``."""
    with ProgressLine().shown() as line:
        yield line


def confirm(question: str) -> bool:
    """Ask; without a terminal the answer is no."""
    if not sys.stdin.isatty():
        return False
    err.print(f"{escape(clean(question))} [bold]\\[y/N][/] ", end="")
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def say_differences(campaign: str, differences: Sequence[str]) -> None:
    """Name on stderr what cannot be as it was in a campaign that is to be done again."""
    if not differences:
        say(f"As in {campaign}; nothing known differs.")
        return
    say(f"As in {campaign}, but:")
    for line in differences:
        say(f"  {line}")

"""What the terminal sees: tables, progress with ETA, plain lines where there is no terminal, errors."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from rtlab.errors import RtlabError
from rtlab.text import clean

if TYPE_CHECKING:
    from rtlab.cli.progress import Progress

# Results go to stdout, everything about the work itself to stderr, so that pipes stay useful.
# A terminal gets whole words per line; what reads a pipe gets whole lines.
out = Console(highlight=False, soft_wrap=not sys.stdout.isatty())
err = Console(stderr=True, highlight=False, soft_wrap=not sys.stderr.isatty())

# What a line hangs under: its indent, and a bullet, an arrow or a number.
_START = re.compile(r" *(?:[•→-] |\d+\. )?")
# A cell that is a number, perhaps with a unit or an interval after it.
_NUMBER = re.compile(r"[±×≈<>−-]? ?[0-9][0-9.,  ]*(e[+-]?[0-9]+)?(?![0-9A-Za-z:_-])")


def say(message: str) -> None:
    """One line for a person, on stderr."""
    err.print(escape(_wrapped(err, clean(message))))


def print_line(message: str = "") -> None:
    """One line of a result, on stdout."""
    out.print(escape(_wrapped(out, clean(message, keep_lines=True))))


def _wrapped(console: Console, text: str) -> str:
    """Text at the terminal's width, what follows in a line hanging under its beginning; a pipe gets whole lines."""
    if not console.is_terminal:
        return text
    found = []
    for line in text.splitlines() or [""]:
        if len(line) <= console.width:
            found.append(line)
            continue
        start = _START.match(line)
        indent = " " * min(len(start[0]) if start else 0, console.width // 3)
        found += textwrap.wrap(
            line,
            console.width,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
            drop_whitespace=True,
        )
    return "\n".join(found)


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on stdout. Cells are text, never markup; columns of numbers stand right and are never broken."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for index, column in enumerate(columns):
        cells = [clean(row[index]) for row in rows]
        numeric = 2 * sum(bool(_NUMBER.match(cell)) for cell in cells) > len(cells)
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
    if title:
        print_line(title)
    wide.print(table)


def print_error(error: RtlabError) -> None:
    """What happened, then what to do."""
    err.print(f"[bold red]Error:[/] {escape(clean(error.message, keep_lines=True))}")
    if error.remedy:
        err.print(f"[bold]→[/] {escape(clean(error.remedy, keep_lines=True))}")


@contextmanager
def progress(first: str = "Starting") -> Iterator[Progress]:
    """A Notify that shows what is going on, for the duration of a ``with``.

    Args:
        first: What is going on until the first event comes.
    """
    from rtlab.cli.progress import Progress

    with Progress(err, first).shown() as shown:
        yield shown


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


# How a part of a line looks; without colours (NO_COLOR, a pipe) its words and signs say the same.
LOOKS = {
    "strong": "bold",
    "soft": "dim",
    "warn": "yellow",
    "worse": "red",
    "better": "cyan",
    "same": "green",
    "looks": "italic",
    "unclear": "dim",
    "withheld": "magenta",
}


def width() -> int | None:
    """Columns of the terminal that results go to; None without one."""
    return out.width if out.is_terminal else None


def print_parts(parts: Sequence[tuple[str, str]]) -> None:
    """One line of a result, on stdout, from parts of (text, look)."""
    line = Text()
    for text, look in parts:
        line.append(clean(text), style=LOOKS.get(look, ""))
    line.rstrip()
    out.print(line, soft_wrap=True)

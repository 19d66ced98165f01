"""What goes on, as it goes on: two live lines in a terminal, a plain line now and then elsewhere.

A campaign's two lines always hold which trial, percent, what is left, and the last value, however narrow the terminal
is; what else there is to say goes first when room is short, and nothing is cut inside a word.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext

from rich.console import Console, ConsoleOptions, RenderResult
from rich.live import Live
from rich.markup import escape
from rich.text import Text

from rtlab.model import Event, Standing
from rtlab.text import clean
from rtlab.units import format_duration

# Without a terminal, one line of life this often at most (seconds), besides stage changes and warnings.
PLAIN_EVERY_S = 30.0
# Where nothing happens at all, the last line is said again after this.
STILL_EVERY_S = 300.0
# The live lines are drawn so often: with the local provider drawing shares the machine with what is measured.
DRAWN_PER_SECOND = 1
SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
BETWEEN = " · "
WIDEST_BAR, NARROWEST_BAR = 30, 8


class Progress:
    """A Notify that shows what it is told."""

    def __init__(self, console: Console, first: str = "Starting") -> None:
        self._console = console
        self._is_live = console.is_terminal and not console.is_dumb_terminal
        self._live = _Lines(first)
        self._plain = _Plain(console)

    def __call__(self, event: Event) -> None:
        if event.level == "warning":
            where = f"{clean(event.machine)}: " if event.machine else ""
            self._console.print(f"[yellow]Warning:[/] {escape(where + clean(event.message))}")
        elif self._is_live:
            self._live.take(event)
        else:
            self._plain.take(event)

    @contextmanager
    def shown(self) -> Iterator[Progress]:
        """Show the live lines, or plain ones now and then, for the duration."""
        if self._is_live:
            with Live(
                self._live, console=self._console, transient=True, refresh_per_second=DRAWN_PER_SECOND, screen=False
            ):
                yield self
            return
        with self._plain.beating():
            yield self


# --------------------------------------------------------------------------- live


class _Lines:
    """The two lines, drawn anew for the width that the terminal has at the moment."""

    def __init__(self, first: str) -> None:
        self._event = Event(stage="", message=first)
        self._standing: Standing | None = None
        self._since = time.monotonic()

    def take(self, event: Event) -> None:
        if event.standing is not None:
            self._standing = event.standing
        if event.standing is not None or event.stage != self._event.stage:
            self._since = time.monotonic()
        self._event = event

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        width = options.max_width - 1  # a line that fills the last column makes some terminals wrap
        since = time.monotonic() - self._since
        if self._standing is None:
            drawn = stage_lines(self._event, since, width)
        else:
            drawn = campaign_lines(self._standing, self._event, since, width)
        for line in drawn:
            yield Text(line, no_wrap=True, overflow="crop")


def campaign_lines(standing: Standing, event: Event, since_s: float, width: int) -> tuple[str, str]:
    """A campaign in two lines of at most ``width``.

    Args:
        event: What was told last: the trial itself, or what goes on before it (a reboot, the wait for quiet).
        since_s: Since then the trial has been going on, or waited for.
    """
    left = max(0.0, standing.remaining_s - since_s)
    above = [
        (0, f"trial {standing.trial}/{standing.trials}"),
        (0, f"{standing.fraction:.0%}"),
        (9, ""),  # the bar takes what is left
        (3, f"{format_duration(standing.elapsed_s + since_s)} so far"),
        (0, f"{format_duration(left)} left" if left or not since_s else "nearly done"),
        *([(1, f"{standing.not_ok} not usable")] if standing.not_ok else []),
    ]
    where = f"{clean(event.machine)}: " if event.machine else ""
    doing = where + (clean(standing.doing) if event.standing is not None else clean(event.message))
    below = [(2, doing), (3, f"block {standing.block}/{standing.blocks}")]
    if standing.last:
        below.append((0, f"last: {standing.last}"))
    return with_bar(above, standing.fraction, width), fitted(below, width)


def stage_lines(event: Event, since_s: float, width: int) -> tuple[str, ...]:
    """One stage of other work: what goes on, and for how long."""
    spinner = SPINNER[int(since_s) % len(SPINNER)]
    where = f"{clean(event.machine)}: " if event.machine else ""
    first = fitted([(0, f"{spinner} {where}{clean(event.message)}"), (1, format_duration(since_s))], width)
    if event.fraction is None:
        return (first,)
    return first, with_bar([(0, f"{event.fraction:.0%}"), (9, "")], event.fraction, width)


def fitted(parts: Sequence[tuple[int, str]], width: int) -> str:
    """The parts in a line of at most ``width``: those of the highest number go first, those of 0 stay.

    What must stay and is still too long loses words at its end, never a part of one.
    """
    kept = list(parts)
    while len(_joined(kept)) > width and any(rank for rank, _ in kept):
        worst = max(rank for rank, _ in kept)
        kept.remove(next(part for part in reversed(kept) if part[0] == worst))
    line = _joined(kept)
    if len(line) <= width:
        return line
    if line.startswith("last: "):
        # The value and its unit say more than what they are of.
        words = line.split()
        while len(words) > 3 and len(" ".join(words)) > width:
            del words[1]
        return _cut(" ".join(words), width)
    return _cut(line, width)


def _joined(parts: Sequence[tuple[int, str]]) -> str:
    return BETWEEN.join(text for _, text in parts)


def _cut(line: str, width: int) -> str:
    """The first words of a line that fit, with a sign that there were more."""
    if len(line) <= width:
        return line
    room = line[: max(0, width - 1)]
    head, blank, _ = room.rpartition(" ")
    return f"{head}{blank}…" if blank else "…"[:width]


def with_bar(parts: Sequence[tuple[int, str]], fraction: float, width: int) -> str:
    """The parts in a line, a bar in the place of the empty one, as wide as there is room."""
    plain = [part for part in parts if part[1]]
    room = width - len(_joined(plain)) - len(BETWEEN)
    if room < NARROWEST_BAR:
        return fitted(plain, width)
    size = min(room, WIDEST_BAR)
    full = round(size * fraction)
    bar = "━" * full + "─" * (size - full)
    return _joined([(rank, text or bar) for rank, text in parts])


def watch(console: Console, drawn: Callable[[int], Sequence[str] | None], every_s: float) -> None:
    """Draw lines again and again until there are none; in a pipe, only those that are new.

    Args:
        drawn: (width) -> the lines of this moment; None ends it, and the last ones stay.
    """
    is_live = console.is_terminal and not console.is_dumb_terminal
    last: Sequence[str] = ()
    with Live(console=console, auto_refresh=False, transient=False) if is_live else nullcontext() as live:
        while (lines := drawn(console.width - 1 if is_live else 10_000)) is not None:
            if live is not None:
                live.update(Text("\n".join(map(clean, lines)), no_wrap=True, overflow="crop"), refresh=True)
            elif lines != last:
                console.print(*(escape(clean(line)) for line in lines), sep="\n")
            last = lines
            time.sleep(every_s)


# --------------------------------------------------------------------------- plain


class _Plain:
    """Whole lines, seldom, but never silent about what goes on."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last_line_at = 0.0
        self._last_stage = ""
        self._last_line = ""
        self._finished = True
        self._held_back = False
        self._over = threading.Event()
        self._printing = threading.Lock()

    def take(self, event: Event) -> None:
        where = f"{clean(event.machine)}: " if event.machine else ""
        share = f" ({event.fraction:.0%})" if event.fraction is not None else ""
        with self._printing:
            due = time.monotonic() - self._last_line_at >= PLAIN_EVERY_S
            self._last_line = f"{event.stage}: {where}{clean(event.message)}{share}"
            self._finished = event.fraction == 1.0
            self._held_back = not (self._finished or due or event.stage != self._last_stage)
            self._last_stage = event.stage
            if not self._held_back:
                self._print_last()

    def _print_last(self, prefix: str = "") -> None:
        self._console.print(escape(f"[{time.strftime('%H:%M:%S')}] {prefix}{self._last_line}"))
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
    def beating(self) -> Iterator[None]:
        """Keep printing for the duration."""
        beat = threading.Thread(target=self._beat, daemon=True, name="rtlab-progress")
        beat.start()
        try:
            yield
        finally:
            self._over.set()
            beat.join()

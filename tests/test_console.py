"""Plain progress, where there is no terminal: seldom, but never silent about what goes on."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest

from rtlab.cli import console
from rtlab.cli import progress as live
from rtlab.model import Event


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert condition()


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[[], list[str]]:
    """The lines on stderr so far, without the time of day."""
    lines: list[str] = []

    def read() -> list[str]:
        lines.extend(re.sub(r"^\[[0-9:]{8}\] ", "", line) for line in capsys.readouterr().err.splitlines())
        return list(lines)

    return read


def trial(number: int) -> Event:
    return Event(stage="trial", message=f"{number}/8", machine="node1", fraction=number / 8)


def test_what_was_held_back_is_told_when_its_time_has_come(
    monkeypatch: pytest.MonkeyPatch, said: Callable[[], list[str]]
) -> None:
    """A trial that hangs begins soon after the one before: its line must not be lost."""
    monkeypatch.setattr(live, "PLAIN_EVERY_S", 0.3)
    with console.progress() as progress:
        for number in (1, 2, 3):
            progress(trial(number))
        assert said() == ["trial: node1: 1/8 (12%)"]
        until(lambda: len(said()) > 1)
        assert said() == ["trial: node1: 1/8 (12%)", "trial: node1: 3/8 (38%)"]


def test_long_work_is_named_again_and_finished_work_is_not(
    monkeypatch: pytest.MonkeyPatch, said: Callable[[], list[str]]
) -> None:
    monkeypatch.setattr(live, "PLAIN_EVERY_S", 0.1)
    monkeypatch.setattr(live, "STILL_EVERY_S", 0.2)
    with console.progress() as progress:
        progress(trial(4))
        until(lambda: "still trial: node1: 4/8 (50%)" in said())
        progress(trial(8))
        before = said()
        assert before[-1] == "trial: node1: 8/8 (100%)"
        time.sleep(0.6)
        assert said() == before


def test_long_lines_hang_under_their_beginning_in_a_terminal() -> None:
    terminal = console.Console(width=24, force_terminal=True)
    assert console._wrapped(terminal, "  • a sentence that is longer than that") == (
        "  • a sentence that is\n    longer than that"
    )
    assert console._wrapped(console.Console(width=24, force_terminal=False), "x " * 40) == "x " * 40


@pytest.mark.parametrize(
    ("cell", "is_number"),
    [
        ("12", True),
        ("1.82 (1.7 to 1.9)", True),
        ("× 1.2", True),
        ("±5 %", True),
        ("20261126T181017Z-b", False),
        ("4 of 5", True),
        ("gvisor", False),
    ],
)
def test_numbers_stand_right_and_names_that_begin_with_a_digit_do_not(cell: str, is_number: bool) -> None:
    assert bool(console._NUMBER.match(cell)) == is_number

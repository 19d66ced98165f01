"""The live progress: what must be seen is seen at every width, and a real terminal shows it from the first moment."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import sys
import termios
from dataclasses import replace
from pathlib import Path

import pytest

from rtlab.cli.progress import campaign_lines, fitted, stage_lines
from rtlab.model import Event, Standing

STANDING = Standing(
    trial=37,
    trials=1200,
    block=3,
    blocks=80,
    doing="network kata:cloud-hypervisor",
    elapsed_s=754.0,
    remaining_s=3 * 3600.0,
    last="network kata:cloud-hypervisor 0.138 ms",
    not_ok=2,
)
TRIAL = Event(stage="trial", message="", machine="node1", standing=STANDING)
GATE = Event(stage="ready", message="waiting: the load is 3.1, above 0.5", machine="node1")


def words(line: str) -> set[str]:
    return set(line.replace("·", " ").replace("…", " ").split())


@pytest.mark.parametrize("event", [TRIAL, GATE])
@pytest.mark.parametrize("width", [48, 60, 79, 119, 200])
def test_trial_percent_time_left_and_last_value_are_never_lost(width: int, event: Event) -> None:
    above, below = campaign_lines(STANDING, event, 0.0, width)

    assert len(above) <= width and len(below) <= width
    assert "trial 37/1200" in above and "3%" in above and "3 h 00 min left" in above
    assert "0.138 ms" in below and below.split(" · ")[-1].startswith("last: ")


@pytest.mark.parametrize("event", [TRIAL, GATE, replace(GATE, fraction=0.4)])
def test_nothing_is_cut_inside_a_word(event: Event) -> None:
    whole = [words(line) for line in campaign_lines(STANDING, event, 0.0, 500)]
    for width in range(8, 160):
        for line, known in zip(campaign_lines(STANDING, event, 0.0, width), whole, strict=True):
            assert len(line) <= width
            assert {w for w in words(line) if not re.fullmatch("[━─]+", w)} <= known
        whole_stage = {w for line in stage_lines(event, 3.0, 500) for w in words(line)}
        for line in stage_lines(event, 3.0, width):
            assert len(line) <= width
            assert {w for w in words(line) if not re.fullmatch("[━─]+", w)} <= whole_stage


def test_what_matters_least_goes_first() -> None:
    parts = [(0, "aaaa"), (2, "bbbb"), (1, "cccc")]
    assert fitted(parts, 18) == "aaaa · bbbb · cccc"
    assert fitted(parts, 17) == "aaaa · cccc"
    assert fitted(parts, 10) == "aaaa"


def in_a_terminal(columns: int, words: list[str], folder: Path) -> str:
    """All that a command writes to a terminal of that width."""
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(folder)
        os.environ["TERM"] = "xterm-256color"
        os.environ.pop("NO_COLOR", None)
        os.environ.pop("COLUMNS", None)
        os.execv(sys.executable, [sys.executable, "-m", "rtlab", *words])
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    written = b""
    while True:
        try:
            part = os.read(terminal, 65536)
        except OSError:  # the end of a terminal on Linux
            break
        if not part:
            break
        written += part
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, written
    return written.decode()


@pytest.mark.parametrize("columns", [80, 120])
def test_a_campaign_in_a_real_terminal(columns: int, tmp_path: Path) -> None:
    in_a_terminal(columns, ["up", "--provider", "simulated"], tmp_path)
    written = in_a_terminal(columns, ["bench", "--runs", "40", "--experiments", "boot,memory"], tmp_path)

    shown = re.sub("\x1b\\[[0-9;?]*[A-Za-z]", "\n", written)
    lines = [line for line in re.split("[\r\n]+", shown) if line]
    assert "Opening the campaign" in lines[0]
    assert max(len(line) for line in lines) <= columns
    trials = [line for line in lines if line.startswith("trial ")]
    assert trials and all(re.match(r"trial \d+/160 · \d+% · .* left$|trial .* nearly done$", line) for line in trials)
    assert any(re.search(r"block \d+/40 · last: \w+ \w+ [\d.]+ \w+$", line) for line in lines)
    # The two lines are wiped out at the end, and the cursor comes back.
    assert written.rindex("\x1b[?25h") > written.rindex("trial ")

    watched = in_a_terminal(columns, ["status", "--watch"], tmp_path)
    assert "160 of 160 trials" in watched and "no trial failed" in watched

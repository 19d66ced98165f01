"""Text from machines cannot move the cursor, change the title or turn the reading direction."""

from __future__ import annotations

import pytest

from rtlab.text import clean


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x1b]0;title\x07x", "x"),
        ("\x1b]8;;http://evil\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("a\rb", "a\N{REPLACEMENT CHARACTER}b"),
        ("abc\u202edef", "abc\N{REPLACEMENT CHARACTER}def"),
        ("one\ntwo", "one two"),
        ("plain – ±5 %", "plain – ±5 %"),
    ],
)
def test_clean(hostile: str, shown: str) -> None:
    assert clean(hostile) == shown


def test_lines_stay_when_asked() -> None:
    assert clean("one\n\ttwo", keep_lines=True) == "one\n\ttwo"

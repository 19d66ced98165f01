"""Text from machines cannot move the cursor, change the title or turn the reading direction."""

from __future__ import annotations

import json

import pytest

from rtlab.text import LEGIBLE, clean, csv_cell, json_line, markdown


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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("[x](javascript:y)", r"\[x\](javascript:y)"),
        ("![x](http://e)", r"\!\[x\](http\://e)"),
        ("www.e.org", r"www\.e.org"),
        ("@octocat", "@<!-- -->octocat"),
        ("~~~", r"\~\~\~"),
        ("- item", r"\- item"),
        ("+ item", r"\+ item"),
        ("1. item", r"1\. item"),
        ("---", r"\---"),
        ("    code", "code"),
        ("a|b", r"a\|b"),
        ("<b>", "&lt;b&gt;"),
        ("1.5 s, -3 %, kata-clh", "1.5 s, -3 %, kata-clh"),
    ],
)
def test_markdown_makes_nothing_of_it(text: str, shown: str) -> None:
    assert markdown(text) == shown


@pytest.mark.parametrize("formula", ["=x", "+x", "-x", "@x", "\t=x", "  =x", "'=x", "＝x", "\u00a0=x"])
def test_a_spreadsheet_s_cell_is_no_formula(formula: str) -> None:
    assert csv_cell(formula).startswith("'") and csv_cell(formula)[1:] == clean(formula)


def test_other_cells_stay_as_they_are() -> None:
    assert csv_cell("1.5 = x") == "1.5 = x"


def test_json_is_the_same_value_and_moves_no_terminal() -> None:
    value = {"a\x9b31m": "\u202eb\x7f\n", "é": 1}
    shown = json_line(json.dumps(value, ensure_ascii=False))
    assert json.loads(shown) == value
    assert clean(shown, keep_lines=True) == shown and "é" in shown


def test_a_stream_that_knows_ascii_only_gets_something_like_it() -> None:
    assert "±5 % → “ü”".encode("ascii", LEGIBLE) == b'+-5 % -> "\\xfc"'
    assert "\ud800".encode("utf-8", LEGIBLE) == b"\\ud800"

"""Plots: the same bytes for the same values, valid XML, in the page's own colour, names never interpreted."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from rtlab.plots import Dot, Interval, dots, forest

HOSTILE = "$\\frac{1}{$ <b>&_\u202e 运行"
DOTS = [Dot(arm=arm, order=n, value=0.5 * n) for n in range(1, 5) for arm in ("runC", HOSTILE)]
LINES = [
    Interval(label=HOSTILE, point=5.0, low=4.0, high=6.0, published=5.86),
    Interval(label="boot: Kata", point=0.5, low=1e-9, high=1e9),
    Interval(label="one block", point=1.0, low=None, high=None),
]


@pytest.mark.parametrize("draw", [lambda: dots("a-b", DOTS, ["runC", HOSTILE], "s"), lambda: forest("f", LINES, 0.05)])
def test_a_plot_is_deterministic_valid_and_self_contained(draw) -> None:  # type: ignore[no-untyped-def]
    svg = draw()

    assert svg == draw()
    root = ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    texts = [e.text or "" for e in root.iter("{http://www.w3.org/2000/svg}text")]
    assert any("$\\frac{1}{$ <b>&_" in text for text in texts)  # the name as it is, cleaned, not a formula
    assert "\u202e" not in svg
    assert "#010203" not in svg and "currentColor" in svg
    used = set(re.findall(r'xlink:href="([^"]*)"', svg))
    assert all(link.startswith("#") for link in used)


def test_two_plots_in_one_page_share_no_ids() -> None:
    ids = [set(re.findall(r'\bid="([^"]+)"', dots(name, DOTS, ["runC"], "s"))) for name in ("one", "two")]

    assert ids[0] and not ids[0] & ids[1]


@pytest.mark.parametrize("values", [[], [0.0], [1e-12], [-5.0, 3.0], [1.0, 1e9]])
def test_odd_values_are_drawn_and_do_not_fail(values: list[float]) -> None:
    found = dots("x", [Dot(arm="a", order=n, value=v) for n, v in enumerate(values)], ["a"], "s")

    assert ElementTree.fromstring(found) is not None


def test_a_forest_without_lines_is_empty_but_valid() -> None:
    assert ElementTree.fromstring(forest("f", [], 0.05)) is not None

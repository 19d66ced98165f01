"""Plots: the same bytes for the same values, valid XML, in the page's own colour, names never interpreted."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from rtlab.report import plots
from rtlab.report.plots import Curve, Dot, Interval, Words, dots, ecdf, forest

HOSTILE = "$\\frac{1}{$ <b>&_\u202e 运行"
DOTS = [Dot(arm=arm, order=n, value=0.5 * n) for n in range(1, 5) for arm in ("runC", HOSTILE)]
WORDS = Words(title=f"A {HOSTILE}", description="Dots & more.", where="Measured on emulated machines")
CURVES = [Curve(arm="runC", values=[0.5, 0.4, 0.6]), Curve(arm=HOSTILE, values=[3.0], apart="first of its trial")]
SVG = "{http://www.w3.org/2000/svg}"
LINES = [
    Interval(label=HOSTILE, point=5.0, low=4.0, high=6.0, floor=0.02, paper=5.86, others=(2.4, 53.9)),
    Interval(label="boot: Kata", point=0.5, low=1e-9, high=1e9),
    Interval(label="one block", point=1.0, low=None, high=None),
]


@pytest.mark.parametrize(
    "draw",
    [
        lambda: dots("a-b", DOTS, ["runC", HOSTILE], "s", WORDS),
        lambda: forest("f", LINES, 0.05, WORDS),
        lambda: ecdf("e", CURVES, "s", WORDS),
    ],
)
def test_a_plot_is_deterministic_valid_and_self_contained(draw) -> None:  # type: ignore[no-untyped-def]
    svg = draw()

    assert svg == draw()
    root = ElementTree.fromstring(svg)
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    texts = [e.text or "" for e in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "Measured on emulated machines" in texts
    assert root.get("role") == "img"
    title, description = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None and description is not None
    assert root.get("aria-labelledby") == title.get("id") and root.get("aria-describedby") == description.get("id")
    assert (title.text or "").startswith("A $\\frac{1}{$ <b>&_")
    assert description.text == "Dots & more. Measured on emulated machines."
    assert any("$\\frac{1}{$ <b>&_" in text for text in texts)  # the name as it is, cleaned, not a formula
    assert "\u202e" not in svg
    assert "#010203" not in svg and "currentColor" in svg
    used = set(re.findall(r'xlink:href="([^"]*)"', svg))
    assert all(link.startswith("#") for link in used)


def test_two_plots_in_one_page_share_no_ids() -> None:
    ids = [set(re.findall(r'\bid="([^"]+)"', dots(name, DOTS, ["runC"], "s", WORDS))) for name in ("one", "two")]

    assert ids[0] and not ids[0] & ids[1]


@pytest.mark.parametrize("values", [[], [0.0], [1e-12], [-5.0, 3.0], [1.0, 1e9]])
def test_odd_values_are_drawn_and_do_not_fail(values: list[float]) -> None:
    found = dots("x", [Dot(arm="a", order=n, value=v) for n, v in enumerate(values)], ["a"], "s", WORDS)

    assert ElementTree.fromstring(found) is not None


def test_a_forest_without_lines_is_empty_but_valid() -> None:
    assert ElementTree.fromstring(forest("f", [], 0.05, WORDS)) is not None


def test_the_forest_shows_floor_paper_and_others_each_by_a_mark_of_its_own() -> None:
    def legend(line: Interval) -> set[str]:
        root = ElementTree.fromstring(forest("f", [line], 0.05, WORDS))
        return {e.text or "" for e in root.iter(f"{SVG}text")}

    bare = Interval(label="x", point=2.0, low=1.5, high=2.5)
    full = Interval(label="x", point=2.0, low=1.5, high=2.5, floor=0.1, paper=3.0, others=(4.0,))
    marks = {"noise floor (A/A)", "the paper's", "published by others"}

    assert not marks & legend(bare)
    assert marks <= legend(full)


def test_an_infinite_noise_floor_is_not_drawn() -> None:
    line = Interval(label="x", point=2.0, low=1.5, high=2.5, floor=1e6)

    assert ElementTree.fromstring(forest("f", [line], 0.05, WORDS)) is not None


@pytest.mark.parametrize("n", [1, 3, 1000, 5000])
def test_a_distribution_function_keeps_exact_shares_however_many_values(n: int) -> None:
    # numpy's definition: share of values <= x.
    values = [float((i * 7919) % n) for i in range(n)]
    xs, shares = plots._steps(values)

    assert len(xs) <= plots.MOST_STEPS + 1
    assert (xs[0], shares[0]) == (min(values), 0.0)
    assert (xs[-1], shares[-1]) == (max(values), 1.0)
    for x, share in list(zip(xs, shares, strict=True))[1 :: max(1, n // 50)]:
        assert share == pytest.approx(sum(v <= x for v in values) / n)

"""Conversions are exact; a missing number never looks like 0."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtlab import units


@pytest.mark.parametrize(
    ("value", "unit", "base"),
    [
        (1549371, "K/s", 1549371 * 1024),  # Table II: K/s are KiB/s (bonnie++'s manual)
        (897.396736, "MB", 897396736.0),  # Table IV: whole bytes, 10^6 each
        (3.707, "s", 3.707),
        (250, "ms", 0.25),
    ],
)
def test_display_units_convert_exactly_both_ways(value: float, unit: str, base: float) -> None:
    assert units.to_base(value, unit) == base
    assert units.from_base(base, unit) == value


def test_an_unknown_unit_is_an_error() -> None:
    with pytest.raises(KeyError):
        units.to_base(1, "furlong")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "–"),
        (float("nan"), "–"),
        (0, "0"),
        (3.7071, "3.707"),
        (0.63349, "0.6335"),
        (1549371.0, "1549000"),
        (-2.5, "−2.500"),
        (float("inf"), "∞"),
    ],
)
def test_numbers_for_tables(value: float | None, text: str) -> None:
    assert units.format_number(value) == text


def test_durations_and_bytes_for_people() -> None:
    assert units.format_duration(42.4) == "42 s"
    assert units.format_duration(185) == "3 min 05 s"
    assert units.format_duration(7800) == "2 h 10 min"
    assert units.format_bytes(999) == "999 B"
    assert units.format_bytes(1536 * 1024 * 1024) == "1.5 GiB"


RATIOS = st.floats(min_value=1e-12, max_value=1e12)


def as_number(text: str) -> float:
    return float(text.lstrip("<>"))


@given(st.lists(RATIOS, min_size=3, max_size=3).map(sorted))
def test_a_ratio_and_its_interval_are_read_in_order_and_never_with_equal_ends(values: list[float]) -> None:
    low, point, high = values
    shown = units.ratio_text(point, low, high)

    texts = (shown.low, shown.point, shown.high)
    assert all(re.fullmatch(r"[<>]?\d{1,4}(\.\d{1,5})?", text) for text in texts), texts
    assert as_number(shown.low) <= as_number(shown.point) <= as_number(shown.high)
    if shown.low == shown.high:  # beyond what is told, or closer together
        assert shown.interval() in ("within 0.0001", "all <0.001", "all >1000")
        assert high < 0.001 or low >= 999.95 or high - low < 0.001
    else:
        assert shown.interval() == f"{shown.low} to {shown.high}"
    for value, text in zip(values, texts, strict=True):
        if text[0] not in "<>":
            assert abs(as_number(text) - value) <= 0.05 * value


@pytest.mark.parametrize(
    ("ratio", "texts"),
    [
        ((3.7115, 3.68, 3.7488), ("3.71", "3.68", "3.75")),
        ((29.47, 28.2, 30.8), ("29.5", "28.2", "30.8")),
        ((1.0, 0.942, 1.0), ("1.00", "0.94", "1.00")),
        ((1.64, 1.6395, 1.6405), ("1.640", "1.639", "1.641")),  # 2 places would give 1.64 to 1.64
        ((1.53, 2.03e-06, 1.15e06), ("1.53", "<0.001", ">1000")),
        ((9.996, 9.99, 10.04), ("10.0", "9.99", "10.0")),
        ((0.0179, 0.0143, 0.0223), ("0.018", "0.014", "0.022")),
    ],
)
def test_ratios_as_a_colleague_would_write_them(ratio: tuple[float, float, float], texts: tuple[str, str, str]) -> None:
    shown = units.ratio_text(*ratio)

    assert (shown.point, shown.low, shown.high) == texts


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ([18.63, 5.02], ["18.6", "5.0"]),
        ([0.6349, 0.9571], ["0.635", "0.957"]),
        ([1561.4, 1233.3], ["1561", "1233"]),
        ([3.85, 0.0], ["3.85", "0.00"]),
        ([-0.5, 12.0], ["−0.50", "12.00"]),
        ([0.0], ["0"]),
    ],
)
def test_numbers_side_by_side_have_as_many_places(values: list[float], texts: list[str]) -> None:
    assert units.alike(values) == texts


@given(st.lists(st.floats(min_value=1e-9, max_value=1e12), min_size=1, max_size=4))
def test_numbers_side_by_side_keep_two_digits_each_and_have_no_exponent(values: list[float]) -> None:
    for value, text in zip(values, units.alike(values), strict=True):
        assert re.fullmatch(r"\d+(\.\d+)?", text)
        assert abs(float(text) - value) <= 0.05 * value


@pytest.mark.parametrize(
    ("share", "text"),
    [(0.048, "4.8 %"), (0.05, "5 %"), (0.56, "56 %"), (0.0996, "10 %"), (0.0001, "under 0.1 %"), (1e9, "over 1000 %")],
)
def test_percent(share: float, text: str) -> None:
    assert units.percent(share) == text


@pytest.mark.parametrize(("margin", "text"), [(0.05, "−4.8/+5 %"), (0.1, "−9.1/+10 %"), (0.025, "−2.4/+2.5 %")])
def test_the_band_is_named_as_it_is(margin: float, text: str) -> None:
    # 1/1.05 = 0.952, 1/1.1 = 0.909, 1/1.025 = 0.976.
    assert units.band(margin) == text


@pytest.mark.parametrize(
    ("value", "unit", "best"),
    [
        (1.5e9, "K/s", "MiB/s"),
        (0.65, "s", "s"),
        (0.0001, "ms", "ms"),
        (2e-6, "s", "µs"),
        (5e6, "MiB", "MiB"),
        (89.0, "%", "%"),
        (0.0, "s", "s"),
    ],
)
def test_a_value_is_shown_in_a_unit_that_can_be_read(value: float, unit: str, best: str) -> None:
    assert units.readable_unit(value, unit) == best


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [(92.736e-6, "s", "92.7 µs"), (946429000.0, "B/s", "903 MiB/s"), (772.0, "1", "772"), (0.0, "s", "0 s")],
)
def test_one_value_in_the_unit_in_which_it_is_read(value: float, unit: str, text: str) -> None:
    """946429000 / 1048576 = 902.59."""
    assert units.readable(value, unit) == text

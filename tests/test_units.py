"""Conversions are exact; a missing number never looks like 0."""

from __future__ import annotations

import pytest

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

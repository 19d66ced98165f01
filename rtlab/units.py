"""Units: exact conversions, done once in a parser, and the formatting of numbers for people.

Inside rtlab every value is in a base unit: ``s``, ``B``, ``B/s``, ``1/s``, ``%`` or ``1`` (a count).
The paper's tables use K/s (KiB/s), MB (10^6 bytes): conversions to those live here and nowhere else.
"""

from __future__ import annotations

import math
from fractions import Fraction

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
MB = 1_000_000

# Display unit -> (base unit, how many base units one display unit is).
SCALES: dict[str, tuple[str, Fraction]] = {
    "s": ("s", Fraction(1)),
    "ms": ("s", Fraction(1, 1000)),
    "us": ("s", Fraction(1, 1_000_000)),
    "B": ("B", Fraction(1)),
    "KiB": ("B", Fraction(KIB)),
    "MiB": ("B", Fraction(MIB)),
    "MB": ("B", Fraction(MB)),
    "B/s": ("B/s", Fraction(1)),
    "K/s": ("B/s", Fraction(KIB)),
    "MiB/s": ("B/s", Fraction(MIB)),
    "1/s": ("1/s", Fraction(1)),
    "%": ("%", Fraction(1)),
    "1": ("1", Fraction(1)),
    "s/GB": ("s/B", Fraction(1, 1_000_000_000)),
    "s/B": ("s/B", Fraction(1)),
}


def to_base(value: float, unit: str) -> float:
    """Convert from a display unit to its base unit.

    Raises:
        KeyError: the unit is not one of SCALES.
    """
    return float(Fraction(value) * SCALES[unit][1])


def from_base(value: float, unit: str) -> float:
    """Convert a value in base units to the display unit."""
    return float(Fraction(value) / SCALES[unit][1])


def format_number(value: float | None, digits: int = 4) -> str:
    """A number for a table: ``digits`` significant ones, no exponent, and a dash for None.

    A missing number is never shown as 0.
    """
    if value is None or math.isnan(value):
        return "–"
    if value == 0:
        return "0"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    places = digits - 1 - math.floor(math.log10(abs(value)))
    rounded = round(value, places)
    text = f"{rounded:.{max(places, 0)}f}"
    return text.replace("-", "−")


def format_duration(seconds: float) -> str:
    """Seconds as ``42 s``, ``3 min 05 s`` or ``2 h 10 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def format_bytes(count: int) -> str:
    """Bytes with a binary prefix: ``1.5 GiB``."""
    value = float(count)
    for prefix in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(value) < 1024 or prefix == "TiB":
            return f"{value:.0f} {prefix}" if prefix == "B" else f"{value:.1f} {prefix}"
        value /= 1024
    raise AssertionError("unreachable")

"""Units: exact conversions, done once in a parser, and the formatting of numbers for people.

Inside rtlab every value is in a base unit: ``s``, ``B``, ``B/s``, ``1/s``, ``%`` or ``1`` (a count).
The paper's tables use K/s (KiB/s), MB (10^6 bytes): conversions to those live here and nowhere else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB
MB = 1_000_000

# Display unit -> (base unit, how many base units one display unit is).
SCALES: dict[str, tuple[str, Fraction]] = {
    "s": ("s", Fraction(1)),
    "ms": ("s", Fraction(1, 1000)),
    "µs": ("s", Fraction(1, 1_000_000)),
    "B": ("B", Fraction(1)),
    "KiB": ("B", Fraction(KIB)),
    "MiB": ("B", Fraction(MIB)),
    "GiB": ("B", Fraction(GIB)),
    "MB": ("B", Fraction(MB)),
    "B/s": ("B/s", Fraction(1)),
    "K/s": ("B/s", Fraction(KIB)),
    "MiB/s": ("B/s", Fraction(MIB)),
    "GiB/s": ("B/s", Fraction(GIB)),
    "1/s": ("1/s", Fraction(1)),
    "%": ("%", Fraction(1)),
    "1": ("1", Fraction(1)),
    "s/GB": ("s/B", Fraction(1, 1_000_000_000)),
    "s/B": ("s/B", Fraction(1)),
}

# From small to large: where a value takes its unit from when its own would give a number that nobody reads.
_LADDERS = (("µs", "ms", "s"), ("B", "KiB", "MiB", "GiB"), ("B/s", "K/s", "MiB/s", "GiB/s"))
# A number that is shown lies between these, where a unit can be found for it.
_SMALLEST, _LARGEST = 0.1, 10_000
# Ratios beyond are no sizes any more: only that they are beyond is said.
_LEAST_RATIO, _MOST_RATIO = 0.001, 1000
# Share of a mean below which a deviation is the rounding of sums, and no scatter of what was measured.
_ROUNDING = 1e-6
# More places than these tell noise.
_MOST_PLACES = 4


def to_base(value: float, unit: str) -> float:
    """Convert from a display unit to its base unit.

    Raises:
        KeyError: the unit is not one of SCALES.
    """
    return float(Fraction(value) * SCALES[unit][1])


def from_base(value: float, unit: str) -> float:
    """Convert a value in base units to the display unit; infinite where no float holds it."""
    try:
        return float(Fraction(value) / SCALES[unit][1])
    except OverflowError:
        return math.copysign(math.inf, value)


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


@dataclass(frozen=True, slots=True)
class RatioText:
    """A ratio and the ends of its interval as text: the three belong together, and no two ends read the same.

    Attributes:
        low, high: Empty where there is no interval.
    """

    point: str
    low: str = ""
    high: str = ""

    def interval(self, between: str = " to ") -> str:
        """``1.44 to 1.56``; ``within 0.0001`` where the ends cannot be told apart, ``all >1000`` where they are beyond
        what is told; empty without interval."""
        if not self.low:
            return ""
        if self.low != self.high:
            return f"{self.low}{between}{self.high}"
        return f"all {self.low}" if self.low[0] in "<>" else f"within {10.0**-_MOST_PLACES:.4f}"


def ratio_text(point: float, low: float | None = None, high: float | None = None) -> RatioText:
    """A ratio for people: three significant digits, two places near 1, more only where the ends would read the same."""
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return RatioText(_ratio(point, 0))
    for extra in range(_MOST_PLACES):
        shown = RatioText(*(_ratio(x, extra) for x in (point, low, high)))
        if shown.low != shown.high:
            return shown
    return RatioText(_ratio(point, 0), _ratio(low, 0), _ratio(low, 0))


def _ratio(value: float, extra: int) -> str:
    if math.isnan(value):
        return "–"
    if value < _LEAST_RATIO:
        return f"<{_LEAST_RATIO:g}"
    if value >= _MOST_RATIO:
        return f">{_MOST_RATIO:g}"
    for size, places in ((0.01, 4), (0.1, 3), (10, 2), (100, 1), (_MOST_RATIO, 0)):
        places = min(places + extra, max(places, _MOST_PLACES))
        if round(value, places) < size:
            return f"{value:.{places}f}"
    return f">{_MOST_RATIO:g}"


def percent(share: float) -> str:
    """The size of a share as ``4.8 %`` or ``56 %``: below 10 % with one place, where that says more."""
    value = abs(share) * 100
    if value > 1000:
        return "over 1000 %"
    if 0 < value < 0.05:
        return "under 0.1 %"
    return f"{value:.1f} %".replace(".0 %", " %") if round(value, 1) < 10 else f"{value:.0f} %"


def probability(p: float) -> str:
    """``p = 0.012``, and ``p under 0.001`` below."""
    return "p under 0.001" if p < 0.001 else f"p = {p:.3f}"


def format_signed(value: float) -> str:
    """A number of a size around 1 with its sign and two places."""
    return f"{value:+.2f}".replace("-", "−")


def band(margin: float) -> str:
    """The band [1/(1 + margin), 1 + margin] as it is: ``−4.8/+5 %``."""
    return f"−{percent(1 - 1 / (1 + margin)).removesuffix(' %')}/+{percent(margin)}"


def readable_unit(value: float, unit: str) -> str:
    """The unit in which a value (in base units) is read best: its own, or a larger or smaller one."""
    ladder = next((steps for steps in _LADDERS if unit in steps), (unit,))
    place = ladder.index(unit)
    while place + 1 < len(ladder) and abs(from_base(value, ladder[place])) >= _LARGEST:
        place += 1
    while place > 0 and 0 < abs(from_base(value, ladder[place])) < _SMALLEST:
        place -= 1
    return ladder[place]


def readable(value: float, unit: str, digits: int = 3) -> str:
    """One value (in base units) with the unit in which it is read best: ``92.7 µs``; a count has none."""
    shown = readable_unit(value, unit)
    number = format_number(from_base(value, shown), digits)
    return number if shown == "1" else f"{number} {shown}"


def alike(values: Sequence[float]) -> list[str]:
    """Numbers that stand side by side, with as many places each: three digits of the largest, two of the smallest."""
    sizes = [abs(v) for v in values if v and math.isfinite(v)]
    if not sizes:
        return [format_number(v, 3) for v in values]
    places = max(2 - _power(max(sizes)), 1 - _power(min(sizes)), 0)
    if places > 2 + _MOST_PLACES:  # too far apart for one scale
        return [format_number(v, 3) for v in values]
    return [f"{v:.{places}f}".replace("-", "−") if math.isfinite(v) else format_number(v) for v in values]


def scatter(sd: float, mean: float) -> float:
    """A standard deviation as it is shown: 0 where it is what is lost when numbers are rounded, not scatter."""
    return 0.0 if abs(sd) < _ROUNDING * abs(mean) else sd


def _power(value: float) -> int:
    return math.floor(math.log10(value))

"""Parses the line of numbers that Bonnie++ prints with ``-q``. Pure.

Formats (man bon_csv2html of 2.00a; the version of the *format* is field 0, not the program's): 1.96 and 1.97 have 48
fields, 1.98 and 2.00 have 50, with two inserted at index 7. Rates are KiB/s; ``+++++`` means that the test ended too
quickly to tell a rate (under 500 ms); an empty field means that the test was not run.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from rtlab.errors import ParseError
from rtlab.units import KIB, to_base

# Format version -> (number of fields, index of putc).
_LAYOUTS = {"1.96": (48, 7), "1.97": (48, 7), "1.98": (50, 9), "2.00": (50, 9)}
# A whole line of them, of any format; the group is the machine's name (-m). Read by ``rtlab pack``: other lines stay.
PRINTS = re.compile(
    r"(?:1\.9[678]|2\.00),(?:\d\.\d\d[a-z]{0,2}|simulated),([^,]{0,255}),\d{1,4},\d{1,11}"
    r"(?:,(?:\d{1,18}(?:\.\d{1,9})?(?:us|ms|s|[KMGTkmgt])?(?::\d{1,9}[KMGTkmgt]?)?|\++)?){43,45}"
)
_SUFFIXES = {"": 1, "K": KIB, "M": KIB**2, "G": KIB**3, "T": KIB**4}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """One test's result.

    Attributes:
        value: Base units (B/s, or 1/s for seeks); None when the test was too quick to tell, or not run.
        cpu_percent: None likewise.
        censored: It was too quick to tell: a value exists, and is large.
        fault: Why there is none although something stood there; block output, the primary, raises instead.
    """

    value: float | None
    cpu_percent: float | None
    censored: bool
    fault: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BonnieResult:
    """What one run of Bonnie++ measured; the tests of Table II."""

    format_version: str
    program_version: str
    file_size_bytes: int
    seek_count: int | None
    put_block: Rate
    rewrite: Rate
    get_block: Rate
    seeks: Rate


def parse(text: str) -> BonnieResult:
    """The result in what ``bonnie++ -q`` printed to stdout.

    Raises:
        ParseError: there is no such line, it is cut, or a field is no number.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    found = [line for line in lines if line.split(",", 1)[0] in _LAYOUTS]
    if len(found) != 1:
        shown = lines[-1] if lines else ""
        raise ParseError(f"Bonnie++ printed {len(found) or 'no'} line of results instead of one.", line=shown)
    line = found[0]
    fields = line.split(",")
    count, putc = _LAYOUTS[fields[0]]
    if len(fields) != count:
        raise ParseError(f"Bonnie++'s line has {len(fields)} fields; format {fields[0]} has {count}.", line=line)

    def rate(index: int, unit: str) -> Rate:
        text, cpu = fields[index], fields[index + 1]
        if text == "":
            return Rate(value=None, cpu_percent=None, censored=False)
        if set(text) == {"+"}:
            return Rate(value=None, cpu_percent=None, censored=True)
        value = to_base(_number(text, line), unit)
        # The CPU column may be withheld alone.
        return Rate(value=value, cpu_percent=None if set(cpu) == {"+"} else _number(cpu, line), censored=False)

    def secondary(index: int, unit: str) -> Rate:
        try:
            return rate(index, unit)
        except ParseError as error:
            return Rate(value=None, cpu_percent=None, censored=False, fault=error.message)

    return BonnieResult(
        format_version=fields[0],
        program_version=fields[1],
        file_size_bytes=_size(fields[5], line),
        # Format 1.98: random_seeks, seek_process_count stand at 7 and 8.
        seek_count=int(fields[7]) if putc == 9 and fields[7].isdigit() else None,
        put_block=rate(putc + 2, "K/s"),
        rewrite=secondary(putc + 4, "K/s"),
        get_block=secondary(putc + 8, "K/s"),
        seeks=secondary(putc + 10, "1/s"),
    )


def _number(text: str, line: str) -> float:
    try:
        value = float(text)
    except ValueError:
        raise ParseError(f"Bonnie++ printed {text[:40]!r} where a number belongs.", line=line) from None
    if not 0 <= value < 1e15:
        raise ParseError(f"Bonnie++ printed {text[:40]}, which no machine reaches.", line=line)
    return value


def _size(text: str, line: str) -> int:
    """``2G``, ``512M``, or MiB without a suffix; an explicit chunk (``2G:8k``) is cut off."""
    amount = text.split(":")[0]
    suffix = amount[-1:].upper() if amount[-1:].isalpha() else "M"
    number = amount[:-1] if amount[-1:].isalpha() else amount
    if suffix not in _SUFFIXES or not number.isdigit():
        raise ParseError(f"Bonnie++ names no file size: {text[:40]!r}.", line=line)
    return int(number) * _SUFFIXES[suffix]

"""The values that the paper printed (tables I-V), as data: paper-tables.json beside this file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

NUMBERS = ("I", "II", "III", "IV", "V")
RUNTIMES = ("runc", "kata")


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperTable:
    """One of the paper's tables.

    Attributes:
        units: Column -> the unit it is printed in (``rtlab.units``), columns in the paper's order.
        values: Runtime (``runc``, ``kata``) -> column -> value, in that unit.
    """

    number: str
    title: str
    units: Mapping[str, str]
    values: Mapping[str, Mapping[str, float]]


@cache
def tables() -> Mapping[str, PaperTable]:
    """Tables I-V by number."""
    document = json.loads(files("rtlab").joinpath("paper-tables.json").read_text("utf-8"))
    found = {}
    for number in NUMBERS:
        table = document["tables"][number]
        columns = list(table[RUNTIMES[0]])
        units = table.get("units") or {column: table["unit"].split(" ")[0] for column in columns}
        found[number] = PaperTable(
            number=number,
            title=table["title"],
            units={column: units[column] for column in columns},
            values={runtime: table[runtime] for runtime in RUNTIMES},
        )
    return found

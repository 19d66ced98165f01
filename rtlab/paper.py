"""Published values as data: what the paper printed (tables I-V, paper-tables.json beside this file), and what others
published about the same quantities (published.json), each with its citation and method."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What somebody else published about one arm.

    Attributes:
        variant: Which version or kind of the runtime, or which of the source's results; may be empty.
        value: In ``unit``.
        baseline: The runtime it was measured against, or None; ``baseline_value`` is that one's, in the same unit.
        unit: As the source has it; empty where it does not say.
    """

    experiment: str
    metric: str
    arm: str
    variant: str
    value: float
    baseline: str | None
    baseline_value: float | None
    unit: str
    citation: str
    method: str

    @property
    def ratio(self) -> float | None:
        """To the baseline; None where only the arm was published."""
        return self.value / self.baseline_value if self.baseline_value else None


@cache
def published() -> tuple[Published, ...]:
    """What others published, in the order of published.json."""
    document = json.loads(files("rtlab").joinpath("published.json").read_text("utf-8"))
    found = []
    for value in document["values"]:
        source = document["sources"][value["source"]]
        fields = {key: content for key, content in value.items() if key != "source"}
        found.append(Published(**fields, citation=source["citation"], method=source["method"]))
    return tuple(found)

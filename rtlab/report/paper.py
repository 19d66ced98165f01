"""Published values as data: what the paper printed (tables I-V, paper-tables.json beside this file), and what others
published about the same quantities (published.json), each with its citation and method."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

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
    document = json.loads(files("rtlab.report").joinpath("paper-tables.json").read_text("utf-8"))
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
        experiment: rtlab's experiment that asks a similar question; empty for none of them.
        variant: Which version or kind of the runtime, or which of the source's results; may be empty.
        value: In ``unit``.
        baseline: What it was measured against, a runtime or in words, or None; ``baseline_value`` is that one's, in the
            same unit.
        unit: As the source has it; empty where it does not say.
        n: Number of measurements; None where the source does not say, and then ``no_n`` tells why.
        year: Of publication.
    """

    experiment: str
    arm: str
    variant: str
    value: float
    baseline: str | None
    baseline_value: float | None
    unit: str
    n: int | None
    no_n: str
    year: int
    citation: str
    method: str

    @property
    def ratio(self) -> float | None:
        """To the baseline; None where only the arm was published."""
        return self.value / self.baseline_value if self.baseline_value else None

    @property
    def how_often(self) -> str:
        return self.no_n if self.n is None else str(self.n)


@dataclass(frozen=True, slots=True, kw_only=True)
class SameMeasure(Published):
    """What measures the same as a metric of rtlab's, and may be drawn beside it.

    Attributes:
        metric: Of the experiment, by the same definition.
        better: As the source takes it; must be the metric's own.
    """

    metric: str
    better: Literal["lower", "higher"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherMeasure(Published):
    """What no metric of rtlab's measures: listed, never drawn.

    Attributes:
        measures: What it is, in words.
    """

    measures: str


@cache
def published() -> tuple[SameMeasure | OtherMeasure, ...]:
    """What others published, in the order of published.json."""
    document = json.loads(files("rtlab.report").joinpath("published.json").read_text("utf-8"))
    found: list[SameMeasure | OtherMeasure] = []
    for value in document["values"]:
        fields = {"no_n": "", **document["sources"][value["source"]]}
        fields |= {key: content for key, content in value.items() if key != "source"}
        found.append(SameMeasure(**fields) if "metric" in value else OtherMeasure(**fields))
    return tuple(found)

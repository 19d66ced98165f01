"""Tables I-V with the paper's columns and units, the paper's values beside the campaign's. Pure.

A cell is a number, or a word that says why there is none; a missing number is never 0.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rtlab import text as texts
from rtlab.model import CampaignSpec, Json, Metric, Observation, Summary
from rtlab.report import paper
from rtlab.text import clean
from rtlab.units import from_base

# Heads of the columns as the paper prints them.
COLUMNS = {
    "average_time": "Average time",
    "sequential_output_block": "Sequential output (block)",
    "sequential_output_block_cpu": "Output CPU",
    "sequential_input_block": "Sequential input (block)",
    "sequential_input_block_cpu": "Input CPU",
    "random_seeks": "Random seeks",
    "user": "User",
    "nice": "Nice",
    "system": "System",
    "idle": "Idle",
    "iowait": "IO wait",
    "total": "Total",
    "used": "Used",
    "free": "Free",
    "active": "Active",
    "buffers": "Buffer",
    "cached": "Cached",
    "bytes_sent": "Bytes sent",
    "bytes_recv": "Bytes received",
    "packets_sent": "Packets sent",
    "packets_recv": "Packets received",
}
UNITS = {"K/s": "K/sec", "1/s": "/sec", "%": "%", "s": "s", "MB": "MB", "B": "bytes", "1": "count"}
# Places after the point, as printed in the paper; smaller numbers get more, so that none is rounded to nothing.
PLACES = {"I": 3, "II": 0, "III": 2, "IV": 2, "V": 0}
# Tables of counters that the paper read since boot; over a window they are another quantity.
SINCE_BOOT = ("III", "V")
NOT_TAKEN = "not taken"
CENSORED = "too fast to tell"
PAPER_FILE_MB = 2048
_DASH = "–"

Cell = float | str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line: ``cells`` in display units, one per column; None where there is no number."""

    runtime: str
    statistic: str
    cells: tuple[Cell, ...]
    of_the_paper: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One of tables I-V. ``columns`` are (key, head, unit)."""

    number: str
    title: str
    columns: tuple[tuple[str, str, str], ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]

    @property
    def heading(self) -> str:
        return f"Table {self.number}. {self.title}"

    def heads(self) -> tuple[str, ...]:
        """The head of every column with its unit."""
        return tuple(f"{head} ({UNITS.get(unit, unit)})" for _, head, unit in self.columns)

    def shown(self, row: Row) -> tuple[str, ...]:
        """The row's cells as text."""
        if row.statistic.startswith("n "):
            return tuple(_DASH if c is None else clean(c) if isinstance(c, str) else f"{c:.0f}" for c in row.cells)
        return tuple(shown(c, PLACES[self.number]) for c in row.cells)


def shown(cell: Cell, places: int) -> str:
    """A cell as text with at least two significant digits; a dash for None."""
    if cell is None:
        return _DASH
    if isinstance(cell, str):
        return clean(cell)
    if cell == 0:
        return "0"
    while places < 12 and abs(cell) < 10 ** (1 - places):
        places += 1
    return f"{cell:.{places}f}".replace("-", "−")


def paper_tables(
    spec: CampaignSpec,
    summaries: Sequence[Summary],
    observations: Sequence[Observation],
    metrics: Mapping[str, Sequence[Metric]],
    titles: Mapping[str, str],
) -> tuple[Table, ...]:
    """All five tables, also those whose experiment did not run: their cells then say so.

    Args:
        observations: For what the parsers noted beside the values.
        metrics: Experiment -> its metrics; ``Metric.paper`` says which cell is whose.
        titles: Runtime -> its title.
    """
    described = {(s.experiment, s.metric, s.arm): s for s in summaries}
    noted: dict[str, set[str]] = {}
    for observation in observations:
        noted.setdefault(observation.trial.experiment, set()).add(observation.note)
    noted = {experiment: {clean(note[:1000])[:200] for note in notes} for experiment, notes in noted.items()}
    return tuple(_table(number, spec, described, noted, metrics, titles) for number in paper.NUMBERS)


def _table(
    number: str,
    spec: CampaignSpec,
    described: Mapping[tuple[str, str, str], Summary],
    noted: Mapping[str, set[str]],
    metrics: Mapping[str, Sequence[Metric]],
    titles: Mapping[str, str],
) -> Table:
    printed = paper.tables()[number]
    of = {m.paper[1]: (name, m) for name, ms in metrics.items() for m in ms if m.paper and m.paper[0] == number}
    experiment = next((name for name, _ in of.values()), "")
    parameters = spec.parameters.get(experiment, {})
    over_window = number in SINCE_BOOT and not parameters.get("uptime_s") and bool(of)
    rows: list[Row] = []
    for arm in spec.runtimes:
        title = titles.get(arm, arm)
        found = [described.get((*_place(of.get(column)), arm)) for column in printed.units]
        rows += _arm_rows(title, found, list(printed.units.values()), over_window)
        if arm in printed.values:
            rows.append(_paper_row(title, printed, arm))
    rows += [_paper_row(titles.get(r, r), printed, r) for r in printed.values if r not in spec.runtimes]
    return Table(
        number=number,
        title=printed.title,
        columns=tuple((key, COLUMNS.get(key, key), unit) for key, unit in printed.units.items()),
        rows=tuple(rows),
        notes=(*_notes(number, parameters, noted.get(experiment, set()), over_window), *_about_censored(rows))
        if experiment in spec.experiments
        else ("This experiment was not part of the campaign.",),
    )


def _place(found: tuple[str, Metric] | None) -> tuple[str, str]:
    return ("", "") if found is None else (found[0], found[1].name)


def _arm_rows(
    title: str,
    found: Sequence[Summary | None],
    units: Sequence[str],
    over_window: bool,
) -> list[Row]:
    def cells(pick: str) -> tuple[Cell, ...]:
        row: list[Cell] = []
        for summary, unit in zip(found, units, strict=True):
            if summary is None:
                row.append(NOT_TAKEN)
                continue
            value = getattr(summary, pick)
            value = value.point if pick == "median" and value is not None else value
            if value is not None:
                row.append(from_base(value, unit))
            else:
                row.append(_why_none(summary) if pick == "mean" else None)
        return tuple(row)

    counted = tuple(NOT_TAKEN if s is None else str(s.n) for s in found)
    failed = tuple(None if s is None else str(s.n_failed) for s in found)
    rows = [Row(runtime=title, statistic="mean, window" if over_window else "mean", cells=cells("mean"))]
    rows += [Row(runtime=title, statistic=statistic, cells=cells(statistic)) for statistic in ("median",)]
    rows.append(Row(runtime=title, statistic="SD", cells=cells("sd")))
    rows.append(Row(runtime=title, statistic="n ok", cells=counted))
    rows.append(Row(runtime=title, statistic="n failed", cells=failed))
    if any(s is not None and s.n_censored for s in found):
        censored = tuple(None if s is None else str(s.n_censored) for s in found)
        rows.append(Row(runtime=title, statistic=f"n {CENSORED}", cells=censored))
    if over_window:
        rows.append(Row(runtime=title, statistic="since boot", cells=(NOT_TAKEN,) * len(units)))
    return rows


def _about_censored(rows: Sequence[Row]) -> tuple[str, ...]:
    if not any(row.statistic == f"n {CENSORED}" for row in rows):
        return ()
    return (
        f"Values that were {CENSORED} are in no mean or median: what stands there is too low by an unknown amount.",
    )


def _why_none(summary: Summary) -> Cell:
    if summary.n_censored:
        return CENSORED
    return "failed" if summary.n_failed else NOT_TAKEN


def _paper_row(title: str, printed: paper.PaperTable, runtime: str) -> Row:
    values = printed.values[runtime]
    cells: tuple[Cell, ...] = tuple(values[column] for column in printed.units)
    return Row(runtime=title, statistic="the paper's", cells=cells, of_the_paper=True)


def _notes(number: str, parameters: Mapping[str, Json], noted: set[str], over_window: bool) -> list[str]:
    notes = []
    if number == "I":
        notes.append(
            "The paper's figure is the mean of 15 starts by a script after one reboot; what ended its clock is not "
            "stated. Here the clock ends with the first page served (HTTP 200 with the right body)."
        )
        if parameters.get("starts"):
            notes.append(
                "Here: starts through the engine's socket; the first one of a trial is cold and counted apart."
            )
    if number == "II":
        size = parameters.get("size_mb")
        if isinstance(parameters.get("calibrated"), str) and parameters["calibrated"]:
            notes.append(f"The file's size was chosen before the first block: {clean(parameters['calibrated'])[:600]}.")
        if isinstance(size, int) and 0 < size < PAPER_FILE_MB:
            notes.append(f"A file of {size} MiB, smaller than the paper's 2 GB: not comparable with its figures.")
        notes.append(
            "A file smaller than twice the memory measures the page cache more than the disk; this holds for the "
            "paper's 2 GB in 8 GB of memory too. K/sec are KiB/s."
        )
        notes.append(
            "Bonnie++ -b does not make block writes synchronous; it adds an fsync after updates while seeking."
        )
    if number in SINCE_BOOT or number == "IV":
        notes.append(
            "The paper does not state the workload. Table III adds up to 1547 s (runC) and 1459 s (Kata) over 4 CPUs: "
            "counters since boot, read about 387 s and 365 s after it."
        )
        notes.append("Tables III-V of the paper look like single readings, not means: Table IV is in whole pages.")
        if over_window:
            window = _setting(parameters.get("window_s"))
            notes.append(
                f"Here: the change over {window} s from the container's start, which is another quantity than the "
                "paper's; the cells for values since boot say “not taken” (--design paper takes them)."
            )
        elif number in SINCE_BOOT:
            uptime = _setting(parameters.get("uptime_s"))
            notes.append(f"Here: since boot, read at {uptime} s of uptime; about 380 s would be the paper's.")
    if number == "IV":
        notes.append("The totals of the paper's two machines differ by 13 MB: they were not twins. MB are 10^6 bytes.")
        notes.append(
            "“Used” is total − free − buffers − cached, the paper's formula to the byte; psutil from 7.1 on computes "
            "another, which is kept in the raw files."
        )
    if number == "V":
        notes.append("System-wide counters, as printed in the paper; its page was fetched by one curl.")
        notes += _about_the_page(parameters)
    if number == "IV":
        at_uptime, after = parameters.get("uptime_s"), _setting(parameters.get("window_s"))
        when = f"{_setting(at_uptime)} s of uptime" if at_uptime else f"{after} s after the container's start"
        notes.append(f"Here: read once per trial, {when}.")
    else:
        notes += [f"As measured: {note}." for note in sorted(noted - {NOT_TAKEN, CENSORED, ""})[:5]]
    return notes


def _setting(value: Json) -> str:
    """A number of a spec as text; what no setting of rtlab's can be is not known."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return f"{value:.15g}" if is_number and abs(value) < 1e15 else "not known"


def _about_the_page(parameters: Mapping[str, Json]) -> list[str]:
    """Where the page of Table V came from, and in which counters it is therefore found (see the probe)."""
    gone = (
        "The container that fetches the page is removed before the counters are read; what its virtual interface had "
        "counted vanishes from the system-wide sum with it."
    )
    if parameters.get("url"):
        return [
            "Here the page came from the configured address: it counts as received where it entered the machine, and "
            f"as sent once more on the engine's bridge, towards the container. {gone}"
        ]
    return [
        f"Here the page ({_setting(parameters.get('page_bytes'))} bytes) came from a local mirror, a server on the "
        "machine itself at the engine's bridge: it counts as sent, by the bridge towards the container, and not as "
        f"received; the paper's came from outside and counts as received. {gone}"
    ]


# --------------------------------------------------------------------------- formats

markdown_text = texts.markdown
csv_text = texts.csv_cell


def markdown(tables: Sequence[Table]) -> str:
    """The tables as GitHub's Markdown."""
    lines: list[str] = []
    for table in tables:
        lines += [f"## {table.heading}", ""]
        lines.append("| runtime | | " + " | ".join(markdown_text(h) for h in table.heads()) + " |")
        lines.append("|---|---|" + "---:|" * len(table.columns))
        for row in table.rows:
            cells = [markdown_text(row.runtime), markdown_text(row.statistic), *map(markdown_text, table.shown(row))]
            lines.append("| " + " | ".join(cells) + " |")
        lines += ["", *(f"- {markdown_text(note)}" for note in table.notes), ""]
    return "\n".join(lines)


def as_csv(tables: Sequence[Table], level: str) -> str:
    """One line per cell; no value is an empty field. ``level`` says in each line where it was measured."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("measured_on", "table", "runtime", "statistic", "column", "unit", "value", "note"))
    for table in tables:
        for row in table.rows:
            for (key, _, unit), cell in zip(table.columns, row.cells, strict=True):
                is_count = row.statistic.startswith("n ")
                number = isinstance(cell, float | int) or (is_count and isinstance(cell, str) and cell.isdigit())
                value, note = (cell, "") if number else ("", cell or "")
                shown_unit = "1" if is_count else unit
                writer.writerow(
                    (
                        level,
                        table.number,
                        csv_text(row.runtime),
                        row.statistic,
                        key,
                        shown_unit,
                        value,
                        csv_text(str(note)),
                    )
                )
    return out.getvalue()

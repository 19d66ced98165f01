"""Tables I-V with the paper's columns and units: one row per runtime, the paper's values beneath. Pure.

A cell is an estimate with its scatter and count, or a word that says why there is none; a missing number is never 0.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from rtlab import text as texts
from rtlab.model import CampaignSpec, Json, Metric, Observation, Summary
from rtlab.report import paper
from rtlab.report.answer import Answer, Line, listed
from rtlab.text import clean
from rtlab.units import from_base, scatter

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
FAILED = "failed"
PAPER_FILE_MB = 2048
_DASH = "–"

Number = float | str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What one runtime gave in one column, in the column's unit.

    Attributes:
        mean: None where there is none, and then ``reason`` says why.
        n: Values that are in it; n_failed trials gave none, n_censored were too fast to tell.
    """

    mean: float | None
    median: float | None = None
    sd: float | None = None
    n: int = 0
    n_failed: int = 0
    n_censored: int = 0
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line, of a runtime or of the paper's: ``cells`` one per column.

    Attributes:
        over_window: The values are changes over a window, where the paper's are since boot.
    """

    runtime: str
    cells: tuple[Cell, ...]
    of_the_paper: bool = False
    over_window: bool = False

    @property
    def says_something(self) -> bool:
        """Whether any cell has a number, or a reason other than that nothing was taken."""
        return any(c.mean is not None or c.n_failed or c.n_censored for c in self.cells)

    def statistics(self) -> tuple[tuple[str, tuple[Number, ...]], ...]:
        """The same as one line per statistic, for files: numbers, a word where there is none, None for nothing."""
        if self.of_the_paper:
            return (("the paper's", tuple(c.mean for c in self.cells)),)
        found: list[tuple[str, tuple[Number, ...]]] = [
            (
                "mean, window" if self.over_window else "mean",
                tuple(c.reason if c.mean is None else c.mean for c in self.cells),
            ),
            ("median", tuple(c.median for c in self.cells)),
            ("SD", tuple(c.sd for c in self.cells)),
            ("n ok", tuple(str(c.n) for c in self.cells)),
            ("n failed", tuple(str(c.n_failed) for c in self.cells)),
        ]
        if any(c.n_censored for c in self.cells):
            found.append((f"n {CENSORED}", tuple(str(c.n_censored) for c in self.cells)))
        return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One of tables I-V. ``columns`` are (key, head, unit); without rows it was not measured, and ``notes`` say so."""

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

    def shown(self, row: Row) -> tuple[tuple[str, str], ...]:
        """The row's cells as text: ``0.510 ± 0.005`` and ``(0.509; 15)``, the median and the count."""
        return tuple(_texts(cell, PLACES[self.number], row.of_the_paper) for cell in row.cells)

    def joined(self, row: Row) -> tuple[str, ...]:
        """The same, each cell in one text."""
        return tuple(" ".join(filter(None, cell)) for cell in self.shown(row))

    @property
    def key(self) -> str:
        """How to read a cell; empty where none was measured."""
        measured = [row for row in self.rows if not row.of_the_paper]
        what = "mean ± SD (median; n)"
        if any(row.over_window for row in measured):
            what += ", over the window"
        return what if measured else ""


def _texts(cell: Cell, places: int, of_the_paper: bool) -> tuple[str, str]:
    if cell.mean is None:
        told = f"{cell.n_failed} failed" if cell.n_failed and cell.reason == FAILED else cell.reason
        return clean(told) or _DASH, ""
    mean = shown(cell.mean, places)
    if of_the_paper:
        return mean, ""
    around = f" ± {shown(scatter(cell.sd, cell.mean), places)}" if cell.sd is not None else ""
    parts = [shown(cell.median, places), str(cell.n)]
    parts += [f"{n} {what}" for n, what in ((cell.n_failed, FAILED), (cell.n_censored, CENSORED)) if n]
    return mean + around, f"({'; '.join(parts)})"


def shown(cell: Number, places: int) -> str:
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
    if experiment in spec.experiments:
        for arm in spec.runtimes:
            found = [described.get((*_place(of.get(column)), arm)) for column in printed.units]
            cells = tuple(_cell(s, unit) for s, unit in zip(found, printed.units.values(), strict=True))
            rows.append(Row(runtime=titles.get(arm, arm), cells=cells, over_window=over_window))
    silent = [row.runtime for row in rows if not row.says_something]
    rows = [row for row in rows if row.says_something]
    about = [f"{listed(silent)}: {NOT_TAKEN}."] if silent and rows else []
    if rows:
        theirs = sorted(
            printed.values, key=lambda r: (r not in spec.runtimes, spec.runtimes.index(r) if r in spec.runtimes else 0)
        )
        rows += [_paper_row(titles.get(r, r), printed, r) for r in theirs]
    notes: tuple[str, ...] = ("This experiment was not part of the campaign.",)
    if experiment in spec.experiments:
        about = about if rows else ["Nothing of it was measured."]
        noted_here = noted.get(experiment, set())
        notes = (*about, *_notes(number, parameters, noted_here, over_window), *_about_censored(rows))
    return Table(
        number=number,
        title=printed.title,
        columns=tuple((key, COLUMNS.get(key, key), unit) for key, unit in printed.units.items()),
        rows=tuple(rows),
        notes=notes,
    )


def _place(found: tuple[str, Metric] | None) -> tuple[str, str]:
    return ("", "") if found is None else (found[0], found[1].name)


def _cell(summary: Summary | None, unit: str) -> Cell:
    if summary is None:
        return Cell(mean=None, reason=NOT_TAKEN)
    mean, median, sd = (
        None if value is None else from_base(value, unit)
        for value in (summary.mean, summary.median.point if summary.median else None, summary.sd)
    )
    return Cell(
        mean=mean,
        median=median,
        sd=sd,
        n=summary.n,
        n_failed=summary.n_failed,
        n_censored=summary.n_censored,
        reason="" if mean is not None else _why_none(summary),
    )


def _about_censored(rows: Sequence[Row]) -> tuple[str, ...]:
    if not any(cell.n_censored for row in rows for cell in row.cells):
        return ()
    return (
        f"Values that were {CENSORED} are in no mean or median: what stands there is too low by an unknown amount.",
    )


def _why_none(summary: Summary) -> str:
    if summary.n_censored:
        return CENSORED
    return FAILED if summary.n_failed else NOT_TAKEN


def _paper_row(title: str, printed: paper.PaperTable, runtime: str) -> Row:
    values = printed.values[runtime]
    cells = tuple(Cell(mean=values[column]) for column in printed.units)
    return Row(runtime=title, cells=cells, of_the_paper=True)


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
        if table.rows:
            lines.append(f"| {markdown_text(table.key)} | " + " | ".join(map(markdown_text, table.heads())) + " |")
            lines.append("|---|" + "---:|" * len(table.columns))
            for row in table.rows:
                lines.append("| " + " | ".join(map(markdown_text, (row_name(row), *table.joined(row)))) + " |")
            lines.append("")
        lines += [*(f"- {markdown_text(note)}" for note in table.notes), ""]
    return "\n".join(lines)


def row_name(row: Row) -> str:
    """``runC``, or whose values the paper printed."""
    return f"the paper's {row.runtime}" if row.of_the_paper else row.runtime


def as_csv(tables: Sequence[Table], level: str, answer: Answer | None = None) -> str:
    """One line per number; no value is an empty field. ``level`` says in each line where it was measured.

    Args:
        answer: Its lines stand last, ``answer`` in place of a table's number and an experiment in place of a column.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(("measured_on", "table", "runtime", "statistic", "column", "unit", "value", "note"))
    for table in tables:
        for row in table.rows:
            for statistic, cells in row.statistics():
                for (key, _, unit), cell in zip(table.columns, cells, strict=True):
                    is_count = statistic.startswith("n ")
                    number = isinstance(cell, float | int) or (is_count and isinstance(cell, str))
                    value, note = (cell, "") if number else ("", cell or "")
                    place = (level, table.number, csv_text(row.runtime), statistic, key, "1" if is_count else unit)
                    writer.writerow((*place, value, csv_text(str(note))))
    for line in answer.lines if answer else ():
        assert answer is not None
        for runtime, statistic, unit, value, note in _answered(answer, line):
            place = (level, "answer", csv_text(runtime), statistic, line.experiment, unit)
            finite = "" if value is None or not math.isfinite(value) else value
            writer.writerow((*place, finite, csv_text(note)))
    return out.getvalue()


def _answered(answer: Answer, line: Line) -> Iterator[tuple[str, str, str, float | None, str]]:
    """(runtime, statistic, unit, value, note) of one line of the answer."""
    yield answer.baseline, "median", line.unit, line.baseline, line.reason
    for cell in line.cells:
        yield cell.title, "median", line.unit, cell.value, ""
        yield cell.title, "ratio", "1", cell.ratio, cell.word if cell.ratio else cell.reason
        yield cell.title, "ratio, low", "1", cell.low, ""
        yield cell.title, "ratio, high", "1", cell.high, ""

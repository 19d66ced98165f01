"""A Report as files and formats: the same Report gives the same bytes."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import fields
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Any

from rtlab import atomic
from rtlab.collection import no_collection
from rtlab.model import Json, Trial
from rtlab.report import latex, markdown_document, page, tables
from rtlab.report.figures import figures, other_rows, published_rows
from rtlab.report.model import Report
from rtlab.text import clean

OBSERVATIONS = "derived/observations.csv"
# Of tables.json and estimates.json: 2 has the answer, one row per runtime in each table, and exploratory comparisons
# apart from ``comparisons``.
SCHEMA = 2


def write(report: Report, folder: Path, *, pdf: bool = False) -> tuple[Path, ...]:
    """Write ``derived/`` and ``report/`` below the campaign's folder, each file atomically; returns them.

    Args:
        pdf: The plots as PDF too, beside the SVGs.

    Raises:
        StoreError: the folder cannot be written; the raw files are untouched.
        Unsafe: a folder to write into is a link.
    """
    with no_collection():
        return _write(report, folder, pdf)


def _write(report: Report, folder: Path, pdf: bool) -> tuple[Path, ...]:
    drawn = figures(report)
    estimated = estimates(report)
    files: dict[str, str | bytes] = {
        "derived/estimates.json": _json(estimated),
        "report/tables.md": markdown_document.document(report),
        "report/tables.csv": as_csv(report),
        "report/tables.json": _json({**_before_estimates(report), **estimated}),
        "report/tables.tex": latex.document(report),
        **{f"report/plots/{figure.name}.svg": _alone(figure.svg) for figure in drawn},
        **{f"report/plots/{figure.name}.pdf": figure.svg.pdf() for figure in drawn if pdf},
        "report/index.html": page.render(report, drawn, published_rows(report), other_rows(report)),
    }
    for name in ("derived", "report", "report/plots"):
        atomic.make_folder_inside(folder, name)
    atomic.write_bytes(folder / OBSERVATIONS, _observations_csv(report))
    for name, content in files.items():
        atomic.write_bytes(folder / name, content if isinstance(content, bytes) else content.encode())
    return tuple(folder / name for name in (OBSERVATIONS, *files))


def _json(value: Json) -> str:
    return json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"


def _alone(svg: str) -> str:
    """An SVG as a file of its own: ``currentColor`` has no page to take a colour from, and the grey must show on a
    white page and on a dark one (4.5 to 1 and 4.2 to 1)."""
    return '<?xml version="1.0" encoding="utf-8"?>\n' + svg.replace("<svg ", '<svg color="#767676" ', 1)


def as_csv(report: Report) -> str:
    """Tables I-V and the answer, one line per number."""
    return tables.as_csv(report.tables, report.testbed.level.value, report.answer)


def drawings(report: Report) -> dict[str, str]:
    """Name -> SVG of every plot."""
    return {figure.name: figure.svg for figure in figures(report)}


_OBSERVATION_COLUMNS = (
    "level",
    "trial",
    "block",
    "kind",
    "experiment",
    "arm",
    "runtime",
    "machine",
    "boot",
    "metric",
    "index",
    "value",
    "unit",
    "note",
)


def observations_csv(report: Report) -> str:
    """Every observation, one line each; no value is an empty field and its note says why."""
    return b"".join(_observations_csv(report)).decode()


def _observations_csv(report: Report) -> Iterator[bytes]:
    """The same in parts: a large campaign's text never stands in memory as a whole."""
    field = cache(_csv_field)  # few different texts, a million times: csv.writer would look at each again
    yield (",".join(_OBSERVATION_COLUMNS) + "\n").encode()
    lines: list[str] = []
    trial: Trial | None = None
    about = ""
    level = report.testbed.level.value
    for o in report.observations:
        if o.trial is not trial:
            trial = t = o.trial
            texts = ",".join(field(x) for x in (t.experiment, t.arm, t.runtime, t.machine))
            about = f"{field(level)},{t.number},{t.block},{t.kind},{texts},{t.boot}"
        value = "" if o.value is None else repr(o.value)
        lines.append(f"{about},{field(o.metric)},{o.index},{value},{field(o.unit)},{field(o.note)}\n")
        if len(lines) == 10_000:
            yield "".join(lines).encode()
            lines.clear()
    yield "".join(lines).encode()


def _csv_field(text: str) -> str:
    """One field as csv.writer writes it."""
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(("", tables.csv_text(text)))
    return out.getvalue()[1:]


def estimates(report: Report) -> dict[str, Json]:
    """Where it ran and what that means; then summaries, comparisons and warnings, with full numbers.

    Primary comparisons and exploratory ones stand apart: a verdict on one of many metrics may be chance.
    """
    compared = report.analysis.comparisons
    return {
        "schema": SCHEMA,
        "level": report.testbed.level.value,
        "meaning": report.meaning,
        "summaries": [_plain(s) for s in report.analysis.summaries],
        "comparisons": [_plain(c) for c in compared if not c.exploratory],
        "exploratory": [_plain(c) for c in compared if c.exploratory],
        "hosts": [_plain(h) for h in report.analysis.hosts],
        "caveats": [_plain(c) for c in report.caveats],
    }


def _plain(value: Any) -> Json:
    """As JSON takes it, and safe to show: texts cleaned, an infinite end of an interval becomes None."""
    if value is None or (isinstance(value, bool | int) and not isinstance(value, Enum)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}


def as_json(report: Report) -> Json:
    """The report for programs: the answer first, then estimates and tables."""
    return {**_before_estimates(report), **estimates(report)}


def _before_estimates(report: Report) -> dict[str, Json]:
    return {
        "campaign": clean(report.name),
        "where": report.where,
        "answer": _plain(report.answer),
        "design": report.design(),
        "heading": [_plain(c) for c in report.heading],
        "tables": [_plain(table) for table in report.tables],
        "trials": {
            outcome: sum(1 for a in report.attempts if a.outcome == outcome)
            for outcome in sorted({a.outcome for a in report.attempts})
        },
    }

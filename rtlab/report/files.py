"""A Report as files and formats: the same Report gives the same bytes."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import Any

from rtlab import atomic, page, paper, plots, tables
from rtlab.errors import Unsafe
from rtlab.model import (
    Caveat,
    Comparison,
    Json,
    Metric,
    Summary,
)
from rtlab.report.model import Report
from rtlab.tables import Table
from rtlab.text import clean
from rtlab.units import from_base


def write(report: Report, folder: Path) -> tuple[Path, ...]:
    """Write ``derived/`` and ``report/`` below the campaign's folder, each file atomically; returns them.

    Raises:
        StoreError: the folder cannot be written; the raw files are untouched.
        Unsafe: a folder to write into is a link.
    """
    drawn = drawings(report)
    files: dict[str, str] = {
        "derived/observations.csv": observations_csv(report),
        "derived/estimates.json": _json(estimates(report)),
        "report/tables.md": markdown(report),
        "report/tables.csv": tables.as_csv(report.tables, report.testbed.level.value),
        "report/tables.json": _json(as_json(report)),
        **{f"report/plots/{name}.svg": _alone(svg) for name, svg in drawn.items()},
        "report/index.html": page.render(report, drawn),
    }
    for name in ("derived", "report", "report/plots"):
        # A stranger's folder must not lead our files elsewhere.
        if (folder / name).is_symlink():
            raise Unsafe(f"{folder / name} is a link: nothing was written.", remedy=f"Remove it: rm {folder / name}")
        atomic.make_folder(folder / name)
    for name, text in files.items():
        atomic.write_bytes(folder / name, text.encode())
    return tuple(folder / name for name in files)


def _json(value: Json) -> str:
    return json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"


def _alone(svg: str) -> str:
    """An SVG as a file of its own: ``currentColor`` has no page to take a colour from."""
    return '<?xml version="1.0" encoding="utf-8"?>\n' + svg.replace("<svg ", '<svg color="#444444" ', 1)


def drawings(report: Report) -> dict[str, str]:
    """Name -> SVG: the forest of primary ratios, and the values of each primary metric by order."""
    found: dict[str, str] = {}
    lines = [
        plots.Interval(
            label=f"{c.experiment}: {report.titles[c.arm]}",
            point=c.ratio.point,
            low=c.ratio.low,
            high=c.ratio.high,
            published=_published(report.metric(c.experiment, c.metric), c.arm, c.baseline),
        )
        for c in report.primaries()
        if c.ratio is not None
    ]
    if lines:
        found["ratios"] = plots.forest("ratios", lines, report.spec.margin)
    for name, experiment in report.experiments.items():
        for metric in experiment.metrics:
            dots = _dots(report, name, metric) if metric.primary else []
            if dots:
                arms = [report.titles[r] for r in report.spec.runtimes]
                found[f"{name}-{metric.name}"] = plots.dots(
                    f"{name}-{metric.name}", dots, arms, f"{metric.title} ({metric.shown_unit})"
                )
    return found


def _dots(report: Report, experiment: str, metric: Metric) -> list[plots.Dot]:
    return [
        plots.Dot(
            arm=report.titles.get(o.trial.arm, o.trial.arm),
            order=o.trial.number,
            value=from_base(o.value, metric.shown_unit),
        )
        for o in report.observations
        if (o.trial.experiment, o.metric, o.trial.kind) == (experiment, metric.name, "ab")
        and o.value is not None
        and abs(o.value) < 1e15
    ]


def _published(metric: Metric, arm: str, baseline: str) -> float | None:
    """The paper's ratio, where it printed both values."""
    if metric.paper is None:
        return None
    number, column = metric.paper
    values = paper.tables()[number].values
    if arm not in values or baseline not in values:
        return None
    return values[arm][column] / values[baseline][column]


_OBSERVATION_COLUMNS = (
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
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_OBSERVATION_COLUMNS)
    for o in report.observations:
        t = o.trial
        texts = [tables.csv_text(x) for x in (t.experiment, t.arm, t.runtime, t.machine)]
        value = "" if o.value is None else repr(o.value)
        writer.writerow(
            (t.number, t.block, t.kind, *texts, t.boot, o.metric, o.index, value, o.unit, tables.csv_text(o.note))
        )
    return out.getvalue()


def estimates(report: Report) -> Json:
    """Summaries, comparisons and warnings, with full numbers."""
    return {
        "summaries": [_plain(s) for s in report.analysis.summaries],
        "comparisons": [_plain(c) for c in report.analysis.comparisons],
        "caveats": [_plain(c) for c in report.caveats],
    }


def _plain(value: Summary | Comparison | Caveat | Table) -> Json:
    """As JSON takes it, and safe to show: texts cleaned, an infinite end of an interval becomes None."""

    def plain(x: Any) -> Any:
        if isinstance(x, float):
            return x if math.isfinite(x) else None
        if isinstance(x, Enum):
            return x.value
        if isinstance(x, str):
            return clean(x)
        if isinstance(x, dict):
            return {clean(k): plain(v) for k, v in x.items()}
        return [plain(v) for v in x] if isinstance(x, list | tuple) else x

    return plain(asdict(value))


def as_json(report: Report) -> Json:
    """The report for programs: where it ran first, then estimates and tables."""
    return {
        "campaign": clean(report.name),
        "level": report.testbed.level.value,
        "where": report.where,
        "meaning": report.meaning,
        "design": report.design(),
        "tables": [_plain(table) for table in report.tables],
        "trials": {
            outcome: sum(1 for a in report.attempts if a.outcome == outcome)
            for outcome in sorted({a.outcome for a in report.attempts})
        },
        **estimates(report),
    }


def markdown(report: Report) -> str:
    """The report as Markdown: where it ran and what that means first."""
    text = tables.markdown_text
    lines = [
        f"# {text(report.name)}: measured on {text(report.where)}",
        "",
        f"**{text(report.meaning)}**",
        "",
        text(report.design()),
        "",
        *(f"- {text(machine)}: {text(what)}: {text(version)}" for machine, what, version in report.versions),
        "",
        f"## {text(report.verdicts_heading)}",
        "",
        *(f"- {text(c.sentence)}" for c in report.primaries()),
        *(f"- {text(line)}" for line in report.beside()),
        *(
            f"- Note ({text(c.kind)}{', ' + text(c.where) if c.where else ''}): {text(c.message)}"
            for c in report.caveats
        ),
        "",
    ]
    return "\n".join(lines) + "\n" + tables.markdown(report.tables)

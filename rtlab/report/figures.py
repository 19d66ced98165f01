"""A report's plots: each with its words, its caption and the table of what it shows. No I/O.

A plot of more than MOST_DOTS values shows a part of them, chosen by place alone and therefore the same each time; the
table below it and the CSV have all.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from rtlab import plugins
from rtlab.model import Curves, Estimate, Metric, Observation
from rtlab.report import paper, plots
from rtlab.report.answer import Cell, Line
from rtlab.report.model import Report
from rtlab.stats import Hosts
from rtlab.units import band, format_number, from_base, percent, ratio_text, to_base

MOST_DOTS = 2000
MOST_PUBLISHED = 100
# What cannot be drawn: beyond any axis.
_BEYOND = 1e15
_DASH = "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One plot with everything that belongs to it.

    Attributes:
        name: Of its file; unique in the report.
        caption: What the marks mean.
        heads, rows: The numbers that it shows, as text; a row begins with what it is about.
        narrow: The same for a telephone; None where the one drawing serves both.
        in_csv: Every single value stands in derived/observations.csv.
        notes: Below the table.
    """

    name: str
    title: str
    svg: plots.Plot
    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    narrow: plots.Plot | None = None
    in_csv: bool = True
    notes: tuple[str, ...] = ()


def figures(report: Report) -> tuple[Figure, ...]:
    """The forest of primary ratios, the distribution of start times, and each primary metric by order."""
    values = _values(report)
    found = [_forest(report)]
    found += [_ecdf(report, values, name, e.curves) for name, e in report.experiments.items() if e.curves]
    for name, experiment in report.experiments.items():
        found += [_dots(report, values, name, metric) for metric in experiment.metrics if metric.primary]
    found += [_hosts(report, hosts) for hosts in report.analysis.hosts]
    return tuple(figure for figure in found if figure is not None)


def published(report: Report) -> tuple[paper.SameMeasure | paper.OtherMeasure, ...]:
    """What others published about this campaign's experiments and runtimes."""
    arms = {base_name(arm) for arm in report.spec.runtimes}
    return tuple(
        p
        for p in paper.published()
        if p.arm in arms
        and (p.experiment in report.experiments or not p.experiment)
        and (p.baseline in (None, report.spec.baseline) or p.baseline not in plugins.names("runtimes"))
    )[:MOST_PUBLISHED]


def base_name(arm: str) -> str:
    """A runtime's name without its variant."""
    return arm.partition(":")[0]


_Values = dict[tuple[str, str, str], list[Observation]]


def _values(report: Report) -> _Values:
    """(experiment, metric, arm) -> its observations in ordinary blocks that can be drawn, by order."""
    wanted = {
        (name, metric.name): None
        for name, experiment in report.experiments.items()
        for metric in experiment.metrics
        if metric.primary or (experiment.curves and metric.name in experiment.curves.metrics)
    }
    found: _Values = {}
    for o in report.observations:
        trial = o.trial
        if trial.kind != "ab" or (trial.experiment, o.metric) not in wanted:
            continue
        if o.value is not None and abs(o.value) < _BEYOND:
            found.setdefault((trial.experiment, o.metric, trial.arm), []).append(o)
    return found


def _words(report: Report, title: str, description: str) -> plots.Words:
    return plots.Words(title=title, description=description, where=report.stamp)


# --------------------------------------------------------------------------- ratios


def _forest(report: Report) -> Figure | None:
    compared = [(line, cell) for line, cell in report.answer.cells if cell.ratio is not None]
    if not compared:
        return None
    floors = {(n.experiment, n.metric): n.floor for n in report.analysis.noise}
    others = [p for p in published(report) if isinstance(p, paper.SameMeasure)]
    lines, rows = [], []
    for line, cell in compared:
        assert cell.ratio is not None
        floor = floors.get((line.experiment, line.metric))
        papers = of_the_paper(report.metric(line.experiment, line.metric), cell.arm, report.spec.baseline)
        theirs = tuple(p.ratio for p in others if _about(p, line, cell, report) and p.ratio is not None)
        label = f"{line.experiment}: {cell.title}"
        interval = f" ({cell.interval_text})" if cell.interval_text else ""
        lines.append(
            plots.Interval(
                label=label,
                point=cell.ratio,
                low=cell.low,
                high=cell.high,
                told=f"{cell.ratio_text}{interval} {cell.sign} {cell.word}",
                tone=cell.tone,
                floor=floor,
                paper=papers,
                others=theirs,
            )
        )
        rows.append(
            (
                label,
                str(cell.blocks),
                cell.ratio_text,
                cell.interval_text or _DASH,
                "not measured" if floor is None else f"± {percent(math.expm1(min(floor, 20)))}",
                _ratio(papers),
                _range(theirs),
                f"{cell.sign} {cell.word}",
            )
        )
    return _as_figure(report, lines, rows, bool(floors))


def _as_figure(
    report: Report, lines: Sequence[plots.Interval], rows: Sequence[tuple[str, ...]], floors: bool
) -> Figure:
    title = f"Ratio to {report.titles[report.spec.baseline]} of each experiment's primary metric"
    told = "; ".join(f"{row[0]} {row[2]} (95 % interval {row[3]})" for row in rows[:20])
    caption = (
        f"{title}: dot and bar are the estimate and its 95 % interval, coloured by verdict; the grey band is the "
        f"margin, {band(report.spec.margin)}. The right panel shows the part from 0.8 to 1.25; an arrow points to what "
        "lies beyond an axis. A dotted box is the noise floor of that ratio from A/A blocks"
        + ("" if floors else " (none here: no A/A block ran)")
        + ", an open diamond the paper's ratio, a cross what others published of the same measure (listed below with "
        "how they measured)."
    )
    words = _words(report, title, f"Forest plot: {told}.")
    margin = report.spec.margin
    return Figure(
        name="ratios",
        title=title,
        svg=plots.forest("ratios", lines, margin, words),
        narrow=plots.forest("ratios-narrow", lines, margin, words, narrow=True),
        caption=caption,
        heads=(
            "experiment: runtime",
            "blocks",
            "ratio",
            "95 % interval",
            "noise floor",
            "the paper's",
            "others'",
            "verdict",
        ),
        rows=tuple(rows),
        in_csv=False,
    )


def _about(p: paper.SameMeasure, line: Line, cell: Cell, report: Report) -> bool:
    ours = (line.experiment, line.metric, base_name(cell.arm), report.spec.baseline)
    return (p.experiment, p.metric, p.arm, p.baseline) == ours


def of_the_paper(metric: Metric, arm: str, baseline: str) -> float | None:
    """The paper's ratio, where it printed both values."""
    if metric.paper is None:
        return None
    number, column = metric.paper
    values = paper.tables()[number].values
    if arm not in values or baseline not in values:
        return None
    return values[arm][column] / values[baseline][column]


def published_rows(report: Report) -> tuple[tuple[str, ...], ...]:
    """Published values of rtlab's own measures, for the list below the forest plot: the paper's first."""
    rows: list[tuple[str, ...]] = []
    for name, experiment in report.experiments.items():
        for metric in experiment.metrics:
            for arm in report.spec.runtimes:
                ratio = of_the_paper(metric, base_name(arm), report.spec.baseline) if metric.primary else None
                if ratio is None or arm == report.spec.baseline or metric.paper is None:
                    continue
                number, column = metric.paper
                table = paper.tables()[number]
                shown = [f"{format_number(table.values[r][column], 7)}" for r in (base_name(arm), report.spec.baseline)]
                unit = table.units[column]
                how = "its script of 15 iterations; two machines in VirtualBox, one runtime each"
                what = (f"{name}: {metric.title}", report.titles[arm], "")
                values = (f"{shown[0]} {unit}", f"{shown[1]} {unit}", _ratio(ratio))
                rows.append((*what, *values, "15", "2020", f"the paper, Table {number}", how))
    for p in published(report):
        if isinstance(p, paper.SameMeasure):
            rows.append(_published_row(report, p, f"{p.experiment}: {report.metric(p.experiment, p.metric).title}"))
    return tuple(rows)


def other_rows(report: Report) -> tuple[tuple[str, ...], ...]:
    """Published values of other measures, which are drawn nowhere."""
    return tuple(
        _published_row(report, p, f"{p.experiment}: {p.measures}" if p.experiment else p.measures)
        for p in published(report)
        if isinstance(p, paper.OtherMeasure)
    )


def _published_row(report: Report, p: paper.Published, what: str) -> tuple[str, ...]:
    baseline = _DASH
    if p.baseline_value is not None:
        baseline = f"{format_number(p.baseline_value)} {p.unit}".strip()
        if p.baseline != report.spec.baseline:
            baseline += f" ({p.baseline})"
    value = f"{format_number(p.value)} {p.unit}".strip()
    arm = report.titles.get(p.arm, p.arm)
    return (what, arm, p.variant, value, baseline, _ratio(p.ratio), p.how_often, str(p.year), p.citation, p.method)


def _ratio(value: float | None) -> str:
    return _DASH if value is None else ratio_text(value).point


def _range(values: Sequence[float]) -> str:
    if not values:
        return _DASH
    low, high = min(values), max(values)
    shown = ratio_text(low, low, high)
    return shown.low if shown.low == shown.high else f"{shown.low} to {shown.high}"


# --------------------------------------------------------------------------- every single value


def _ecdf(report: Report, values: _Values, name: str, of: Curves) -> Figure | None:
    first = "first of its trial"
    curves, rows = [], []
    for arm in report.spec.runtimes:
        for metric, apart in of.metrics.items():
            seen = sorted(o.value for o in values.get((name, metric, arm), ()) if o.value is not None)
            if not seen:
                continue
            curves.append(plots.Curve(arm=report.titles[arm], values=seen, apart=first if apart else ""))
            which = first if apart else "later ones"
            rows.append((report.titles[arm], which, str(len(seen)), *map(format_number, _quartiles(seen))))
    if not curves:
        return None
    told = "; ".join(f"{row[0]}, {row[1]}: {row[2]} {of.what}s, median {row[5]} s" for row in rows[:20])
    words = _words(report, of.title, f"Empirical distribution functions: {told}.")
    return Figure(
        name=f"{name}-ecdf",
        title=of.title,
        svg=plots.ecdf(f"{name}-ecdf", curves, of.axis, words),
        caption=f"{of.title}. One curve per runtime over every single {of.what}; dashed where the first {of.what} "
        f"was timed apart ({first}). {of.what.capitalize()}s within one trial are not independent: verdicts rest on "
        "blocks, not on this plot.",
        heads=("runtime", f"{of.what}s", "n", *(f"{head} (s)" for head in _QUARTILES)),
        rows=tuple(rows),
    )


_QUARTILES = ("least", "lower quartile", "median", "upper quartile", "greatest")


def _quartiles(ordered: Sequence[float]) -> tuple[float | None, ...]:
    """Least, quartiles and greatest; quartiles need 4 values."""
    middle = statistics.median(ordered)
    if len(ordered) < 4:
        return (ordered[0], None, middle, None, ordered[-1])
    lower, _, upper = statistics.quantiles(ordered, n=4, method="inclusive")
    return (ordered[0], lower, middle, upper, ordered[-1])


# --------------------------------------------------------------------------- by order


def _dots(report: Report, values: _Values, name: str, metric: Metric) -> Figure | None:
    found = {arm: values.get((name, metric.name, arm), []) for arm in report.spec.runtimes}
    total = sum(map(len, found.values()))
    if not total:
        return None
    unit = metric.shown_unit
    scale = to_base(1, unit)
    shown, rows = [], []
    for arm, seen in found.items():
        for o in sample(seen, max(2, MOST_DOTS * len(seen) // max(total, MOST_DOTS))):
            assert o.value is not None
            shown.append(plots.Dot(arm=report.titles[arm], order=o.trial.number, value=o.value / scale))
        numbers = sorted(o.value for o in seen if o.value is not None)
        figures_ = [None if v is None else from_base(v, unit) for v in _quartiles(numbers)] if numbers else [None] * 5
        rows.append((report.titles[arm], str(len(numbers)), *map(format_number, figures_)))
    part = f" {len(shown)} of {total} are drawn, evenly by order." if len(shown) < total else ""
    title = f"{report.experiments[name].title}: {metric.title} ({unit}), by order of execution"
    told = "; ".join(f"{row[0]}: {row[1]} values, median {row[4]} {unit}" for row in rows[:20])
    key = f"{name}-{metric.name}"
    arms = [report.titles[arm] for arm in report.spec.runtimes]
    words = _words(report, title, f"Each value a dot over the trial's number: {told}.{part}")
    return Figure(
        name=key,
        title=title,
        svg=plots.dots(key, shown, arms, unit, words),
        caption=f"{title}: every observation a dot.{part}",
        heads=("runtime", "n", *(f"{head} ({unit})" for head in _QUARTILES)),
        rows=tuple(rows),
    )


def sample(values: Sequence[Observation], most: int) -> Sequence[Observation]:
    """At most ``most`` of them, evenly by place, the first and the last among them."""
    n = len(values)
    if n <= most:
        return values
    return [values[round(i * (n - 1) / (most - 1))] for i in range(most)]


# --------------------------------------------------------------------------- hosts


def _hosts(report: Report, hosts: Hosts) -> Figure:
    """One comparison host by host, with the mean over hosts and what another host may show."""
    metric = report.metric(hosts.experiment, hosts.metric)
    arm, baseline = report.titles[hosts.arm], report.titles[hosts.baseline]
    of = [(h.name, str(h.arm_blocks), str(h.baseline_blocks), h.ratio) for h in hosts.hosts]
    of += [("mean over hosts", _DASH, _DASH, hosts.mean), ("another host (prediction)", _DASH, _DASH, hosts.new)]
    title = f"{report.experiments[hosts.experiment].title}: ratio of {arm} to {baseline} on each host"
    told = "; ".join(f"{name} {_ratio(e.point)} ({_within(e)})" for name, _, _, e in of[:20])
    return Figure(
        name=f"hosts-{hosts.experiment}-{hosts.arm.replace(':', '.')}",
        title=title,
        svg=plots.forest(
            f"hosts-{hosts.experiment}-{hosts.arm}",
            [plots.Interval(label=name, point=e.point, low=e.low, high=e.high) for name, _, _, e in of],
            report.spec.margin,
            _words(report, title, f"Forest plot: {told}."),
        ),
        caption=f"{title}, {metric.title}: dot and bar are the estimate and its 95 % interval, the grey band is the "
        f"margin. Below the hosts their mean (REML, Hartung and Knapp), then the 95 % prediction interval: where the "
        "ratio of another host like these lies. It says more about a reader's own machine than the mean does.",
        heads=("host", f"blocks with {arm}", f"blocks with {baseline}", "ratio", "95 % interval"),
        rows=tuple((name, first, second, _ratio(e.point), _within(e)) for name, first, second, e in of),
        in_csv=False,
    )


def _within(e: Estimate) -> str:
    return ratio_text(e.point, e.low, e.high).interval() or _DASH

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
from rtlab.model import Comparison, Estimate, Metric, Observation, Verdict
from rtlab.report import paper, plots
from rtlab.report.model import Report
from rtlab.stats import Hosts, verdict
from rtlab.units import format_number, from_base, to_base

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
        in_csv: Every single value stands in derived/observations.csv.
        notes: Below the table.
    """

    name: str
    title: str
    svg: plots.Plot
    caption: str
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    in_csv: bool = True
    notes: tuple[str, ...] = ()


def figures(report: Report) -> tuple[Figure, ...]:
    """The forest of primary ratios, the distribution of start times, and each primary metric by order."""
    values = _values(report)
    found = [_forest(report), _ecdf(report, values)]
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
        if metric.primary or (name, metric.name) in _STARTS
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
    compared = [c for c in report.primaries() if c.ratio is not None]
    if not compared:
        return None
    floors = {(n.experiment, n.metric): n for n in report.analysis.noise}
    others = [p for p in published(report) if isinstance(p, paper.SameMeasure)]
    lines, rows = [], []
    for c in compared:
        assert c.ratio is not None
        noise = floors.get((c.experiment, c.metric))
        papers = of_the_paper(report.metric(c.experiment, c.metric), c.arm, c.baseline)
        theirs = tuple(p.ratio for p in others if _about(p, c) and p.ratio is not None)
        lines.append(
            plots.Interval(
                label=f"{c.experiment}: {report.titles[c.arm]}",
                point=c.ratio.point,
                low=c.ratio.low,
                high=c.ratio.high,
                floor=noise.floor if noise else None,
                paper=papers,
                others=theirs,
            )
        )
        rows.append(
            (
                f"{c.experiment}: {report.titles[c.arm]}",
                str(len(c.blocks)),
                format_number(c.ratio.point, 3),
                _span(c.ratio.low, c.ratio.high),
                "not measured" if noise is None else f"± {format_number(math.expm1(min(noise.floor, 20)) * 100, 2)} %",
                format_number(papers, 3),
                _range(theirs),
                _verdict(c, report.metric(c.experiment, c.metric)),
            )
        )
    baseline = report.titles[report.spec.baseline]
    margin = f"{report.spec.margin * 100:g}"
    title = f"Ratio to {baseline} of each experiment's primary metric"
    told = "; ".join(f"{row[0]} {row[2]} (95 % interval {row[3]})" for row in rows[:20])
    caption = (
        f"{title}: dot and bar are the estimate and its 95 % interval, the grey band is the margin of ±{margin} %, a "
        "dotted box the noise floor of that ratio from A/A blocks"
        + ("" if floors else " (none here: no A/A block ran)")
        + ", an open diamond the paper's ratio, a cross what others published of the same "
        "measure (listed below with how they measured), "
        "an arrow an interval that goes on beyond the axis."
    )
    return Figure(
        name="ratios",
        title=title,
        svg=plots.forest("ratios", lines, report.spec.margin, _words(report, title, f"Forest plot: {told}.")),
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


def _verdict(c: Comparison, metric: Metric) -> str:
    """The verdict in the metric's own words: memory is higher, not slower."""
    if c.verdict in (Verdict.SLOWER, Verdict.FASTER) and c.ratio is not None:
        return verdict.words(metric, above=c.ratio.point > 1)
    return c.verdict.value


def _about(p: paper.SameMeasure, c: Comparison) -> bool:
    return (p.experiment, p.metric, p.arm, p.baseline) == (c.experiment, c.metric, base_name(c.arm), c.baseline)


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
                values = (f"{shown[0]} {unit}", f"{shown[1]} {unit}", _number(ratio))
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
    return (what, arm, p.variant, value, baseline, _number(p.ratio), p.how_often, str(p.year), p.citation, p.method)


def _number(value: float | None) -> str:
    return format_number(value, 3)


def _span(low: float | None, high: float | None) -> str:
    return _DASH if low is None or high is None else f"{format_number(low, 3)} to {format_number(high, 3)}"


def _range(values: Sequence[float]) -> str:
    if not values:
        return _DASH
    low, high = min(values), max(values)
    return _number(low) if low == high else f"{_number(low)} to {_number(high)}"


# --------------------------------------------------------------------------- start times

# (experiment, metric) -> whether its curve is drawn apart: first starts are never pooled with later ones.
_STARTS = {("boot", "first_page_s"): False, ("boot", "cold_first_page_s"): True}


def _ecdf(report: Report, values: _Values) -> Figure | None:
    first = "first of its trial" if report.spec.reboot == "never" else "first after a boot"
    curves, rows = [], []
    for arm in report.spec.runtimes:
        for (experiment, metric), apart in _STARTS.items():
            seen = sorted(o.value for o in values.get((experiment, metric, arm), ()) if o.value is not None)
            if not seen:
                continue
            curves.append(plots.Curve(arm=report.titles[arm], values=seen, apart=first if apart else ""))
            which = first if apart else "later ones"
            rows.append((report.titles[arm], which, str(len(seen)), *map(format_number, _quartiles(seen))))
    if not curves:
        return None
    title = "Start times of all containers: the share that served its page by then"
    told = "; ".join(f"{row[0]}, {row[1]}: {row[2]} starts, median {row[5]} s" for row in rows[:20])
    return Figure(
        name="boot-ecdf",
        title=title,
        svg=plots.ecdf(
            "boot-ecdf",
            curves,
            "time until the first page (s)",
            _words(report, title, f"Empirical distribution functions: {told}."),
        ),
        caption=f"{title}. One curve per runtime over every single start; dashed where the first start "
        f"was timed apart ({first}). Starts within one trial are not independent: verdicts rest on blocks, not on this "
        "plot.",
        heads=("runtime", "starts", "n", *(f"{head} (s)" for head in _QUARTILES)),
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
        svg=plots.dots(key, shown, arms, f"{metric.title} ({unit})", words),
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
    told = "; ".join(f"{name} {_number(e.point)} ({_within(e)})" for name, _, _, e in of[:20])
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
        rows=tuple((name, first, second, _number(e.point), _within(e)) for name, first, second, e in of),
        in_csv=False,
    )


def _within(e: Estimate) -> str:
    return _DASH if e.low is None or e.high is None else f"{_number(e.low)} to {_number(e.high)}"

"""Every metric of every runtime as text: the ratio first, then what it is made of. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from rtlab.model import Comparison, Experiment, Metric, Summary
from rtlab.report.answer import WORDS, words
from rtlab.report.model import Report
from rtlab.units import alike, from_base, percent, ratio_text, scatter

_DASH = "–"


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricRow:
    """One runtime's values of one metric. ``verdict`` of an exploratory metric is worded apart."""

    runtime: str
    ratio: str
    interval: str
    verdict: str
    median: str
    median_interval: str
    mean: str
    spread: str
    count: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricTable:
    """All of an experiment: (title with unit, whether primary, rows) per metric."""

    title: str
    metrics: tuple[tuple[str, bool, tuple[MetricRow, ...]], ...]


HEADS = ("ratio", "95 %", "verdict", "median", "95 %", "mean ± SD", "range", "n")


def metric_tables(report: Report) -> tuple[MetricTable, ...]:
    """One table per experiment, in the campaign's order."""
    described = {(s.experiment, s.metric, s.arm): s for s in report.analysis.summaries}
    compared = {(c.experiment, c.metric, c.arm): c for c in report.analysis.comparisons}
    return tuple(
        MetricTable(
            title=f"{experiment.title}: {experiment.summary}",
            metrics=tuple(
                (
                    f"{metric.title} ({metric.shown_unit})" if metric.shown_unit != "1" else metric.title,
                    metric.primary,
                    tuple(_row(report, experiment, metric, arm, described, compared) for arm in report.spec.runtimes),
                )
                for metric in experiment.metrics
            ),
        )
        for experiment in report.experiments.values()
    )


def _row(
    report: Report,
    experiment: Experiment,
    metric: Metric,
    arm: str,
    described: dict[tuple[str, str, str], Summary],
    compared: dict[tuple[str, str, str], Comparison],
) -> MetricRow:
    s, c = (found.get((experiment.name, metric.name, arm)) for found in (described, compared))
    assert s is None or isinstance(s, Summary)
    assert c is None or isinstance(c, Comparison)
    is_baseline = arm == report.spec.baseline
    shown = ratio_text(c.ratio.point, c.ratio.low, c.ratio.high) if c and c.ratio else None
    count = "0"
    if s is not None:
        unusable = ((s.n_failed, "failed"), (s.n_censored, "too fast to tell"))
        count = "; ".join([str(s.n), *(f"{n} {what}" for n, what in unusable if n)])
    median = s.median if s else None
    return MetricRow(
        runtime=report.titles[arm],
        ratio="baseline" if is_baseline else shown.point if shown else _DASH,
        interval=(shown.interval("–") if shown else "") or _DASH,
        verdict=_verdict(c, metric, report.spec.margin),
        median=_texts(metric, median.point if median else None)[0],
        median_interval=_span(metric, median.low if median else None, median.high if median else None),
        mean=_mean(metric, s),
        spread=_span(metric, s.minimum if s else None, s.maximum if s else None),
        count=count,
    )


def _verdict(c: Comparison | None, metric: Metric, margin: float) -> str:
    if c is None or c.ratio is None or c.ratio.low is None:
        return _DASH
    if not c.exploratory:
        sign, word, _ = words(c, metric, margin)
        return f"{sign} {word}"
    _, word, tone = WORDS[c.verdict]
    return f"looks {word}" if tone in ("worse", "better", "same") else word


def _texts(metric: Metric, *values: float | None) -> tuple[str, ...]:
    """Values in the metric's unit, side by side."""
    known = [from_base(v, metric.shown_unit) for v in values if v is not None]
    texts = iter(alike(known))
    return tuple(_DASH if v is None else next(texts) for v in values)


def _span(metric: Metric, low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return _DASH
    first, last = _texts(metric, low, high)
    if first == last:
        return first
    return f"{first} to {last}" if low < 0 else f"{first}–{last}"


def _mean(metric: Metric, s: Summary | None) -> str:
    if s is None or s.mean is None:
        return _DASH
    if s.sd is None:
        return _texts(metric, s.mean)[0]
    mean, sd = _texts(metric, s.mean, scatter(s.sd, s.mean) or None)
    if sd == _DASH:
        return f"{mean} ± 0"
    return f"{mean} ± {sd} ({percent(s.cov)})" if s.cov is not None else f"{mean} ± {sd}"

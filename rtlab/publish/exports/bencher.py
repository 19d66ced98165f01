"""Bencher Metric Format (bencher.dev/docs/reference/bencher-metric-format): benchmark, measure, value and bounds."""

from __future__ import annotations

from rtlab.model import Json
from rtlab.publish.exports.values import as_json, described, label, nothing
from rtlab.report.model import Report


def export(report: Report, runtime: str) -> bytes:
    """Medians with their intervals, in base units, which the measures' names end in.

    Raises:
        UsageError: no metric has a value.
    """
    found: dict[str, dict[str, Json]] = {}
    for summary, metric in described(report):
        if summary.median is None:
            continue
        measure: dict[str, Json] = {"value": summary.median.point}
        # Bencher has no place for "no interval", so a bound that n cannot carry is left out.
        if summary.median.low is not None and summary.median.high is not None:
            measure |= {"lower_value": summary.median.low, "upper_value": summary.median.high}
        name = label(report, f"{report.titles[summary.arm]}/{summary.experiment}")
        found.setdefault(name, {})[metric.name.replace("_", "-")] = measure
    if not found:
        raise nothing("values")
    return as_json(found)

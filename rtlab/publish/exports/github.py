"""github-action-benchmark's custom JSON: a list of name, unit, value, range and extra (its README, "custom").

The action takes one direction per file, so there are two formats.
"""

from __future__ import annotations

from typing import Literal

from rtlab.publish.exports.values import as_json, described, label, nothing
from rtlab.report.model import Report
from rtlab.units import format_number, from_base


def entries(report: Report, better: Literal["lower", "higher"]) -> bytes:
    """Medians by runtime of every metric with that direction.

    Raises:
        UsageError: there is none.
    """
    found = []
    for summary, metric in described(report):
        if metric.better != better or summary.median is None:
            continue
        unit = metric.shown_unit
        entry: dict[str, str | float] = {
            "name": label(report, f"{report.titles[summary.arm]}: {summary.experiment}: {metric.title}"),
            "unit": unit,
            "value": from_base(summary.median.point, unit),
            "extra": f"median of {summary.n} blocks; {summary.n_failed} trials failed; {report.where}. "
            f"{report.meaning}",
        }
        if summary.sd is not None:
            entry["range"] = f"± {format_number(from_base(summary.sd, unit), 3)}"
        found.append(entry)
    if not found:
        raise nothing(f"metric of which {better} is better")
    return as_json(found)

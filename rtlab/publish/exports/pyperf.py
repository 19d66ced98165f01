"""pyperf's JSON, version 1.0 (pyperf 2.x): one file per runtime, for ``pyperf compare_to runc.json kata.json``.

Only metrics of which less is better: pyperf calls the smaller value faster. A run is a block.
"""

from __future__ import annotations

from itertools import groupby

from rtlab.publish.exports.values import as_json, label, nothing, values
from rtlab.report.model import Report
from rtlab.text import clean

_UNITS = {"s": "second", "B": "byte"}


def export(report: Report, runtime: str) -> bytes:
    """Raises UsageError when the runtime has no duration or size above 0."""
    benchmarks = []
    for name, experiment in report.experiments.items():
        for metric in experiment.metrics:
            if metric.better != "lower" or metric.unit not in _UNITS:
                continue
            # pyperf takes no 0 and nothing below it.
            found = [(n, v) for n, v in values(report, name, metric.name, runtime) if v > 0]
            if not found:
                continue
            runs = [
                {"metadata": {"rtlab_trial": number}, "values": [v for _, v in group]}
                for number, group in groupby(found, key=lambda pair: pair[0])
            ]
            benchmarks.append(
                {
                    "metadata": {
                        "name": label(report, f"{name}: {metric.title}"),
                        "unit": _UNITS[metric.unit],
                        "loops": 1,
                    },
                    "runs": runs,
                }
            )
    if not benchmarks:
        raise nothing(f"durations or sizes under {clean(runtime)}")
    metadata = {
        "description": f"rtlab campaign {clean(report.name)}, measured on {report.where}",
        "rtlab_level": report.testbed.level.value,
        "rtlab_runtime": clean(runtime),
    }
    return as_json({"version": "1.0", "metadata": metadata, "benchmarks": benchmarks})

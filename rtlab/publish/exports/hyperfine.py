"""hyperfine's ``--export-json`` (hyperfine 1.x): what its scripts/*.py and others read.

Times are seconds from the request to the engine until the first page, later starts only, as in Table I. hyperfine's
user and system times are of a command's own process; a container has none, so they are left out rather than 0
(Bencher's adapter ``shell_hyperfine`` insists on them and refuses the file; the format ``bencher`` is for it).
"""

from __future__ import annotations

import statistics

from rtlab.publish.exports.values import as_json, label, nothing, values
from rtlab.report.model import Report
from rtlab.text import clean


def export(report: Report, runtime: str) -> bytes:
    """One result per runtime, its failed trials counted in ``parameters``.

    A runtime whose every start failed is left out: the format has no result without a time.

    Raises:
        UsageError: no start times.
    """
    results = []
    timed = {name: m.name for name, e in report.experiments.items() for m in e.metrics if m.paper and m.paper[0] == "I"}
    failed = {
        arm: sum(
            1
            for a in report.attempts
            if a.record is not None and a.outcome != "ok" and a.trial.experiment in timed and a.trial.arm == arm
        )
        for arm in report.spec.runtimes
    }
    for arm in report.spec.runtimes:
        times = [value for name, metric in timed.items() for _, value in values(report, name, metric, arm)]
        if not times:
            continue
        results.append(
            {
                "command": label(report, f"start of a web server's container under {report.titles[arm]}"),
                "mean": statistics.fmean(times),
                "stddev": statistics.stdev(times) if len(times) > 1 else None,
                "median": statistics.median(times),
                "min": min(times),
                "max": max(times),
                "times": times,
                "exit_codes": [0] * len(times),
                "parameters": {
                    "runtime": clean(arm),
                    "level": report.testbed.level.value,
                    "failed_trials": str(failed[arm]),
                },
            }
        )
    if not results:
        raise nothing("start times")
    return as_json({"results": results})

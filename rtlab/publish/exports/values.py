"""What several formats take from a report: values by arm, names, and JSON that never holds a NaN."""

from __future__ import annotations

import json

from rtlab.errors import UsageError
from rtlab.model import Json, Metric, Summary
from rtlab.report.model import Report
from rtlab.text import clean


def values(report: Report, experiment: str, metric: str, arm: str) -> list[tuple[int, float]]:
    """(trial number, value in the base unit) of every value that the report's own figures rest on, in order: A/A blocks
    are left out, and blocks that were repeated or given up."""
    summary = report.analysis.summary(experiment, metric, arm)
    used = set(summary.trials if summary else ())
    return [
        (o.trial.number, o.value)
        for o in report.observations
        if (o.trial.experiment, o.metric) == (experiment, metric) and o.trial.number in used and o.value is not None
    ]


def described(report: Report) -> list[tuple[Summary, Metric]]:
    """Every summary with a median, with its metric; in the report's order."""
    return [
        (s, report.metric(s.experiment, s.metric))
        for s in report.analysis.summaries
        if s.median is not None and s.n > 0 and s.arm in report.spec.runtimes
    ]


def label(report: Report, text: str) -> str:
    """A name that says by itself when no figure means anything."""
    return f"{clean(text)} ({report.testbed.level.value}: means nothing)" if report.meaningless else clean(text)


def as_json(value: Json) -> bytes:
    return (json.dumps(value, indent=2, allow_nan=False, ensure_ascii=False) + "\n").encode()


def nothing(what: str) -> UsageError:
    """Rather an error than an empty file that a pipeline takes for a result."""
    return UsageError(f"The campaign has no {what} to export.", remedy="`rtlab report` says what it has, and why not.")

"""github-action-benchmark, tool customSmallerIsBetter."""

from __future__ import annotations

from rtlab.publish.exports.github import entries
from rtlab.report.model import Report


def export(report: Report, runtime: str) -> bytes:
    """Raises UsageError when no metric has that direction."""
    return entries(report, "lower")

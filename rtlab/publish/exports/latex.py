"""The answer and tables I-V for a paper."""

from __future__ import annotations

from rtlab.report import latex
from rtlab.report.model import Report


def export(report: Report, runtime: str) -> bytes:
    """The same as report/tables.tex."""
    return latex.document(report).encode()

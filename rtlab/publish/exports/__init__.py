"""What other tools read: a Report in their formats, one module each. Pure; nothing here measures or decides.

Failed and missing values are left out and counted where the format has a place, never written as 0. Every format
carries where it was measured, and for emulated and simulated campaigns that no figure means anything.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass

from rtlab.errors import UsageError
from rtlab.report.model import Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One format.

    Attributes:
        module: In this package; it has ``export(report, runtime) -> bytes``.
        about: One line for ``--help`` and the list.
        per_runtime: A file holds one runtime; ``--runtime`` says which.
    """

    module: str
    about: str
    per_runtime: bool = False


FORMATS: dict[str, Format] = {
    "hyperfine": Format(module="hyperfine", about="start times as hyperfine's JSON, one result per runtime"),
    "pyperf": Format(
        module="pyperf", about="durations and sizes of one runtime, for `pyperf compare_to`", per_runtime=True
    ),
    "github-smaller-is-better": Format(
        module="github_smaller", about="github-action-benchmark, tool customSmallerIsBetter"
    ),
    "github-bigger-is-better": Format(
        module="github_bigger", about="github-action-benchmark, tool customBiggerIsBetter"
    ),
    "bencher": Format(module="bencher", about="Bencher Metric Format (`bencher run --adapter json`)"),
    "latex": Format(module="latex", about="tables I-V for a paper (package booktabs)"),
    "parquet": Format(module="parquet", about="all observations; needs pyarrow"),
}


def require(name: str) -> None:
    """UsageError with the known formats unless there is one of that name."""
    if name not in FORMATS:
        raise UsageError(f"There is no format {name[:40]!r}.", remedy=f"Known: {', '.join(FORMATS)}.")


def export(report: Report, name: str, runtime: str = "") -> bytes:
    """The report in a format.

    Args:
        runtime: For formats of one runtime; the baseline when empty.

    Raises:
        UsageError: no such format, no such runtime in the campaign, or nothing of it to export.
    """
    require(name)
    if runtime and not FORMATS[name].per_runtime:
        raise UsageError(f"{name} holds all runtimes.", remedy="Leave --runtime out.")
    if runtime and runtime not in report.spec.runtimes:
        raise UsageError(
            f"The campaign has no runtime {runtime[:40]!r}.", remedy=f"It has {', '.join(report.spec.runtimes)}."
        )
    module = importlib.import_module(f"rtlab.publish.exports.{FORMATS[name].module}")
    write: Callable[[Report, str], bytes] = module.export
    return write(report, runtime or report.spec.baseline)

"""The answer and what weakens it as lines for a terminal. Pure: each part of a line says how it is to look."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rtlab.report.answer import Answer, Cell, Line
from rtlab.report.model import Report

# So many of what weakens the answer are printed; the page has all.
MOST_LESSENS = 6
# Beside columns of arms a label has at least this much room.
_LABEL = 18


@dataclass(frozen=True, slots=True)
class Part:
    """Text of one look: ``strong``, ``soft``, ``warn``, a tone of the answer's cells, or plain."""

    text: str
    look: str = ""


Parts = tuple[Part, ...]


def answer_lines(answer: Answer, width: int) -> list[Parts]:
    """Title, warnings, the table and its legend, none wider than ``width``: columns where the arms have room side by
    side, else one line per arm below each experiment."""
    lines: list[Parts] = [*_wrapped(answer.title, width, "strong")]
    for warning in answer.warnings:
        lines += _wrapped(f"! {warning}", width, "warn", indent="  ")
    for told in answer.result:
        lines += _wrapped(told, width, "strong", indent="  ")
    for parts in ((*answer.summary, f"measured on {answer.where}"), answer.ran):
        lines += _wrapped(" · ".join(parts), width, "soft")
    lines.append(())
    for shape in (_wide, _tall):
        if (columns := _columns(answer, shape, width)) is not None:
            lines += columns
            break
    else:
        lines += _listed(answer, width)
    if answer.key:
        lines += [(), *_wrapped(answer.key, width, "soft")]
    for line in answer.legend:
        lines += _wrapped(line, width, "soft", indent="  ")
    return lines


def lessening_lines(report: Report, width: int) -> list[Parts]:
    """The gravest of what weakens the answer, each with a hanging indent, and how many more there are."""
    lines: list[Parts] = [(Part("What weakens the answer", "strong"),)]
    # One of each kind: the same of another arm or trial stands in the page.
    every = report.lessens
    shown = list({(c.kind, c.where): c for c in reversed(every)}.values())[::-1][:MOST_LESSENS]
    for caveat in shown:
        where = f" ({caveat.where})" if caveat.where else ""
        lines += _wrapped(f"• {caveat.kind}{where}: {_first_sentence(caveat.message)}", width, indent="  ")
    if (more := len(every) - len(shown)) > 0:
        lines.append((Part(f"• and {more} more: see the page", "soft"),))
    return lines


def _first_sentence(text: str) -> str:
    """What is told; the page goes on with the numbers."""
    first, _, _ = re.sub(r"(?<=[\w)%])\. (?=[A-Z])", ".\n", text).partition("\n")
    return first


def _wrapped(text: str, width: int, look: str = "", indent: str = "") -> list[Parts]:
    shown = textwrap.wrap(text, width, subsequent_indent=indent, break_on_hyphens=False)
    return [(Part(line, look),) for line in shown]


# --------------------------------------------------------------------------- columns

Shape = Callable[[Cell], list[Parts]]


def _wide(cell: Cell) -> list[Parts]:
    if cell.ratio is None:
        return _empty(cell, 16)
    first = [Part(f"× {cell.ratio_text}", "strong")]
    if cell.interval_text:
        first.append(Part(f" {cell.interval_text}", "soft"))
    return [tuple(first), *_verdict(cell)]


def _tall(cell: Cell) -> list[Parts]:
    if cell.ratio is None:
        return _empty(cell, 10)
    interval = [(Part(cell.interval_text, "soft"),)] if cell.interval_text else []
    return [(Part(f"× {cell.ratio_text}", "strong"),), *interval, *_verdict(cell)]


def _verdict(cell: Cell) -> list[Parts]:
    told: list[Parts] = [(Part(f"{cell.value_text} ", "soft"), Part(f"{cell.sign} {cell.word}", cell.tone))]
    return [*told, (Part(f"{cell.n_failed} failed", "warn"),)] if cell.n_failed else told


def _empty(cell: Cell, width: int) -> list[Parts]:
    return _wrapped(f"– {cell.reason}", width, "soft")


def _baseline(line: Line) -> list[Parts]:
    if line.reason:
        return _wrapped(f"– {line.reason}", 10, "soft")
    failed: list[Parts] = [(Part(f"{line.n_failed} failed", "warn"),)] if line.n_failed else []
    return [(Part(line.baseline_text),), *failed]


def _columns(answer: Answer, shape: Shape, width: int) -> list[Parts] | None:
    """The table in columns; None where they do not fit."""
    rows = [[_baseline(line), *map(shape, line.cells)] for line in answer.lines]
    heads = [answer.baseline, *answer.arms]
    widths = [max([len(head), *(_long(p) for row in rows for p in row[i])]) for i, head in enumerate(heads)]
    label = min(width - sum(widths) - 2 * len(widths), 44)
    if label < _LABEL:
        return None
    blank: Parts = ()
    lines: list[Parts] = [_joined([blank, *((Part(head, "strong"),) for head in heads)], [label, *widths])]
    lines.append((Part("─" * (label + sum(widths) + 2 * len(widths)), "soft"),))
    for line, row in zip(answer.lines, rows, strict=True):
        told = [*_wrapped(line.label, label, "strong"), *_wrapped(line.direction, label, "soft")]
        for i in range(max(map(len, (told, *row)))):
            parts = [cell[i] if i < len(cell) else blank for cell in (told, *row)]
            lines.append(_joined(parts, [label, *widths]))
    return lines


def _long(parts: Parts) -> int:
    return sum(len(part.text) for part in parts)


def _joined(cells: Sequence[Parts], widths: Sequence[int]) -> Parts:
    """Cells side by side: the first stands left, the others right."""
    first, *others = cells
    found = [*first, Part(" " * (widths[0] - _long(first)))]
    for cell, width in zip(others, widths[1:], strict=True):
        found += [Part(" " * (2 + width - _long(cell))), *cell]
    return tuple(found)


# --------------------------------------------------------------------------- one line per arm


def _listed(answer: Answer, width: int) -> list[Parts]:
    arms = max(map(len, answer.arms), default=0)
    numbers = max((len(cell.ratio_text) for _, cell in answer.cells), default=0)
    intervals = max((len(cell.interval_text) for _, cell in answer.cells), default=0)
    values = max((len(cell.value_text) for _, cell in answer.cells), default=0)
    lines: list[Parts] = []
    for line in answer.lines:
        baseline = f"{answer.baseline} {line.baseline_text}" if not line.reason else f"{answer.baseline}: {line.reason}"
        if line.n_failed and not line.reason:
            baseline += f", {line.n_failed} failed"
        about = f"{line.label} ({line.direction}): {baseline}" if line.direction else f"{line.label}: {baseline}"
        lines += _wrapped(about, width, "strong", indent="  ")
        for cell in line.cells:
            lines += _arm(cell, arms, numbers, intervals, values, width)
    return lines


def _arm(cell: Cell, arms: int, numbers: int, intervals: int, values: int, width: int) -> Iterable[Parts]:
    if cell.ratio is None:
        return _wrapped(f"  {cell.title:{arms}}  – {cell.reason}", width, "soft", indent=" " * (arms + 4))
    told = (
        Part(f"× {cell.ratio_text:>{numbers}}", "strong"),
        Part(f"  {cell.interval_text:>{intervals}}", "soft"),
        Part(f"  {cell.value_text:>{values}}", "soft"),
        Part(f"  {cell.sign} {cell.word}", cell.tone),
        Part(f"  {cell.n_failed} failed" if cell.n_failed else "", "warn"),
    )
    line = (Part(f"  {cell.title:{arms}}  "), *told)
    if _long(line) <= width:
        return [line]
    return [*_wrapped(f"  {cell.title}", width, indent="    "), (Part("    "), *told)]

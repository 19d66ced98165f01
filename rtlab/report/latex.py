"""The answer and tables I-V for a paper: one ``table`` each, with booktabs, notes below. ``\\input`` it."""

from __future__ import annotations

import re

from rtlab.report.answer import Answer, Cell, Line
from rtlab.report.model import Report
from rtlab.report.tables import Table, row_name
from rtlab.text import clean

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{c: "\\" + c for c in "&%$#_{}"},
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "–": "--",
    "−": "$-$",
    "×": r"$\times$",
    "±": r"$\pm$",
    "“": "``",
    "”": "''",
    "’": "'",
    "…": r"\dots{}",
    "✗": "",
    "✓": "",
    "\u202f": "\\,",
    "\u00a0": "~",
}


def text(value: str) -> str:
    """Any text as LaTeX text: nothing in it is a command. What its common encodings lack becomes a question mark."""
    escaped = "".join(_SPECIAL.get(c, c) for c in clean(value))
    return re.sub(r"[^\x20-\x7e\u00a1-\u017f]", "?", escaped)


def document(report: Report) -> str:
    """The answer and all tables of a campaign; the captions say where it was measured, and whether figures mean
    anything."""
    where, meaning = report.where, report.meaning
    measured = f"Measured on {where}." + (" No figure of it means anything." if report.meaningless else "")
    head = [
        "% Needs \\usepackage{booktabs} and, before TeX Live 2018, \\usepackage[utf8]{inputenc}.",
        f"% Campaign {text(report.name)}: {text(where)}. {text(meaning)}",
    ]
    measured_tables = (line for table in report.tables if table.rows for line in _table(table, measured))
    return "\n".join([*head, *_answer(report.answer, measured), *measured_tables]) + "\n"


def _answer(answer: Answer, measured: str) -> list[str]:
    caption = f"{answer.title}: {'; '.join((*answer.summary, *answer.ran))}. {measured}"
    lines = [
        *_opening(caption, "answer", "l" + "r" * (1 + len(answer.arms))),
        " & ".join(["", text(answer.baseline), *map(text, answer.arms)]) + r" \\",
        r"\midrule",
    ]
    for line in answer.lines:
        cells = (_label(line), text(line.reason or line.baseline_text), *map(_cell, line.cells))
        lines.append(" & ".join(cells) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    notes = [
        *answer.warnings,
        *([answer.key] * bool(answer.key)),
        *([f"{'; '.join(answer.legend)}."] * bool(answer.legend)),
    ]
    return [*lines, *(rf"\par\smallskip\footnotesize {text(note)}" for note in notes), r"\end{table}"]


def _label(line: Line) -> str:
    return text(f"{line.label} ({line.direction})" if line.direction else line.label)


def _cell(cell: Cell) -> str:
    if cell.ratio is None:
        return text(f"– {cell.reason}")
    interval = f" ({cell.interval_text})" if cell.interval_text else ""
    failed = f", {cell.n_failed} failed" if cell.n_failed else ""
    return text(f"× {cell.ratio_text}{interval} {cell.value_text} {cell.word}{failed}")


def _opening(caption: str, label: str, columns: str) -> list[str]:
    return [
        "",
        r"\begin{table}",
        rf"\caption{{{text(caption)}}}",
        rf"\label{{tab:rtlab-{label}}}",
        r"\centering\footnotesize",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
    ]


def _table(table: Table, measured: str) -> list[str]:
    key = f" {table.key}." if table.key else ""
    lines = [
        *_opening(f"{table.heading}. {measured}{key}", table.number, "l" + "r" * len(table.columns)),
        " & ".join(["", *map(text, table.heads())]) + r" \\",
        r"\midrule",
    ]
    ours = True
    for row in table.rows:
        if row.of_the_paper and ours:
            lines.append(r"\midrule")
            ours = False
        lines.append(" & ".join(map(text, (row_name(row), *table.joined(row)))) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par\smallskip\footnotesize {text(note)}" for note in table.notes]
    return [*lines, r"\end{table}"]

"""Tables I-V for a paper: one ``table`` each, with booktabs, notes below. ``\\input`` it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rtlab.report.tables import Table
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
    "\u202f": "\\,",
    "\u00a0": "~",
}


def text(value: str) -> str:
    """Any text as LaTeX text: nothing in it is a command. What its common encodings lack becomes a question mark."""
    escaped = "".join(_SPECIAL.get(c, c) for c in clean(value))
    return re.sub(r"[^\x20-\x7e\u00a1-\u017f]", "?", escaped)


def document(tables: Sequence[Table], name: str, where: str, meaning: str, meaningless: bool) -> str:
    """All tables of a campaign; the captions say where it was measured, and whether figures mean anything."""
    measured = f"Measured on {where}." + (" No figure of it means anything." if meaningless else "")
    head = [
        "% Needs \\usepackage{booktabs} and, before TeX Live 2018, \\usepackage[utf8]{inputenc}.",
        f"% Campaign {text(name)}: {text(where)}. {text(meaning)}",
    ]
    return "\n".join([*head, *(line for table in tables for line in _table(table, measured))]) + "\n"


def _table(table: Table, measured: str) -> list[str]:
    heads = ["", "", *map(text, table.heads())]
    lines = [
        "",
        r"\begin{table}",
        rf"\caption{{{text(f'{table.heading}. {measured}')}}}",
        rf"\label{{tab:rtlab-{table.number}}}",
        r"\centering\footnotesize",
        rf"\begin{{tabular}}{{ll{'r' * len(table.columns)}}}",
        r"\toprule",
        " & ".join(heads) + r" \\",
    ]
    runtime = ""
    for row in table.rows:
        if row.runtime != runtime:
            lines.append(r"\midrule")
            runtime = row.runtime
        lines.append(" & ".join(map(text, (row.runtime, row.statistic, *table.shown(row)))) + r" \\")
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par\smallskip\footnotesize {text(note)}" for note in table.notes]
    return [*lines, r"\end{table}"]

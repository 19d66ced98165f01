"""The report as GitHub's Markdown: the answer first."""

from __future__ import annotations

from rtlab.report import tables
from rtlab.report.answer import Answer, Cell, Line
from rtlab.report.model import Report
from rtlab.report.tables import markdown_text as text


def document(report: Report) -> str:
    """The answer, what weakens it, the same in words, and tables I-V."""
    answer = report.answer
    lines = [
        *table(answer),
        "## What weakens the answer",
        "",
        *(f"- **{text(c.kind)}**{f' ({text(c.where)})' if c.where else ''}: {text(c.message)}" for c in report.lessens),
        "",
        "## In words",
        "",
        *(f"- **{text(line.experiment)}** {cell.sign} {text(cell.sentence)}" for line, cell in answer.cells),
        *([] if answer.cells else ["- No two arms were compared."]),
        *(f"- {text(line)}" for line in report.beside()),
        "",
        "## How it was measured",
        "",
        f"- {text(report.design())}",
        *(f"- {text(machine)}: {text(what)}: {text(version)}" for machine, what, version in report.versions),
        "",
    ]
    return "\n".join(lines) + "\n" + tables.markdown(report.tables)


def table(answer: Answer, level: int = 1) -> list[str]:
    """The answer alone, as lines: title, warnings, table, legend; ``level`` is of its heading."""
    heads = ["", text(answer.baseline), *map(text, answer.arms)]
    about = (answer.campaign, f"measured on {answer.where}", *answer.summary)
    lines = [
        f"{'#' * level} {text(answer.title)}",
        "",
        *(f"> **{text(warning)}**\n>" for warning in answer.warnings),
        f"> {' · '.join(map(text, about))}",
        *([f">\n> {' · '.join(map(text, answer.ran))}"] if answer.ran else []),
        "",
        *(f"- {text(told)}" for told in answer.result),
        *([""] * bool(answer.result)),
        f"| {' | '.join(heads)} |",
        "|---|" + "---:|" * (len(heads) - 1),
        *(f"| {' | '.join((_label(line), _baseline(line), *map(_cell, line.cells)))} |" for line in answer.lines),
        "",
    ]
    if answer.legend:
        lines += [" ".join(filter(None, (text(answer.key), f"{text('; '.join(answer.legend))}."))), ""]
    return lines


def _label(line: Line) -> str:
    return f"**{text(line.label)}**" + (f" ({text(line.direction)})" if line.direction else "")


def _baseline(line: Line) -> str:
    return text(line.reason or line.baseline_text) + _failed(line.n_failed)


def _cell(cell: Cell) -> str:
    if cell.ratio is None:
        return f"– {text(cell.reason)}"
    interval = f" ({text(cell.interval_text)})" if cell.interval_text else ""
    verdict = f"{cell.sign} {text(cell.word)}{_failed(cell.n_failed)}"
    return f"**× {text(cell.ratio_text)}**{interval} {text(cell.value_text)} {verdict}"


def _failed(n: int) -> str:
    return f", {n} failed" if n else ""

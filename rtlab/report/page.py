"""The report's page: one self-contained HTML file without script. Every text from a campaign is escaped and cleaned."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from rtlab.report.metrics import HEADS, metric_tables
from rtlab.text import clean

# More trials than these are shown as a sample: a page of 100 000 rows opens in no browser.
MOST_TRIALS = 2000
# Characters of one document (spec, facts, details) and of one text in a cell.
MOST_TEXT = 60_000
MOST_CELL = 400


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("rtlab.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_cleaned,
    )
    environment.filters["path"] = lambda text: quote(clean(text), safe="/.-_")
    environment.filters["tojson_plain"] = _as_json
    environment.filters["short"] = _short
    return environment.get_template("report.html.j2")


def _short(value: Any, most: int = MOST_CELL) -> str:
    text = clean(value if isinstance(value, str) else _as_json(value))
    return text if len(text) <= most else text[: most - 1] + "…"


def _as_json(value: Any) -> str:
    """A value as JSON text, cut at MOST_TEXT: a stranger's document must not swell the page."""
    parts: list[str] = []
    length = 0
    try:
        for part in json.JSONEncoder(indent=2, sort_keys=True, ensure_ascii=False).iterencode(value):
            parts.append(part[:MOST_TEXT])
            length += len(parts[-1])
            if length > MOST_TEXT:
                return "".join(parts)[:MOST_TEXT] + "\n… cut here: the whole stands in the campaign's folder."
    except (RecursionError, TypeError, ValueError):
        return "(not to be shown: nested too deeply, or numbers beyond all measure)"
    return "".join(parts)


def _cleaned(value: Any) -> Any:
    """Applied to every expression of the template, before escaping. A number and its % stay on one line."""
    return clean(value, keep_lines=True).replace(" %", "\u00a0%") if type(value) is str else value


def render(
    report: Any, figures: Sequence[Any], published: Sequence[Sequence[str]], others: Sequence[Sequence[str]] = ()
) -> str:
    """The page of a ``rtlab.report.Report``.

    Args:
        figures: ``rtlab.report.figures.Figure``; their SVG texts are rtlab's own, the only markup that is not escaped.
        published: Rows of what others published of the same measures.
        others: Rows of what they published of other measures.
    """
    attempts = report.attempts
    shown = [attempts[i] for i in sample_places(len(attempts), MOST_TRIALS)]
    return _template().render(
        report=report,
        answer=report.answer,
        figures=[(f, Markup(f.svg), Markup(f.narrow) if f.narrow is not None else None) for f in figures],
        published=published,
        others=others,
        metrics=metric_tables(report),
        metric_heads=HEADS,
        shown=shown,
    )


def sample_places(n: int, most: int) -> Sequence[int]:
    """Which of ``n`` to show when at most ``most`` are: evenly spaced, the first and the last among them."""
    if n <= most:
        return range(n)
    return [round(i * (n - 1) / (most - 1)) for i in range(most)]

"""The report's page: one self-contained HTML file without script. Every text from a campaign is escaped and cleaned."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from rtlab.text import clean
from rtlab.units import format_number, from_base


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("rtlab", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_cleaned,
    )
    environment.filters["number"] = format_number
    environment.filters["path"] = lambda text: quote(clean(text), safe="/.-_")
    environment.filters["tojson_plain"] = _as_json
    return environment.get_template("report.html.j2")


def _as_json(value: Any) -> str:
    try:
        return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False)
    except RecursionError:
        return "(nested too deeply to show)"


def _cleaned(value: Any) -> Any:
    """Applied to every expression of the template, before escaping."""
    return clean(value, keep_lines=True) if type(value) is str else value


def render(report: object, drawings: Mapping[str, str]) -> str:
    """The page of a ``rtlab.report.Report``.

    Args:
        drawings: rtlab's own SVG texts (see ``rtlab.plots``), the only markup that is not escaped.
    """
    from_campaign = {name: Markup(svg) for name, svg in drawings.items()}
    return _template().render(report=report, drawings=from_campaign, from_base=from_base)

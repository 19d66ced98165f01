"""What strangers may put into a command line or a campaign's folder, and how one sees that it came through.

Every payload carries a mark; a hit is the mark in a place where it acts (a link, a script, a formula, an escape
sequence), or the content of a file that lies outside the campaign."""

from __future__ import annotations

import csv
import html.parser
import io
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Stands in a file outside; never to be seen in anything that is produced.
SECRET = "CANARY-e6b1f0"
PAYLOADS = (
    "\x1b]0;HIT\x07\x1b[2J\x1b[31mHIT",
    "\u202eHIT\u2066\u200b",
    "\x9b31mHIT",
    "<script>HIT()</script><img src=x onerror=HIT()>",
    "\"'><a href=javascript:HIT()>HIT</a>",
    "[HIT](javascript:HIT) ![HIT](http://HIT.example/x) <!-- HIT",
    "http://HIT.example www.HIT.example @HIT",
    "~~~\n```\n# HIT\n- HIT\n| HIT |",
    "=cmd|' /C HIT'!A0",
    "\t=HIT()",
    "+HIT()",
    "\\input{/etc/HIT}\\write18{HIT} $HIT^^5c %HIT",
    "{{ HIT }}{% HIT %}${HIT}$(HIT)`HIT`",
    "../../../../HIT",
    "/etc/HIT",
    "HIT\x00HIT",
    "\ud800HIT",
    "$\\frac{HIT",
    "HIT" * 20_000,
)
VALUES: tuple[Any, ...] = (
    *PAYLOADS,
    "",
    None,
    True,
    -1,
    0,
    10**30,
    10**400,
    2**63,
    1e308,
    float("nan"),
    float("inf"),
    [],
    {},
    [[]],
    {"HIT": "HIT"},
    "yesterday",
    "9999-99-99T99:99:99Z",
    "0001-01-01T00:00:00Z",
)

# A line of Markdown in which the mark is more than text.
MARKDOWN_HIT = re.compile(
    r"(?<!\\)\]\((?:javascript|http)[^)]*HIT|<(?:script|img|a)\b[^>]*HIT|^\s*(?:~~~|```|#+ HIT|\| HIT)"
    r"|(?<!\\):(?<!\\:)//HIT|www(?<!\\)\.HIT|@HIT",
    re.M,
)
UNSAFE_TERMINAL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def deep(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def leaves(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The place of every value in a JSON document, containers too."""
    yield place
    if isinstance(value, dict):
        for key in value:
            yield from leaves(value[key], (*place, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value[:3]):
            yield from leaves(inner, (*place, index))


def planted(document: Any, place: tuple[Any, ...], value: Any) -> Any:
    """The document with another value at a place."""
    if not place:
        return value
    copied = json.loads(json.dumps(document))
    inner = copied
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    return copied


class _Page(html.parser.HTMLParser):
    """Looks for the mark where a browser would act on it."""

    def __init__(self) -> None:
        super().__init__()
        self.hits: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            acts = name.startswith("on") or name in ("src", "style", "srcdoc", "action", "formaction")
            leads = name in ("href", "xlink:href") and re.match(r"\s*(?:javascript|data|https?:|//)", value or "", re.I)
            if "HIT" in (value or "") and (acts or leads):
                self.hits.append(f"<{tag} {name}={value}>"[:200])

    def handle_data(self, data: str) -> None:
        if self.cdata_elem and "HIT()" in data and self.cdata_elem in ("script", "style"):
            self.hits.append(data[:200])


def hits(name: str, content: bytes) -> list[str]:
    """Where something came through in a file of this name (or in what went to the terminal: ``terminal.txt``)."""
    found = ["the content of a file outside"] if SECRET.encode() in content else []
    kind = name.rpartition(".")[2]
    text = content.decode("utf-8", "surrogateescape")
    if kind in ("html", "svg"):
        page = _Page()
        page.feed(text)
        found += page.hits
    elif kind == "md":
        found += [m[0][:200] for m in MARKDOWN_HIT.finditer(text)]
    elif kind == "csv":
        cells = (cell for row in csv.reader(io.StringIO(text, newline="")) for cell in row)
        found += [c[:200] for c in cells if "HIT" in c and c.strip()[:1] in tuple("=+-@")]
    elif kind == "tex":
        found += re.findall(r"\\(?:input|write18)\b.{0,40}HIT", text)
    if kind in ("txt", "md", "csv", "tex", "svg", "html"):
        found += [repr(m[0]) for m in UNSAFE_TERMINAL.finditer(text)][:3]
    return [f"{name}: {hit}" for hit in found]


def produced(folder: Path) -> dict[str, bytes]:
    """Every file that a report wrote."""
    found = {}
    for part in ("derived", "report"):
        for place, _, names in os.walk(folder / part):
            for name in names:
                file = Path(place) / name
                if file.is_file() and not file.is_symlink():
                    found[str(file.relative_to(folder))] = file.read_bytes()
    return found

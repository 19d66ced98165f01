"""Text from strangers (tools, machines, campaign folders) made safe to show: one function per format, used by all."""

from __future__ import annotations

import codecs
import re

# C0 and C1 controls, escape sequences' lead-in, bidirectional overrides, zero-width and separator characters, and
# halves of characters (what a name that is no UTF-8 has in it).
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_SEQUENCE = re.compile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]*(?:\x07|\x1b\\\\)?|[@-_])")

# What Markdown, of CommonMark or GitHub, gives a meaning anywhere in a line.
_MARKDOWN = re.compile(r"[\\`*_\[\]|#!~]")
# What makes a list, a number of one, or the line above a heading of the line that it begins.
_MARKDOWN_LINE = re.compile(r"^(?:([-+=])(?=\s|\1*\s*$)|(\d{1,9})(?=[.)](?:\s|$)))")
# What GitHub makes a link of without any markup: addresses.
_ADDRESS = re.compile(r":(?=//)|\.(?<=www\.)", re.I)

# What rtlab's own sentences hold, where a terminal or a file knows ASCII only.
_PLAIN = {
    "±": "+-",
    "×": "x",
    "÷": "/",
    "−": "-",
    "–": "-",
    "—": "-",
    "→": "->",
    "•": "*",
    "…": "...",
    "µ": "u",
    "μ": "u",
    "≥": ">=",
    "≤": "<=",
    "“": '"',
    "”": '"',
    "’": "'",
    "\u202f": " ",
    "\u00a0": " ",
}


def clean(text: str, *, keep_lines: bool = False) -> str:
    """``text`` without escape sequences and control characters; line ends become spaces unless kept."""
    text = _SEQUENCE.sub("", text)
    if not keep_lines:
        text = text.replace("\n", " ")
    return _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text)


def counted(number: int, noun: str) -> str:
    """``1 file``, ``2 files``, ``0 files``: for nouns that take an s."""
    return f"{number} {noun}{'s' * (number != 1)}"


def markdown(text: str) -> str:
    """Text that Markdown (CommonMark and GitHub's) shows as it is: no markup, no link, no mention, no HTML comes of it,
    wherever in a line or a table it stands."""
    escaped = clean(text).strip().replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    escaped = _ADDRESS.sub(r"\\\g<0>", _MARKDOWN.sub(r"\\\g<0>", escaped))
    # GitHub looks for people after it has taken the backslashes away: a comment, which shows nothing, parts the name.
    escaped = escaped.replace("@", "@<!-- -->")
    return _MARKDOWN_LINE.sub(lambda found: f"\\{found[1]}" if found[1] else f"{found[2]}\\", escaped)


def csv_cell(text: str) -> str:
    """Text that no spreadsheet takes for a formula, however many blanks it begins with."""
    text = clean(text)
    return "'" + text if text.lstrip("\t\r\n \u00a0\u3000'\"")[:1] in tuple("=+-@＝＋－＠") else text


def json_line(document: str) -> str:
    """A JSON document in which what is unsafe to show stands escaped, as JSON itself allows in texts."""
    return _UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", document)


def _for_ascii(error: UnicodeError) -> tuple[str, int]:
    """An error handler of ``str.encode``: a stream that cannot take a character gets one like it."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    taken = error.object[error.start : error.end]
    return "".join(_PLAIN.get(c) or c.encode("ascii", "backslashreplace").decode() for c in taken), error.end


# The name of the error handler for streams.
LEGIBLE = "rtlab-legible"
codecs.register_error(LEGIBLE, _for_ascii)

"""Text from strangers (tools, machines, campaign folders) made safe to show."""

from __future__ import annotations

import re

# C0 and C1 controls, escape sequences' lead-in, bidirectional overrides, zero-width and separator characters.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
_SEQUENCE = re.compile("\x1b(?:\\[[0-?]*[ -/]*[@-~]|\\][^\x07\x1b]*(?:\x07|\x1b\\\\)?|[@-_])")


def clean(text: str, *, keep_lines: bool = False) -> str:
    """``text`` without escape sequences and control characters; line ends become spaces unless kept."""
    text = _SEQUENCE.sub("", text)
    if not keep_lines:
        text = text.replace("\n", " ")
    return _UNSAFE.sub("\N{REPLACEMENT CHARACTER}", text)

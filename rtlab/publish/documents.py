"""How what leaves is written: texts and JSON in one form, whoever packs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rtlab import atomic


def write_text(file: Path, text: str) -> None:
    """Raises StoreError when it cannot be written."""
    try:
        file.write_bytes(text.encode())
    except OSError as error:
        raise atomic.cannot_write(file, error) from error


def as_json(value: Any) -> str:
    """A document of its own."""
    return json.dumps(value, indent=2, sort_keys=True, allow_nan=False, ensure_ascii=False) + "\n"


def as_line(value: Any) -> str:
    """One line of a file of lines."""
    return json.dumps(value, sort_keys=True, allow_nan=False) + "\n"

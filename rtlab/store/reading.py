"""The hostile reader: files of a campaign are data from strangers. No links, no other kinds, no endless sizes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from rtlab import arrival
from rtlab.errors import StoreError
from rtlab.files import read
from rtlab.model import Json

# As much of an output as rtlab keeps (shell.OUTPUT_CAP_BYTES).
MAX_FILE_BYTES = 64 * 1024 * 1024
MAX_RECORD_BYTES = 1024 * 1024
# What is parsed as JSON takes up to thirty times its size in memory. The probe's longest document, of 100 000 requests,
# has 2 MB.
MAX_JSON_BYTES = 16 * 1024 * 1024
MAX_PLAN_BYTES = 64 * 1024 * 1024

T = TypeVar("T")


def read_file(path: Path) -> bytes:
    """A regular file's content, as everything of a campaign is read: no links, no other kinds, no endless sizes."""
    return read(path, MAX_FILE_BYTES)


def read_json(path: Path) -> Any:
    """The same, parsed (StoreError when it is no JSON)."""
    return load_json(path)


def parsed(text: bytes) -> Any:
    """The JSON value of a text, within the limits of ``rtlab.arrival``, and with texts that UTF-8 can hold.

    Raises:
        ValueError: it is none, or beyond the limits.
    """
    try:
        # Looking at each value costs four times what reading it does.
        if _shallow(text) and not _odd(text):
            return json.loads(text)
        return arrival.writable(arrival.parse(text))
    except RecursionError:
        raise arrival.Refused("it is nested too deeply") from None


# What makes a second look necessary: numbers that JSON does not know or no float can hold, halves of characters.
# Apart, each with a beginning that re looks for by itself: as one pattern they take ten times as long.
_ODD = tuple(
    map(
        re.compile,
        (rb"NaN", rb"Infinity", rb"[0-9](?:[eE]\+?[0-9]{3,}\s*[,}\]]|[0-9]{39})", rb"\\u[dD][89a-fA-F]"),
    )
)


def _odd(text: bytes) -> bool:
    return any(odd.search(text) for odd in _ODD)


_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def _shallow(text: bytes) -> bool:
    """Whether a text is surely nested no deeper than arrivals may be; brackets in texts count, which does no harm."""
    nested = text.translate(None, _NOT_BRACKETS)
    for _ in range(arrival.MOST_LEVELS):
        nested = nested.replace(b"[]", b"").replace(b"{}", b"")
        if not nested:
            return True
    return False


def json_lines(path: Path) -> tuple[Mapping[str, Json], ...]:
    """The objects of a file of JSON lines, in order; lines that are none (power loss) are passed over. A file that is
    not there has none."""
    if not path.exists():
        return ()
    found = []
    for line in read(path, MAX_RECORD_BYTES).splitlines():
        try:
            value = parsed(line)
        except ValueError:
            continue
        if isinstance(value, dict):
            found.append(value)
    return tuple(found)


def load_json(path: Path) -> Any:
    content = read(path, MAX_JSON_BYTES)
    try:
        return parsed(content)
    except ValueError as error:
        raise StoreError(f"{path} is damaged: {str(error)[:200]}.") from error


def validated(adapter: TypeAdapter[T], value: Any, path: Path | str) -> T:
    try:
        if isinstance(value, bytes) and not _odd(value):
            return adapter.validate_json(value)
        return adapter.validate_python(parsed(value) if isinstance(value, bytes) else value)
    except ValidationError as error:
        raise StoreError(f"{path} is damaged: {first_problem(error)}.") from error
    except ValueError as error:
        raise StoreError(f"{path} is damaged: {str(error)[:200]}.") from error


def first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(p)[:60] for p in problem["loc"]) or "content"
    return f"{place}: {problem['msg']}"

"""The hostile reader: files of a campaign are data from strangers. No links, no other kinds, no endless sizes."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from rtlab.errors import StoreError
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


def read(path: Path | str, cap: int) -> bytes:
    """A regular file's content; links, other kinds and files above the cap are refused, the last before reading."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise StoreError(f"{path} is missing.") from None
    except OSError as error:
        raise StoreError(f"Cannot read {path}: {error.strerror}.") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise StoreError(f"{path} is not a regular file.")
        content = _all(descriptor, status.st_size) if 0 < status.st_size <= cap else b""
    except OSError as error:
        raise StoreError(f"Cannot read {path}: {error.strerror}.") from error
    finally:
        os.close(descriptor)
    if max(status.st_size, len(content)) > cap:
        raise StoreError(f"{path} is larger than {cap} bytes.")
    return content


def _all(descriptor: int, size: int) -> bytes:
    """An open file of ``size`` bytes; one byte more where it has grown."""
    content = os.read(descriptor, size + 1)
    while len(content) < size and (part := os.read(descriptor, size + 1 - len(content))):
        content += part
    return content


def json_lines(path: Path) -> tuple[Mapping[str, Json], ...]:
    """The objects of a file of JSON lines, in order; lines that are none (power loss) are passed over. A file that is
    not there has none."""
    if not path.exists():
        return ()
    found = []
    for line in read(path, MAX_RECORD_BYTES).splitlines():
        try:
            value = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            found.append(value)
    return tuple(found)


def load_json(path: Path) -> Any:
    try:
        return json.loads(read(path, MAX_JSON_BYTES))
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path} is damaged: {error}.") from error


def validated(adapter: TypeAdapter[T], value: Any, path: Path | str) -> T:
    try:
        return adapter.validate_json(value) if isinstance(value, bytes) else adapter.validate_python(value)
    except ValidationError as error:
        raise StoreError(f"{path} is damaged: {first_problem(error)}.") from error


def first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(p) for p in problem["loc"]) or "content"
    return f"{place}: {problem['msg']}"

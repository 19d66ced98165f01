"""What a machine says, measured before it is believed: size, nesting, numbers and texts that JSON files can hold. Pure.

What is stored must stay readable for ever: limits belong to the arrival, not only to the reading.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

# The probe's deepest document has 12 levels, its longest 2 MB.
MOST_LEVELS = 40
MOST_BYTES = 16 * 1024 * 1024
# A reason is a sentence, perhaps with a tool's last lines.
MOST_REASON = 20_000
# No counter of any machine comes near; what is larger, arithmetic cannot take as a float.
MOST_NUMBER = 1 << 256


class Refused(ValueError):
    """The answer is not taken; the message says why, for a record."""


def parse(text: bytes, most_bytes: int = MOST_BYTES) -> Any:
    """The JSON value of an answer.

    Raises:
        Refused: it is none, too large, nested too deeply, or holds a number that JSON does not know.
    """
    if len(text) > most_bytes:
        raise Refused(f"the answer has {len(text)} bytes, more than {most_bytes}")
    try:
        value = json.loads(text, parse_constant=_no_number)
    except RecursionError:
        raise Refused(f"the answer is nested more than {MOST_LEVELS} levels deep") from None
    except Refused:
        raise
    except ValueError as error:
        raise Refused(f"the answer is no JSON: {str(error)[:200]}") from None
    _check(value)
    return value


def writable(value: Any) -> Any:
    """The value with texts that UTF-8 can hold: lone surrogates become question marks, in keys too."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {writable(str(key)): writable(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [writable(inner) for inner in value]
    return value


def short(text: str) -> str:
    """A reason as it is kept: the beginning of one that is too long."""
    return text if len(text) <= MOST_REASON else f"{text[:MOST_REASON]} … ({len(text)} characters)"


def _no_number(text: str) -> Any:
    raise Refused(f"the answer holds {text}, which is no number")


def _check(value: Any) -> None:
    """Without recursion: the nesting is what is looked for."""
    level = [value]
    for _ in range(MOST_LEVELS):
        deeper: list[Any] = []
        for one in level:
            if isinstance(one, float) and not math.isfinite(one):
                raise Refused("the answer holds a number beyond all bounds")
            if isinstance(one, int) and abs(one) > MOST_NUMBER:
                raise Refused("the answer holds a number beyond all bounds")
            if isinstance(one, dict):
                deeper.extend(one.values())
            elif isinstance(one, list):
                deeper.extend(one)
        if not deeper:
            return
        level = deeper
    raise Refused(f"the answer is nested more than {MOST_LEVELS} levels deep")

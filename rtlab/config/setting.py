"""How one setting is declared, checked and described."""

from __future__ import annotations

import json
from collections.abc import Iterable
from collections.abc import Mapping as AbstractMapping
from dataclasses import field
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from annotated_types import Interval


def setting(default: Any, about: str) -> Any:
    """A dataclass field that carries its one line for the template and the docs."""
    return field(default=default, metadata={"about": about})


def hints(kind: type[Any]) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def check(kind: type[Any], key: str, value: Any) -> Any:
    """The value as its field's type; ValueError (pydantic's) when it is not one.

    Strict, so that "15" is no number and 1 no boolean; TOML's arrays become tuples first.
    """
    from pydantic import TypeAdapter

    value = tuple(value) if isinstance(value, list) else value
    return TypeAdapter(hints(kind)[key]).validate_python(value, strict=True)


def describe(kind: type[Any], key: str) -> str:
    """What a key may be, in words: ``one of "auto", "kvm", "tcg"``, ``a whole number from 1 to 32``."""
    return _describe(hints(kind)[key])


def _describe(hint: Any) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return "one of " + ", ".join(json.dumps(a) for a in arguments)
    if origin is Annotated:
        interval = next(a for a in arguments if isinstance(a, Interval))
        return f"{_describe(arguments[0])} {_range(interval)}"
    if origin is AbstractMapping:
        return "sections with texts, numbers and booleans"
    if origin is tuple:
        return 'a list of names: ["runc", "kata"]'
    if type(None) in arguments:
        return _describe(next(a for a in arguments if a is not type(None)))
    return {int: "a whole number", float: "a number", bool: "true or false", str: "a text in quotes"}[hint]


def _range(interval: Interval) -> str:
    low = f"from {interval.ge}" if interval.ge is not None else f"above {interval.gt}"
    if interval.le is not None:
        return f"{low} to {interval.le}"
    return f"{low} and below {interval.lt}"


def show(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):  # dates and times
        text = str(value)
    except RecursionError:
        return "something nested too deeply"
    return text if len(text) <= 80 else text[:77] + "..."


def listed(names: Iterable[str]) -> str:
    return ", ".join(names)

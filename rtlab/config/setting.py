"""How one setting is declared, checked, described and tabled: the sections of ``rtlab.toml`` and of experiments alike.

A setting is a field of a frozen dataclass. Its type, its limits, its default in either design and its meaning stand in
that one line; what is refused, what the template and the documents say comes from there.
"""

from __future__ import annotations

import dataclasses
import json
import math
import re
from collections.abc import Iterable
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Bounds of a number, or of each number in a list; None where there is none.

    Attributes:
        low, high: These are allowed themselves.
        above, below: These are not.
    """

    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None

    def allow(self, number: float) -> bool:
        # Unlike isfinite, for whole numbers of any length.
        return abs(number) < math.inf and (
            (self.low is None or number >= self.low)
            and (self.high is None or number <= self.high)
            and (self.above is None or number > self.above)
            and (self.below is None or number < self.below)
        )

    def words(self) -> str:
        """``from 1 to 32``, ``above 0 and below 100``, ``of at least 0``; empty where nothing bounds it."""
        if self.low is not None and self.high is None and self.below is None:
            return f"of at least {self.low}"
        low = "" if self.low is None else f"from {self.low}"
        low = low if self.above is None else f"above {self.above}"
        high = "" if self.high is None else f"to {self.high}"
        high = high if self.below is None else f"and below {self.below}"
        return f"{low} {high}".strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Form:
    """What a text must look like, unless it is empty.

    Attributes:
        pattern: Of all of it, a regular expression.
        words: The same for people: "an https:// address".
    """

    pattern: str
    words: str


SHA256 = Form(pattern="[0-9a-f]{64}", words="64 hexadecimal digits, lower case")
SHA512 = Form(pattern="[0-9a-f]{128}", words="128 hexadecimal digits, lower case")
HTTPS = Form(pattern=r"https://\S+", words="an https:// address")


def setting(
    default: Any,
    about: str,
    *,
    paper: Any = None,
    example: str = "",
    form: Form | None = None,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
) -> Any:
    """A dataclass field that carries all that is to be known of it.

    Args:
        about: One line for the template and the documents.
        paper: Its value in the paper's design, when that differs.
        example: A value in TOML, for the template, where the default is that there is none.
        form: Of a text.
        low, high, above, below: See ``Limits``.
    """
    limits = Limits(low=low, high=high, above=above, below=below)
    return _field(default, {"about": about, "paper": paper, "example": example, "limits": limits, "form": form})


def again(kind: type[Any], key: str, default: Any, *, paper: Any = None) -> Any:
    """A setting of ``kind`` with other defaults."""
    return _field(default, {**_fields(kind)[key].metadata, "paper": paper})


def same(kind: type[Any], key: str) -> Any:
    """A setting of ``kind`` for another section."""
    item = _fields(kind)[key]
    return _field(_default(item), item.metadata)


def _field(default: Any, metadata: AbstractMapping[str, Any]) -> Any:
    if isinstance(default, AbstractMapping):
        return dataclasses.field(default_factory=lambda: dict(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def hints(kind: type[Any]) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _fields(kind: type[Any]) -> dict[str, dataclasses.Field[Any]]:
    return {item.name: item for item in dataclasses.fields(kind)}


@cache
def _adapter(hint: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(hint)


def check(kind: type[Any], key: str, value: Any) -> Any:
    """The value as its field's type; ValueError when it is not one, or beyond its limits.

    Strict, so that "15" is no number and 1 no boolean; TOML's arrays become tuples first.
    """
    value = tuple(value) if isinstance(value, list) else value
    found = _adapter(hints(kind)[key]).validate_python(value, strict=True)
    limits = _limits(kind, key)
    for number in found if isinstance(found, tuple) else (found,):
        if isinstance(number, int | float) and not isinstance(number, bool) and not limits.allow(number):
            raise ValueError(f"{number} is not {limits.words() or 'finite'}")
    form = _form(kind, key)
    if form and found and not re.fullmatch(form.pattern, found):
        raise ValueError(f"not {form.words}")
    return found


def problem(kind: type[Any], key: str, value: Any) -> str:
    """What is wrong with the value, with its key and what is allowed; empty when nothing is."""
    try:
        check(kind, key, value)
    except ValueError:
        return f"{key} = {show(value)}: must be {describe(kind, key, value)}"
    return ""


def problems(kind: type[Any], values: AbstractMapping[str, Any]) -> tuple[str, ...]:
    """Everything that is wrong with some values, unknown keys first."""
    known = _fields(kind)
    found = [f"{key} is not a parameter; known are {listed(known)}" for key in values if key not in known]
    found += [problem(kind, key, value) for key, value in values.items() if key in known]
    return tuple(one for one in found if one)


def defaults(kind: type[Any], design: str = "default") -> dict[str, Any]:
    """Key -> value in that design, lists as JSON and TOML have them."""
    found = {}
    for key, item in _fields(kind).items():
        paper = item.metadata.get("paper")
        value = paper if design == "paper" and paper is not None else _default(item)
        found[key] = list(value) if isinstance(value, tuple) else value
    return found


def typed(kind: type[T], values: AbstractMapping[str, Any]) -> T:
    """Values that were found right, as an object: what is not given has its default, what is not known is left out."""
    given = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items() if key in _fields(kind)}
    return kind(**given)


def describe(kind: type[Any], key: str, instead_of: Any = "") -> str:
    """What a key may be, in words: ``one of "auto", "kvm", "tcg"``, ``a whole number from 1 to 32``.

    Args:
        instead_of: A wrong value: of what is no text is said that it must be one, whatever its form.
    """
    form = _form(kind, key)
    return (
        form.words if form and isinstance(instead_of, str) else _describe(hints(kind)[key], _limits(kind, key).words())
    )


def _describe(hint: Any, bounds: str) -> str:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return "one of " + ", ".join(json.dumps(a) for a in arguments)
    if origin is AbstractMapping:
        return "sections with texts, numbers and booleans"
    if origin is tuple:
        if arguments[0] is int:
            return f"a list of whole numbers {bounds}".strip()
        return 'a list of names: ["one", "other"]'
    if type(None) in arguments:
        return _describe(next(a for a in arguments if a is not type(None)), bounds)
    kind = {int: "a whole number", float: "a number", bool: "true or false", str: "a text in quotes"}[hint]
    return f"{kind} {bounds}".strip()


def about(kind: type[Any], key: str) -> str:
    """What a key means, one line."""
    return str(_fields(kind)[key].metadata["about"])


def example(kind: type[Any], key: str) -> str:
    """A value of it, in TOML."""
    return str(_fields(kind)[key].metadata["example"])


def _limits(kind: type[Any], key: str) -> Limits:
    found: Limits = _fields(kind)[key].metadata.get("limits", Limits())
    return found


def _form(kind: type[Any], key: str) -> Form | None:
    found: Form | None = _fields(kind)[key].metadata.get("form")
    return found


def digest_keys(kind: type[Any]) -> tuple[str, ...]:
    """The keys whose value is the digest of a file."""
    return tuple(key for key in _fields(kind) if _form(kind, key) in (SHA256, SHA512))


def table(kind: type[Any]) -> str:
    """Its settings as a table in Markdown; a test compares the documents' with it."""
    items = _fields(kind).values()
    apart = any(item.metadata.get("paper") is not None for item in items)
    heads = ["key", "default", *(["paper's design"] if apart else []), "allowed", "meaning"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for item in items:
        default, paper = _default(item), item.metadata.get("paper")
        cells = [f"`{item.name}`", "not set" if default in (None, {}) else f"`{_short(default)}`"]
        cells += ["" if paper is None else f"`{_short(paper)}`"] if apart else []
        lines.append(f"| {' | '.join([*cells, describe(kind, item.name), item.metadata['about']])} |")
    return "\n".join(lines) + "\n"


def _default(item: dataclasses.Field[Any]) -> Any:
    return item.default if item.default_factory is dataclasses.MISSING else item.default_factory()


def _short(value: Any) -> str:
    text = toml(value)
    return text if len(text) <= 30 else f"{text[:13]}…{text[-5:]}"


def toml(value: Any) -> str:
    """A value as TOML; JSON's texts, numbers and booleans are TOML's."""
    if isinstance(value, tuple | list):
        return "[" + ", ".join(toml(v) for v in value) + "]"
    if isinstance(value, AbstractMapping):
        return "{" + ", ".join(f"{json.dumps(k)} = {toml(v)}" for k, v in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)


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

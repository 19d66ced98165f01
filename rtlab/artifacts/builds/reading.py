"""Builds from parsed TOML: every field checked, the first wrong one named. Pure."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any

from rtlab.artifacts.builds.kinds import KINDS, Build
from rtlab.errors import ConfigError

# What becomes a word of a command line or part of a path begins with no dash and leaves no folder.
_NAME = r"[A-Za-z0-9][A-Za-z0-9._+-]*"
_MODULE = r"[a-z0-9][a-z0-9.-]*(/[A-Za-z0-9][A-Za-z0-9._~-]*)*"
_FORMS: Mapping[str, tuple[str, str]] = {
    "module": (_MODULE, "a module's path, such as github.com/opencontainers/runc"),
    "h1": (r"h1:[A-Za-z0-9+/]{43}=", "a hash of the checksum database, h1: and 44 characters"),
    "sha256": (r"[0-9a-f]{64}", "a SHA-256, 64 hexadecimal digits"),
    "go": (r"1\.\d+(\.\d+)?", "a version of Go, such as 1.26.3"),
    "rust": (r"1\.\d+(\.\d+)?", "a version of Rust, such as 1.85"),
    "crate": (r"[A-Za-z0-9][A-Za-z0-9_-]*", "a crate's name"),
    "buildmode": (r"|pie|exe", "pie or exe"),
    "go_mod": (r"|[A-Za-z0-9][A-Za-z0-9_-]*\.mod", "the name of a file in the module, such as vendor.mod"),
    "tags": (r"[A-Za-z0-9_.]+", "a build tag"),
    "features": (r"[A-Za-z0-9_/+-]+", "a feature of the crate"),
    "ldflags": (r"[A-Za-z0-9_./=:+,@-]+", "one word for the linker, without spaces or quotes"),
    "dropped_replaces": (_MODULE, "a module's path"),
    "libraries": (r"lib[A-Za-z0-9_.+-]+", "the file name of a library, such as libseccomp.a"),
    "folders": (rf"{_NAME}(/{_NAME})*", "a folder in the archive"),
    "packages": (r"[a-z0-9][a-z0-9.+-]+", "the name of a Debian package"),
}
# By kind: what a program's entry says.
_PROGRAMS: Mapping[str, tuple[str, str]] = {
    "go-module": (rf"\.|(\./)?{_NAME}(/{_NAME})*", "a package in the module, such as ./cmd/ctr"),
    "crate": (_NAME, "the name of a binary of the crate"),
    "release": (rf"|{_NAME}(/{_NAME})*", "a path in the archive, or nothing for the file itself"),
    "file": (rf"|{_NAME}(/{_NAME})*", "a path in the archive, or nothing for the file itself"),
    "distribution": (_NAME, "a command"),
}
_VERSIONS: Mapping[str, tuple[str, str]] = {
    "go-module": (r"v\d[A-Za-z0-9.+-]*", "a version of the module, such as v1.5.2"),
    "crate": (r"\d+\.\d+\.\d+([+-][A-Za-z0-9.+-]+)?", "a version of the crate, such as 0.7.0"),
}


def builds(tables: Mapping[str, Any], where: str) -> dict[str, Build]:
    """Builds by name, from a table of tables (``[builds.runc]`` …).

    Args:
        where: File and table, for messages.
    """
    return {name: build(name, table, f"{where}.{name}") for name, table in tables.items()}


def build(name: str, table: Any, where: str) -> Build:
    """A build from its table.

    Raises:
        ConfigError: names the key, what it holds and what is allowed.
    """
    if not isinstance(table, Mapping):
        raise ConfigError(f"{where} must be a table, not {table!r:.60}.")
    if not re.fullmatch(_NAME, name):
        raise ConfigError(f"{where}: {name[:60]!r} cannot be the name of a build.", remedy="Use letters, digits, - .")
    kind = table.get("kind")
    if not isinstance(kind, str) or kind not in KINDS:
        raise ConfigError(f"{where}.kind is {kind!r:.60}.", remedy=f"Allowed: {', '.join(KINDS)}.")
    made = KINDS[kind]
    fields = {field.name: field for field in dataclasses.fields(made) if field.name != "name"}
    for key in table:
        if key != "kind" and key not in fields:
            close = difflib.get_close_matches(key, fields, n=1)
            hint = f" Did you mean {close[0]!r}?" if close else ""
            raise ConfigError(
                f"{where}: a {kind} has no key {key[:60]!r}.{hint}", remedy=f"Allowed: {', '.join(('kind', *fields))}."
            )
    values: dict[str, Any] = {"name": name}
    for key, field in fields.items():
        if key in table:
            values[key] = _value(kind, key, str(field.type), table[key], f"{where}.{key}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise ConfigError(f"{where}: {key} is missing.", remedy=_meaning(kind, key))
    if kind == "release" and not re.match(r"(https|file)://", values["url"]):
        raise ConfigError(f"{where}.url is {values['url'][:80]!r}.", remedy="Use https:// (or file://).")
    return made(**values)


def _form(kind: str, key: str) -> tuple[str, str] | None:
    return _VERSIONS.get(kind) if key == "version" else _PROGRAMS[kind] if key == "programs" else _FORMS.get(key)


def _meaning(kind: str, key: str) -> str:
    form = _form(kind, key)
    if form is None:
        return ""
    return f"Give a table: program = {form[1]}." if key == "programs" else f"Give {form[1]}."


def _value(kind: str, key: str, wanted: str, value: Any, where: str) -> Any:
    check, described, taken = _READERS[wanted]
    if not check(value):
        raise ConfigError(f"{where} must be {described}, not {value!r:.60}.", remedy=_meaning(kind, key))
    if wanted == "Mapping[str, str]":
        for program in value:
            if not re.fullmatch(_NAME, program):
                raise ConfigError(f"{where}: {program[:60]!r} cannot be the name of a file.")
        if not value:
            raise ConfigError(f"{where} is empty.", remedy=_meaning(kind, key))
    form = _form(kind, key)
    words = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else [value]
    for word in words:
        if form and not re.fullmatch(form[0], str(word)):
            raise ConfigError(f"{where}: {word!r:.100} is not {form[1]}.")
    return taken(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 86400


# By a field's type: whether a value is one, what to call it, and how it is taken over.
_READERS: Mapping[str, tuple[Callable[[Any], bool], str, Callable[[Any], Any]]] = {
    "str": (lambda value: isinstance(value, str), "text", str),
    "bool": (lambda value: isinstance(value, bool), "true or false", bool),
    "float": (_is_number, "a number of seconds", float),
    "tuple[str, ...]": (
        lambda value: isinstance(value, list) and all(isinstance(word, str) for word in value),
        "a list of texts",
        tuple,
    ),
    "Mapping[str, str]": (
        lambda value: isinstance(value, Mapping) and all(isinstance(word, str) for word in value.values()),
        "a table of texts",
        dict,
    ),
}

"""What ``rtlab init`` writes, and the tables of docs/configuration.md."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from typing import Any

from rtlab import plugins
from rtlab.config.setting import describe
from rtlab.config.settings import SECTIONS

# For the template: a key without a default needs an example.
_EXAMPLES = {"seed": "2020", "until_percent": "5.0", "max_hours": "6.0", "kata": "{ default_memory = 512 }"}


def template() -> str:
    """The text of the ``rtlab.toml`` that ``rtlab init`` writes: every key, commented out, with its default."""
    return "\n".join(_template_lines()) + "\n"


def _template_lines() -> Iterator[str]:
    yield "# Settings of rtlab for this folder. Every key is optional; the values shown are the defaults."
    yield "# Remove the # in front of a key to change it. Options of a command go before this file."
    for name, kind in SECTIONS.items():
        yield ""
        yield f"[{name}]"
        for item in dataclasses.fields(kind):
            yield f"# {item.metadata['about']}"
            allowed = describe(kind, item.name)
            if allowed.startswith(("one of", "a whole number", "a number")):
                yield f"# Allowed: {allowed}."
            if isinstance(_default(item), Mapping):
                example = f"{item.name}.small = {_EXAMPLES[item.name]}"
                yield f"# Not set by default; after all other keys of this section: {example}"
            elif item.default is not None:
                yield f"#{item.name} = {_toml(item.default)}"
            else:
                yield f"# Not set by default: {item.name} = {_EXAMPLES[item.name]}"
            yield ""
    yield "# Parameters of the experiments, as the default design has them (the paper's differ; see the docs)."
    for name in plugins.names("experiments"):
        experiment = plugins.experiment(name)
        yield f"# {experiment.summary}"
        yield f"[experiments.{name}]"
        for key, value in experiment.defaults("default").items():
            yield f"#{key} = {_toml(value)}" if value is not None else f"# Not set by default: {key}"
        yield ""


def _default(item: dataclasses.Field[Any]) -> Any:
    return item.default if item.default_factory is dataclasses.MISSING else item.default_factory()


def reference(section: str) -> str:
    """A section's keys as a Markdown table, for docs/configuration.md."""
    kind = SECTIONS[section]
    lines = ["| key | default | allowed | meaning |", "|---|---|---|---|"]
    for item in dataclasses.fields(kind):
        default = "not set" if _default(item) in (None, {}) else f"`{_toml(_default(item))}`"
        lines.append(f"| `{item.name}` | {default} | {describe(kind, item.name)} | {item.metadata['about']} |")
    return "\n".join(lines) + "\n"


def _toml(value: Any) -> str:
    """A value as TOML; JSON's texts, numbers and booleans are TOML's."""
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(_toml(v) for v in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)

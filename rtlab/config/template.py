"""What ``rtlab init`` writes, and the tables of docs/configuration.md."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from rtlab import plugins
from rtlab.config import setting
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
        values = setting.defaults(kind)
        for item in dataclasses.fields(kind):
            yield f"# {item.metadata['about']}"
            allowed = setting.describe(kind, item.name)
            if allowed.startswith(("one of", "a whole number", "a number")):
                yield f"# Allowed: {allowed}."
            if isinstance(values[item.name], Mapping):
                example = f"{item.name}.small = {_EXAMPLES[item.name]}"
                yield f"# Not set by default; after all other keys of this section: {example}"
            elif item.default is not None:
                yield f"#{item.name} = {setting.toml(item.default)}"
            else:
                yield f"# Not set by default: {item.name} = {_EXAMPLES[item.name]}"
            yield ""
    yield "# Parameters of the experiments, as the default design has them (the paper's differ; see the docs)."
    for name in plugins.names("experiments"):
        experiment = plugins.experiment(name)
        yield f"# {experiment.summary}"
        yield f"[experiments.{name}]"
        for key, value in experiment.defaults("default").items():
            yield f"#{key} = {setting.toml(value)}" if value is not None else f"# Not set by default: {key}"
        yield ""


def reference(section: str) -> str:
    """A section's keys as a Markdown table, for docs/configuration.md."""
    return setting.table(SECTIONS[section])

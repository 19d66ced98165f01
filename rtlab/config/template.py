"""What ``rtlab init`` writes, and the tables of docs/configuration.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rtlab import plugins
from rtlab.config import sections, setting


def template() -> str:
    """The text of the ``rtlab.toml`` that ``rtlab init`` writes: every key, commented out, with its default."""
    return "\n".join(_template_lines()) + "\n"


def _template_lines() -> Iterator[str]:
    yield "# Settings of rtlab for this folder. Every key is optional; the values shown are the defaults."
    yield "# Remove the # in front of a key to change it. Options of a command go before this file."
    for name in sections.NAMES:
        yield ""
        yield f"[{name}]"
        yield from _keys(sections.section(name))
    yield "# Runtimes: which build of each; other keys are those of [testbed], under shorter names."
    for runtime in plugins.names("runtimes"):
        yield f"[runtimes.{runtime}]"
        yield from _keys(sections.of_runtime(runtime))
    yield "# Parameters of the experiments, as the default design has them (the paper's differ; see the docs)."
    for name in plugins.names("experiments"):
        experiment = plugins.experiment(name)
        yield f"# {experiment.summary}"
        yield f"[experiments.{name}]"
        yield from _keys(experiment.settings)


def _keys(kind: type[Any]) -> Iterator[str]:
    """Of one section: what each key means, what it may be, and its default."""
    for key, value in setting.defaults(kind).items():
        yield f"# {setting.about(kind, key)}"
        allowed = setting.describe(kind, key)
        if allowed.startswith(("one of", "a whole number", "a number", "a list of whole numbers")):
            yield f"# Allowed: {allowed}."
        if isinstance(value, Mapping):
            example = f"{key}.small = {setting.example(kind, key)}"
            yield f"# Not set by default; after all other keys of this section: {example}"
        elif value is not None:
            yield f"#{key} = {setting.toml(value)}"
        else:
            yield f"# Not set by default: {key} = {setting.example(kind, key)}"
        yield ""


def reference(section: str) -> str:
    """A section's keys as a Markdown table, for docs/configuration.md: ``testbed``, ``runtimes.kata``."""
    kind, _, name = section.partition(".")
    return setting.table(sections.of_runtime(name) if kind == "runtimes" else sections.section(section))

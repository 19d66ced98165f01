"""What every command's arguments have in common: none is empty, none is endless, and none does nothing.

An option counts as given when it stands on the command line. Which options exclude each other, or need another one,
stands in one table; which of `up` matter to which machines is asked of the providers and runtimes (see
``rtlab.config.relevance``).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from typer.core import TyperCommand

from rtlab.errors import UsageError
from rtlab.text import clean

# Longer than any path, name or list that means something.
MOST_CHARACTERS = 4096
# Arguments that may be anything: words of another command line.
FREE = {("ssh", "words")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Of one option, by the names of parameters: what must stand beside it, and what would do nothing beside it."""

    needs: str = ""
    without: tuple[str, ...] = ()
    why: str


# What a campaign's spec is made from: every setting of [campaign] but `strict`, which is asked at each start.
SPEC = (
    "name",
    "design",
    "runs",
    "experiments",
    "runtimes",
    "engines",
    "baseline",
    "reboot",
    "seed",
    "until_percent",
    "max_blocks",
    "max_hours",
    "aa",
    "margin_percent",
    "trial_timeout_s",
    "ready_timeout_s",
    "assignments",
)
RULES: Mapping[tuple[str, str], tuple[Rule, ...]] = {
    ("bench", "resume"): (
        Rule(without=(*SPEC, "like"), why="a campaign that is resumed keeps what it was started with"),
    ),
    ("bench", "like"): (Rule(without=("name",), why="the campaign is named like the other one"),),
    ("bench", "dry_run"): (Rule(without=("accept_changes", "strict"), why="nothing is run"),),
    ("bench", "accept_changes"): (Rule(without=("new",), why="a new campaign has no earlier state to differ from"),),
    ("plan", "target"): (Rule(without=(*SPEC, "strict", "config", "new"), why="it is answered from a past campaign"),),
    ("plan", "campaign"): (Rule(needs="target", why="the plan of a new campaign needs no past one"),),
    ("report", "as_json"): (Rule(without=("output",), why="--json is a format itself"),),
    ("init", "stdout"): (Rule(without=("force",), why="no file is written"),),
    ("export", "output"): (Rule(needs="name", why="without a format the formats are listed"),),
    ("export", "runtime"): (Rule(needs="name", why="without a format the formats are listed"),),
}


class Command(TyperCommand):
    """A command that refuses arguments which mean nothing, before it begins."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        rest: list[str] = super().parse_args(ctx, args)
        if ctx.resilient_parsing:  # the shell asks how a line could go on
            return rest
        given = {p.name: p for p in self.params if _on_the_command_line(ctx, p.name)}
        for name, parameter in given.items():
            if (self.name, name) not in FREE:
                for text in _texts(ctx.params.get(name)):
                    _require_meaning(_shown(parameter), text)
        for name in given:
            for rule in RULES.get((self.name or "", name), ()):
                self._keep(rule, name, given)
        return rest

    def _keep(self, rule: Rule, name: str, given: Mapping[str, Any]) -> None:
        mine = _shown(given[name])
        beside = [_shown(given[other]) for other in rule.without if other in given]
        if beside:
            raise UsageError(f"{', '.join(beside)} does nothing beside {mine}: {rule.why}.", remedy="Leave one out.")
        if rule.needs and rule.needs not in given:
            needed = next(_shown(p) for p in self.params if p.name == rule.needs)
            raise UsageError(f"{mine} does nothing without {needed}: {rule.why}.")


def _on_the_command_line(ctx: Any, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _shown(parameter: Any) -> str:
    """An option's longest name, an argument's as the usage line shows it."""
    names = [n for n in parameter.opts if n.startswith("-")]
    return max(names, key=len) if names else (parameter.metavar or parameter.name or "").upper()


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)
    elif isinstance(value, Path):
        yield "" if value == Path() else str(value)  # an empty one has become the current folder by now
    elif isinstance(value, str):
        yield value


def _require_meaning(name: str, text: str) -> None:
    if not text.strip():
        raise UsageError(f"{name} is given, but empty.", remedy="Leave it out, or say what it is to be.")
    if len(text) > MOST_CHARACTERS:
        raise UsageError(f"{name} has {len(text)} characters; {MOST_CHARACTERS} are the most: {clean(text)[:60]!r}…")
    if "\0" in text:
        raise UsageError(f"{name} has a null character in it.")

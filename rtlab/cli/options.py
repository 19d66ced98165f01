"""Options that change a setting. They are made from the settings' own declarations (``rtlab.config``), so that every
command which takes them takes the same ones, with the same words, and a new setting is an option at once."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import typer

from rtlab.cli import completion, console
from rtlab.config import (
    Config,
    campaign_refusal,
    campaign_spec,
    idle,
    option,
    require_campaign_use,
    require_use,
)
from rtlab.config import load as load_config
from rtlab.config import section as settings_of
from rtlab.config.setting import hints
from rtlab.errors import UsageError
from rtlab.model import CampaignSpec, Testbed

# Settings that no option changes: `--provider libvirt` names the backend.
NO_OPTION = {"testbed": ("backend",), "campaign": ()}
_METAVARS: dict[type[Any], str] = {int: "N", float: "NUMBER", str: "TEXT"}
# No setting of an experiment is a list of lists.
MOST_BRACKETS = 100
# `--no-reboot` says it better than `--no-allow-reboot`.
FLAGS = {"allow_reboot": "--allow-reboot/--no-reboot"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What the command line says about one section of the configuration; what it does not name is not in here.

    Attributes:
        values: Setting -> value.
        parameters: Experiment -> its settings, from ``--set``.
        file: The configuration file that was named, or None.
    """

    section: str
    values: Mapping[str, Any]
    parameters: Mapping[str, Mapping[str, Any]]
    file: Path | None

    @property
    def names(self) -> tuple[str, ...]:
        """The options that were given, as they are written."""
        named = [option(f"{self.section}.{key}") for key in self.values]
        return (*named, *(["--set"] if self.parameters else []))

    @property
    def words(self) -> tuple[str, ...]:
        """The same as words of a command line."""
        found: list[str] = []
        for key, value in self.values.items():
            name = option(f"{self.section}.{key}")
            if isinstance(value, bool):
                yes, no = FLAGS.get(key, f"{name}/--no-{name[2:]}").split("/")
                found.append(yes if value else no)
            elif isinstance(value, list):
                found += [name, ",".join(value)]
            else:
                found += [name, f"{value:g}%" if key.endswith("_percent") else str(value)]
        for experiment, keys in self.parameters.items():
            for key, value in keys.items():
                found += ["--set", f"{experiment}.{key}={value if isinstance(value, str) else json.dumps(value)}"]
        return (*found, *(["--config", str(self.file)] if self.file else []))

    def config(self, **more: Any) -> Config:
        """The configuration: the file first, the command line over it, and ``more`` over both.

        Raises:
            UsageError: an option would do nothing with the provider that is named. What ``auto`` chooses is not known
                yet: who lets it choose asks again.
        """
        found = load_config(self.file, {self.section: {**self.values, **more}, "experiments": self.parameters})
        if self.section == "testbed" and found.testbed.provider != "auto":
            require_use(self.values, found.testbed)
        return found

    def spec(self, testbed: Testbed, *, tell: bool = True) -> CampaignSpec:
        """The campaign that command line and rtlab.toml ask for on this testbed.

        Args:
            tell: Say on stderr what stands in rtlab.toml and does nothing in this campaign.

        Raises:
            UsageError: this testbed cannot do it, or an option would do nothing.
        """
        found = self.config()
        spec = campaign_spec(found, testbed)
        typed = [f"{self.section}.{key}" for key in self.values] + [f"experiments.{name}" for name in self.parameters]
        require_campaign_use(typed, spec)
        for section in ("campaign", "experiments") if tell else ():
            for line in idle(found, section, lambda dotted: campaign_refusal(dotted, spec)):
                console.say(line)
        return spec


def settings(section: Literal["testbed", "campaign"], *only: str) -> Callable[[Callable[..., None]], Any]:
    """A command takes every setting of a section as an option (or ``only`` these), and ``--config``; of a campaign
    also ``--set``. Its first parameter gets them as ``Given``, its others stay its own options."""
    kind = settings_of(section)
    keys = only or with_option(section)
    table = [_parameter(section, kind, key) for key in keys]
    with_set = section == "campaign" and not only

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        _, *own = inspect.signature(command, eval_str=True).parameters.values()
        shared = [*table, *([_SET] if with_set else []), _CONFIG]

        def takes(**words: Any) -> None:
            values = {key: _value(section, key, words.pop(key)) for key in keys}
            given = Given(
                section=section,
                values={key: value for key, value in values.items() if value is not None},
                parameters=parameters(words.pop("assignments", None) or []),
                file=words.pop("config"),
            )
            command(given, **words)

        all_of_them = [*shared, *(p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own)]
        takes.__signature__ = inspect.Signature(all_of_them)  # type: ignore[attr-defined]
        takes.__annotations__ = {p.name: p.annotation for p in all_of_them}
        takes.__doc__ = command.__doc__
        return takes

    return decorate


def with_option(section: str) -> tuple[str, ...]:
    """The settings of a section that an option changes: no whole section within it is one."""
    kind = settings_of(section)
    types = hints(kind)
    named = (f.name for f in dataclasses.fields(kind) if f.name not in NO_OPTION[section])
    return tuple(name for name in named if get_origin(types[name]) is not Mapping)


def _parameter(section: str, kind: type[Any], key: str) -> inspect.Parameter:
    """One setting as an option: its type, its words and its default, as they are declared."""
    field = next(f for f in dataclasses.fields(kind) if f.name == key)
    plain = _plain(hints(kind)[key])
    name = option(f"{section}.{key}")
    choices = tuple(str(c) for c in get_args(plain) if c) if get_origin(plain) is Literal else ()
    base: type[Any] = plain if plain in (bool, int, float) and not key.endswith("_percent") else str
    several = isinstance(field.default, tuple)
    default: Any = field.default
    if several:
        default = ",".join(default)
    if key.endswith("_percent") and default is not None:
        default = f"{default:g}%"
    declared = FLAGS.get(key, f"{name}/--no-{name[2:]}") if base is bool else name
    return inspect.Parameter(
        key,
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[
            base | None,
            typer.Option(
                declared,
                help=field.metadata["about"],
                metavar="|".join(choices) or ("A,B,…" if several else _METAVARS.get(base)),
                show_default=str(default) if default not in (None, "", False) else False,
                autocompletion=completion.of_setting(section, key, choices),
            ),
        ],
    )


def _plain(hint: Any) -> Any:
    """The type without its range and without None."""
    if get_origin(hint) is Annotated:
        return _plain(get_args(hint)[0])
    if type(None) in get_args(hint):
        return _plain(next(a for a in get_args(hint) if a is not type(None)))
    return hint


def _value(section: str, key: str, word: Any) -> Any:
    """What an option's word means for its setting; None when the option was not given."""
    if word is None:
        return None
    if key.endswith("_percent"):
        return percent(option(f"{section}.{key}"), word)
    if get_origin(hints(settings_of(section))[key]) is tuple:
        return [part.strip() for part in word.split(",") if part.strip()]
    return word


_CONFIG = inspect.Parameter(
    "config",
    inspect.Parameter.KEYWORD_ONLY,
    default=None,
    annotation=Annotated[Path | None, typer.Option(help="Configuration file.", show_default="rtlab.toml")],
)
_SET = inspect.Parameter(
    "assignments",
    inspect.Parameter.KEYWORD_ONLY,
    default=None,
    annotation=Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="An experiment's own setting: io.size_mb=512. Repeatable.",
            metavar="EXPERIMENT.KEY=VALUE",
            autocompletion=completion.parameters,
        ),
    ],
)


def percent(name: str, text: str) -> float:
    """``5%``, ``5 %`` or ``5`` as 5.0.

    Raises:
        UsageError: it is no number above 0 and below 100.
    """
    try:
        value = float(text.strip().removesuffix("%"))
    except ValueError:
        value = 0.0
    if not 0 < value < 100:
        raise UsageError(f"{name} takes a percentage above 0 and below 100, like 5%, not {text[:40]!r}.")
    return value


def parameters(assignments: list[str]) -> dict[str, dict[str, Any]]:
    """``io.size_mb=512`` … as nested parameters; values are numbers, true/false, lists or text.

    Raises:
        UsageError: an assignment is not of the form experiment.key=value.
    """
    nested: dict[str, dict[str, Any]] = {}
    for assignment in assignments:
        place, equals, text = assignment.partition("=")
        experiment, dot, key = place.partition(".")
        if not (equals and dot and experiment and key):
            raise UsageError(
                f"--set takes experiment.key=value, not {assignment[:80]!r}.",
                remedy="For example: --set io.size_mb=512",
            )
        # Counted, because at which depth a parser gives up differs from one Python to the next.
        if text.count("[") + text.count("{") > MOST_BRACKETS:
            raise UsageError(f"--set {place[:80]} is nested too deeply.")
        try:
            value = json.loads(text)
        except ValueError:
            value = text
        nested.setdefault(experiment, {})[key] = value
    return nested

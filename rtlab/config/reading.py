"""``rtlab.toml`` and the command line's options -> settings, every problem named at once."""

from __future__ import annotations

import dataclasses
import difflib
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rtlab import files, plugins
from rtlab.config import sections
from rtlab.config.sections import Config
from rtlab.config.setting import check, describe, listed, show
from rtlab.config.settings import VARIANT, CampaignSettings, TestbedSettings
from rtlab.errors import ConfigError, StoreError
from rtlab.model import Unknown

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


FILE_NAME = "rtlab.toml"

# A configuration is a page of text; anything larger is another file.
MAX_FILE_BYTES = 1_000_000
# A key of many parts takes their number squared; no key of rtlab has more than four.
MOST_DOTS = 200
# So many problems are told; the rest is counted.
MOST_PROBLEMS = 20

# Options whose name on the command line is not the key's.
_OPTIONS = {"campaign.margin_percent": "--margin", "campaign.until_percent": "--until"}


def option(dotted: str) -> str:
    """What a setting is called on the command line: ``testbed.memory_mb`` is ``--memory-mb``."""
    return _OPTIONS.get(dotted, "--" + dotted.rpartition(".")[2].replace("_", "-"))


def load(path: Path | None = None, overrides: Mapping[str, Any] | None = None) -> Config:
    """Read a configuration and lay the command line's values over it.

    Args:
        path: A file that must exist; None reads ``rtlab.toml`` of the working folder if there is one.
        overrides: Section -> key -> value: ``{"campaign": {"runs": 3}, "experiments": {"io": {"size_mb": 512}}}``.
            None as a value means "not given".

    Raises:
        ConfigError: naming each wrong key or value with its place and what is allowed.
    """
    file = path if path is not None else Path(FILE_NAME)
    text = _read(file) if path is not None or os.path.lexists(file) else ""
    data = _parse(file, text)
    given = {key: value for key, value in _flat(overrides or {}) if value is not None}
    reader = _Reader(file, text, given)
    config = reader.config(data)
    if reader.problems:
        more = [f"… and {reader.untold} more problems."] if reader.untold else []
        raise ConfigError("\n".join([*reader.problems, *more]), remedy=reader.remedy())
    return dataclasses.replace(config, source=str(file) if text else "", stated=reader.stated)


def _flat(nested: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Nested sections as dotted keys: ``("experiments.io.size_mb", 512)``."""
    depth = 2 if before.startswith("experiments.") else 1
    for key, value in nested.items():
        if isinstance(value, Mapping) and before.count(".") < depth:
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _read(file: Path) -> str:
    if not os.path.lexists(file):
        raise ConfigError(f"There is no file {_short(file)}.", remedy="`rtlab init` writes a commented rtlab.toml.")
    try:
        # Some editors put a byte-order mark in front; it means nothing in UTF-8.
        return files.read(file, MAX_FILE_BYTES, follow=True).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"{_short(file)} is not UTF-8 text (byte {error.start}).", remedy="Save it as UTF-8."
        ) from error
    except StoreError as error:
        raise ConfigError(f"{error.message.rstrip('.')}: that is no configuration of rtlab.") from error


def _short(file: Path) -> str:
    return str(file) if len(str(file)) <= 200 else f"{str(file)[:200]}…"


def _parse(file: Path, text: str) -> dict[str, Any]:
    try:
        if any(line.count(".") > MOST_DOTS for line in text.splitlines()):
            raise ValueError(f"a line has more than {MOST_DOTS} points")
        return tomllib.loads(text)
    except RecursionError:
        raise ConfigError(f"{file} is not valid: it is nested too deeply.") from None
    except ValueError as error:  # a number of 5 000 digits is one, too
        raise ConfigError(
            f"{file} is not valid TOML: {str(error)[:300]}.",
            remedy="Texts stand in double quotes, lists in [brackets]: `rtlab init --stdout` shows every key.",
        ) from error


class _Reader:
    """Checks one file and collects every problem instead of stopping at the first."""

    def __init__(self, file: Path, text: str, overrides: Mapping[str, Any]) -> None:
        self.file = file
        self.text = text
        self.overrides = overrides
        self.problems: list[str] = []
        self.untold = 0
        self.stated: dict[str, str] = {}
        # Setting of [testbed] -> the key of a runtime's own section that says it.
        self.said: dict[str, str] = {}

    def config(self, data: Mapping[str, Any]) -> Config:
        known = (*sections.NAMES, "runtimes", "experiments")
        for name in data.keys() - set(known):
            self._unknown(name, name, known, "section")
        testbed = self._section("testbed", self._with_runtimes(data))
        campaign = self._section("campaign", data)
        parameters = self._parameters(data.get("experiments", {}))
        self._names("testbed.runtimes", testbed.runtimes, "runtimes")
        self._names("testbed.system_runtimes", testbed.system_runtimes, "runtimes")
        self._names("campaign.runtimes", campaign.runtimes, "runtimes")
        self._names("campaign.baseline", (campaign.baseline,), "runtimes")
        self._names("testbed.engines", testbed.engines, "engines")
        self._names("campaign.engines", campaign.engines, "engines")
        self._names("campaign.experiments", campaign.experiments, "experiments")
        return Config(testbed=self._testbed(testbed), campaign=self._campaign(campaign), parameters=parameters)

    def remedy(self) -> str:
        if all(problem.startswith("--") for problem in self.problems):
            return ""
        return "`rtlab init --stdout` shows every key with its default."

    # ------------------------------------------------------------- sections

    def _section(self, name: str, data: Mapping[str, Any]) -> Any:
        """The section's dataclass; a wrong key keeps its default, so that checking can go on."""
        kind = sections.section(name)
        given = data.get(name, {})
        if not isinstance(given, dict):
            self._wrong(name, given, f"must be a section: [{name}]")
            given = {}
        allowed = tuple(f.name for f in dataclasses.fields(kind))
        values: dict[str, Any] = {}
        for key, value in given.items():
            if key not in allowed:
                self._unknown(f"{name}.{key}", key, allowed, "key")
            elif f"{name}.{key}" not in self.overrides:
                values[key] = value
                self.stated[f"{name}.{key}"] = self._place(f"{name}.{key}")
        for dotted, value in self.overrides.items():
            section, _, key = dotted.partition(".")
            if section == name:
                if key not in allowed:
                    raise AssertionError(f"no setting {dotted}")
                values[key] = value
        return kind(**self._valid(kind, name, values))

    def _valid(self, kind: type[Any], place: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """The values that a section may have; each other one is told."""
        valid = {}
        for key, value in values.items():
            try:
                valid[key] = check(kind, key, value)
            except ValueError:
                self._wrong(f"{place}.{key}", value, f"must be {describe(kind, key, value)}")
        return valid

    def _with_runtimes(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """The file with each runtime's own section laid into ``[testbed]``, where both may not contradict."""
        given, testbed = data.get("runtimes", {}), data.get("testbed", {})
        if not isinstance(given, dict):
            self._wrong("runtimes", given, "must hold one section per runtime: [runtimes.gvisor]")
            return dict(data)
        testbed = dict(testbed) if isinstance(testbed, dict) else testbed
        for name, values in given.items():
            place = f"runtimes.{name}"
            if name not in plugins.names("runtimes"):
                self._unknown(place, name, plugins.names("runtimes"), "runtime")
            elif not isinstance(values, dict):
                self._wrong(place, values, f"must be a section: [{place}]")
            elif isinstance(testbed, dict):
                self._lay(name, self._runtime(name, values), testbed)
        return {**data, "testbed": testbed}

    def _runtime(self, name: str, values: Mapping[str, Any]) -> dict[str, Any]:
        """What is right in a runtime's section; the rest is told."""
        kind, place = sections.of_runtime(name), f"runtimes.{name}"
        allowed = tuple(f.name for f in dataclasses.fields(kind))
        for key in values:
            if key not in allowed:
                self._unknown(f"{place}.{key}", key, allowed, "key")
        return self._valid(kind, place, {key: value for key, value in values.items() if key in allowed})

    def _lay(self, name: str, values: Mapping[str, Any], testbed: dict[str, Any]) -> None:
        for setting, value in sections.as_testbed(name, values).items():
            dotted = f"runtimes.{name}.{setting.removeprefix(f'{name}_')}"
            if testbed.get(setting, value) != value:
                self._wrong(dotted, value, f"contradicts {setting} in [testbed]: say it once")
                continue
            testbed[setting] = value
            self.said[f"testbed.{setting}"] = dotted
        listed_there = testbed.get("system_runtimes", [])
        if values.get("build") == "system" and isinstance(listed_there, list):
            testbed["system_runtimes"] = list(dict.fromkeys((*listed_there, name)))

    def _parameters(self, given: Any) -> dict[str, Mapping[str, Any]]:
        if not isinstance(given, dict):
            self._wrong("experiments", given, "must hold one section per experiment: [experiments.boot]")
            return {}
        merged: dict[str, dict[str, Any]] = {}
        for name, values in given.items():
            if isinstance(values, dict):
                merged[name] = dict(values)
            else:
                self._wrong(f"experiments.{name}", values, f"must be a section: [experiments.{name}]")
        for dotted, value in self.overrides.items():
            section, _, rest = dotted.partition(".")
            if section == "experiments":
                name, _, key = rest.partition(".")
                merged.setdefault(name, {})[key] = value
        parameters: dict[str, Mapping[str, Any]] = {}
        for name, values in merged.items():
            if name not in plugins.names("experiments"):
                self._unknown(f"experiments.{name}", name, plugins.names("experiments"), "experiment")
                continue
            parameters[name] = values
            if given.get(name):  # `rtlab init` writes every section, empty
                self.stated[f"experiments.{name}"] = self._place(f"experiments.{name}")
            experiment = plugins.experiment(name)
            defaults = experiment.defaults("default")
            unknown = values.keys() - defaults.keys() - experiment.defaults("paper").keys()
            for key in unknown:
                self._unknown(f"experiments.{name}.{key}", key, tuple(defaults), "parameter")
            if not unknown:
                for problem in experiment.problems({**defaults, **values}):
                    mine = [k for k in values if f"experiments.{name}.{k}" in self.overrides and k in problem]
                    place = f"--set {name}" if mine else self._place(f"experiments.{name}")
                    self.problems.append(f"{place}: {problem}.")
        return parameters

    # ------------------------------------------------------------- values that only other values decide

    def _names(self, dotted: str, values: tuple[str, ...], kind: plugins.Kind) -> None:
        section, _, key = dotted.partition(".")
        default = getattr(sections.section(section)(), key)
        if values == (default if isinstance(default, tuple) else (default,)):
            return
        for value in values:
            plain, at, engine = value.partition("@") if kind == "runtimes" else (value, "", "")
            name, colon, variant = plain.partition(":") if kind == "runtimes" else (value, "", "")
            known = plugins.names(kind)
            if at and (dotted.startswith("testbed.") or engine not in plugins.names("engines")[1:]):
                self._wrong(dotted, value, "must not name an engine here, or one that is none (docs/engines.md)")
                continue
            if name not in known:
                self._unknown(dotted, value, known, kind[:-1])
            elif colon and not plugins.runtime(name).variants:
                self._wrong(dotted, value, f"must not have a colon: {name} has no variants")
            elif colon and not re.fullmatch(VARIANT, variant):
                self._wrong(dotted, value, "must have 1 to 20 lower-case letters, digits and dashes after the colon")
        if len(set(values)) < len(values):
            self._wrong(dotted, list(values), "must not name the same twice")

    def _testbed(self, testbed: TestbedSettings) -> TestbedSettings:
        if testbed.provider != "auto":
            testbed = self._provider(testbed)
        if not testbed.runtimes:
            self._wrong("testbed.runtimes", [], f"must name at least one of {listed(plugins.names('runtimes'))}")
        for runtime in sections.of_runtimes(testbed):
            for found in runtime.refusals(testbed.runtimes):
                if isinstance(found, Unknown):
                    self._unknown(f"testbed.{found.key}", found.name, found.known, found.kind)
                else:
                    self._wrong(f"testbed.{found.key}", found.value, found.why)
        return testbed

    def _provider(self, testbed: TestbedSettings) -> TestbedSettings:
        """The provider by its own name, with what another name of its stands for; told what it lacks."""
        names = plugins.names("providers")
        others = {other: name for name in names for other in plugins.provider(name).also_called}
        called = testbed.provider
        if called not in (*names, *others):
            self._unknown("testbed.provider", called, ("auto", *others, *names), "provider")
            return testbed
        provider = plugins.provider(others.get(called, called))
        meant = provider.also_called.get(called, {})
        for key, value in meant.items():
            given = getattr(testbed, key)
            if given not in (getattr(TestbedSettings(), key), value):
                self._wrong(f"testbed.{key}", given, f"contradicts provider = {called!r}")
        testbed = dataclasses.replace(testbed, provider=provider.name, **meant)
        for key, why in provider.lacks(testbed).items():
            self._wrong(f"testbed.{key}", getattr(testbed, key), why)
        return testbed

    def _campaign(self, campaign: CampaignSettings) -> CampaignSettings:
        if not re.fullmatch("[a-z0-9][a-z0-9-]{0,39}", campaign.name):
            self._wrong("campaign.name", campaign.name, "must be 1 to 40 lower-case letters, digits and dashes")
        return campaign

    # ------------------------------------------------------------- telling

    def _enough(self) -> bool:
        """Whether no further problem is told: each costs a search in the text, and nobody reads thousands."""
        enough = len(self.problems) >= MOST_PROBLEMS
        self.untold += enough
        return enough

    def _place(self, dotted: str) -> str:
        """``rtlab.toml line 7: campaign.runs``, or the option when the value came from the command line."""
        if dotted in self.overrides:
            return option(dotted)
        dotted = self.said.get(dotted, dotted)
        line = line_of(self.text, dotted)
        return f"{self.file}{f' line {line}' if line else ''}: {dotted[:120]}"

    def _wrong(self, dotted: str, value: Any, why: str) -> None:
        if self._enough():
            return
        shown = show(value)
        between = " " if dotted in self.overrides else " = "
        self.problems.append(f"{self._place(dotted)}{between}{shown}: {why}.")

    def _unknown(self, dotted: str, name: str, known: Iterable[str], kind: str) -> None:
        if self._enough():
            return
        known = tuple(known)
        close = difflib.get_close_matches(name[:60], known, n=1, cutoff=0.5)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        place = self._place(dotted)
        if any(f"{given}.".startswith(f"{dotted}.") for given in self.overrides if given.startswith("experiments.")):
            place = "--set"
        self.problems.append(f"{place}: there is no {kind} {name[:60]!r}.{hint} Known: {listed(known)}.")


def line_of(text: str, dotted: str) -> int | None:
    """The line on which a key (or a section) stands in a TOML text, None when it is not written plainly there."""
    section, _, key = dotted.rpartition(".")
    current = ""
    for number, line in enumerate(text.splitlines(), 1):
        header = re.match(r"\s*\[([^\[\]]+)\]", line)
        if header:
            current = re.sub(r"\s|\"", "", header[1])
            if current == dotted:
                return number
        elif current == section and re.match(rf"\s*\"?{re.escape(key)}\"?\s*=", line):
            return number
    return None

"""``rtlab.toml`` and the command line -> settings. Each default is written once: here, in these dataclasses.

Experiments' own parameters are the exception: their defaults stand in each experiment's module.
Types and ranges stand in the annotations; pydantic checks them, and ``load`` reports every problem at once.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
import secrets
import sys
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Mapping as AbstractMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

from annotated_types import Interval

from rtlab import plugins
from rtlab.errors import ConfigError, UsageError
from rtlab.model import FEWEST_BLOCKS, CampaignSpec, RebootPolicy, Testbed, Until

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE_NAME = "rtlab.toml"
# More blocks than this is a slip of the finger: 10 000 blocks of a few minutes each take weeks.
MAX_RUNS = 10_000
# What may follow the colon in kata:small.
VARIANT = "[a-z0-9][a-z0-9-]{0,19}"
# For which releases of Kata have a configuration; which of them a given release has, its role says.
KATA_HYPERVISORS = ("qemu", "qemu-virtiofs", "clh", "fc", "acrn", "dragonball", "stratovirt", "openvmm")
# A configuration is a page of text; anything larger is another file.
MAX_FILE_BYTES = 1_000_000


def _setting(default: Any, about: str) -> Any:
    """A dataclass field that carries its one line for the template and the docs."""
    return field(default=default, metadata={"about": about})


@dataclass(frozen=True, slots=True, kw_only=True)
class TestbedSettings:
    """Section ``[testbed]``: what ``rtlab up`` makes."""

    __test__ = False

    provider: str = _setting(
        "auto",
        "What supplies the machines: auto, local (this machine), libvirt or virtualbox (Vagrant machines), "
        "static (machines of an inventory), simulated.",
    )
    profile: str = _setting("auto", "Set of pinned versions: auto, or the name of a profile.")
    accel: Literal["auto", "kvm", "tcg"] = _setting(
        "auto", "libvirt machines: hardware virtualization, or emulation (tcg: no figure from it means anything)."
    )
    backend: Literal["auto", "libvirt", "virtualbox"] = _setting("auto", "What runs Vagrant's machines.")
    machines: Annotated[int, Interval(ge=1, le=32)] = _setting(2, "Number of Vagrant machines.")
    cpus: Annotated[int, Interval(ge=1, le=512)] = _setting(4, "Virtual CPUs per machine; the paper's is 4.")
    memory_mb: Annotated[int, Interval(ge=512, le=4_194_304)] = _setting(
        8192, "Memory per machine, MiB; the paper's is 8192."
    )
    disk_gb: Annotated[int, Interval(ge=4, le=16_384)] = _setting(10, "Disk per machine, GB; the paper's is 10.")
    disk_cache: Literal["none", "writeback", "writethrough"] = _setting(
        "none", "The host's cache mode for the machines' disks: it changes every disk figure."
    )
    runtimes: tuple[str, ...] = _setting(("runc", "kata"), "Runtimes that `up` installs and proves.")
    design: Literal["crossover", "paper"] = _setting(
        "crossover", "crossover: every runtime on every machine. paper: one runtime per machine, as in the study."
    )
    box: str = _setting("", "Vagrant box (name or file); empty: the profile's, built here.")
    inventory: str = _setting("", "static machines: path of an Ansible inventory.")
    allow_reboot: bool = _setting(False, "static machines: whether rtlab may reboot them.")
    box_sha256: str = _setting("", "SHA-256 of the profile's cloud image, where the profile pins none.")
    kata_version: str = _setting("", "Another release of Kata than the profile's, such as 3.32.0.")
    kata_flavour: Literal["", "go", "rs"] = _setting("", "Kata's Go runtime, or runtime-rs; empty: the profile's.")
    kata_archive: str = _setting("", "Path or URL of a Kata release archive; empty: the profile's.")
    kata_sha256: str = _setting("", "SHA-256 of kata_archive, checked before it is opened.")
    gvisor_sha512: str = _setting("", "SHA-512 of the profile's gVisor release, where the profile pins none.")
    crun_url: str = _setting("", "URL of a static crun, where the profile's distribution has none.")
    crun_sha256: str = _setting("", "SHA-256 of what crun_url serves.")
    kata: Mapping[str, Mapping[str, bool | int | float | str]] = field(
        default_factory=dict,
        metadata={
            "about": "Variants of Kata as arms of their own: a section [testbed.kata.small] makes the runtime "
            "kata:small. Keys: hypervisor (qemu, clh …), and settings of Kata's own configuration.toml "
            "(default_memory, shared_fs …)."
        },
    )
    scenario: str = _setting("", "simulated machines: path of a scenario; empty: the built-in one.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignSettings:
    """Section ``[campaign]``: what ``rtlab bench`` runs. Empty tuples mean: all that the testbed has."""

    name: str = _setting("campaign", "Part of the campaign's folder name: lower-case letters, digits and dashes.")
    design: Literal["default", "paper"] = _setting("default", "paper repeats the study to the letter.")
    runs: Annotated[int, Interval(ge=1, le=MAX_RUNS)] = _setting(
        15, "Number of blocks: every runtime once in each. 15 is the paper's number, 16 balances the crossover."
    )
    experiments: tuple[str, ...] = _setting((), "Empty: all.")
    runtimes: tuple[str, ...] = _setting((), "Empty: all that the testbed has.")
    baseline: str = _setting("runc", "The runtime that the others are compared with.")
    reboot: Literal["auto", "trial", "block", "never"] = _setting(
        "auto", "When a machine is rebooted. auto: once per block and runtime where rtlab may reboot, else never."
    )
    seed: Annotated[int, Interval(ge=0, le=2**63 - 1)] | None = _setting(
        None, "Of the random order; unset: drawn at random, and stored with the campaign."
    )
    until_percent: Annotated[float, Interval(gt=0, lt=100)] | None = _setting(
        None, "Adaptive: after `runs` blocks go on until every primary ratio is known to this half-width, percent."
    )
    max_blocks: Annotated[int, Interval(ge=1, le=MAX_RUNS)] = _setting(40, "Adaptive: stop after so many blocks.")
    max_hours: Annotated[float, Interval(gt=0, le=10_000)] | None = _setting(
        None, "Adaptive: stop before the next block once the trials took so long, hours."
    )
    aa: bool = _setting(False, "Add 4 blocks with the baseline in both arms: the noise floor.")
    margin_percent: Annotated[float, Interval(gt=0, lt=100)] = _setting(
        5.0, "A difference smaller than this has no practical meaning."
    )
    strict: bool = _setting(False, "Refuse machines that differ beyond the runtime, instead of warning.")
    trial_timeout_s: Annotated[float, Interval(gt=0, le=86_400)] = _setting(1800.0, "Cap for one trial, seconds.")
    ready_timeout_s: Annotated[float, Interval(gt=0, le=86_400)] = _setting(
        600.0, "Cap for a machine to become quiet, and to return from a reboot, seconds."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """All of ``rtlab.toml``.

    Attributes:
        parameters: Per experiment, only what the file sets; the experiment fills in the rest.
        source: The file it came from; empty when there is none.
    """

    testbed: TestbedSettings = field(default_factory=TestbedSettings)
    campaign: CampaignSettings = field(default_factory=CampaignSettings)
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    source: str = ""


SECTIONS: dict[str, type[Any]] = {"testbed": TestbedSettings, "campaign": CampaignSettings}

# The two kinds of Vagrant machine are asked for by their own names too: `--provider libvirt`.
BACKENDS = ("libvirt", "virtualbox")

# For the template: a key without a default needs an example.
_EXAMPLES = {"seed": "2020", "until_percent": "5.0", "max_hours": "6.0", "kata": "{ default_memory = 512 }"}

# Options whose name on the command line is not the key's.
_OPTIONS = {"campaign.margin_percent": "--margin", "campaign.until_percent": "--until"}


# --------------------------------------------------------------------------- reading


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
    text = _read(file) if path is not None or file.exists() else ""
    data = _parse(file, text)
    given = {key: value for key, value in _flat(overrides or {}) if value is not None}
    reader = _Reader(file, text, given)
    config = reader.config(data)
    if reader.problems:
        raise ConfigError("\n".join(reader.problems), remedy=reader.remedy())
    return dataclasses.replace(config, source=str(file) if text else "")


def _flat(nested: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Nested sections as dotted keys: ``("experiments.io.size_mb", 512)``."""
    depth = 2 if before.startswith("experiments.") else 1
    for key, value in nested.items():
        if isinstance(value, Mapping) and before.count(".") < depth:
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _read(file: Path) -> str:
    try:
        if file.stat().st_size > MAX_FILE_BYTES:
            raise ConfigError(f"{file} is larger than {MAX_FILE_BYTES} bytes: that is no configuration of rtlab.")
        # Some editors put a byte-order mark in front; it means nothing in UTF-8.
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"There is no file {file}.", remedy="`rtlab init` writes a commented rtlab.toml.") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not UTF-8 text (byte {error.start}).", remedy="Save it as UTF-8.") from error
    except OSError as error:
        raise ConfigError(f"Cannot read {file}: {error.strerror}.") from error


def _parse(file: Path, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(
            f"{file} is not valid TOML: {error}.",
            remedy="Texts stand in double quotes, lists in [brackets]: `rtlab init --stdout` shows every key.",
        ) from error


class _Reader:
    """Checks one file and collects every problem instead of stopping at the first."""

    def __init__(self, file: Path, text: str, overrides: Mapping[str, Any]) -> None:
        self.file = file
        self.text = text
        self.overrides = overrides
        self.problems: list[str] = []

    def config(self, data: Mapping[str, Any]) -> Config:
        for name in data.keys() - SECTIONS.keys() - {"experiments"}:
            self._unknown(name, name, (*SECTIONS, "experiments"), "section")
        testbed = self._section("testbed", data)
        campaign = self._section("campaign", data)
        parameters = self._parameters(data.get("experiments", {}))
        self._names("testbed.runtimes", testbed.runtimes, "runtimes")
        self._names("campaign.runtimes", campaign.runtimes, "runtimes")
        self._names("campaign.baseline", (campaign.baseline,), "runtimes")
        self._names("campaign.experiments", campaign.experiments, "experiments")
        return Config(testbed=self._testbed(testbed), campaign=self._campaign(campaign), parameters=parameters)

    def remedy(self) -> str:
        if all(problem.startswith("--") for problem in self.problems):
            return ""
        return "`rtlab init --stdout` shows every key with its default."

    # ------------------------------------------------------------- sections

    def _section(self, name: str, data: Mapping[str, Any]) -> Any:
        """The section's dataclass; a wrong key keeps its default, so that checking can go on."""
        kind = SECTIONS[name]
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
        for dotted, value in self.overrides.items():
            section, _, key = dotted.partition(".")
            if section == name:
                if key not in allowed:
                    raise AssertionError(f"no setting {dotted}")
                values[key] = value
        valid = {}
        for key, value in values.items():
            try:
                valid[key] = _check(kind, key, value)
            except ValueError:
                self._wrong(f"{name}.{key}", value, f"must be {describe(kind, key)}")
        return kind(**valid)

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
        default = getattr(SECTIONS[dotted.split(".")[0]](), dotted.split(".")[1])
        if values == (default if isinstance(default, tuple) else (default,)):
            return
        for value in values:
            name, colon, variant = value.partition(":") if kind == "runtimes" else (value, "", "")
            known = plugins.names(kind)
            if name not in known:
                self._unknown(dotted, value, known, kind[:-1])
            elif colon and not plugins.runtime(name).variants:
                self._wrong(dotted, value, f"must not have a colon: {name} has no variants")
            elif colon and not re.fullmatch(VARIANT, variant):
                self._wrong(dotted, value, "must have 1 to 20 lower-case letters, digits and dashes after the colon")
        if len(set(values)) < len(values):
            self._wrong(dotted, list(values), "must not name the same twice")

    def _testbed(self, testbed: TestbedSettings) -> TestbedSettings:
        if testbed.provider in BACKENDS:
            if testbed.backend not in ("auto", testbed.provider):
                self._wrong("testbed.backend", testbed.backend, f"contradicts provider = {testbed.provider!r}")
            testbed = dataclasses.replace(testbed, provider="vagrant", backend=testbed.provider)  # type: ignore[arg-type]
        elif testbed.provider != "auto":
            known = ("auto", *BACKENDS, *plugins.names("providers"))
            if testbed.provider not in known:
                self._unknown("testbed.provider", testbed.provider, known, "provider")
        if not testbed.runtimes:
            self._wrong("testbed.runtimes", [], f"must name at least one of {_list(plugins.names('runtimes'))}")
        if testbed.provider == "static" and not testbed.inventory:
            self._wrong("testbed.inventory", "", "must be the path of an Ansible inventory for provider static")
        self._variants(testbed)
        if testbed.kata_version and not re.fullmatch(r"\d+\.\d+\.\d+[A-Za-z0-9.-]{0,20}", testbed.kata_version):
            self._wrong("testbed.kata_version", testbed.kata_version, "must be a release, such as 3.32.0")
        for key, digits in (("kata_sha256", 64), ("box_sha256", 64), ("crun_sha256", 64), ("gvisor_sha512", 128)):
            digest = getattr(testbed, key)
            if digest and not re.fullmatch(f"[0-9a-f]{{{digits}}}", digest):
                self._wrong(f"testbed.{key}", digest, f"must be {digits} hexadecimal digits, lower case")
        if testbed.crun_url and not testbed.crun_url.startswith("https://"):
            self._wrong("testbed.crun_url", testbed.crun_url, "must be an https:// address")
        return testbed

    def _variants(self, testbed: TestbedSettings) -> None:
        """Each kata:NAME among the runtimes is a section or a hypervisor, and each section is well formed."""
        for name, settings in testbed.kata.items():
            if not re.fullmatch(VARIANT, name):
                self._wrong(f"testbed.kata.{name}", name, "must be 1 to 20 lower-case letters, digits and dashes")
            for key, value in settings.items():
                if not re.fullmatch("[a-z0-9_]+", key) or (key == "hypervisor" and not isinstance(value, str)):
                    self._wrong(f"testbed.kata.{name}.{key}", value, "is no setting of Kata's configuration.toml")
        known = tuple(dict.fromkeys((*testbed.kata, *KATA_HYPERVISORS)))
        for runtime in testbed.runtimes:
            name, colon, variant = runtime.partition(":")
            if name == "kata" and colon and re.fullmatch(VARIANT, variant) and variant not in known:
                self._unknown("testbed.runtimes", variant, known, "variant of kata called")

    def _campaign(self, campaign: CampaignSettings) -> CampaignSettings:
        if not re.fullmatch("[a-z0-9][a-z0-9-]{0,39}", campaign.name):
            self._wrong("campaign.name", campaign.name, "must be 1 to 40 lower-case letters, digits and dashes")
        return campaign

    # ------------------------------------------------------------- telling

    def _place(self, dotted: str) -> str:
        """``rtlab.toml line 7: campaign.runs``, or the option when the value came from the command line."""
        if dotted in self.overrides:
            return _OPTIONS.get(dotted, "--" + dotted.rpartition(".")[2].replace("_", "-"))
        line = line_of(self.text, dotted)
        return f"{self.file}{f' line {line}' if line else ''}: {dotted}"

    def _wrong(self, dotted: str, value: Any, why: str) -> None:
        shown = _show(value)
        between = " " if dotted in self.overrides else " = "
        self.problems.append(f"{self._place(dotted)}{between}{shown}: {why}.")

    def _unknown(self, dotted: str, name: str, known: Iterable[str], kind: str) -> None:
        known = tuple(known)
        close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
        hint = f" Did you mean {close[0]!r}?" if close else ""
        place = self._place(dotted)
        if any(f"{given}.".startswith(f"{dotted}.") for given in self.overrides if given.startswith("experiments.")):
            place = "--set"
        self.problems.append(f"{place}: there is no {kind} {name[:60]!r}.{hint} Known: {_list(known)}.")


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


def _hints(kind: type[Any]) -> dict[str, Any]:
    return get_type_hints(kind, include_extras=True)


def _check(kind: type[Any], key: str, value: Any) -> Any:
    """The value as its field's type; ValueError (pydantic's) when it is not one.

    Strict, so that "15" is no number and 1 no boolean; TOML's arrays become tuples first.
    """
    from pydantic import TypeAdapter

    value = tuple(value) if isinstance(value, list) else value
    return TypeAdapter(_hints(kind)[key]).validate_python(value, strict=True)


def describe(kind: type[Any], key: str) -> str:
    """What a key may be, in words: ``one of "auto", "kvm", "tcg"``, ``a whole number from 1 to 32``."""
    return _describe(_hints(kind)[key])


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


def _show(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):  # dates and times
        text = str(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)


# --------------------------------------------------------------------------- writing


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


# --------------------------------------------------------------------------- the campaign


def campaign_spec(config: Config, testbed: Testbed, images: Mapping[str, str] | None = None) -> CampaignSpec:
    """Resolve everything that a campaign on this testbed needs; nothing is defaulted later.

    Args:
        images: Role of an image to its reference; None takes what the testbed's details record.

    Raises:
        UsageError, ConfigError: something is asked for that this testbed cannot do, with the way out.
    """
    campaign = config.campaign
    if testbed.design == "paper" and campaign.design == "default":
        raise UsageError(
            f"Testbed {testbed.id} has one runtime per machine, as in the paper, so the effect of a runtime cannot be "
            "told apart from the effect of its machine: the default design is refused on it.",
            remedy="Use `rtlab bench --design paper`, or make another testbed: "
            "`rtlab teardown`, then `rtlab up --design crossover`.",
        )
    experiments = _known("experiments", campaign.experiments) or plugins.names("experiments")
    runtimes = _runtimes(config, testbed)
    parameters = {name: _parameters_of(name, config) for name in experiments}
    return CampaignSpec(
        name=campaign.name,
        design=campaign.design,
        runs=campaign.runs,
        experiments=experiments,
        runtimes=runtimes,
        baseline=campaign.baseline,
        reboot=_reboot(campaign, testbed),
        seed=campaign.seed if campaign.seed is not None else secrets.randbelow(2**32),
        aa=campaign.aa,
        margin=campaign.margin_percent / 100,
        parameters=parameters,
        images=dict(images if images is not None else testbed.details.get("images", {})),
        trial_timeout_s=campaign.trial_timeout_s,
        ready_timeout_s=campaign.ready_timeout_s,
        until=_until(campaign),
    )


def _until(campaign: CampaignSettings) -> Until | None:
    if campaign.until_percent is None:
        return None
    if campaign.design == "paper":
        raise UsageError(
            "The paper's design has no blocks, so it cannot stop by precision: --until is refused with it.",
            remedy="Leave out --until, or --design paper.",
        )
    if campaign.runs < FEWEST_BLOCKS:
        raise UsageError(
            f"An adaptive campaign looks first after {FEWEST_BLOCKS} blocks or more; --runs {campaign.runs} was "
            "asked for. Looking earlier would stop on luck.",
            remedy="Leave out --runs, or --until.",
        )
    if campaign.max_blocks < campaign.runs:
        raise UsageError(
            f"--max-blocks {campaign.max_blocks} is less than the {campaign.runs} blocks before the first look.",
            remedy=f"Say --max-blocks {campaign.runs} or more.",
        )
    return Until(
        target=campaign.until_percent / 100,
        min_blocks=campaign.runs,
        max_blocks=campaign.max_blocks,
        max_hours=campaign.max_hours,
    )


def _known(kind: plugins.Kind, names: tuple[str, ...]) -> tuple[str, ...]:
    """The names, each checked: UsageError with the nearest known one otherwise."""
    for name in names:
        (plugins.experiment if kind == "experiments" else plugins.runtime)(name)
    return names


def _runtimes(config: Config, testbed: Testbed) -> tuple[str, ...]:
    """The asked-for runtimes, or all of the testbed; the baseline first."""
    campaign = config.campaign
    # In the crossover every machine must have each runtime; the paper's testbed has each on one machine.
    in_order = dict.fromkeys(name for machine in testbed.machines for name in machine.runtimes)
    enough = any if testbed.design == "paper" else all
    there = tuple(name for name in in_order if enough(name in machine.runtimes for machine in testbed.machines))
    asked = _known("runtimes", campaign.runtimes) or there
    wanted = ",".join(dict.fromkeys((*there, *asked, campaign.baseline)))
    missing = [name for name in asked if name not in there]
    if missing:
        raise UsageError(
            f"{_list(missing)} {'is' if len(missing) == 1 else 'are'} not installed on testbed {testbed.id}, "
            f"which has {_list(there) or 'no runtime that was proved'}.",
            remedy=f"Run `rtlab up --runtimes {wanted}`, or leave {'it' if len(missing) == 1 else 'them'} out.",
        )
    if not asked:
        raise UsageError(
            f"Testbed {testbed.id} has no runtime that was proved.", remedy="Run `rtlab up` again; it says what failed."
        )
    if campaign.baseline not in asked:
        way_out = f"Add it: `--runtimes {','.join((campaign.baseline, *asked))}`"
        if campaign.baseline not in there:
            way_out = f"Install it: `rtlab up --runtimes {wanted}`"
        raise UsageError(
            f"The baseline {campaign.baseline!r} is not among the runtimes of this campaign ({_list(asked)}).",
            remedy=f"{way_out}, or compare with another one: `--baseline {asked[0]}`.",
        )
    return tuple(sorted(asked, key=lambda name: name != campaign.baseline))


def _reboot(campaign: CampaignSettings, testbed: Testbed) -> RebootPolicy:
    fixed = [machine.name for machine in testbed.machines if not machine.may_reboot]
    if campaign.reboot == "auto":
        if fixed:
            return "never"
        return "trial" if campaign.design == "paper" else "block"
    if campaign.reboot != "never" and fixed:
        remedy = "Use `--reboot never`"
        if testbed.provider == "static":
            remedy += ", or allow it: `rtlab up --allow-reboot`"
        raise UsageError(f"rtlab may not reboot {_list(fixed)}: --reboot {campaign.reboot}.", remedy=remedy + ".")
    return campaign.reboot


def _parameters_of(name: str, config: Config) -> dict[str, Any]:
    experiment = plugins.experiment(name)
    merged = {**experiment.defaults(config.campaign.design), **config.parameters.get(name, {})}
    problems = experiment.problems(merged)
    if problems:
        where = config.source or "the command line"
        raise ConfigError("\n".join(f"{where}: experiments.{name}: {problem}." for problem in problems))
    return merged

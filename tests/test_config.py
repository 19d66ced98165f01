"""rtlab.toml: defaults written once, every problem named with its place, campaigns resolved or refused."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest

from rtlab import config, plugins
from rtlab.config import CampaignSettings, Config, sections
from rtlab.config.setting import setting
from rtlab.errors import ConfigError, RtlabError, UsageError
from rtlab.experiments.contract import Declared
from rtlab.model import Machine, Testbed

from .conftest import make_testbed


@dataclasses.dataclass(frozen=True, kw_only=True)
class IoSettings:
    size_mb: int = setting(2048, "size of the file", low=1)
    per_char: bool = setting(False, "character by character, too", paper=True)


class Io(Declared):
    """An experiment with two parameters, as config sees one."""

    name, title, summary, order, metrics = "io", "Disk", "Writes and reads a file.", 2, ()
    settings = IoSettings


class Boot(Io):
    name, order = "boot", 1


@pytest.fixture(autouse=True)
def two_experiments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two known experiments, so that these tests do not hang on the real ones' parameters."""
    real = plugins._all
    monkeypatch.setattr(
        plugins, "_all", lambda kind: {"boot": Boot(), "io": Io()} if kind == "experiments" else real(kind)
    )


def written(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "rtlab.toml"
    file.write_text(text)
    return file


def problems(tmp_path: Path, text: str, overrides: Mapping[str, Any] | None = None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        config.load(written(tmp_path, text), overrides)
    return caught.value.message.splitlines()


# --------------------------------------------------------------------------- the template


def test_the_template_changes_nothing(tmp_path: Path) -> None:
    loaded = config.load(written(tmp_path, config.template()))

    assert (loaded.testbed, loaded.campaign) == (Config().testbed, CampaignSettings())


def test_the_template_with_every_key_switched_on_is_exactly_the_defaults(tmp_path: Path) -> None:
    text = re.sub(r"^#(\w+ = )", r"\1", config.template(), flags=re.M)

    loaded = config.load(written(tmp_path, text))

    assert (loaded.testbed, loaded.campaign) == (Config().testbed, CampaignSettings())
    assert loaded.parameters == {"boot": Boot().defaults("default"), "io": Io().defaults("default")}


def test_the_template_names_and_explains_every_key() -> None:
    text = config.template()

    for kind in (*map(config.section, sections.NAMES), IoSettings):
        for item in dataclasses.fields(kind):
            assert re.search(rf"^#.*\b{item.name}(\.small)? = ", text, re.M), item.name
            assert item.metadata["about"] in text


# --------------------------------------------------------------------------- reading


def test_without_a_file_the_defaults_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert config.load() == Config()


def test_a_byte_order_mark_means_nothing(tmp_path: Path) -> None:
    file = tmp_path / "rtlab.toml"
    file.write_bytes(b"\xef\xbb\xbf[campaign]\nruns = 3\n")

    assert config.load(file).campaign.runs == 3


def test_options_go_before_the_file(tmp_path: Path) -> None:
    file = written(tmp_path, '[campaign]\nruns = 3\nname = "night"\n[experiments.io]\nsize_mb = 100\n')

    loaded = config.load(
        file, {"campaign": {"runs": 5, "name": None}, "experiments": {"io": {"size_mb": 512}, "boot": {"size_mb": 1}}}
    )

    assert (loaded.campaign.runs, loaded.campaign.name) == (5, "night")
    assert loaded.parameters == {"io": {"size_mb": 512}, "boot": {"size_mb": 1}}
    assert loaded.source == str(file)


def test_an_option_silences_a_wrong_value_in_the_file(tmp_path: Path) -> None:
    loaded = config.load(written(tmp_path, "[campaign]\nruns = 0\n"), {"campaign": {"runs": 2}})

    assert loaded.campaign.runs == 2


def test_every_problem_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    text = '[testbed]\nmachnes = 3\naccel = "xen"\n\n[campaign]\nruns = 0\n[extra]\nx = 1\n'

    found = problems(tmp_path, text)

    file = tmp_path / "rtlab.toml"
    assert (
        f"{file} line 7: extra: there is no section 'extra'. Known: testbed, campaign, runtimes, experiments." in found
    )
    assert any(
        f"{file} line 2: testbed.machnes: there is no key" in p and "Did you mean 'machines'?" in p for p in found
    )
    assert f'{file} line 3: testbed.accel = "xen": must be one of "auto", "kvm", "tcg".' in found
    assert f"{file} line 6: campaign.runs = 0: must be a whole number from 1 to 10000." in found
    assert len(found) == 4


@pytest.mark.parametrize("value", [0, -3, 10**9, 1.5, True, "15", "abc", [3]])
def test_a_number_of_runs_that_makes_no_sense_is_refused(tmp_path: Path, value: Any) -> None:
    found = problems(tmp_path, "", {"campaign": {"runs": value}})

    assert len(found) == 1
    assert found[0].startswith("--runs ")
    assert found[0].endswith(": must be a whole number from 1 to 10000.")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[campaign]\nmargin_percent = 0\n", "above 0 and below 100"),
        ('[campaign]\nname = "../x"\n', "1 to 40 lower-case letters"),
        ('[campaign]\nexperiments = ["bot"]\n', "Did you mean 'boot'?"),
        ('[campaign]\nruntimes = ["rucn"]\n', "Did you mean 'runc'?"),
        ('[campaign]\nbaseline = "kta"\n', "Did you mean 'kata'?"),
        ('[campaign]\nruntimes = ["runc", "runc"]\n', "must not name the same twice"),
        ('[campaign]\nstrict = "yes"\n', "must be true or false"),
        ("[campaign]\nseed = -1\n", "a whole number from 0"),
        ("[campaign]\nruntimes = [1]\n", "must be a list of names"),
        ("campaign = 3\n", "must be a section: [campaign]"),
        ("[testbed]\nmemory_mb = 2020-01-01\n", "2020-01-01: must be a whole number"),
        ("[testbed]\nruntimes = []\n", "must name at least one of"),
        ('[testbed]\nprovider = "locl"\n', "Did you mean 'local'?"),
        ('[testbed]\nprovider = "static"\n', "must be the path of an Ansible inventory"),
        ('[testbed]\nprovider = "libvirt"\nbackend = "virtualbox"\n', "contradicts provider = 'libvirt'"),
        ('[testbed]\nkata_sha256 = "abc"\n', "64 hexadecimal digits"),
        ("[experiments.ioo]\nsize_mb = 1\n", "Did you mean 'io'?"),
        ("[experiments.io]\nsize = 1\n", "Did you mean 'size_mb'?"),
        ("[experiments.io]\nsize_mb = 0\n", "must be a whole number of at least 1"),
        ("[experiments]\nio = 5\n", "must be a section: [experiments.io]"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(tmp_path: Path, text: str, told: str) -> None:
    (found,) = problems(tmp_path, text)

    assert told in found
    assert str(tmp_path / "rtlab.toml") in found


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"io": {"size": 1}}, "--set: there is no parameter 'size'. Did you mean 'size_mb'?"),
        ({"oi": {"size_mb": 1}}, "--set: there is no experiment 'oi'. Did you mean 'io'?"),
        ({"io": {"size_mb": 0}}, "--set io: size_mb = 0: must be a whole number of at least 1."),
    ],
)
def test_a_wrong_parameter_given_as_an_option_is_named_as_one(tmp_path: Path, given: dict[str, Any], told: str) -> None:
    (found,) = problems(tmp_path, "[experiments.io]\nsize_mb = 512\n", {"experiments": given})

    assert found.startswith(told)


@pytest.mark.parametrize("content", [b"[campaign\n", b"\xff\xfe", b"a = 1\na = 2\n"])
def test_a_damaged_file_is_said_to_be_one(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "x.toml"
    file.write_bytes(content)

    with pytest.raises(ConfigError, match=re.escape(str(file))):
        config.load(file)


def test_a_file_that_was_named_must_exist(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="There is no file"):
        config.load(tmp_path / "none.toml")


@pytest.mark.parametrize("name", ["libvirt", "virtualbox"])
def test_the_kinds_of_vagrant_machine_can_be_asked_for_by_name(tmp_path: Path, name: str) -> None:
    testbed = config.load(written(tmp_path, f'[testbed]\nprovider = "{name}"\n')).testbed

    assert (testbed.provider, testbed.backend) == ("vagrant", name)


# --------------------------------------------------------------------------- campaigns


def bed(
    *runtimes: str, design: Literal["crossover", "paper"] = "crossover", reboot: bool = True, provider: str = "vagrant"
) -> Testbed:
    """Two machines: each with all runtimes, or in the paper's design each with one."""
    shares = [(r,) for r in runtimes] if design == "paper" else [runtimes, runtimes]
    machines = tuple(
        Machine(name=f"node{n}", runtimes=tuple(share), may_reboot=reboot) for n, share in enumerate(shares, 1)
    )
    return dataclasses.replace(
        make_testbed(), provider=provider, design=design, machines=machines, details={"images": {"httpd": "h:1"}}
    )


def settings(**campaign: Any) -> Config:
    return Config(campaign=CampaignSettings(**campaign))


def test_a_campaign_takes_everything_that_the_testbed_has() -> None:
    spec = config.campaign_spec(Config(), bed("kata", "runc"))

    assert spec.runtimes == ("runc", "kata")  # the baseline first
    assert spec.experiments == ("boot", "io")
    assert spec.parameters == {"boot": Boot().defaults("default"), "io": Io().defaults("default")}
    assert (spec.reboot, spec.runs, spec.margin, spec.images) == ("block", 15, 0.05, {"httpd": "h:1"})


def test_a_seed_is_drawn_when_none_is_given() -> None:
    seeds = {config.campaign_spec(Config(), bed("runc")).seed for _ in range(5)}

    assert len(seeds) == 5
    assert config.campaign_spec(settings(seed=7), bed("runc")).seed == 7


def test_the_papers_design_reboots_before_every_trial_and_has_its_own_parameters() -> None:
    spec = config.campaign_spec(settings(design="paper"), bed("runc", "kata", design="paper"))

    assert (spec.reboot, spec.runtimes) == ("trial", ("runc", "kata"))
    assert spec.parameters["io"]["per_char"] is True


@pytest.mark.parametrize("design", ["default", "paper"])
def test_machines_that_may_not_be_rebooted_are_not(design: str) -> None:
    spec = config.campaign_spec(settings(design=design), bed("runc", reboot=False, provider="local"))

    assert spec.reboot == "never"


@pytest.mark.parametrize(
    ("campaign", "testbed", "told", "remedy"),
    [
        (
            {"reboot": "block"},
            bed("runc", reboot=False, provider="static"),
            "may not reboot node1, node2",
            "--allow-reboot",
        ),
        ({"reboot": "trial"}, bed("runc", reboot=False, provider="local"), "may not reboot", "--reboot never"),
        ({}, bed("runc", "kata", design="paper"), "default design is refused", "--design paper"),
        ({"runtimes": ("runc", "kata")}, bed("runc"), "kata is not installed", "rtlab up --runtimes runc,kata"),
        ({"runtimes": ("runc", "rucn")}, bed("runc"), "Did you mean 'runc'?", "Known runtimes"),
        ({"experiments": ("bot",)}, bed("runc"), "Did you mean 'boot'?", "boot, io"),
        ({"baseline": "runc"}, bed("gvisor"), "baseline 'runc' is not among", "--baseline gvisor"),
        ({"runtimes": ("kata",)}, bed("runc", "kata"), "baseline 'runc' is not among", "--runtimes runc,kata"),
        ({}, bed(), "no runtime that was proved", "rtlab up"),
    ],
)
def test_what_a_testbed_cannot_do_is_refused_with_the_way_out(
    campaign: dict[str, Any], testbed: Testbed, told: str, remedy: str
) -> None:
    with pytest.raises(UsageError) as caught:
        config.campaign_spec(settings(**campaign), testbed)

    assert told in caught.value.message
    assert remedy in caught.value.remedy


def test_a_runtime_on_one_of_two_crossover_machines_is_not_there() -> None:
    machines = (Machine(name="a", runtimes=("runc", "kata")), Machine(name="b", runtimes=("runc",)))

    spec = config.campaign_spec(Config(), dataclasses.replace(bed("runc"), machines=machines))

    assert spec.runtimes == ("runc",)


def test_a_parameter_that_only_the_papers_design_makes_wrong_is_found() -> None:
    with pytest.raises(RtlabError, match="size_mb"):
        config.campaign_spec(Config(parameters={"io": {"size_mb": -1}}), bed("runc"))


@pytest.mark.parametrize("section", sections.NAMES)
def test_the_documented_tables_are_those_of_the_code(section: str) -> None:
    document = (Path(__file__).parent.parent / "docs" / "configuration.md").read_text()

    assert config.reference(section) in document


# --------------------------------------------------------------------------- variants of Kata


def test_a_variant_of_kata_is_a_section_or_a_hypervisor(tmp_path: Path) -> None:
    text = (
        '[testbed]\nruntimes = ["runc", "kata", "kata:small", "kata:clh"]\n'
        '[testbed.kata.small]\nhypervisor = "qemu"\ndefault_memory = 512\nenable_iommu = true\n'
    )
    testbed: Any = config.load(written(tmp_path, text)).testbed
    assert testbed.kata == {"small": {"hypervisor": "qemu", "default_memory": 512, "enable_iommu": True}}
    assert testbed.runtimes == ("runc", "kata", "kata:small", "kata:clh")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[testbed]\nruntimes = ["runc", "kata:smal"]\n[testbed.kata.small]\nx = 1\n', "Did you mean 'small'?"),
        ('[testbed]\nruntimes = ["runc", "runc:small"]\n', "runc has no variants"),
        ('[testbed]\nruntimes = ["runc", "kata:"]\n', "lower-case letters, digits and dashes"),
        ('[testbed]\nruntimes = ["runc", "kata:a b"]\n', "lower-case letters, digits and dashes"),
        ("[testbed.kata.small]\nhypervisor = 3\n", "is no setting of Kata's configuration.toml"),
        ('[testbed.kata.small]\n"a-b" = 3\n', "is no setting of Kata's configuration.toml"),
        ('[testbed.kata."Big One"]\nx = 3\n', "lower-case letters, digits and dashes"),
        ("[testbed.kata.small]\nx = [1]\n", "must be sections with texts, numbers and booleans"),
        ('[testbed]\nruntimes = ["kata:dragonball"]\nkata_flavour = "go"\n', "Kata with the Go runtime has no"),
        ('[testbed]\nruntimes = ["kata:openvmm"]\nkata_version = "3.32.0"\n', "Kata 3.32.0 has no configuration for"),
        (
            '[testbed]\nruntimes = ["kata:fc"]\nkata_version = "3.5.0"\nkata_flavour = "rs"\n',
            "there are: clh, dragonball",
        ),
        ('[testbed]\nruntimes = ["kata:firecracker"]\n', "there is no variant of kata called 'firecracker'"),
        ('[testbed.kata.small]\nhypervisor = "qemv"\n', "no release of Kata has a configuration for the hypervisor"),
        ('[testbed]\nkata_flavour = "rs"\n[testbed.kata.a]\nhypervisor = "stratovirt"\n', "with runtime-rs has no"),
        ("[testbed]\nkata = 3\n", "must be sections with texts, numbers and booleans"),
    ],
)
def test_a_wrong_variant_is_named(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        config.load(written(tmp_path, text))


# --------------------------------------------------------------------------- a runtime's own section


@pytest.mark.parametrize("runtime", plugins.names("runtimes"))
def test_the_documented_tables_of_runtimes_are_those_of_the_code(runtime: str) -> None:
    document = (Path(__file__).parent.parent / "docs" / "configuration.md").read_text()

    assert f"### `[runtimes.{runtime}]`\n\n{config.reference(f'runtimes.{runtime}')}" in document


def test_a_runtimes_section_says_what_the_testbeds_longer_names_say(tmp_path: Path) -> None:
    text = '[testbed]\nprovider = "local"\n[runtimes.kata]\nversion = "3.32.0"\nflavour = "rs"\n'
    text += '[runtimes.gvisor]\nbuild = "system"\n[runtimes.crun]\nbuild = "auto"\n'

    found: Any = config.load(written(tmp_path, text)).testbed

    assert (found.kata_version, found.kata_flavour, found.system_runtimes) == ("3.32.0", "rs", ("gvisor",))


def test_the_command_line_goes_before_a_runtimes_section(tmp_path: Path) -> None:
    file = written(tmp_path, '[runtimes.kata]\nversion = "3.32.0"\n[runtimes.gvisor]\nbuild = "system"\n')

    found: Any = config.load(file, {"testbed": {"kata_version": "3.30.0", "system_runtimes": ["crun"]}}).testbed

    assert (found.kata_version, found.system_runtimes) == ("3.30.0", ("crun",))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[runtimes.gvsor]\nbuild = "system"\n', "runtimes.gvsor: there is no runtime 'gvsor'. Did you mean 'gvisor'"),
        ("[runtimes]\ngvisor = 3\n", "runtimes.gvisor = 3: must be a section: [runtimes.gvisor]"),
        ("runtimes = 3\n", "runtimes = 3: must hold one section per runtime"),
        (
            '[runtimes.crun]\nbuild = "sytem"\n',
            'line 2: runtimes.crun.build = "sytem": must be one of "auto", "system"',
        ),
        ('[runtimes.crun]\nversion = "1"\n', "line 2: runtimes.crun.version: there is no key 'version'"),
        ('[runtimes.kata]\nversion = "new"\n', 'line 2: runtimes.kata.version = "new": must be a release'),
        ("[runtimes.kata]\nversion = 3.32\n", "line 2: runtimes.kata.version = 3.32: must be a text in quotes"),
        (
            '[testbed]\nkata_version = "3.30.0"\n[runtimes.kata]\nversion = "3.32.0"\n',
            'line 4: runtimes.kata.version = "3.32.0": contradicts kata_version in [testbed]',
        ),
        ('[testbed]\nsystem_runtimes = ["rnc"]\n', "there is no runtime 'rnc'"),
    ],
)
def test_what_is_wrong_in_a_runtimes_section_is_told_with_its_place(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        config.load(written(tmp_path, text))

    assert told in error.value.message

"""Engines as plug-ins: how an arm names one, which engine of a machine it gets, and what is refused before it runs."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from rtlab import config, plugins
from rtlab.artifacts import profile
from rtlab.config import Config
from rtlab.config.resolve import campaign_spec
from rtlab.connection import client as probe_client
from rtlab.connection import playbook
from rtlab.errors import ConfigError, HostUnfit, UsageError
from rtlab.model import EngineAt, Machine, Observation, Testbed, Trial
from rtlab.providers.local import beside
from rtlab.providers.local.programs import Brought
from rtlab.report import between
from rtlab.report.build import _versions
from rtlab.state import testbed_from_json as read_testbed
from rtlab.state import testbed_to_json as stored_testbed
from tests.conftest import make_record, make_spec, make_trial

DOCKER = EngineAt(socket="/run/x/docker.sock", cli="/opt/x/docker")
CRI = EngineAt(name="containerd", socket="/run/x/cri.sock", cli="", settings={"cgroup": "x", "logs": "/run/x/logs"})
ARMS = ("runc", "gvisor", "runc@containerd", "gvisor@containerd")
MACHINE = Machine(name="local", transport="local", engine=DOCKER, beside=(CRI,), runtimes=ARMS, may_reboot=False)
BED = Testbed(
    id="0badcafe", provider="local", profile="modules", design="crossover", machines=(MACHINE,), created_at="2026"
)


def test_the_engine_that_drives_an_arm_without_a_name_is_docker() -> None:
    assert plugins.names("engines")[0] == "docker"
    assert plugins.runtime("runc").engine == ""
    assert plugins.arms(["runc", "gvisor"], ["docker", "containerd"]) == ARMS


def test_an_arm_says_its_engine() -> None:
    arm = plugins.runtime("gvisor@containerd")
    assert (arm.name, arm.docker_name, arm.proof, arm.engine) == ("gvisor@containerd", "runsc", "gvisor", "containerd")
    assert arm.title == "gVisor (containerd)"


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("runc@containrd", "no engine called 'containrd'. Did you mean 'containerd'"),
        ("runc@docker", "Docker drives runc where no engine is named"),
        ("rnc@containerd", "no runtime called 'rnc'. Did you mean"),
        ("runc@", "no engine called ''"),
    ],
)
def test_a_wrong_arm_is_told(name: str, words: str) -> None:
    with pytest.raises(UsageError) as caught:
        plugins.runtime(name)
    assert words in caught.value.message


def test_a_machine_as_an_arm_sees_it() -> None:
    assert MACHINE.on("") is MACHINE
    assert MACHINE.on("docker") is MACHINE
    seen = MACHINE.on("containerd")
    assert (seen.engine, seen.beside) == (CRI, (DOCKER,))
    assert seen.on("docker") == MACHINE
    with pytest.raises(KeyError):
        MACHINE.on("podman")


def test_a_trial_goes_to_the_engine_of_its_arm() -> None:
    boot = replace(Config(), campaign=replace(Config().campaign, experiments=("boot",)))
    spec = campaign_spec(boot, BED, {"httpd": "h", "tools": "t"})
    asked = {}
    for number, arm in enumerate(ARMS, 1):
        trial = Trial(
            number=number, block=1, kind="ab", arm=arm, experiment="boot", runtime=arm, machine="local", boot=1
        )
        assert "@" not in trial.key
        asked[arm] = probe_client.trial_request(trial, spec, MACHINE, BED.id)
    assert asked["runc"]["engine"] == {"name": "docker", "socket": DOCKER.socket, "cli": DOCKER.cli}
    assert asked["gvisor@containerd"]["engine"] == {
        "name": "containerd",
        "socket": CRI.socket,
        "cli": "",
        "cgroup": "x",
        "logs": "/run/x/logs",
    }
    assert asked["gvisor@containerd"]["runtime"]["docker_name"] == "runsc"


@pytest.mark.parametrize(
    ("engines", "runtimes", "baseline", "arms"),
    [
        ((), (), "runc", ARMS),
        (("docker",), (), "runc", ("runc", "gvisor")),
        (("docker", "containerd"), ("runc",), "runc", ("runc", "runc@containerd")),
        (("containerd",), (), "gvisor@containerd", ("gvisor@containerd", "runc@containerd")),
    ],
)
def test_the_engines_of_a_campaign(
    engines: tuple[str, ...], runtimes: tuple[str, ...], baseline: str, arms: tuple[str, ...]
) -> None:
    boot = ("boot",)
    settings = replace(Config().campaign, engines=engines, runtimes=runtimes, baseline=baseline, experiments=boot)
    assert campaign_spec(replace(Config(), campaign=settings), BED, {}).runtimes == arms


def test_what_an_engine_cannot_carry_is_refused_by_name_before_anything_runs() -> None:
    settings = replace(Config().campaign, experiments=("boot",))
    only_by_command = replace(Config(), campaign=settings, parameters={"boot": {"starts": 0, "cli_starts": 15}})
    with pytest.raises(UsageError) as caught:
        campaign_spec(only_by_command, BED, {})
    assert "Container boot cannot be measured in the arm runc@containerd" in caught.value.message
    assert "Leave boot out of --experiments" in caught.value.remedy
    limited = replace(Config(), campaign=replace(settings, experiments=("cpu",)))
    with pytest.raises(UsageError, match="CPU cannot be measured in the arm gvisor@containerd: limit_cpus"):
        campaign_spec(limited, BED, {})
    free = replace(limited, parameters={"cpu": {"limit_cpus": 0.0, "limit_memory_mb": 0}})
    assert campaign_spec(free, BED, {}).experiments == ("cpu",)
    on_docker = replace(only_by_command, campaign=replace(settings, engines=("docker",)))
    assert campaign_spec(on_docker, BED, {}).runtimes == ("runc", "gvisor")


def test_settings_name_engines_and_not_arms(tmp_path: Path) -> None:
    file = tmp_path / "rtlab.toml"
    file.write_text(
        '[testbed]\nengines = ["docker", "containerd"]\n[campaign]\nruntimes = ["runc", "runc@containerd"]\n'
    )
    assert config.load(file).testbed.engines == ("docker", "containerd")
    for text, words in (
        ('[testbed]\nengines = ["podmann"]\n', "podmann"),
        ('[testbed]\nruntimes = ["runc@containerd"]\n', "must not name an engine here"),
        ('[campaign]\nruntimes = ["runc@docker"]\n', "must not name an engine here, or one that is none"),
    ):
        file.write_text(text)
        with pytest.raises(ConfigError, match=words):
            config.load(file)


def test_a_testbed_is_stored_with_its_engines() -> None:
    assert read_testbed(json.loads(json.dumps(stored_testbed(BED)))) == BED


def test_a_testbed_of_before_there_were_engines_has_docker() -> None:
    stored = json.loads(json.dumps(stored_testbed(BED)))
    (machine,) = stored["machines"]
    del machine["engine"], machine["beside"]
    machine |= {"engine_socket": "/var/run/docker.sock", "docker_cli": "/usr/bin/docker"}
    (read,) = read_testbed(stored).machines
    assert (read.engine, read.beside) == (EngineAt(), ())
    assert (read.engine.name, read.engine.socket, read.engine.cli) == (
        "docker",
        "/var/run/docker.sock",
        "/usr/bin/docker",
    )


def test_roles_are_told_only_what_the_first_engine_runs() -> None:
    assert playbook.host_variables(BED, MACHINE)["runtimes"] == ["runc", "gvisor"]
    only = replace(MACHINE, runtimes=("runc@containerd",))
    assert "runtimes" not in playbook.host_variables(BED, only)


# --------------------------------------------------------------------------- what an engine adds


def test_what_docker_adds_is_each_runtimes_ratio_within_blocks() -> None:
    """Docker takes 1.5 times as long for runC and 1.2 times for gVisor, in eight blocks whose level drifts."""
    took = {"runc": 1.5, "runc@containerd": 1.0, "gvisor": 3.6, "gvisor@containerd": 3.0}
    spec = make_spec(runtimes=ARMS, runs=8)
    observations, records = [], []
    for block in range(1, 9):
        for place, arm in enumerate(ARMS):
            trial = make_trial(4 * block + place, block=block, boot=4 * block + place, arm=arm, runtime=arm)
            records.append(make_record(trial))
            level = (1 + 0.1 * block) * (1 + 0.001 * ((block * 7 + place * 3) % 5))
            observations.append(
                Observation(trial=trial, metric="first_page_s", value=took[arm] * level, unit="s", index=0)
            )
    metrics = {"boot": plugins.experiment("boot").metrics}
    titles = {arm: plugins.runtime(arm).title for arm in ARMS}

    found = between.comparisons(spec, observations, records, metrics, titles, ())

    assert [(c.metric, c.arm, c.baseline) for c in found] == [
        ("first_page_s", "runc", "runc@containerd"),
        ("first_page_s", "gvisor", "gvisor@containerd"),
    ]
    for comparison, true in zip(found, (1.5, 1.2), strict=True):
        assert comparison.ratio is not None and comparison.ratio.low is not None and comparison.ratio.high is not None
        assert comparison.ratio.point == pytest.approx(true, rel=0.004)
        assert comparison.ratio.low < true * 1.004 and comparison.ratio.high > true * 0.996
    first, second = between.caveats(found)
    assert first.message.startswith("What Docker adds: ") and "runC (containerd)" in first.message
    assert "gVisor (containerd)" in second.message


def test_a_campaign_of_one_engine_says_nothing_about_engines() -> None:
    assert between.pairs(("runc", "gvisor")) == ()
    assert between.pairs(("runc@containerd", "gvisor@containerd")) == ()
    assert between.comparisons(make_spec(), [], [], {}, {}, ()) == ()


def test_the_report_says_which_engine_and_program_an_arm_had() -> None:
    known = {
        "docker": {"version": "29.1"},
        "runtimes": {"runc": {"version": "runc 1.5"}},
        "engines": {
            "containerd": {"containerd": {"version": "v2.4.2"}, "runtimes": {"runc": {"version": "runc 1.4"}}},
            "<b>": {},
        },
    }
    told = _versions({"local": known}, make_spec(runtimes=("runc", "runc@containerd")))
    assert ("local", "engine", "containerd v2.4.2, by its own socket") in told
    assert ("local", "runC", "runc 1.5") in told
    assert ("local", "runC (containerd)", "runc 1.4") in told


def test_up_is_told_runtimes_and_not_arms() -> None:
    """Where the baseline is not there, the way out is a command that works."""
    settings = replace(Config().campaign, engines=("containerd",))
    with pytest.raises(UsageError) as caught:
        campaign_spec(replace(Config(), campaign=settings), BED, {})
    assert "--baseline runc@containerd" in caught.value.remedy
    gone = replace(BED, machines=(replace(MACHINE, runtimes=("gvisor", "gvisor@containerd")),))
    with pytest.raises(UsageError) as caught:
        campaign_spec(Config(), gone, {})
    assert "rtlab up --runtimes gvisor,runc`" in caught.value.remedy


def test_a_further_engine_needs_builds_and_images_made_here() -> None:
    for name, source, words in (
        ("debian-12", "auto", "this testbed has none (profile debian-12)"),
        ("modules", "system", "this testbed has none (--engine system)"),
    ):
        with pytest.raises(HostUnfit) as caught:
            beside.check(("docker", "containerd"), profile.load(name), source)
        assert words in caught.value.message
    beside.check(("docker", "containerd"), profile.load("modules"), "auto")
    beside.check(("docker",), profile.load("debian-12"), "system")
    with pytest.raises(HostUnfit, match="none can be had here: no proxy"):
        beside.require_builds(("containerd",), Brought(fallback="no proxy"))

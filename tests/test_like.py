"""``--like``: a stored campaign's testbed, spec and seed again; what cannot be the same is named first."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rtlab import config, report, store
from rtlab.campaign import like
from rtlab.config import TestbedSettings
from rtlab.errors import UsageError
from rtlab.model import Testbed
from rtlab.store import Campaign
from tests.conftest import make_spec, make_testbed, make_trial

PARAMETERS = {"boot": {"starts": 3}}


def rtlab(*words: str, cwd: Path, status: int = 0) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "rtlab", *words], cwd=cwd, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == status, done.stderr
    return done


def make(folder: Path, bed: Testbed | None = None, **changes: object) -> Campaign:
    spec = make_spec(**{"parameters": PARAMETERS, **changes})
    return store.create(folder, spec, bed or make_testbed(), [make_trial()])


def vagrant(**details: object) -> Testbed:
    found = {"accel": "kvm", "backend": "libvirt", "cpus": 3, "memory_mb": 4096, "disk_gb": 12, "disk_cache": "none"}
    box = {"name": "b", "version": "1", "sha256": "ab" * 32}
    return make_testbed(2, provider="vagrant", profile="debian-12", details={**found, "box": box, **details})


def test_the_same_campaign_again_gives_the_same_values_in_another_folder(tmp_path: Path) -> None:
    """The simulated values depend on scenario, seed and trial alone: equal values mean an equal spec, seed and plan."""
    scenario = tmp_path / "mine.toml"
    scenario.write_text('summary = "My own."\n[ratios.kata]\nboot = 2.5\n')
    here, there = tmp_path / "here", tmp_path / "there"
    here.mkdir()
    rtlab("up", "--provider", "simulated", "--scenario", str(scenario), cwd=here)
    rtlab("bench", "--runs", "4", "--experiments", "boot,cpu", "--set", "boot.starts=3", cwd=here)
    scenario.unlink()
    there.mkdir()
    (first,) = (here / "campaigns").iterdir()

    up = rtlab("up", "--like", str(first), cwd=there)
    assert "nothing known differs" in up.stderr
    bench = rtlab("bench", "--like", str(first), cwd=there)
    assert "nothing known differs" in bench.stderr

    (second,) = (there / "campaigns").iterdir()
    assert Campaign(second).spec == Campaign(first).spec
    assert Campaign(second).plan == Campaign(first).plan
    assert report.build(Campaign(second)).observations == report.build(Campaign(first)).observations


def test_what_up_needs_is_read_from_the_testbed(tmp_path: Path) -> None:
    options = like.testbed_options(make(tmp_path, vagrant()))
    assert options == {
        "provider": "vagrant",
        "profile": "debian-12",
        "design": "crossover",
        "runtimes": "runc,gvisor",
        "machines": 2,
        "accel": "kvm",
        "backend": "libvirt",
        "cpus": 3,
        "memory_mb": 4096,
        "disk_gb": 12,
        "disk_cache": "none",
    }


def test_katas_release_flavour_and_variants_are_carried_over(tmp_path: Path) -> None:
    chosen = {"kata_version": "3.30.0", "kata_flavour": "rs", "kata": {"small": {"default_memory": 512}}}
    campaign = make(tmp_path, vagrant(**chosen))
    options = like.testbed_options(campaign)
    assert {key: options[key] for key in chosen} == chosen
    lines = like.testbed_differences(campaign, config.section("testbed")(provider="vagrant", backend="libvirt"))
    assert "kata_version: the profile's here, 3.30.0 there" in lines


def test_a_release_that_is_none_from_a_stranger_is_refused(tmp_path: Path) -> None:
    make(tmp_path / "campaigns", vagrant(kata_version="3.30.0/../../x"), parameters={"boot": {}})
    name = next((tmp_path / "campaigns").iterdir()).name
    said = rtlab("up", "--like", name, "--provider", "simulated", cwd=tmp_path, status=2).stderr
    assert "must be a release, such as 3.32.0" in said


def test_details_of_the_wrong_kind_from_a_stranger_are_not_taken(tmp_path: Path) -> None:
    options = like.testbed_options(make(tmp_path, vagrant(cpus="$(reboot)", memory_mb=True, disk_cache=["x"])))
    assert not {"cpus", "memory_mb", "disk_cache"} & options.keys()


def test_another_provider_and_other_versions_are_named(tmp_path: Path) -> None:
    campaign = make(tmp_path, vagrant())
    header = json.loads((campaign.folder / "campaign.json").read_text())
    (campaign.folder / "campaign.json").write_text(json.dumps({**header, "rtlab": "0.0.9"}))
    campaign = Campaign(campaign.folder)
    settings = TestbedSettings(provider="local", profile="debian-12", runtimes=("runc", "gvisor"), cpus=4)
    lines = like.testbed_differences(campaign, settings)
    assert "provider: local here, vagrant there" in lines
    assert any(line.startswith("rtlab:") and "0.0.9 there" in line for line in lines)
    assert any(line.startswith("hardware: what local has here") and "cpus 3" in line for line in lines)
    assert not any("cpus: 4" in line for line in lines)  # no machine here has these: they are defaults
    lines = like.testbed_differences(campaign, TestbedSettings(provider="vagrant", backend="libvirt", cpus=4))
    assert "cpus: 4 here, 3 there" in lines and any(line.startswith("box: built again") for line in lines)

    bed = make_testbed(details={"images": {"httpd": "other:2", "tools": "t:1"}})
    lines = like.spec_differences(campaign, like.spec(campaign, bed), bed)
    assert "provider: simulated here, vagrant there" in lines
    assert "number of machines: 1 here, 2 there" in lines
    assert "image httpd: other:2 here, h:1 there" in lines
    assert any(line.startswith("plan:") for line in lines)


def test_the_command_says_it_before_anything_happens(tmp_path: Path) -> None:
    make(tmp_path / "campaigns", vagrant(), parameters={"boot": {}})
    name = next((tmp_path / "campaigns").iterdir()).name
    said = rtlab("up", "--like", name, "--provider", "simulated", cwd=tmp_path).stderr
    assert said.index("provider: simulated here, vagrant there") < said.index("simulated machines")


def test_other_versions_on_the_machines_are_named_before_the_first_trial(tmp_path: Path) -> None:
    campaign = make(tmp_path)
    campaign.write_facts("node1", {"kernel": "5.10.0", "docker": {"version": "20.10.24"}})
    lines = like.facts_differences(campaign, [{"kernel": "6.1.0", "docker": {"version": "20.10.24"}}])
    assert lines == ("machine 1: kernel: was 5.10.0, is now 6.1.0",)


def test_bench_names_them_as_warnings(tmp_path: Path) -> None:
    rtlab("up", "--provider", "simulated", cwd=tmp_path)
    rtlab("bench", "--runs", "1", "--experiments", "boot", cwd=tmp_path)
    (first,) = (tmp_path / "campaigns").iterdir()
    for file in first.glob("facts/*/*.json"):
        file.write_text(json.dumps({**json.loads(file.read_text()), "kernel": "5.4.0-other"}))
    said = rtlab("bench", "--like", first.name, cwd=tmp_path).stderr
    assert said.count("kernel: was 5.4.0-other, is now simulated") == 2


@pytest.mark.parametrize(
    ("changes", "bed", "said"),
    [
        ({"runtimes": ("runc", "kata")}, {}, "runtime kata is not on testbed"),
        ({"experiments": ("boot", "frob")}, {}, "experiment 'frob' is unknown"),
        ({"parameters": {"boot": {"frob": 1}}}, {}, "no parameter frob"),
        ({"parameters": {"boot": {"starts": -1}}}, {}, "starts"),
        ({}, {"design": "paper"}, "one runtime per machine"),
    ],
)
def test_what_cannot_be_done_again_is_refused_by_name(
    tmp_path: Path, changes: dict[str, Any], bed: dict[str, Any], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        like.spec(make(tmp_path, **changes), make_testbed(**bed))


def test_reboots_where_rtlab_may_not_are_refused(tmp_path: Path) -> None:
    bed = make_testbed()
    bed = replace(bed, machines=tuple(replace(m, may_reboot=False) for m in bed.machines))
    with pytest.raises(UsageError, match="may not reboot node1"):
        like.spec(make(tmp_path, reboot="block"), bed)


def test_options_that_would_change_the_spec_are_refused(tmp_path: Path) -> None:
    rtlab("up", "--provider", "simulated", cwd=tmp_path)
    said = rtlab("bench", "--like", "x", "--runs", "3", cwd=tmp_path, status=2).stderr
    assert "--runs would change it" in said

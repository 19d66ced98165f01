"""Which Docker drives which Kata: the rows of stack-facts §2 and §13, and what `up` refuses beforehand."""

from __future__ import annotations

from typing import Any

import pytest

from rtlab.artifacts import profile
from rtlab.errors import HostUnfit
from rtlab.runtimes.kata import compatibility


@pytest.mark.parametrize(
    ("docker", "kata", "flavour", "verdict"),
    [
        ("20.10.24+dfsg1", "1.12.1", "go", "works"),  # run by rtlab
        ("19.03.15", "1.12.1", "go", "works"),
        ("18.09.9", "1.12.1", "go", "fails"),
        ("20.10.24", "3.32.0", "go", "fails"),
        ("26.1.5+dfsg1", "1.12.1", "go", "fails"),
        ("25.0.5", "3.2.0", "go", "fails"),
        ("25.0.5", "3.3.0", "go", "works"),
        ("26.0.0", "3.3.0", "go", "fails"),
        ("26.0.1", "3.3.0", "go", "works"),
        ("27.5.1", "3.32.0", "go", "works"),
        ("28.0.0", "3.28.0", "go", "fails"),
        ("28.0.0", "3.29.0", "go", "works"),
        ("28.5.0", "3.29.0", "rs", "fails"),
        ("28.5.0", "3.30.0", "rs", "works"),
        # Time namespaces: stack-facts §14, kata-containers 3.32.0.
        ("29.4.3", "3.30.0", "go", "works"),
        ("29.5.0", "3.31.0", "go", "fails"),
        ("29.5.0", "3.32.0", "go", "works"),
        ("2.0.0-beta.24", "3.31.0", "rs", "fails"),
        ("2.0.0-beta.24", "3.32.0", "rs", "works"),
        ("31.0.0", "3.30.0", "rs", "fails"),
        ("31.0.0", "3.32.0", "rs", "unknown"),
        ("27.5.1", "5.0.0", "go", "unknown"),
        ("", "3.30.0", "rs", "unknown"),
    ],
)
def test_the_matrix(docker: str, kata: str, flavour: str, verdict: str) -> None:
    found = compatibility.look_up(docker, kata, flavour)
    assert found.verdict == verdict
    assert bool(found.reason) == (verdict != "unknown")
    assert bool(found.nearest) == (verdict == "fails")


@pytest.mark.parametrize("name", profile.names())
def test_every_profiles_own_pair_is_known_to_work(name: str) -> None:
    pins = profile.load(name)
    variables = pins.role_variables
    found = compatibility.look_up(
        str(variables["docker_version"]), str(variables["kata_version"]), str(variables.get("kata_flavour", "go"))
    )
    assert found.verdict == "works"
    assert compatibility.require(variables, pins.box["kernel_arguments"], pins.suite) == ""


PAIR: dict[str, Any] = {"docker_version": "20.10.24", "kata_version": "1.12.1"}


def test_what_is_known_to_fail_is_refused_with_what_works() -> None:
    with pytest.raises(HostUnfit) as caught:
        compatibility.require({**PAIR, "kata_version": "3.32.0"}, (), "debian-12")
    assert "cannot use shim v2" in caught.value.message and "Kata 1.12.1, or Docker 27.5.1" in caught.value.remedy


@pytest.mark.parametrize("docker", ["29.5.0", "2.0.0-beta.24", "29.8.1"])
@pytest.mark.parametrize(("kata", "flavour"), [("3.30.0", "rs"), ("3.31.0", "go")])
def test_time_namespaces_are_named_with_both_ways_out(docker: str, kata: str, flavour: str) -> None:
    """A newer Kata, or the engine's feature switched off: then that pair is not refused any more."""
    pair = {"docker_version": docker, "kata_version": kata, "kata_flavour": flavour}
    with pytest.raises(HostUnfit) as caught:
        compatibility.require(pair, (), "debian-13")
    assert "a time namespace of its own" in caught.value.message
    assert "Kata 3.32.0" in caught.value.remedy and '"time-namespaces": false' in caught.value.remedy
    switched = {"docker_daemon_options": {"features": {"time-namespaces": False}}}
    assert compatibility.require({**pair, **switched}, (), "debian-13") == ""
    assert compatibility.require({**pair, "kata_version": "3.32.0"}, (), "debian-13") == ""


def test_cgroup_v2_with_kata_1_is_refused() -> None:
    with pytest.raises(HostUnfit, match="cgroup v1 only"):
        compatibility.require(PAIR, (), "debian-12")
    assert compatibility.require(PAIR, ("systemd.unified_cgroup_hierarchy=0",), "debian-12") == ""
    assert compatibility.require(PAIR, (), "ubuntu-18.04") == ""


def test_an_unknown_pair_is_allowed_with_a_warning() -> None:
    said = compatibility.require({"docker_version": "40.0", "kata_version": "9.0.0"}, (), "debian-13")
    assert "No source says whether Kata 9.0.0 works under Docker 40.0" in said

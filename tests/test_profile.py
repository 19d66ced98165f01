"""rtlab.artifacts.profile: the three files of pins, what is missing in them, and what can be reached."""

from __future__ import annotations

import re
import socket
import sys
from dataclasses import replace
from typing import Any

import pytest

from rtlab import plugins
from rtlab.artifacts import profile
from rtlab.errors import ConfigError, HostUnfit, UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTPS_PROXY", "HTTP_PROXY", "no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)


def test_names_are_those_of_the_design() -> None:
    assert profile.names() == ("current", "debian-12", "debian-13", "modules", "paper-2020")


def test_debian_12_needs_no_vendor() -> None:
    pins = profile.load("debian-12")

    assert pins.needs == ()
    assert pins.role_variables["docker_version"] == "20.10.24"
    assert pins.role_variables["docker_source"] == "distribution"
    assert "systemd.unified_cgroup_hierarchy=0" in pins.box["kernel_arguments"]
    assert pins.role_variables["images_registry"] == []


def test_paper_2020_is_the_study() -> None:
    """paper.txt, section III: Ubuntu 18.04, httpd 2.4.41; the digest from stack-facts §11, the fingerprint from §4."""
    pins = profile.load("paper-2020")

    assert pins.suite == "ubuntu-18.04"
    assert pins.role_variables["images_registry"] == [
        {
            "role": "httpd",
            "reference": "httpd:2.4.41",
            "digest": "sha256:946c54069130dbf136903fe658fe7d113bd8db8004de31282e20b262a3e106fb",
        }
    ]
    assert pins.role_variables["docker_key_fingerprint"] == "9DC858229FC7DD38854AE2D88D81803C0EBFCD88"
    assert pins.role_variables["kata_version"].startswith("1.")


@pytest.mark.parametrize("name", profile.names())
def test_every_pin_has_the_form_of_one(name: str) -> None:
    pins = profile.load(name)

    for key, value in {**pins.role_variables, **pins.box}.items():
        if key.endswith("sha256"):
            assert re.fullmatch("[0-9a-f]{64}", value), key
        if key.endswith("sha512"):
            assert re.fullmatch("[0-9a-f]{128}", value), key
        if key.endswith("url"):
            assert value.startswith("https://"), key
            # The box's own server is asked only where machines are made.
            apart = key.startswith(("kata_", "gvisor_")) or key in ("url", "checksums_url")
            assert value.split("/")[2] in pins.needs or apart, key
        if key.endswith("_packages") and isinstance(value, dict):
            assert all(value.values()), f"{key}: a package without a version"
    for runtime in plugins.names("runtimes"):
        role = plugins.runtime(runtime).role
        assert any(key.startswith(f"{role}_") for key in pins.role_variables), f"{name} says nothing of {role}"


def test_missing_pins_are_named_until_they_are_given() -> None:
    pins = profile.with_sources(profile.load("debian-12"), {"kata_archive": "/here/kata-static-1.12.1-mine.tar.xz"})

    assert profile.missing_pins(pins, ("runc", "gvisor"), {}) == ()
    missing = profile.missing_pins(pins, ("runc", "kata:qemu"), {"kata_sha256": ""})
    assert [m.variable for m in missing] == ["kata_sha256"]
    assert "kata-static-1.12.1" in missing[0].of
    assert profile.missing_pins(pins, ("kata",), {"kata_sha256": "0" * 64}) == ()


def test_missing_pins_of_a_cloud_image() -> None:
    pins = profile.load("paper-2020")
    variables = {m.variable for m in profile.missing_pins(pins, ("runc", "kata", "gvisor", "crun"), {})}

    assert variables == {"box_sha256"}


@pytest.mark.parametrize("name", profile.names())
def test_all_that_runtimes_download_is_pinned(name: str) -> None:
    pins = profile.load(name)
    wanted = ("runc", "crun", "gvisor", "kata")
    assert {m.variable for m in profile.missing_pins(pins, wanted, {})} <= {"box_sha256"}
    for runtime in profile.downloads(pins, wanted, {}):
        assert str(pins.role_variables[f"{runtime}_url"]).startswith("https://")
        digest = pins.role_variables["gvisor_sha512" if runtime == "gvisor" else f"{runtime}_sha256"]
        assert re.fullmatch(r"[0-9a-f]{128}" if runtime == "gvisor" else r"[0-9a-f]{64}", digest)


def test_unknown_profile_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="Did you mean 'debian-12'") as caught:
        profile.load("debian12")

    assert "paper-2020" in caught.value.remedy


GOOD = tomllib.loads((profile.FOLDER / "debian-12.toml").read_text())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dokcer": {}}, "unknown key 'dokcer'"),
        ({"needs": "github.com"}, "needs must be a list"),
        ({"docker": "20.10"}, "docker must be a dict"),
        ({"images": {"httpd": {"source": "registry", "reference": "httpd:2.4"}}}, r"images\.httpd needs .* digest"),
        ({"images": {"httpd": {"source": "somewhere"}}}, r"images\.httpd needs"),
    ],
)
def test_damaged_profile_is_refused_with_its_key(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        profile.from_data("x", {**GOOD, **change}, "x.toml")


def test_missing_key_is_named() -> None:
    with pytest.raises(ConfigError, match="suite is missing"):
        profile.from_data("x", {k: v for k, v in GOOD.items() if k != "suite"}, "x.toml")


def listen() -> tuple[socket.socket, int]:
    server = socket.create_server(("127.0.0.1", 0))
    return server, server.getsockname()[1]


def test_unreachable_asks_the_servers_or_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind a proxy it is the proxy that must answer; names that do not resolve are unreachable at once."""
    pins = replace(profile.load("debian-12"), needs=("nowhere.invalid", "also.invalid"))
    assert profile.unreachable(pins, timeout_s=1) == ("nowhere.invalid", "also.invalid")

    server, port = listen()
    with server:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        assert profile.unreachable(pins, timeout_s=1) == ()
        monkeypatch.setenv("no_proxy", "also.invalid")
        assert profile.unreachable(pins, timeout_s=1) == ("also.invalid",)


def test_require_reachable_names_the_profile_that_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile, "_answers", lambda host, timeout_s: host == "github.com")

    profile.require_reachable(profile.load("debian-12"))
    with pytest.raises(HostUnfit, match="paper-2020 needs cloud-images") as caught:
        profile.require_reachable(profile.load("paper-2020"))

    assert "github.com" not in caught.value.message
    assert "--profile debian-12" in caught.value.remedy


def test_what_runtimes_are_downloaded_from_must_answer_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile, "_answers", lambda host, timeout_s: False)
    pins = profile.load("debian-13")

    profile.require_reachable(pins, ("runc", "crun"))
    with pytest.raises(HostUnfit, match=r"gvisor from storage\.googleapis\.com, which") as caught:
        profile.require_reachable(pins, ("runc", "gvisor"))
    assert "--runtimes" in caught.value.remedy and "--kata-archive" not in caught.value.remedy
    with pytest.raises(HostUnfit, match=r"downloads kata from github\.com") as caught:
        profile.require_reachable(pins, ("runc", "kata:clh"))
    assert "--kata-archive FILE" in caught.value.remedy
    profile.require_reachable(pins, ("runc", "kata:clh"), {"kata_archive": "/a/file"})


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ({}, True),
        ({"kata_archive": "/here/kata-static-3.29.0-amd64.tar.zst"}, True),
        ({"kata_url": "https://mirror.example/kata-static-3.29.0-amd64.tar.zst"}, True),
        ({"kata_archive": "/here/mine.tar.zst"}, False),
        ({"kata_url": "https://mirror.example/kata-static-3.20.0-amd64.tar.xz"}, False),
    ],
)
def test_a_profiles_digest_is_for_the_file_that_it_names(given: dict[str, str], kept: bool) -> None:
    pins = profile.with_sources(profile.load("debian-13"), given)
    assert bool(pins.role_variables["kata_sha256"]) is kept
    assert pins.role_variables["gvisor_sha512"]
    missing = [pin.variable for pin in profile.missing_pins(pins, ("runc", "kata"), given)]
    assert missing == ([] if kept else ["kata_sha256"])


def test_a_boxs_server_is_needed_only_where_machines_are_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(profile, "_answers", lambda host, timeout_s: host != "cloud-images.ubuntu.com")
    current = profile.load("current")
    assert profile.unreachable(current) == ("cloud-images.ubuntu.com",)
    assert profile.unreachable(current, box=False) == ()


@pytest.mark.parametrize(("name", "origin"), [("current", "its builds"), ("debian-12", "its distribution")])
def test_what_a_profile_does_not_take_is_refused_with_where_it_takes_it_from(name: str, origin: str) -> None:
    with pytest.raises(UsageError, match=f"--gvisor-sha512 does nothing: profile {name} takes gvisor from {origin}"):
        profile.require_use(profile.load(name), ["gvisor_sha512"])

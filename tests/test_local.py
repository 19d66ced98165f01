"""The local provider's decisions: what this machine lacks, how runtimes are wired, what Docker's errors mean."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from rtlab import atomic, plugins, testbed
from rtlab.artifacts import profile
from rtlab.config import TestbedSettings
from rtlab.engines.docker.private import Programs
from rtlab.errors import HostUnfit, Unsafe, UsageError
from rtlab.model import Machine, Surroundings, Testbed, Wiring, ignore_events
from rtlab.providers.local import here, programs, trying
from rtlab.providers.local import provider as local
from rtlab.providers.local.programs import Brought
from rtlab.runtimes.gvisor import wiring as gvisor
from rtlab.runtimes.kata import wiring as kata
from rtlab.runtimes.runc import wiring as runc
from rtlab.state import StateFolder

ROOT_CAPABILITIES = "CapEff:\t000001ffffffffff\n"
# What `docker run` without --privileged gives root: moby's default capabilities, 0xa80425fb.
CONTAINER_CAPABILITIES = "CapEff:\t00000000a80425fb\n"
CGROUPS = "cgroup2 /sys/fs/cgroup cgroup2 rw,nosuid 0 0\n"
PROGRAMS = Programs(
    dockerd="/usr/sbin/dockerd", containerd="/usr/bin/containerd", docker="/usr/bin/docker", version="20.10.24"
)


def test_root_on_a_host_may() -> None:
    here.check_rights(ROOT_CAPABILITIES, CGROUPS, euid=0)


@pytest.mark.parametrize(
    ("status", "mounts", "euid", "message", "remedy"),
    [
        (ROOT_CAPABILITIES, CGROUPS, 1000, "only root", "sudo"),
        (CONTAINER_CAPABILITIES, CGROUPS, 0, "CAP_SYS_ADMIN and CAP_NET_ADMIN", "--provider simulated"),
        (ROOT_CAPABILITIES, "", 0, "cgroups are not mounted", "--provider simulated"),
        (ROOT_CAPABILITIES, CGROUPS.replace("rw,", "ro,"), 0, "cgroups are mounted read-only", "on the host"),
    ],
)
def test_what_is_missing_is_named_with_a_remedy(status: str, mounts: str, euid: int, message: str, remedy: str) -> None:
    with pytest.raises(HostUnfit, match=message) as caught:
        here.check_rights(status, mounts, euid=euid)
    assert remedy in caught.value.remedy
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("default", "asked", "kvm", "order"),
    [
        # gVisor of 2026: no arguments at all is systrap on its own network stack.
        ("systrap", "systrap", False, ["", "--platform=ptrace", "--network=host", "--platform=ptrace --network=host"]),
        ("systrap", "", True, ["", "--platform=kvm", "--platform=ptrace", "--network=host"]),
        # gVisor of 2022, whose own platform is the deprecated one: everything else is tried first.
        ("ptrace", "ptrace", False, ["--platform=systrap", "", "--platform=systrap --network=host", "--network=host"]),
        # A runsc that does not say.
        (
            "",
            "kvm",
            True,
            ["--platform=kvm", "--platform=systrap", "--platform=ptrace", "--platform=kvm --network=host"],
        ),
    ],
)
def test_gvisor_is_tried_as_people_run_it_first(default: str, asked: str, kvm: bool, order: list[str]) -> None:
    ways = gvisor.in_order("/usr/bin/runsc", default, asked, kvm=kvm)
    arguments = [" ".join(way.entry.get("runtimeArgs", ())) for way in ways if way.entry]
    assert arguments[: len(order)] == order
    assert all(
        ("--network=host" in way.note) == ("--network=host" in a) for way, a in zip(ways, arguments, strict=True)
    )
    # An empty list of arguments would be wrapped in a script by Docker as well.
    assert all(way.entry is not None and way.entry.get("runtimeArgs") != [] for way in ways)


@pytest.mark.parametrize(
    ("told", "platform"),
    [
        # As runsc 20221219 and 20260905 print their flags.
        (
            '  -platform string\n    \tspecifies which platform to use: ptrace (default), kvm. (default "ptrace")\n'
            "  -platform_device_path string\n    \tpath to a platform-specific device file\n",
            "ptrace",
        ),
        ("  -platform string\n    \tspecifies which platform to use: systrap (default) (default systrap)\n", "systrap"),
        ("Usage: runsc\n", ""),
    ],
)
def test_a_runsc_tells_its_own_platform(tmp_path: Path, told: str, platform: str) -> None:
    (tmp_path / "flags").write_text(told)
    runsc = tmp_path / "runsc"
    runsc.write_text(f'#!/bin/sh\n[ "$1" = flags ] && cat {tmp_path}/flags >&2\n')
    runsc.chmod(0o755)
    assert gvisor.default_platform(trying._said((str(runsc), "flags"))) == platform


def around(folder: Path, version: str, kvm_refuses: str = "") -> Surroundings:
    """A machine where what lies in ``folder/bin`` is Kata's own folder's."""

    def find(program: str) -> str:
        there = folder / "bin" / Path(program).name
        return program if program.startswith("/opt/rtlab/kata/bin/") and there.exists() else ""

    major = int(version.split(".")[0])
    return Surroundings(
        find=find, said=lambda _: "", kvm_refuses=lambda: kvm_refuses, engine_version=version, engine_major=major
    )


@pytest.mark.parametrize(
    ("version", "files", "expected"),
    [
        ("20.10.24", ["kata-runtime"], {"path": "{}/bin/kata-runtime"}),
        ("26.1.5", ["kata-runtime", "containerd-shim-kata-v2"], {"runtimeType": "{}/bin/containerd-shim-kata-v2"}),
        ("20.10.24", ["containerd-shim-kata-v2"], "can drive Kata 1.x only"),
        ("26.1.5", [], "Kata is not installed"),
    ],
)
def test_kata_is_wired_as_this_docker_can(
    tmp_path: Path,
    version: str,
    files: list[str],
    expected: dict[str, str] | str,
) -> None:
    # stack-facts §2: shim v2 runtimes need Docker 23, Docker 20.10 knows OCI command lines only.
    (tmp_path / "bin").mkdir()
    for name in files:
        (tmp_path / "bin" / name).touch(mode=0o755)
    ways = kata.ways(around(tmp_path, version))
    if isinstance(expected, str):
        assert isinstance(ways, str)
        assert expected in ways
    else:
        assert not isinstance(ways, str)
        assert [way.entry for way in ways] == [{k: v.format("/opt/rtlab/kata") for k, v in expected.items()}]


def test_kata_without_a_kvm_that_boots_says_so(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "kata-runtime").touch(mode=0o755)
    refusing = around(tmp_path, "26.1.5", kvm_refuses="no /dev/kvm")
    assert kata.ways(refusing) == "Kata needs a KVM that boots guests: no /dev/kvm"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        # As Docker 20.10 printed them on this project's machines (crun 1.8.1, runsc 20221219).
        (
            "docker: Error response from daemon: failed to create shim task: OCI runtime create failed: cgroups in "
            "hybrid mode not supported, drop all controllers from cgroupv2: unknown.\n",
            "cgroups in hybrid mode not supported, drop all controllers from cgroupv2",
        ),
        (
            "docker: Error response from daemon: failed to create shim task: OCI runtime create failed: unknown "
            "platform: systrap: unknown.\n",
            "unknown platform: systrap",
        ),
        ("", "it printed nothing"),
    ],
)
def test_the_cause_is_taken_out_of_dockers_chain(text: str, reason: str) -> None:
    assert trying.reason_in(text) == reason


def test_a_known_message_is_told_by_what_it_means() -> None:
    """As Docker 26.1.5 printed it on Debian 13 (kernel 6.12, runsc 20240729)."""
    refusal = trying.reason_in(
        "docker: Error response from daemon: OCI runtime start failed: starting container: setting up network: "
        'creating interfaces from net namespace "/proc/1939/ns/net": '
        "cannot run with network enabled in root network namespace: unknown.\n"
    )
    assert "need a release after 2024-07-29" in plugins.runtime("gvisor").meaning_of(refusal)
    assert plugins.runtime("runc").meaning_of(refusal) == ""


def test_docker_knows_gvisor_as_runsc_and_runc_by_itself() -> None:
    assert trying.entries({"runc": None, "gvisor": {"path": "/usr/bin/runsc"}}) == {"runsc": {"path": "/usr/bin/runsc"}}


def test_findings_survive_and_depend_on_what_was_asked(tmp_path: Path) -> None:
    pins = profile.load("debian-12")
    one, other = (trying.findings_key(PROGRAMS, names, pins, Brought()) for names in (("runc",), ("runc", "gvisor")))
    assert one != other
    findings = trying.Findings(key=one, usable={"runc": None}, unavailable={"crun": "no"}, iptables=False)
    atomic.write_json(tmp_path / "findings.json", asdict(findings))
    assert trying.read_findings(tmp_path) == findings
    (tmp_path / "findings.json").write_text("{")
    assert trying.read_findings(tmp_path) is None


def test_the_machine_is_never_rebooted(tmp_path: Path) -> None:
    machine = Machine(name="local", transport="local")
    testbed = Testbed(
        id="0badcafe", provider="local", profile="debian-12", design="crossover", machines=(machine,), created_at=""
    )
    with pytest.raises(UsageError, match="not rebooted"):
        local.PROVIDER.reboot(testbed, machine, StateFolder(tmp_path), 1.0)


def test_teardown_of_nothing_is_nothing(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / ".rtlab")
    assert local.PROVIDER.teardown("0badcafe", state, ignore_events) == ()
    assert local.PROVIDER.leftovers("0badcafe", state) == ()


def test_youki_is_tried_as_it_is_before_the_engine_is_changed_for_it() -> None:
    """youki #3538: fails with the private time namespaces that Docker has by default since 29.5."""
    brought = Brought(folder=Path("/opt/rtlab/0badcafe/bin"), runtimes=frozenset({"runc", "youki"}))
    ways = trying.ways_of("youki", PROGRAMS, profile.load("modules"), brought)
    assert not isinstance(ways, str)
    plain, switched = ways
    assert plain.entry == switched.entry == {"path": "/opt/rtlab/0badcafe/bin/youki"}
    assert (plain.features, switched.features) == ({}, {"time-namespaces": False})
    assert "every runtime" in switched.note


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"system_runtimes": ("crun",)}, "crun cannot be this machine's own: the runtimes are runc, gvisor."),
        ({"system_runtimes": ("gvisor",), "engine": "system"}, "does nothing with --engine system"),
        ({"system_runtimes": ("gvisor",), "engines": ("docker", "containerd")}, "not under containerd"),
    ],
)
def test_a_runtime_of_the_machines_own_is_refused_where_it_would_do_nothing(given: dict[str, Any], told: str) -> None:
    settings = TestbedSettings(provider="local", profile="modules", runtimes=("runc", "gvisor"), **given)
    with pytest.raises(UsageError) as caught:
        local.PROVIDER.check(settings)
    assert told in caught.value.message


def test_a_runtime_without_a_build_is_named_unless_it_was_asked_for() -> None:
    brought = Brought(folder=Path("/x"), runtimes=frozenset({"runc"}), own=("gvisor",))
    assert local.no_build(("runc", "gvisor", "crun"), brought) == {
        "crun": "there is no build of it: this machine's own"
    }
    assert local.no_build(("runc", "crun"), Brought()) == {}


def test_an_old_runc_of_the_machines_own_is_tried_without_time_namespaces(tmp_path: Path) -> None:
    """Debian 12's runC 1.1.5 under moby v2.0.0-beta.24: ``namespace {"time" ""} does not exist``."""
    plain, switched = runc.ways(replace(around(tmp_path, "29.5.0"), find=lambda program: f"/usr/sbin/{program}"))
    assert isinstance(plain, Wiring) and plain.entry is None and not plain.note
    assert isinstance(switched, Wiring) and switched.features == {"time-namespaces": False}
    assert "runC before 1.2" in switched.note


def test_a_runtime_whose_build_cannot_be_had_says_why_and_is_not_taken_from_the_system() -> None:
    brought = Brought(folder=Path("/x"), runtimes=frozenset({"runc"}), lacking={"youki": "needs Rust 1.94"})
    assert trying.ways_of("youki", PROGRAMS, profile.load("modules"), brought) == "needs Rust 1.94"
    assert brought.find("youki", "sh") == ""
    assert brought.find("runc", "runc") == "/x/runc"


def test_a_program_is_put_in_place_only_with_the_bytes_of_its_build(tmp_path: Path) -> None:
    file, target = tmp_path / "made", tmp_path / "bin" / "runc"
    target.parent.mkdir()
    file.write_bytes(b"abc")
    # SHA-256 of "abc", FIPS 180-2 B.1.
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    with pytest.raises(Unsafe, match="changed while it was copied"):
        programs.put(file, target, "0" * 64)
    assert list(target.parent.iterdir()) == []
    programs.put(file, target, digest)
    first = target.stat().st_ino
    programs.put(file, target, digest)
    assert (target.read_bytes(), target.stat().st_ino, target.stat().st_mode & 0o777) == (b"abc", first, 0o755)
    target.write_bytes(b"changed")
    programs.put(file, target, digest)
    assert target.read_bytes() == b"abc"


def test_only_a_testbeds_own_folder_is_counted_as_its_programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "ROOT", tmp_path)
    (tmp_path / "0badcafe").mkdir()
    (tmp_path / "kata").mkdir()
    assert programs.existing_ids() == ()
    (tmp_path / "0badcafe" / "owner").write_text("rtlab-0badcafe\n")
    assert programs.existing_ids() == ("0badcafe",)


@pytest.mark.parametrize("provider", ["local", "static"])
def test_builds_asked_for_with_a_profile_that_has_none_are_refused(provider: str) -> None:
    with pytest.raises(UsageError, match="debian-12 brings none"):
        plugins.provider(provider).check(TestbedSettings(provider=provider, profile="debian-12", engine="modules"))
    local.PROVIDER.check(TestbedSettings(provider="local", profile="modules", engine="modules"))


@pytest.mark.parametrize("provider", ["local", "static"])
def test_a_profile_whose_servers_do_not_answer_is_refused_before_anything_is_made(
    provider: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where no machine is made and no build is released: its images come from there."""
    monkeypatch.setattr(profile, "_answers", lambda host, timeout_s: False)
    settings = TestbedSettings(provider=provider, profile="paper-2020", runtimes=("runc",), inventory="/nowhere")
    monkeypatch.setattr(plugins.provider(provider), "check", lambda _: None, raising=False)
    with pytest.raises(HostUnfit, match=r"needs download\.docker\.com, github\.com, registry-1\.docker\.io, which"):
        testbed.up(settings, StateFolder(tmp_path / ".rtlab"), ignore_events)
    assert not (tmp_path / ".rtlab").exists()

"""doctor: what it says and exits with, and what ``--fix`` would change, on hosts of every kind."""

from __future__ import annotations

import io
import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from rtlab import cli, content
from rtlab.config import TestbedSettings
from rtlab.errors import HostUnfit
from rtlab.host import doctor, today
from rtlab.host import facts as host
from rtlab.host.choice import choose
from rtlab.model import ignore_events
from rtlab.state import StateFolder

from .hosts import GUEST, METAL, NESTED, without

KNOWN = doctor.known_packages()
EVERYTHING = frozenset(p for group in KNOWN.values() for kind in group.values() for p in kind)
EMULATED = TestbedSettings(provider="vagrant", backend="libvirt", accel="tcg")


def plan(
    facts: host.HostFacts, settings: TestbedSettings | None = None, installed: frozenset[str] = EVERYTHING
) -> doctor.Changes:
    chosen = choose(facts, settings)
    return doctor.changes(facts, chosen, KNOWN[chosen.group], installed)


# --------------------------------------------------------------------------- diagnosis


def test_what_only_other_providers_need_is_not_missing() -> None:
    checks = {c.id: c.status for c in doctor.diagnose(GUEST, TestbedSettings()).checks}

    assert checks["kvm"] == checks["virtualbox"] == "not needed"
    assert "missing" not in checks.values()


def test_the_same_is_missing_for_who_asks_for_it() -> None:
    diagnosis = doctor.diagnose(GUEST, replace(EMULATED, accel="kvm"))

    assert {c.id for c in diagnosis.checks if c.status == "missing"} == {"cpu-flag", "kvm"}
    assert diagnosis.asked == "libvirt"


def test_json_holds_facts_checks_and_choice() -> None:
    document = json.loads(json.dumps(doctor.to_json(doctor.diagnose(GUEST, TestbedSettings()))))

    assert document["usable"] is True
    assert document["choice"]["provider"] == "local"
    assert document["facts"]["kernel"] == GUEST.kernel
    assert {"id", "status", "found", "why", "remedy", "needed_for"} <= document["checks"][0].keys()


# --------------------------------------------------------------------------- what --fix would change


def test_a_complete_host_needs_no_change() -> None:
    assert not plan(METAL)
    assert not plan(GUEST)
    assert not plan(GUEST, EMULATED)


def test_a_bare_host_gets_the_engine_and_the_runtimes() -> None:
    bare = without(GUEST, "dockerd", "containerd", "runc", engine="", runtimes={})

    changes = plan(bare, installed=frozenset())

    assert {"docker.io", "containerd", "runc", "mmdebstrap", "iptables"} <= set(changes.packages)
    assert changes.optional == ("crun", "docker-cli", "runsc")
    assert not changes.left_alone and not changes.services


@pytest.mark.parametrize("package", ["docker-ce", ""])
def test_an_engine_that_is_there_stays_the_only_one(package: str) -> None:
    changes = plan(replace(GUEST, engine="27.5.1", engine_package=package), installed=frozenset())

    assert not {"docker.io", "containerd", "runc"} & set(changes.packages)
    assert "27.5.1" in changes.left_alone[0]


def test_a_foreign_containerd_is_an_engine_too() -> None:
    """containerd.io (of Kubernetes, say) would be removed by Debian's containerd."""
    changes = plan(without(GUEST, "dockerd", engine=""), installed=frozenset())

    assert "docker.io" not in changes.packages
    assert "engine" in {c.id for c in changes.by_hand}


def test_docker_goes_together_with_debians_own_containerd() -> None:
    changes = plan(without(GUEST, "dockerd", engine=""), installed=frozenset({"containerd"}))

    assert "docker.io" in changes.packages
    assert not changes.by_hand and not changes.left_alone


def test_services_are_started_only_under_systemd() -> None:
    stopped = {"libvirt_answers": False}

    assert plan(replace(METAL, **stopped)).services == ("libvirtd",)  # type: ignore[arg-type]
    assert plan(replace(METAL, systemd=False, **stopped)).services == ()  # type: ignore[arg-type]


def test_modules_are_loaded_where_they_help() -> None:
    wanted = TestbedSettings(provider="vagrant", backend="libvirt")

    assert plan(replace(METAL, kvm_node=False, cpu_flag="svm"), wanted).modules == ("kvm_amd",)
    assert plan(replace(GUEST, overlay=False)).modules == ("overlay",)


def test_what_no_package_mends_is_named() -> None:
    assert {c.id for c in plan(GUEST, replace(EMULATED, accel="kvm")).by_hand} == {"cpu-flag", "kvm"}


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        (replace(METAL, os_id="fedora", os_version="41", os_name="Fedora 41"), "this is Fedora 41"),
        (replace(METAL, root=False, sudo="password"), "is not root here"),
    ],
)
def test_fix_refuses_hosts_that_it_does_not_know_or_may_not_change(facts: host.HostFacts, told: str) -> None:
    with pytest.raises(HostUnfit, match=told):
        doctor.planned(doctor.diagnose(facts, TestbedSettings()))


def test_every_package_that_a_remedy_names_is_one_that_fix_installs() -> None:
    bare = replace(METAL, programs={"apt-get": "/usr/bin/apt-get"}, runtimes={}, vagrant="", vagrant_plugins={},
                   engine="", libvirt="", libvirt_answers=False)  # fmt: skip
    for group in ("local", "libvirt"):
        settings = TestbedSettings(provider="local" if group == "local" else "vagrant", backend="libvirt")
        for check in choose(bare, settings).lacks:
            if "apt-get install" in check.remedy:
                named = check.remedy.split("--no-install-recommends ")[1].split()
                assert set(named) <= set(KNOWN[group]["required"] + KNOWN[group]["engine"]), check.id


def test_the_role_refuses_the_same_systems_as_doctor() -> None:
    """The list of systems stands twice, in Python and in the role: they must agree."""
    tasks = yaml.safe_load((content.root() / "roles" / "controller" / "tasks" / "main.yml").read_text())
    (condition,) = [t["ansible.builtin.assert"]["that"] for t in tasks if "ansible.builtin.assert" in t]

    from rtlab.host.checks import FIXABLE

    for system, versions in FIXABLE.items():
        for version in versions:
            assert f"('{system.capitalize()}', '{version}')" in condition


# --------------------------------------------------------------------------- the command, with a PATH of stand-ins


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH with stand-ins for every program of libvirt machines, and nothing else; an empty working folder."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in host.programs_of_all():
        put(folder, name, "echo 9.9.9")
    put(
        folder,
        "vagrant",
        'if [ "$1" = plugin ]; then echo "vagrant-libvirt (0.11.2, system)"; else echo Vagrant 2.3.4; fi',
    )
    for name in ("VBoxManage", "sudo"):
        (folder / name).unlink()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setenv("RTLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(host, "SYSTEM_FOLDERS", ())
    # What the machine has that runs the tests does not matter.
    monkeypatch.setattr(host, "_free", lambda _folder: 100 << 30)
    monkeypatch.setattr(host, "_memory", lambda _meminfo: {"MemTotal": 8 << 30, "MemAvailable": 6 << 30})
    monkeypatch.setattr(host.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(host.os, "geteuid", lambda: 0)
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    (work / "rtlab.toml").write_text("[testbed]\nmemory_mb = 512\nmachines = 1\n")
    return folder


def put(folder: Path, name: str, script: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


def lacking(capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, dict[str, str]]:
    status = cli.run(["doctor", "--provider", "libvirt", "--accel", "tcg", "--json", *options])
    document = json.loads(capsys.readouterr().out)
    by_id = {c["id"]: c["remedy"] for c in document["checks"]}
    return status, {id: by_id[id] for id in document["choice"]["lacks"]}


def test_with_everything_there_it_exits_with_0(programs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert lacking(capsys) == (0, {})


@pytest.mark.parametrize("program", ["vagrant", "virsh", "qemu-img", "mmdebstrap"])
def test_a_program_that_is_not_there_is_found_missing(
    programs: Path, capsys: pytest.CaptureFixture[str], program: str
) -> None:
    (programs / program).unlink()

    status, lacks = lacking(capsys)

    assert status == 3
    assert any("apt-get install" in remedy for remedy in lacks.values())


def test_a_vagrant_without_the_plug_in_is_found(programs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(programs, "vagrant", 'if [ "$1" = plugin ]; then echo "No plugins installed."; else echo Vagrant 2.3.4; fi')

    status, lacks = lacking(capsys)

    assert (status, list(lacks)) == (3, ["vagrant-libvirt"])


def test_a_vagrant_that_fails_counts_as_none(programs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(programs, "vagrant", "echo broken ruby >&2; exit 1")

    assert {"vagrant", "vagrant-libvirt"} <= lacking(capsys)[1].keys()


def test_libvirt_that_does_not_answer_is_shown_with_the_command_that_starts_it(
    programs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(programs, "virsh", "echo 'error: Failed to connect socket' >&2; exit 1")

    cli.run(["doctor", "--provider", "libvirt", "--accel", "tcg"])

    shown = capsys.readouterr().out
    assert "its daemon does not answer" in shown
    assert "libvirtd" in shown.split("its daemon does not answer")[1].splitlines()[1 if "warning" in shown else 2]


def test_a_disk_that_is_too_small_is_found(
    programs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host, "_free", lambda _folder: 1_000_000)

    status, lacks = lacking(capsys)

    assert (status, set(lacks)) == (3, {"disk-libvirt", "disk-cache"})


def test_without_root_the_local_provider_cannot_run(
    programs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)

    status = cli.run(["doctor", "--provider", "local"])

    shown = capsys.readouterr().out
    assert status == 3
    assert "neither root nor sudo" in shown
    assert "--provider simulated" in shown


def test_fix_without_a_terminal_changes_nothing(
    programs: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "examine", lambda _settings: doctor.diagnose(METAL, TestbedSettings()))
    monkeypatch.setattr(doctor, "installed_packages", lambda: EVERYTHING - {"mmdebstrap"})
    monkeypatch.setattr(doctor, "fix", lambda *_: pytest.fail("changed the machine"))
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))

    status = cli.run(["doctor", "--fix"])

    told = capsys.readouterr().err
    assert status == 2
    assert "install packages: mmdebstrap" in told
    assert "Nothing was changed" in told


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["doctor", "--yes"], "--yes goes with --fix"),
        (["doctor", "--provider", "libvrt"], "Did you mean 'libvirt'?"),
        (["doctor", "--accel", "xen"], 'one of "auto", "kvm", "tcg"'),
    ],
)
def test_a_wrong_option_is_told_and_not_a_traceback(
    programs: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    assert cli.run(arguments) == 2
    assert told in capsys.readouterr().err


def test_init_writes_the_template_once(programs: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    mine = Path("rtlab.toml")

    assert cli.run(["init"]) == 2
    assert "left as it is" in capsys.readouterr().err
    assert mine.read_text().startswith("[testbed]")
    assert cli.run(["init", "--force"]) == 0
    assert "Every key is optional" in mine.read_text()
    assert cli.run(["init", "--stdout"]) == 0
    assert capsys.readouterr().out == mine.read_text()


def test_a_host_of_a_ci_runner_gets_kata_directly() -> None:
    assert "kata" in doctor.diagnose(NESTED, TestbedSettings()).choice.runtimes


def test_where_modules_can_be_built_no_engine_of_the_distribution_is_installed() -> None:
    bare = without(GUEST, "dockerd", "containerd", "runc", "runsc", engine="")
    changes = plan(replace(bare, modules="reachable", lacks_compiler="no gcc"), installed=frozenset())

    assert {"gcc", "libc6-dev", "libseccomp-dev", "pkg-config", "iptables"} <= set(changes.packages)
    assert not {"docker.io", "containerd", "runc", "crun", "runsc"} & {*changes.packages, *changes.optional}
    assert changes.optional == ("cargo-web", "rustc-web")
    assert changes.builds
    facts = replace(bare, modules="reachable")
    own = doctor.changes(facts, choose(facts), KNOWN["local"], frozenset(), system=True)
    assert "docker.io" in own.packages and not own.builds


def test_what_fix_installed_is_seen_by_the_same_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """In a pristine Debian 12 `doctor --fix` installed gcc, and then said that gcc was missing."""
    there: list[str] = []

    def identity(*_: object) -> str:
        if not there:
            raise HostUnfit("Building runc needs gcc, which this machine does not have.")
        return there[0]

    monkeypatch.setattr(today.compiler, "identity", identity)
    monkeypatch.setattr(doctor, "apply", lambda *_, **__: there.append("gcc 12"))
    today.forget()
    try:
        assert "needs gcc" in today.lacks_compiler()
        doctor.fix(plan(GUEST), StateFolder(tmp_path / ".rtlab"), ignore_events)
        assert today.lacks_compiler() == ""
    finally:
        today.forget()

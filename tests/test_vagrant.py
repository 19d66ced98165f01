"""The Vagrant provider without Vagrant: its choices, machines.json, status and teardown against a pretended libvirt."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from rtlab import content
from rtlab.artifacts import profile
from rtlab.artifacts.box.catalogue import Box
from rtlab.config import TestbedSettings
from rtlab.errors import CommandFailed, HostUnfit, MachineUnreachable, UsageError
from rtlab.host import virtualization
from rtlab.model import Event, Level, Resource, ignore_events
from rtlab.providers.vagrant import hardware
from rtlab.providers.vagrant import provider as vagrant
from rtlab.providers.vagrant.blueprint import Blueprint
from rtlab.state import StateFolder

ID = "0123abcd"
PINS = profile.load("debian-12")


class PretendedLibvirt:
    """What the provider asks of a backend module, kept in memory."""

    def __init__(self) -> None:
        self.up = True
        self.things: list[Resource] = []
        self.stubborn: set[str] = set()
        self.machine_states: dict[str, str] = {}
        self.calls: list[tuple[str, str]] = []

    def answers(self) -> bool:
        return self.up

    def resources(self, testbed_id: str) -> tuple[Resource, ...]:
        return tuple(r for r in self.things if testbed_id in r.name)

    def states(self, testbed_id: str) -> dict[str, str]:
        return dict(self.machine_states)

    def testbed_ids(self) -> tuple[str, ...]:
        return tuple(sorted({r.name[6:14] for r in self.things}))

    def remove(self, resource: Resource, log: Path) -> str:
        self.calls.append(("remove", resource.name))
        if resource.name in self.stubborn:
            raise CommandFailed("libvirt hangs")
        self.things.remove(resource)
        return ""

    def pause(self, name: str, log: Path) -> None:
        self.calls.append(("pause", name))

    def resume(self, name: str, log: Path) -> None:
        self.calls.append(("resume", name))

    def reset(self, name: str, log: Path) -> None:
        self.calls.append(("reset", name))

    def describe(self) -> dict[str, Any]:
        return {}


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[PretendedLibvirt]:
    pretended, nothing = PretendedLibvirt(), PretendedLibvirt()
    nothing.up = False
    monkeypatch.setattr(vagrant, "libvirt", pretended)
    monkeypatch.setattr(vagrant, "virtualbox", nothing)
    monkeypatch.setattr(vagrant, "_MODULES", {"libvirt": pretended, "virtualbox": nothing})
    monkeypatch.setattr(vagrant.libvirtd, "stop", lambda log: ())
    monkeypatch.setattr(vagrant.time, "sleep", lambda s: None)
    yield pretended


@pytest.fixture
def state(tmp_path: Path) -> StateFolder:
    return StateFolder(tmp_path / ".rtlab")


def thing(kind: str, tail: str = "") -> Resource:
    return Resource(kind=kind, name=f"rtlab-{ID}{tail}")


# --------------------------------------------------------------------------- machines.json


@pytest.fixture
def data(tmp_path: Path, state: StateFolder, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """machines.json of two VirtualBox machines: no libvirt is needed to make it."""
    made = Box(
        name="rtlab/debian-12",
        version="1.0.7",
        path=tmp_path / "rtlab.box",
        sha256="ab" * 32,
        metadata_path=tmp_path / "metadata.json",
        suite="debian-12",
        backend="virtualbox",
        cached=True,
    )
    hardware = {"accel": "virtualbox", "cpus": 4, "memory_mb": 8192, "disk_gb": 10, "disk_cache": "none"}
    blueprint = Blueprint(
        testbed_id=ID, backend="virtualbox", hardware=hardware, box=made, suite=PINS.suite, count=2, ports={}
    )
    return blueprint.prepare(state, tmp_path / "log", ignore_events)


def test_each_machine_has_its_own_port_mac_key_and_seed(data: dict[str, Any], state: StateFolder) -> None:
    one, two = data["machines"]
    assert (one["name"], two["name"]) == ("node1", "node2")
    for key in ("mac", "ssh_port", "host_key", "seed"):
        assert one[key] != two[key]
    assert Path(one["seed"]).stat().st_mode & 0o077 == 0
    known = (state.path / "keys" / "known_hosts").read_text().splitlines()
    assert known == [f"[127.0.0.1]:{m['ssh_port']} {m['host_key']}" for m in (one, two)]


def test_the_box_s_name_carries_the_testbed_s_id(data: dict[str, Any], state: StateFolder) -> None:
    # vagrant-libvirt finds a box's volume by name in any pool (action/handle_box_image.rb).
    metadata = json.loads((state.path / "vagrant" / "box-metadata.json").read_text())
    assert metadata["name"] == data["box"]["name"] == f"rtlab-{ID}/debian-12"


def test_nothing_in_it_names_a_mirror_or_holds_a_private_key(data: dict[str, Any]) -> None:
    text = json.dumps(data)
    assert "PRIVATE KEY" not in text and "deb " not in text


@pytest.mark.parametrize("name", profile.names())
def test_docker_is_called_where_the_role_puts_it(
    name: str, data: dict[str, Any], backend: PretendedLibvirt, state: StateFolder
) -> None:
    """Packages bring /usr/bin/docker; an engine of builds lies in the role's folder and nowhere else."""
    pins = profile.load(name)
    given = yaml.safe_load((content.root() / "playbooks" / "group_vars" / "all.yml").read_text())
    bed = vagrant._testbed({**data, "private_key": "k"}, ID, pins, TestbedSettings(), state)
    builds = pins.role_variables["docker_source"] == "builds"
    expected = f"{given['rtlab_bin']}/docker" if builds else "/usr/bin/docker"
    assert {m.engine.cli for m in bed.machines} == {expected}


def test_a_half_written_or_foreign_machines_json_counts_as_none(state: StateFolder) -> None:
    folder = state.folder("vagrant")
    (folder / "machines.json").write_text('{"testbed": "0123a')
    assert vagrant._written(state, ID) is None
    (folder / "machines.json").write_text('{"testbed": "ffffffff"}')
    assert vagrant._written(state, ID) is None


# --------------------------------------------------------------------------- choices


def test_kvm_is_used_only_when_a_guest_boots(monkeypatch: pytest.MonkeyPatch) -> None:
    for accel in ("kvm", "auto"):
        settings = TestbedSettings(accel=accel)  # type: ignore[arg-type]
        refused = virtualization.Proof(usable=False, reason="the guest hung")
        monkeypatch.setattr(hardware.virtualization, "prove", lambda qemu, r=refused: r)
        with pytest.raises(HostUnfit, match="the guest hung") as caught:
            hardware.accelerator(settings, "libvirt")
        assert "--accel tcg" in caught.value.remedy
        proved = virtualization.Proof(usable=True, reason="it booted")
        monkeypatch.setattr(hardware.virtualization, "prove", lambda qemu, p=proved: p)
        assert hardware.accelerator(settings, "libvirt") == "kvm"


def test_virtualbox_neither_emulates_nor_writes_through() -> None:
    with pytest.raises(UsageError, match="emulate"):
        hardware.accelerator(TestbedSettings(accel="tcg"), "virtualbox")
    with pytest.raises(UsageError, match="writethrough"):
        vagrant._check_hardware("virtualbox", {"disk_cache": "writethrough", "memory_mb": 512}, 1)


def test_more_memory_than_there_is() -> None:
    with pytest.raises(HostUnfit, match="this machine has"):
        vagrant._check_hardware("libvirt", {"disk_cache": "none", "memory_mb": 10**7}, 2)


def test_other_settings_for_machines_that_exist_are_refused() -> None:
    written = {"backend": "libvirt", "hardware": {"cpus": 2, "accel": "tcg"}, "machines": [{}, {}]}
    vagrant._refuse_changes(written, "libvirt", {"cpus": 2, "accel": "tcg"}, 2)
    with pytest.raises(UsageError, match="cpus 2 -> 4, machines 2 -> 3"):
        vagrant._refuse_changes(written, "libvirt", {"cpus": 4, "accel": "tcg"}, 3)


def test_without_vagrant(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware.shutil, "which", lambda name: None)
    with pytest.raises(HostUnfit, match="Vagrant is not installed"):
        hardware.backend_of(TestbedSettings())


# --------------------------------------------------------------------------- teardown


def test_teardown_removes_what_exists_and_says_so_in_the_journal(backend: PretendedLibvirt, state: StateFolder) -> None:
    for kind, tail in (("network", ""), ("pool", ""), ("domain", "-node1")):
        state.note("intend", kind, f"rtlab-{ID}{tail}", ID, backend="libvirt")
    other = Resource(kind="domain", name="rtlab-ffffffff-node1")
    backend.things = [thing("domain", "-node1"), thing("pool"), thing("network"), other]
    assert vagrant.PROVIDER.teardown(ID, state, ignore_events) == ()
    assert backend.things == [other], "another testbed stays"
    assert state.outstanding(ID) == ()
    assert vagrant.PROVIDER.teardown(ID, state, ignore_events) == (), "twice in a row"


def test_what_exists_is_found_without_journal_and_vagrant_folder(backend: PretendedLibvirt, state: StateFolder) -> None:
    backend.things = [thing("domain", "-node1"), thing("network")]
    assert vagrant.PROVIDER.candidates() == (ID,)
    assert vagrant.PROVIDER.leftovers(ID, state) == tuple(backend.things)
    assert vagrant.PROVIDER.teardown(ID, state, ignore_events) == ()


def test_one_thing_that_stays_does_not_keep_the_others(backend: PretendedLibvirt, state: StateFolder) -> None:
    stuck = thing("volume", "/disk")
    backend.things = [stuck, thing("pool"), thing("network")]
    backend.stubborn = {stuck.name}
    state.note("intend", "network", f"rtlab-{ID}", ID, backend="libvirt")
    assert [r.name for r in vagrant.PROVIDER.teardown(ID, state, ignore_events)] == [stuck.name]
    assert backend.calls.count(("remove", stuck.name)) == vagrant.REMOVE_ATTEMPTS
    assert state.outstanding(ID) == ()


def test_a_journal_that_nobody_can_check_is_a_leftover(
    backend: PretendedLibvirt, state: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ensure(log: Path, notify: object) -> None:
        raise HostUnfit("libvirtd is not running.")

    monkeypatch.setattr(vagrant.libvirtd, "ensure", ensure)
    backend.up = False
    state.note("intend", "domain", f"rtlab-{ID}-node1", ID, backend="libvirt")
    (left,) = vagrant.PROVIDER.teardown(ID, state, ignore_events)
    assert left.name == f"rtlab-{ID}-node1" and "does not answer" in left.note
    assert state.outstanding(ID), "it stays in the journal"


def test_an_intention_that_came_to_nothing_is_gone(backend: PretendedLibvirt, state: StateFolder) -> None:
    state.note("intend", "domain", f"rtlab-{ID}-node1", ID, backend="libvirt")
    assert vagrant.PROVIDER.leftovers(ID, state) == ()
    assert vagrant.PROVIDER.teardown(ID, state, ignore_events) == ()
    assert state.outstanding(ID) == ()


# --------------------------------------------------------------------------- in use


def test_status_rest_and_wake(backend: PretendedLibvirt, state: StateFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    clocks: list[str] = []

    def set_clock(machine: Any) -> None:
        clocks.append(machine.name)
        raise MachineUnreachable("It hangs.")  # what comes next finds that out

    monkeypatch.setattr(vagrant, "set_clock", set_clock)
    machines = [SimpleNamespace(name=n, address="192.168.130.1", port=22) for n in ("node1", "node2", "node3")]
    bed: Any = SimpleNamespace(id=ID, details={"backend": "libvirt"}, machines=machines)
    backend.machine_states = {"node1": "running", "node2": "paused"}
    found = vagrant.PROVIDER.status(bed, state)
    assert [(s.state, s.note) for s in found] == [("running", ""), ("running", "resting"), ("missing", "")]
    for machine in machines:
        vagrant.PROVIDER.rest(bed, machine, state)  # type: ignore[arg-type]
        vagrant.PROVIDER.wake(bed, machine, state)  # type: ignore[arg-type]
    assert backend.calls == [("pause", f"rtlab-{ID}-node1"), ("resume", f"rtlab-{ID}-node2")]
    assert clocks == ["node2"], "only of the one that had rested"


def test_a_running_machine_that_hangs_is_reset_and_one_with_another_key_is_not(
    backend: PretendedLibvirt, state: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = "Cannot reach it."

    def boot_id(machine: Any) -> str:
        if not backend.calls:
            raise MachineUnreachable(answer)
        return "after the reset"

    monkeypatch.setattr(vagrant, "boot_id", boot_id)
    monkeypatch.setattr(vagrant, "BOOTING_S", {Level.EMULATED: 0.0})
    machine: Any = SimpleNamespace(name="node1", level=Level.EMULATED)
    bed: Any = SimpleNamespace(id=ID, details={"backend": "libvirt"}, machines=[machine])
    told: list[Event] = []
    vagrant.PROVIDER.revive(bed, machine, state, told.append)
    assert backend.calls == [("reset", f"rtlab-{ID}-node1")]
    assert [event.machine for event in told] == ["node1"] and "resetting" in told[0].message

    vagrant.PROVIDER.revive(bed, machine, state, told.append)
    assert (len(backend.calls), len(told)) == (1, 1), "it answers now"

    backend.calls.clear()
    answer = "node1 shows another host key than it was given."
    with pytest.raises(MachineUnreachable, match="host key"):
        vagrant.PROVIDER.revive(bed, machine, state, told.append)
    assert not backend.calls


# --------------------------------------------------------------------------- the watchdog


def pretended_vagrant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> vagrant.WatchedVagrant:
    program = tmp_path / "bin" / "vagrant"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return vagrant.WatchedVagrant(tmp_path, tmp_path / "vagrant.log", tmp_path / "home", timeout_s=0.6)


def test_a_vagrant_that_hangs_is_ended_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watched = pretended_vagrant(tmp_path, monkeypatch, "sleep 123.25 &\necho $! >child\nwait")
    began = time.monotonic()
    with pytest.raises(CommandFailed, match=r"failed after") as caught:
        watched.up(provider="libvirt")  # type: ignore[no-untyped-call]
    assert time.monotonic() - began < 20
    child = int((tmp_path / "child").read_text())
    for _ in range(100):
        try:
            gone = "\nState:\tZ" in Path(f"/proc/{child}/status").read_text()
        except OSError:
            gone = True
        if gone:
            break
        subprocess.run([sys.executable, "-c", "import time; time.sleep(0.05)"], check=True)
    assert gone
    assert "vagrant.log" in caught.value.remedy


def test_ctrl_c_in_a_vagrant_call_ends_it_with_its_children(tmp_path: Path) -> None:
    """A real SIGINT to rtlab while `vagrant up` runs."""
    program = tmp_path / "bin" / "vagrant"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nsleep 124.25 &\necho $! >child\nwait\n")
    program.chmod(0o755)
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from pathlib import Path; from rtlab.providers.vagrant.provider import WatchedVagrant\n"
        "folder = Path(sys.argv[1])\n"
        "WatchedVagrant(folder, folder / 'vagrant.log', folder / 'home').up(provider='libvirt')\n"
    )
    environment = {**os.environ, "PATH": f"{program.parent}:/usr/bin:/bin"}
    with subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stderr=subprocess.PIPE, env=environment
    ) as caller:
        for _ in range(500):
            if (tmp_path / "child").exists() and (tmp_path / "child").read_text():
                break
            time.sleep(0.02)
        caller.send_signal(signal.SIGINT)
        _, err = caller.communicate(timeout=20)
    assert b"KeyboardInterrupt" in err
    status = Path(f"/proc/{int((tmp_path / 'child').read_text())}/status")
    for _ in range(100):
        try:
            if "\nState:\tZ" in status.read_text():
                return
        except OSError:  # gone, perhaps between opening and reading
            return
        time.sleep(0.05)
    pytest.fail("a child of vagrant lives on")


def test_a_failing_vagrant_s_words_are_in_the_error_and_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = pretended_vagrant(tmp_path, monkeypatch, 'echo "The box is bad" >&2; echo "home $VAGRANT_HOME"; exit 1')
    with pytest.raises(CommandFailed, match="The box is bad"):
        watched.up(provider="libvirt")  # type: ignore[no-untyped-call]
    log = (tmp_path / "vagrant.log").read_text()
    assert "The box is bad" in log and f"home {tmp_path / 'home'}" in log


def test_the_user_s_own_plugins_are_linked_into_the_testbed_s_home(
    tmp_path: Path, state: StateFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = tmp_path / "vagrant.d"
    (users / "gems").mkdir(parents=True)
    (users / "plugins.json").write_text("{}")
    monkeypatch.setenv("VAGRANT_HOME", str(users))
    home = vagrant._vagrant_home(state)
    assert (home / "gems").resolve() == users / "gems" and home.resolve() != users.resolve()
    assert vagrant._vagrant_home(state) == home, "a second time changes nothing"

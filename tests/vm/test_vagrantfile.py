"""The Vagrantfile under the real Vagrant: valid for both backends, and what VirtualBox is told.

VirtualBox itself is a recording stand-in (vboxmanage.py): it shows the calls that Vagrant makes, not that VirtualBox
carries them out.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from rtlab import content
from rtlab.artifacts import box, profile
from rtlab.errors import CommandFailed
from rtlab.model import ignore_events
from rtlab.providers.vagrant import provider as vagrant
from rtlab.providers.vagrant import virtualbox
from rtlab.providers.vagrant.blueprint import Blueprint
from rtlab.state import StateFolder

pytestmark = [
    pytest.mark.vm,
    pytest.mark.skipif(shutil.which("vagrant") is None, reason="Vagrant is missing: rtlab doctor --fix"),
]
ID = "0123abcd"


@pytest.fixture
def standin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "standin"
    (folder / "VMs").mkdir(parents=True)
    (folder / "bin").mkdir()
    (folder / "bin" / "VBoxManage").symlink_to(Path(__file__).parent / "vboxmanage.py")
    monkeypatch.setenv("PATH", f"{folder / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("RTLAB_STANDIN", str(folder))
    monkeypatch.setenv("RTLAB_CACHE", str(tmp_path / "cache"))
    return folder


def prepared(tmp_path: Path, **hardware: Any) -> tuple[StateFolder, dict[str, Any], vagrant.WatchedVagrant]:
    """Two VirtualBox machines, ready for `vagrant up`, from a box with an empty disk."""
    image = tmp_path / "cloud.img"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "1G"], check=True)
    pin = hashlib.sha256(image.read_bytes()).hexdigest()
    settings = {"kind": "cloud-image", "url": str(image), "sha256": pin}
    made = box.build("ubuntu-18.04", "virtualbox", settings=settings, disk_gb=10, notify=ignore_events)
    state = StateFolder(tmp_path / ".rtlab")
    wanted = {"accel": "virtualbox", "cpus": 4, "memory_mb": 8192, "disk_gb": 10, "disk_cache": "none"} | hardware
    pins = profile.load("paper-2020")
    blueprint = Blueprint(
        testbed_id=ID, backend="virtualbox", hardware=wanted, box=made, suite=pins.suite, count=2, ports={}
    )
    data = blueprint.prepare(state, tmp_path / "log", ignore_events)
    return state, data, written(state, data)


def written(state: StateFolder, data: dict[str, Any]) -> vagrant.WatchedVagrant:
    folder = state.folder("vagrant")
    (folder / "machines.json").write_text(json.dumps(data))
    shutil.copyfile(content.root() / "Vagrantfile", folder / "Vagrantfile")
    return vagrant.WatchedVagrant(folder, state.folder("logs") / "vagrant.log", vagrant._vagrant_home(state), 300)


def calls(standin: Path) -> list[list[str]]:
    return [json.loads(line) for line in (standin / "calls.jsonl").read_text().splitlines()]


def test_valid_for_virtualbox_also_with_a_larger_disk(tmp_path: Path, standin: Path) -> None:
    _, data, watched = prepared(tmp_path, disk_gb=60)
    assert data["grow_disk"] is True
    watched._call_vagrant_command(["validate"])


@pytest.mark.parametrize("accel", ["tcg", "kvm"])
def test_valid_for_libvirt(tmp_path: Path, standin: Path, accel: str) -> None:
    state, data, _ = prepared(tmp_path, accel=accel)
    data["backend"] = "libvirt"
    data["libvirt"] = {
        "uri": "qemu:///system",
        "pool": f"rtlab-{ID}",
        "network": f"rtlab-{ID}",
        "network_address": "192.168.130.0/24",
    }
    watched = written(state, data)
    watched.env["VAGRANT_DEFAULT_PROVIDER"] = "libvirt"
    watched._call_vagrant_command(["validate"])
    # Without the data it is not valid: so the block for libvirt was really evaluated.
    del data["libvirt"]["pool"]
    with pytest.raises(CommandFailed, match="vagrant validate"):
        written(state, data)._call_vagrant_command(["validate"])


def test_each_machine_gets_what_the_paper_s_machines_had(tmp_path: Path, standin: Path) -> None:
    _, data, watched = prepared(tmp_path)
    for machine in data["machines"]:
        with pytest.raises(CommandFailed, match="boots nothing"):
            watched.up(vm_name=machine["name"], provider="virtualbox", provision=False)  # type: ignore[no-untyped-call]
    identities = virtualbox.machines()
    assert sorted(identities) == [f"rtlab-{ID}-node1", f"rtlab-{ID}-node2"]
    for machine in data["machines"]:
        mine = [c for c in calls(standin) if len(c) > 1 and c[1] == identities[f"rtlab-{ID}-{machine['name']}"]]
        seed = machine["seed"]
        flat = [" ".join(c[:1] + c[2:]) for c in mine]
        for expected in (
            "modifyvm --nested-hw-virt on",
            "modifyvm --cpus 4",
            "modifyvm --memory 8192",
            "modifyvm --paravirtprovider kvm",
            "modifyvm --ioapic on",
            "storagectl --name SATA --hostiocache off",
            f"storageattach --storagectl SATA --port 1 --device 0 --type dvddrive --medium {seed}",
        ):
            assert expected in flat, f"{expected} not in\n" + "\n".join(flat)
        assert any("--nictype1 virtio" in c for c in flat)
        assert any(f"ssh,tcp,127.0.0.1,{machine['ssh_port']},,22" in c for c in flat)
        assert any(c.startswith("modifyvm --macaddress1 080027") for c in flat)
        started = next(i for i, c in enumerate(mine) if c[0] == "startvm")
        assert all(c[0] != "modifyvm" or "--nested-hw-virt" not in c for c in mine[started:]), "set before the start"


def test_machines_of_a_half_failed_up_are_removed(tmp_path: Path, standin: Path) -> None:
    state, _, watched = prepared(tmp_path)
    with pytest.raises(CommandFailed):
        watched.up(provider="virtualbox", provision=False)  # type: ignore[no-untyped-call]
    assert [r.name for r in vagrant.PROVIDER.leftovers(ID, state) if r.kind == "domain"] == [f"rtlab-{ID}-node1"]
    assert vagrant.PROVIDER.teardown(ID, state, ignore_events) == ()
    assert virtualbox.machines() == {}
    assert ["unregistervm", f"rtlab-{ID}-node1", "--delete"] in calls(standin)


def test_a_machine_that_was_imported_but_not_yet_named_is_removed(
    tmp_path: Path, standin: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state, _, watched = prepared(tmp_path)
    monkeypatch.setenv("RTLAB_STANDIN_FAILS", "name")
    watched.env["RTLAB_STANDIN_FAILS"] = "name"
    with pytest.raises(CommandFailed):
        watched.up(vm_name="node1", provider="virtualbox", provision=False)  # type: ignore[no-untyped-call]
    (name,) = virtualbox.machines()
    assert ID not in name
    assert vagrant.PROVIDER.teardown(ID, state, ignore_events) == ()
    assert virtualbox.machines() == {}

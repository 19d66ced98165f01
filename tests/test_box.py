"""Boxes: catalogue, descriptors, and the cloud-image path on an image made here. No root, no network."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import tarfile
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from rtlab.artifacts import apt_sources, box
from rtlab.artifacts.box import catalogue, mmdebstrap, overlay, packing
from rtlab.errors import CommandFailed, ConfigError, HostUnfit, RtlabError, StoreError, Unsafe, UsageError
from rtlab.model import Event, ignore_events
from rtlab.units import GIB

needs_qemu = pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed")


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTLAB_CACHE", str(tmp_path / "cache"))


def cloud_image(tmp_path: Path, *options: str) -> tuple[Path, str]:
    image = tmp_path / "cloud.img"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *options, image, "2G"], check=True)
    return image, hashlib.sha256(image.read_bytes()).hexdigest()


def build(image: Path, sha256: str, backend: box.Backend = "libvirt", **more: object) -> box.Box:
    settings = {"kind": "cloud-image", "url": image.as_uri(), "sha256": sha256}
    return box.build("ubuntu-18.04", backend, settings=settings, disk_gb=3, notify=ignore_events, **more)  # type: ignore[arg-type]


# --------------------------------------------------------------------------- cloud image -> box


def unpack(archive: tarfile.TarFile, folder: Path) -> None:
    """All files of a box. Not by extractall: Debian 12's own Python lacks the filter that later ones want named."""
    folder.mkdir()
    for name in archive.getnames():
        (folder / name).write_bytes(archive.extractfile(name).read())  # type: ignore[union-attr]


@needs_qemu
def test_a_libvirt_box_holds_what_vagrant_libvirt_asks_for(tmp_path: Path) -> None:
    # vagrant-libvirt, README "Box format": box.img (qcow2), metadata.json with provider, format, virtual_size in GB.
    made = build(*cloud_image(tmp_path))
    with tarfile.open(made.path) as archive:
        assert set(archive.getnames()) == {"box.img", "metadata.json", "Vagrantfile"}
        facts = json.load(archive.extractfile("metadata.json"))  # type: ignore[arg-type]
        assert all((m.uid, m.uname) == (0, "root") for m in archive.getmembers())
        unpack(archive, tmp_path / "out")
    assert facts == {"provider": "libvirt", "format": "qcow2", "virtual_size": 3}
    info = json.loads(subprocess.check_output(["qemu-img", "info", "--output=json", tmp_path / "out" / "box.img"]))
    assert (info["format"], info["virtual-size"]) == ("qcow2", 3 * GIB)


@needs_qemu
def test_a_virtualbox_box_holds_a_stream_optimized_disk_and_its_descriptor(tmp_path: Path) -> None:
    made = build(*cloud_image(tmp_path), backend="virtualbox")
    with tarfile.open(made.path) as archive:
        assert json.load(archive.extractfile("metadata.json")) == {"provider": "virtualbox"}  # type: ignore[arg-type]
        unpack(archive, tmp_path / "out")
    info = json.loads(
        subprocess.check_output(["qemu-img", "info", "--output=json", tmp_path / "out" / "box-disk001.vmdk"])
    )
    assert info["format-specific"]["data"]["create-type"] == "streamOptimized"
    root = ET.parse(tmp_path / "out" / "box.ovf").getroot()
    ovf = "{http://schemas.dmtf.org/ovf/envelope/1}"
    (disk,) = root.iter(f"{ovf}Disk")
    assert int(disk.attrib[f"{ovf}capacity"]) == 3 * GIB
    (file,) = root.iter(f"{ovf}File")
    assert int(file.attrib[f"{ovf}size"]) == (tmp_path / "out" / "box-disk001.vmdk").stat().st_size


@needs_qemu
def test_the_catalogue_s_metadata_pins_the_box(tmp_path: Path) -> None:
    made = build(*cloud_image(tmp_path))
    data = json.loads(made.metadata_path.read_text())
    (version,) = data["versions"]
    (provider,) = version["providers"]
    assert provider["checksum"] == hashlib.sha256(made.path.read_bytes()).hexdigest() == made.sha256
    assert provider["url"] == made.path.as_uri() and provider["name"] == "libvirt"
    # RubyGems' Gem::Version pattern, which Vagrant applies.
    assert re.fullmatch(r"[0-9]+(\.[0-9a-zA-Z]+)*", version["version"])


@needs_qemu
def test_the_second_build_is_from_the_catalogue_and_rebuild_is_not(tmp_path: Path) -> None:
    image, sha256 = cloud_image(tmp_path)
    first = build(image, sha256)
    assert not first.cached and build(image, sha256).cached
    again = build(image, sha256, rebuild=True)
    assert not again.cached
    assert catalogue.at(first.path).sha256 == again.sha256 == hashlib.sha256(again.path.read_bytes()).hexdigest()
    with tarfile.open(again.path) as archive:
        assert {m.mtime for m in archive.getmembers()} == {0}, "when it was packed must not make it another box"
    left = sorted(p.name.split("-")[0] for p in (tmp_path / "cache" / "boxes").iterdir() if p.is_dir())
    assert left == ["ubuntu"], "work folders must be gone"


@needs_qemu
def test_an_image_that_refers_to_another_file_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret.raw"
    secret.write_bytes(b"s" * 1024)
    image, sha256 = cloud_image(tmp_path, "-b", str(secret), "-F", "raw")
    with pytest.raises(Unsafe, match="another file"):
        build(image, sha256)
    assert not [p for p in (tmp_path / "cache" / "boxes").iterdir() if p.is_dir()]


@needs_qemu
def test_a_raw_file_that_claims_to_be_an_image_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.img"
    file.write_bytes(b"QFI\xfb" + b"\xff" * 600)
    with pytest.raises(CommandFailed):
        build(file, hashlib.sha256(file.read_bytes()).hexdigest())


@pytest.mark.parametrize(
    ("suite", "backend", "settings", "error"),
    [
        ("debian-1", "libvirt", None, UsageError),
        ("debian-12", "hyperv", None, UsageError),
        ("debian-12", "libvirt", {"kind": "floppy"}, UsageError),
        ("ubuntu-18.04", "libvirt", {"kind": "cloud-image", "url": "/x"}, ConfigError),
        ("ubuntu-18.04", "libvirt", {"kind": "cloud-image", "url": "/x", "sha256": "0" * 64}, StoreError),
    ],
)
def test_what_cannot_be_built(
    suite: str, backend: box.Backend, settings: dict[str, str], error: type[RtlabError]
) -> None:
    if shutil.which("qemu-img") is None and error in (ConfigError, StoreError):
        pytest.skip("qemu-img is not installed")
    with pytest.raises(error):
        box.build(suite, backend, settings=settings, notify=ignore_events)


# --------------------------------------------------------------------------- catalogue


def test_the_key_depends_on_settings_backend_and_suite() -> None:
    keys = {
        catalogue.key("debian-12", "libvirt", {"disk_gb": 10}),
        catalogue.key("debian-12", "libvirt", {"disk_gb": 20}),
        catalogue.key("debian-12", "virtualbox", {"disk_gb": 10}),
        catalogue.key("debian-13", "libvirt", {"disk_gb": 10}),
    }
    assert len(keys) == 4
    assert catalogue.key("debian-12", "libvirt", {"a": 1, "b": 2}) == catalogue.key(
        "debian-12", "libvirt", {"b": 2, "a": 1}
    )


def test_a_damaged_entry_is_named_and_an_incomplete_one_is_none(tmp_path: Path) -> None:
    assert catalogue.find(tmp_path) is None
    (tmp_path / "rtlab.box").write_bytes(b"x")
    assert catalogue.find(tmp_path) is None, "without box.json the build did not end"
    (tmp_path / "box.json").write_text("{")
    with pytest.raises(StoreError, match=r"box\.json"):
        catalogue.find(tmp_path)
    with pytest.raises(StoreError, match="not a box"):
        catalogue.at(tmp_path / "elsewhere" / "foreign.box")


# --------------------------------------------------------------------------- mmdebstrap


def test_the_kernel_s_command_line_takes_the_profile_s_arguments() -> None:
    files = overlay.files("1234", "systemd.unified_cgroup_hierarchy=0")
    config, _ = files["boot/extlinux/extlinux.conf"]
    assert "root=UUID=1234 ro net.ifnames=0" in config
    assert config.rstrip().endswith("systemd.unified_cgroup_hierarchy=0")


@pytest.mark.skipif(shutil.which("sh") is None, reason="no shell")
def test_the_first_boot_script_is_valid_shell(tmp_path: Path) -> None:
    script = tmp_path / "seed.sh"
    script.write_text(overlay.SEED_SCRIPT)
    assert subprocess.run(["sh", "-n", script], check=False).returncode == 0
    if shutil.which("shellcheck"):
        done = subprocess.run(["shellcheck", script], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_identities_are_forgotten_and_nothing_else(tmp_path: Path) -> None:
    secret = (
        *("etc/ssh/ssh_host_ed25519_key", "etc/docker/key.json", "var/lib/docker/engine-id"),
        *("home/vagrant/.ssh/authorized_keys", "var/lib/rtlab/seeded", "var/lib/systemd/random-seed"),
        *("etc/apt/apt.conf.d/90rtlab-proxy", "etc/apt/sources.list.d/0000sources.list"),
        "var/log/journal/abc/system.journal",
    )
    kept = (
        "etc/ssh/sshd_config",
        "opt/rtlab/provisioned.sha256",
        "var/lib/docker/overlay2/x",
        "etc/docker/daemon.json",
    )
    for name in (*secret, *kept, "etc/machine-id", "var/log/dpkg.log", "etc/apt/sources.list"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("deb http://mirror.internal.example/debian bookworm main\n")
    mmdebstrap.forget_identity(tmp_path, "debian-12")
    assert [n for n in secret if (tmp_path / n).exists()] == []
    assert [n for n in kept if not (tmp_path / n).exists()] == []
    assert (tmp_path / "etc/machine-id").read_text() == "" == (tmp_path / "var/log/dpkg.log").read_text()
    assert "mirror.internal" not in (tmp_path / "etc/apt/sources.list").read_text()


def test_missing_tools_and_rights_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mmdebstrap.shutil, "which", lambda tool: None if tool == "extlinux" else f"/usr/bin/{tool}")
    with pytest.raises(HostUnfit, match="extlinux") as caught:
        mmdebstrap.check_host()
    assert "apt-get install" in caught.value.remedy
    monkeypatch.setattr(mmdebstrap.shutil, "which", lambda tool: f"/usr/bin/{tool}")
    monkeypatch.setattr(mmdebstrap, "_mbr", lambda: Path("/x"))
    monkeypatch.setattr(mmdebstrap.os, "geteuid", lambda: 1000)
    with pytest.raises(HostUnfit, match="root"):
        mmdebstrap.check_host()


@pytest.mark.parametrize(
    ("text", "error", "says"),
    [
        ("W: GPG error: The following signatures couldn't be verified: NO_PUBKEY 6ED0E7B82643E131", Unsafe, "signed"),
        ("dpkg: error: No space left on device", HostUnfit, "full"),
        ("E: Failed to fetch http://m.example/x  Could not resolve 'm.example'", CommandFailed, "fetched"),
        ("E: run_chroot failed", CommandFailed, "could not install"),
    ],
)
def test_why_mmdebstrap_failed(text: str, error: type[RtlabError], says: str, tmp_path: Path) -> None:
    with pytest.raises(error, match=says) as caught:
        mmdebstrap._explain("debian-12", apt_sources.choose("debian-12", tmp_path), 25, text, Path("/log"))
    assert caught.value.remedy


def test_mmdebstrap_s_chatter_becomes_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[Event] = []
    chatter = tmp_path / "log"
    monkeypatch.setattr(mmdebstrap, "FOLLOW_S", 0.01)
    with mmdebstrap._following(chatter, events.append):
        chatter.write_text("I: running apt-get update...\nI: extracting archives...\n")
        for _ in range(500):
            if len(events) == 2:
                break
            mmdebstrap.time.sleep(0.01)
    assert [e.fraction for e in events] == sorted(e.fraction or 0 for e in events) and len(events) == 2


def test_the_descriptor_is_well_formed_for_each_distribution() -> None:
    for suite in box.suites():
        ET.fromstring(packing.descriptor(suite, 10 * GIB, 12345))

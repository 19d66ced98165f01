"""A guest's disk on a real loop device, mounted as `rtlab box keep` mounts it: nothing on it acts, and no link in it
leads out. The same links on a folder that stands for the host: tests/test_inside.py."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from rtlab.artifacts.box import keeping, mmdebstrap
from rtlab.errors import Unsafe
from rtlab.model import ignore_events
from tests.test_inside import GUEST, HOST, LINKS, fill, snapshot

pytestmark = [
    pytest.mark.local,
    pytest.mark.skipif(shutil.which("sfdisk") is None or os.geteuid() != 0, reason="needs root and sfdisk"),
]
SECTORS_BEFORE = mmdebstrap.PARTITION_OFFSET // 512


def image_of(tree: Path, folder: Path) -> Path:
    """A disk of one partition, as rtlab's boxes have, with these files."""
    image = folder / "disk.img"
    with image.open("wb") as file:
        file.truncate(64 << 20)
    table = f"label: dos\nstart={SECTORS_BEFORE}, type=83\n".encode()
    subprocess.run(("sfdisk", "--quiet", str(image)), input=table, check=True, timeout=60)
    argv = ("mkfs.ext4", "-q", "-F", "-d", str(tree), "-E", f"offset={mmdebstrap.PARTITION_OFFSET}", str(image), "60M")
    subprocess.run(argv, check=True, timeout=60)
    return image


def test_nothing_on_a_guest_s_disk_acts(tmp_path: Path) -> None:
    tree = fill(tmp_path / "tree", ("etc/shadow",))
    shutil.copy2("/bin/true", tree / "program")
    (tree / "program").chmod(0o4755)
    os.mknod(tree / "zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
    (tree / "link").symlink_to("/etc/hostname")
    (tree / "within").symlink_to("etc/shadow")
    image = image_of(tree, tmp_path)

    with (
        mmdebstrap.attached(image, tmp_path / "log") as device,
        mmdebstrap.mounted(device, tmp_path / "at", tmp_path / "log", guest=True) as at,
    ):
        (line,) = [text.split() for text in Path("/proc/self/mounts").read_text().splitlines() if f" {at} " in text]
        assert {"nosuid", "nodev", "noexec", "nosymfollow"} <= set(line[3].split(","))
        with pytest.raises(PermissionError):
            subprocess.run((at / "program",), check=False, timeout=60)
        with pytest.raises(PermissionError):
            (at / "zero").open("rb")
        for name in ("link", "within"):
            with pytest.raises(OSError) as caught:
                (at / name).read_bytes()
            assert caught.value.errno == errno.ELOOP
        assert (at / "etc/shadow").read_text() == "content of etc/shadow\n"
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()
    assert str(tmp_path) not in subprocess.check_output(("losetup", "--all"), text=True)


@pytest.mark.parametrize("place", ["tmp", "etc/machine-id", "var/log", "root/.ssh/authorized_keys", ""])
def test_box_keep_changes_the_disk_and_nothing_beside_it(place: str, tmp_path: Path) -> None:
    host, tree = fill(tmp_path / "host", HOST), fill(tmp_path / "tree", GUEST)
    if place:
        link = tree / place
        shutil.rmtree(link) if link.is_dir() else link.unlink(missing_ok=True)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(LINKS.get(place, "%/root/.ssh/authorized_keys").replace("%", str(host)))
    before = snapshot(host)
    image = image_of(tree, tmp_path)

    refused = False
    try:
        keeping.anonymize(image, "debian-12", tmp_path / "log", ignore_events)
    except Unsafe as error:
        refused = True
        assert place in error.message and error.remedy

    assert snapshot(host) == before
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()
    assert str(tmp_path) not in subprocess.check_output(("losetup", "--all"), text=True)
    if not refused:
        with (
            mmdebstrap.attached(image, tmp_path / "log") as device,
            mmdebstrap.mounted(device, tmp_path / "at", tmp_path / "log", guest=True) as at,
        ):
            assert (at / "etc/machine-id").read_bytes() == b""
            assert not list((at / "etc/ssh").glob("ssh_host_*")) and list((at / "tmp").iterdir()) == []

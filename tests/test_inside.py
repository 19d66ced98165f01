"""A guest's disk as hostile as it can be, below a folder that stands for the host: nothing of the host may change.

On the code before (Path.glob, write_text, os.truncate) the links of `LINKS` deleted or emptied the host's files.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

import pytest

from rtlab.artifacts.box import inside, keeping, mmdebstrap
from rtlab.errors import Unsafe
from rtlab.model import CommandResult, ignore_events

# Where the link lies in the disk -> what it points to on the host. `%` is the host's folder, as an absolute path; the
# others climb out of the disk.
LINKS = {
    "tmp": "%/home",
    "var/tmp": "%/home",
    "etc": "%/etc",
    "etc/machine-id": "%/etc/shadow",
    "etc/apt": "%/etc/apt",
    "etc/apt/sources.list": "%/etc/shadow",
    "etc/apt/sources.list.d": "%/etc/apt",
    "etc/ssh": "%/etc/ssh",
    "var": "../host/var",
    "var/log": "%/var/log",
    "var/log/journal": "%/var/log",
    "var/log/messages": "%/etc/shadow",
    "var/log/deep/down": "%/var/log",
    "var/lib/cloud": "%/home",
    "var/lib/apt/lists": "%/etc",
    "home": "%/home",
    "home/mallory": "%/home/ann",
    "home/mallory/.ssh": "%/home/ann/.ssh",
    "home/mallory/.ssh/authorized_keys": "%/home/ann/.ssh/authorized_keys",
    "root": "../host/root",
    "root/.ssh": "../../host/root/.ssh",
    "root/.bash_history": "../../host/root/.bash_history",
    "tmp/x": "%/home",
    "tmp/x/y": "%/home",
    "usr/local/share/ca-certificates": "%/etc",
}
HOST = (
    *("etc/shadow", "etc/machine-id", "etc/ssh/ssh_host_ed25519_key", "etc/apt/sources.list", "etc/apt/asources.list"),
    *("etc/rtlab.crt", "etc/xPackages", "home/ann/thesis", "home/ann/.ssh/authorized_keys", "home/ann/.bash_history"),
    *("root/.ssh/authorized_keys", "root/.bash_history", "var/log/syslog", "var/log/journal/a/system.journal"),
    *("var/lib/dhcp/leases", "var/tmp/thing", "var/lib/systemd/random-seed"),
)
GUEST = (
    *("etc/ssh/ssh_host_rsa_key", "etc/apt/sources.list", "etc/machine-id", "var/log/dpkg.log", "tmp/a/b/c", "tmp/.h"),
    *("home/vagrant/.ssh/authorized_keys", "root/.bash_history", "var/log/journal/x/system.journal", "var/tmp/d"),
)


def fill(folder: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(f"content of {name}\n")
    return folder


def snapshot(folder: Path) -> dict[str, object]:
    """Every path with its kind and content; modes and times too, so that nothing is touched unseen."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = path.read_bytes() if stat.S_ISREG(status.st_mode) else None
        found[str(path.relative_to(folder))] = (status.st_mode, status.st_mtime_ns, status.st_ino, content)
    return found


@pytest.mark.parametrize("place", LINKS)
@pytest.mark.parametrize("suite", ["debian-12", "ubuntu-22.04"])
def test_no_link_in_a_disk_leads_out_of_it(place: str, suite: str, tmp_path: Path) -> None:
    host = fill(tmp_path / "host", HOST)
    disk = fill(tmp_path / "disk", GUEST)
    link = disk / place
    if link.is_dir():
        shutil.rmtree(link)
    link.unlink(missing_ok=True)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(LINKS[place].replace("%", str(host)))
    assert link.exists(), "the link leads somewhere, or nothing is tried"
    before = snapshot(host)

    try:
        mmdebstrap.forget_identity(disk, suite)
    except Unsafe as error:
        assert place in error.message and error.remedy
    else:  # then it was done whole
        assert (disk / "etc/machine-id").read_bytes() == b"" and not (disk / "etc/machine-id").is_symlink()
        assert list((disk / "tmp").iterdir()) == []

    assert snapshot(host) == before


def test_what_is_no_regular_file_is_neither_opened_nor_written_through(tmp_path: Path) -> None:
    """A FIFO would wait for ever; a hard link within the disk to another file of it leaves that one as it is."""
    disk = fill(tmp_path / "disk", (*GUEST, "etc/shadow"))
    os.mkfifo(disk / "var/log/pipe")
    os.mkfifo(disk / "tmp/pipe")
    (disk / "etc/machine-id").unlink()
    os.link(disk / "etc/shadow", disk / "etc/machine-id")

    mmdebstrap.forget_identity(disk, "debian-12")

    assert (disk / "etc/shadow").read_text() == "content of etc/shadow\n"
    assert (disk / "etc/machine-id").read_text() == "" == (disk / "var/log/dpkg.log").read_text()
    assert not (disk / "tmp/pipe").exists() and stat.S_ISFIFO((disk / "var/log/pipe").lstat().st_mode)


def test_folders_without_end_are_an_error_in_words(tmp_path: Path) -> None:
    disk = fill(tmp_path / "disk", GUEST)
    deep = os.open(disk / "tmp", os.O_RDONLY)
    for _ in range(inside.MOST_LEVELS + 10):
        os.mkdir("d", dir_fd=deep)
        inner = os.open("d", os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = inner
    os.close(deep)
    with pytest.raises(Unsafe, match=r"/tmp/d cannot be cleared: more than 200 folders"):
        mmdebstrap.forget_identity(disk, "debian-12")


@pytest.mark.parametrize("path", ["../x", "a/../x", "/x", "a//x", "./x"])
def test_a_path_that_could_climb_is_a_mistake_of_ours(path: str, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with inside.Disk(tmp_path) as disk:
        for act in (disk.remove, disk.empty_files, lambda p: disk.write(p, b"")):
            with pytest.raises(ValueError, match="no name below a folder"):
                act(path)


@pytest.mark.parametrize("knows_nosymfollow", [True, False])
def test_a_guest_s_disk_is_mounted_so_that_nothing_on_it_acts(
    knows_nosymfollow: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mounts: list[str] = []

    def run(argv: tuple[str, ...], **_: object) -> CommandResult:
        answers = {
            "losetup": b"/dev/loop7\n",
            "sfdisk": b'{"partitiontable": {"partitions": [{"start": 1, "size": 9}]}}',
        }
        status = 0
        if argv[0] == "mount":
            mounts.append(argv[argv.index("-o") + 1])
            status = int("nosymfollow" in argv[4] and not knows_nosymfollow)
            fill(Path(argv[-1]), GUEST) if status == 0 else None
        elif argv[0] == "umount":
            shutil.rmtree(argv[-1])
            Path(argv[-1]).mkdir()
        return CommandResult(
            argv=argv,
            exit_status=status,
            stdout=answers.get(argv[0], b""),
            stderr=b"",
            started_at="2026-01-01T00:00:00Z",
            elapsed_s=0.0,
            timed_out=False,
        )

    for module in (mmdebstrap, keeping):
        monkeypatch.setattr(module, "run", run)
        monkeypatch.setattr(module, "run_checked", run)
    keeping.anonymize(tmp_path / "image", "debian-12", tmp_path / "log", ignore_events)

    assert set(mounts[-1].split(",")) >= {"nosuid", "nodev", "noexec"}
    assert ("nosymfollow" in mounts[-1]) == knows_nosymfollow

"""Readings of a host: pure parsers on captured text, and one real look at this machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rtlab.host import facts as host


def test_os_release_fields_lose_their_quotes() -> None:
    text = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n# comment\n'

    assert host.os_release(text) == {
        "PRETTY_NAME": "Debian GNU/Linux 12 (bookworm)",
        "ID": "debian",
        "VERSION_ID": "12",
    }


@pytest.mark.parametrize(
    ("mounts", "layout"),
    [
        ("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n", "v2"),
        ("cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n", "hybrid"),
        ("cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\n", "v1"),
        ("proc /proc proc rw 0 0\n", ""),
    ],
)
def test_the_layout_of_control_groups_is_read_from_the_mounts(mounts: str, layout: str) -> None:
    assert host.cgroup_layout(mounts) == layout


def test_steal_is_the_eighth_field_over_all_of_them() -> None:
    # proc(5): user nice system idle iowait irq softirq steal; guest times are in user already.
    assert host.steal_percent("cpu  100 0 100 700 50 0 0 50 99 0\ncpu0 1 2 3\n") == 5.0
    assert host.steal_percent("cpu  1 2 3 4\n") is None
    assert host.steal_percent("") is None


@pytest.mark.parametrize(
    ("printed", "version"),
    [
        ("7.2.10r170000\n", "7.2.10"),
        ("Vagrant 2.3.4\n", "2.3.4"),
        ("Docker version 20.10.24+dfsg1, build 297e128\n", "20.10.24"),
        ("libvirtd (libvirt) 9.0.0\n", "9.0.0"),
        ("WARNING: The vboxdrv kernel module is not loaded.\n7.0.20r163906\n", "7.0.20"),
        ("no version here", ""),
    ],
)
def test_versions_are_found_in_what_programs_print(printed: str, version: str) -> None:
    assert host.version_in(printed) == version


def test_programs_are_found_on_path_and_in_the_systems_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, system = tmp_path / "own", tmp_path / "sbin"
    for folder, name in ((own, "vagrant"), (system, "dockerd")):
        folder.mkdir()
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(own))
    monkeypatch.setattr(host, "SYSTEM_FOLDERS", (str(system),))

    assert (host.find("vagrant"), host.find("dockerd")) == (str(own / "vagrant"), str(system / "dockerd"))
    assert host.find("virsh") == ""


def test_this_machine_is_read_as_it_is(tmp_path: Path) -> None:
    facts = host.collect(tmp_path / "not" / "there", tmp_path, prove=False)

    assert facts.kernel == os.uname().release
    assert facts.cores == len(os.sched_getaffinity(0))
    assert facts.root == (os.geteuid() == 0)
    assert facts.memory_bytes == os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert facts.state_free_bytes == pytest.approx(
        os.statvfs(tmp_path).f_bavail * os.statvfs(tmp_path).f_frsize, rel=0.05
    )
    assert not (tmp_path / "not").exists()

"""The private engine: its configuration, and how what belongs to it is told apart. Nothing is started but `sleep`."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rtlab.engines import private as own
from rtlab.engines.docker import private as engine
from rtlab.engines.docker.private import Engine
from rtlab.errors import HostUnfit, Unsafe

ID = "0badcafe"


@pytest.fixture
def private(tmp_path: Path) -> Engine:
    return Engine(ID, tmp_path / "run")


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as process:
        # For a moment after exec a process has no words yet, and looks like a kernel thread.
        while not Path(f"/proc/{process.pid}/cmdline").read_bytes():
            time.sleep(0.01)
        yield process
        process.kill()


@pytest.mark.parametrize("wrong", ["", "c0ffee", "../../etc", "C0FFEE01", "c0ffee012"])
def test_only_an_id_becomes_a_path(wrong: str) -> None:
    with pytest.raises(Unsafe, match="no id of a testbed"):
        Engine(wrong)


def test_every_path_of_dockerd_is_its_own(private: Engine, tmp_path: Path) -> None:
    config = private.daemon_json(tmp_path / "data", {"runsc": {"path": "/usr/bin/runsc"}}, 20)
    paths = [config[k] for k in ("data-root", "exec-root", "pidfile", "containerd", "deprecated-key-path")]
    assert all(p.startswith(str(tmp_path)) for p in paths)
    assert config["hosts"] == [f"unix://{tmp_path}/run/rtlab-{ID}/docker.sock"]
    assert config["cgroup-parent"] == f"/rtlab-{ID}"
    assert config["runtimes"] == {"runsc": {"path": "/usr/bin/runsc"}}
    assert "iptables" not in config


def test_keys_that_newer_docker_refuses_are_left_out(private: Engine, tmp_path: Path) -> None:
    # moby dropped the key file with 24.0, and dockerd ends at an unknown key.
    assert "deprecated-key-path" not in private.daemon_json(tmp_path, {}, 24)
    assert private.daemon_json(tmp_path, {}, 26, iptables=False)["iptables"] is False


def test_containerd_gets_no_kubernetes_interface_and_no_shared_folder(private: Engine, tmp_path: Path) -> None:
    text = private.containerd_toml(tmp_path / "data")
    assert 'disabled_plugins = ["io.containerd.grpc.v1.cri"' in text
    assert "io.containerd.internal.v1.opt" in text  # would make /opt/containerd
    assert f'root = "{tmp_path}/data/containerd"' in text
    assert f'address = "{private.containerd_socket}"' in text


def test_sockets_fit_into_the_kernels_limit() -> None:
    # sockaddr_un.sun_path: 108 bytes with the final zero; the longest name below our folder is containerd's ttrpc one.
    longest = Engine(ID).folder / "containerd" / "containerd.sock.ttrpc"
    assert len(os.fsencode(longest)) < 108


def test_the_layout_is_an_ordinary_dockers(private: Engine, tmp_path: Path) -> None:
    # Whoever has the socket finds runtimes' state beside it: /run/docker.sock, /run/docker/, /run/containerd/.
    config = private.daemon_json(tmp_path, {}, 20)
    assert config["exec-root"] == str(private.socket.parent / "docker")
    assert config["containerd"] == str(private.socket.parent / "containerd" / "containerd.sock")


def test_a_reused_pid_is_never_hit(sleeper: subprocess.Popen[bytes]) -> None:
    process, parent = own.all_processes()[sleeper.pid]
    assert (process.program, parent) == ("sleep", os.getpid())
    other = replace(process, started=process.started - 1)
    assert not own.alive(other)
    assert not own.end(other, signal.SIGKILL)
    assert sleeper.poll() is None
    assert own.end(process, signal.SIGKILL)
    assert sleeper.wait(5) == -signal.SIGKILL
    assert not own.end(process, signal.SIGKILL)


def test_processes_are_told_apart_by_program_and_path(private: Engine, tmp_path: Path) -> None:
    private.folder.mkdir(parents=True)
    mark = str(private.config_file)
    # bash -c 'exec -a' gives a program any name; the argument after it is what a command line would show.
    script = 'exec -a "$0" /bin/sh -c "read _" "$1"'

    def start(name: str, argument: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(["bash", "-c", script, name, argument], stdin=subprocess.PIPE)

    started = [
        start("/usr/sbin/dockerd", mark),
        start("/usr/sbin/dockerd", "/etc/docker/daemon.json"),
        start("docker", mark),
        start("/usr/sbin/dockerd", str(Engine("0badcaff", tmp_path / "run").config_file)),
    ]
    try:
        for process in started:
            renamed = os.fsencode(process.args[3]) + b"\0"  # type: ignore[index]
            while not Path(f"/proc/{process.pid}/cmdline").read_bytes().startswith(renamed):
                assert process.poll() is None
        assert [p.pid for p in private.processes()] == [started[0].pid]
    finally:
        for process in started:
            process.communicate(b"\n")


def test_mounts_are_found_at_and_below_a_folder_only(tmp_path: Path) -> None:
    # Lines as in proc(5), "/proc/[pid]/mountinfo": the fifth field is the mount point, a blank is \040.
    table = tmp_path / "mountinfo"
    table.write_text(
        "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
        "30 22 0:30 / /srv/rtlab rw - tmpfs t rw\n"
        "31 30 0:31 / /srv/rtlab/with\\040blank rw - tmpfs t rw\n"
        "32 22 0:32 / /srv/rtlab-other rw - tmpfs t rw\n"
    )
    assert own.mounts_below(Path("/srv/rtlab"), str(table)) == ("/srv/rtlab", "/srv/rtlab/with blank")


def test_hierarchies_of_cgroups_are_read_from_the_mounts(tmp_path: Path) -> None:
    table = tmp_path / "mounts"
    table.write_text("cgroup /sys/fs/cgroup/cpu cgroup rw 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n")
    assert own.cgroup_roots(str(table)) == (Path("/sys/fs/cgroup/cpu"), Path("/sys/fs/cgroup/unified"))


def test_data_is_removed_only_where_it_carries_the_mark(tmp_path: Path) -> None:
    data = tmp_path / "data"
    own.mark_data(data, ID)
    (data / "docker").mkdir()
    own.remove_data(data, "ffffffff")
    assert data.exists()
    link = tmp_path / "link"
    link.symlink_to(data)
    own.remove_data(link, ID)
    assert data.exists()
    own.remove_data(data, ID)
    assert not data.exists()
    own.remove_data(tmp_path, ID)
    assert tmp_path.exists()


def test_a_foreign_data_root_is_not_believed(private: Engine, tmp_path: Path) -> None:
    private.folder.mkdir(parents=True)
    (tmp_path / "home").mkdir()
    private.config_file.write_text(f'{{"data-root": "{tmp_path}/home/docker"}}')
    assert private.data() is None
    own.mark_data(tmp_path / "home", ID)
    assert private.data() == tmp_path / "home"


def test_traces_are_found_without_any_state(tmp_path: Path) -> None:
    for name in ("rtlab-0badcafe", "rtlab-12345678", "rtlab", "rtlab-nothex00", "docker"):
        (tmp_path / name).mkdir()
    assert set(own.existing_ids(tmp_path)) >= {"0badcafe", "12345678"}
    assert "nothex00" not in own.existing_ids(tmp_path)


def test_nothing_listens_nothing_answers(tmp_path: Path) -> None:
    assert not engine.ping(tmp_path / "docker.sock")


def test_a_missing_docker_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(own, "SYSTEM_FOLDERS", ())
    with pytest.raises(HostUnfit, match="lacks dockerd, containerd, docker") as caught:
        engine.find_programs()
    assert "apt-get install docker.io" in caught.value.remedy
    assert "rtlab doctor --fix" in caught.value.remedy


@pytest.mark.parametrize(
    ("version", "major"), [("20.10.24+dfsg1", 20), ("29.5.0", 29), ("2.0.0-beta.24", 29), ("", 0), ("dev", 0)]
)
def test_mobys_own_count_of_versions_is_newer_than_dockers(version: str, major: int) -> None:
    assert engine.Programs(dockerd="", containerd="", docker="", version=version).major == major

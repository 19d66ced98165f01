"""A Docker of rtlab's own on this machine, beside whatever Docker there is and without touching it.

What it shares with every private engine stands in ``rtlab.engines.private``; a second dockerd in the host's network
namespace would empty the first one's iptables chains. Images and layers lie in ``<state>/local/``.

The layout below /run is that of an ordinary Docker below /run (docker.sock, docker/, containerd/), so whoever reads
runtimes' state files finds them by the socket's folder.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rtlab import atomic
from rtlab.connection.shell import run
from rtlab.engines.private import (
    NETNS_FOLDER,
    RUN,
    SYSTEM_FOLDERS,
    Private,
    accepts,
    all_processes,
    end,
    find,
    is_data,
)
from rtlab.errors import HostUnfit
from rtlab.model import CommandResult, Resource
from rtlab.model.machines import MOBY_V2_IS

# Its command line, beside its other programs.
CLI = "docker"
CONTAINERD_DISABLED = (
    # The Kubernetes interface (both its names), the folder /opt/containerd, and a socket in /var/run.
    *("io.containerd.grpc.v1.cri", "io.containerd.cri.v1.images", "io.containerd.cri.v1.runtime"),
    *("io.containerd.internal.v1.opt", "io.containerd.nri.v1.nri"),
)
# Folders that every dockerd and containerd makes and shares. Ours made them only if they were not there before.
SHARED_FOLDERS = ("/run/docker/plugins", "/run/docker", "/run/containerd/s", "/run/containerd", str(NETNS_FOLDER))


@dataclass(frozen=True, slots=True, kw_only=True)
class Programs:
    """Where the engine's programs are.

    Attributes:
        docker: The command-line client, of the engine's own package where possible.
        version: dockerd's, ``20.10.24``.
    """

    dockerd: str
    containerd: str
    docker: str
    version: str

    @property
    def major(self) -> int:
        """Docker's major version; 0 when not known. moby's own modules count anew: v2 began after Docker 29."""
        number = int(self.version.split(".")[0]) if self.version[:1].isdigit() else 0
        return MOBY_V2_IS[0] if number == 2 else number


def find_programs(folder: Path | None = None) -> Programs:
    """The engine in a folder of rtlab's, or the installed one; HostUnfit with what installs what is missing."""
    dockerd = shutil.which("dockerd", path=str(folder)) or "" if folder else find("dockerd")
    # A client elsewhere on PATH may belong to another engine: the one beside the system's dockerd goes first.
    folders = (str(Path(dockerd).parent), str(Path(dockerd).parent.parent / "bin"), *SYSTEM_FOLDERS) if dockerd else ()
    found = {"dockerd": dockerd, "containerd": find("containerd", folders), "docker": find("docker", folders)}
    # Every one of them is called by dockerd, by containerd or by rtlab.
    needed = (*("containerd-shim-runc-v2", "iptables", "ip", "nsenter", "unshare", "setsid"),)
    missing = [name for name, path in found.items() if not path] + [n for n in needed if not find(n, folders)]
    if missing:
        raise HostUnfit(
            f"The local provider runs a Docker of its own, and this machine lacks {', '.join(missing)}.",
            remedy=f"sudo apt-get install {'' if folder else 'docker.io containerd runc '}iptables iproute2 util-linux "
            "apparmor (or: rtlab doctor --fix). An installed Docker is only used for its programs, never touched.",
        )
    version = re.search(r"(\d+\.\d+[.\d]*)", run((found["dockerd"], "--version"), timeout_s=20).text())
    return Programs(**found, version=version[1] if version else "")


class Engine(Private):
    """The private Docker of one testbed. Creating the object touches nothing."""

    def __init__(self, testbed_id: str, run_root: Path = RUN) -> None:
        super().__init__(testbed_id, run_root)
        self.socket = self.folder / "docker.sock"
        self.containerd_socket = self.folder / "containerd" / "containerd.sock"
        self.config_file = self.folder / "daemon.json"

    # ------------------------------------------------------------- configuration

    def daemon_json(
        self,
        data: Path,
        runtimes: Mapping[str, Any],
        major: int,
        *,
        iptables: bool = True,
        features: Mapping[str, bool] | None = None,
    ) -> Any:
        """dockerd's configuration: everything that an ordinary dockerd has at a fixed place is elsewhere.

        Args:
            data: Folder for images and layers.
            runtimes: As daemon.json's ``runtimes``; ``runc`` is built in.
            major: dockerd's major version: some keys exist only in some.
            features: Switches of the engine's that differ from its defaults.
        """
        config: dict[str, Any] = {
            "data-root": str(data / "docker"),
            "exec-root": str(self.folder / "docker"),
            "pidfile": str(self.folder / "docker.pid"),
            "hosts": [f"unix://{self.socket}"],
            "group": "root",
            "containerd": str(self.containerd_socket),
            # One cgroup per testbed, by plain folders: with systemd's driver units of ours would be in its tree.
            "cgroup-parent": f"/{self.name}",
            "exec-opts": ["native.cgroupdriver=cgroupfs"],
            "runtimes": dict(runtimes),
            "shutdown-timeout": 5,
            "log-driver": "json-file",
            "log-opts": {"max-size": "16m", "max-file": "2"},
        }
        if features:
            config["features"] = dict(features)
        if not iptables:
            config |= {"iptables": False, "ip-masq": False}
        if major < 24:
            # Until then dockerd writes an identity of its own into /etc/docker.
            config["deprecated-key-path"] = str(data / "key.json")
        return config

    def containerd_toml(self, data: Path) -> str:
        """containerd's configuration (version 2 is read by 1.x and 2.x)."""
        disabled = ", ".join(f'"{plugin}"' for plugin in CONTAINERD_DISABLED)
        return (
            "version = 2\n"
            f"root = {json.dumps(str(data / 'containerd'))}\n"
            f"state = {json.dumps(str(self.folder / 'containerd'))}\n"
            f"oom_score = -500\ndisabled_plugins = [{disabled}]\n"
            f"[grpc]\n  address = {json.dumps(str(self.containerd_socket))}\n"
        )

    # ------------------------------------------------------------- starting

    def answers(self) -> bool:
        """Whether dockerd answers and its containerd runs."""
        return ping(self.socket) and {"dockerd", "containerd"} <= {p.program for p in self.processes()}

    def start(self, programs: Programs, data: Path, config: Mapping[str, Any], logs: Path) -> None:
        """Start containerd and dockerd, in sessions of their own: they outlive this process.

        Raises:
            CommandFailed: one of them did not come up; with the end of its log.
        """
        self.make_folder(data)
        for folder in (self.folder / "containerd", data / "docker", data / "containerd"):
            atomic.make_folder(folder, 0o700)
        atomic.write_json(self.config_file, config, 0o600)
        toml = self.folder / "containerd.toml"
        atomic.write_bytes(toml, self.containerd_toml(data).encode(), 0o600)
        (self.folder / "docker.pid").unlink(missing_ok=True)
        for stale in (self.socket, self.containerd_socket):
            stale.unlink(missing_ok=True)
        folders = (str(Path(programs.dockerd).parent), str(Path(programs.containerd).parent))
        self.daemon(
            (programs.containerd, "--config", str(toml)),
            logs / "local-containerd.log",
            lambda: accepts(self.containerd_socket),
            folders,
        )
        self.daemon(
            (programs.dockerd, "--config-file", str(self.config_file)),
            logs / "local-dockerd.log",
            lambda: ping(self.socket),
            folders,
        )
        self.socket.chmod(0o600)

    def reload(self, config: Mapping[str, Any]) -> None:
        """Change the runtimes of the running dockerd (what SIGHUP reads again), without a restart."""
        atomic.write_json(self.config_file, config, 0o600)
        for process in self.processes():
            if process.program == "dockerd":
                end(process, signal.SIGHUP)

    def docker(self, cli: str, *arguments: str, timeout_s: float = 60, log: Path | None = None) -> CommandResult:
        """Run the docker command against this engine, with an empty configuration of its own."""
        return run(
            (cli, "--host", f"unix://{self.socket}", *arguments),
            timeout_s=timeout_s,
            env={"DOCKER_CONFIG": str(self.folder / "cli"), "DOCKER_CONTEXT": "", "LC_ALL": "C"},
            log=log,
        )

    # ------------------------------------------------------------- what exists

    def data(self) -> Path | None:
        """As every engine's; what an earlier rtlab started says it only in daemon.json."""
        known = super().data()
        if known is not None:
            return known
        try:
            found = Path(json.loads(self.config_file.read_text())["data-root"]).parent
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return found if is_data(found, self.id) else None

    # ------------------------------------------------------------- stopping

    def stop(self, docker_cli: str = "") -> None:
        """End everything that runs for this engine and undo its mounts; data stays. Nothing when nothing runs.

        Orderly first (containers, dockerd, containerd), then by force whatever is left.
        """
        self._remove_containers(docker_cli)
        super().stop()

    def _remove_containers(self, docker_cli: str) -> None:
        if docker_cli and ping(self.socket):
            listed = self.docker(docker_cli, "ps", "--all", "--quiet", timeout_s=20)
            if listed.ok and listed.text().split():
                self.docker(docker_cli, "rm", "--force", "--volumes", *listed.text().split(), timeout_s=60)

    def settle(self, docker_cli: str) -> None:
        """Remove all containers, wait for their shims to go, and end what hangs.

        A runsc that failed to start leaves shim and sandbox behind for ever; ending them makes containerd start
        another one to clean up, so it takes rounds.
        """
        listed = self.docker(docker_cli, "ps", "--all", "--quiet", timeout_s=20)
        if listed.text().split():
            self.docker(docker_cli, "rm", "--force", "--volumes", *listed.text().split(), timeout_s=60)
        for _ in range(4):
            deadline = time.monotonic() + 1.0
            while rest := [p for p in self.processes() if p.program not in ("dockerd", "containerd")]:
                if time.monotonic() > deadline:
                    break
                time.sleep(0.05)
            if not rest:
                return
            self.kill(rest)

    def remove(self, docker_cli: str = "") -> tuple[Resource, ...]:
        """Stop and remove everything; returns what is left, with the reason."""
        self._remove_containers(docker_cli)
        return super().remove()


def remove_shared_folders(made: Iterable[str]) -> None:
    """Remove the shared folders that our daemons made, if they are empty and no other Docker runs by now."""
    if any(process.program in ("dockerd", "containerd") for process, _ in all_processes().values()):
        return
    for folder in SHARED_FOLDERS:
        if folder in made:
            with contextlib.suppress(OSError):
                os.rmdir(folder)


def ping(path: Path, timeout_s: float = 3.0) -> bool:
    """Whether a Docker daemon answers ``GET /_ping`` on this socket."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout_s)
        try:
            connection.connect(str(path))
            connection.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            return b" 200 " in connection.recv(200).split(b"\r\n", 1)[0]
        except OSError:
            return False

"""A containerd of rtlab's own on this machine, which serves CRI: beside the same testbed's Docker, if there is one.

What every private engine has stands in ``rtlab.engines.private``. This one's files:

    /run/rtlab-<id>/cri/        socket, configuration, state, CNI, the containers' output
    <state>/local/cri/          images and snapshots
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import re
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rtlab import atomic
from rtlab.connection.shell import run
from rtlab.engines.containerd import pause
from rtlab.engines.private import RUN, Private, accepts
from rtlab.errors import CommandFailed
from rtlab.model import CommandResult

# As Docker's is called docker0; the subnet is no other's in this namespace.
BRIDGE = "rtlab0"
SUBNET = "172.30.0.0/16"
# containerd's own name for what CRI makes.
NAMESPACE = "k8s.io"
PROGRAMS = ("containerd", "containerd-shim-runc-v2", "ctr")
CNI_PROGRAMS = ("bridge", "host-local", "loopback")
# libcni keeps the last result of every attachment there, wherever everything else is, and removes it with the pod.
CNI_RESULTS = Path("/var/lib/cni/results")
RUNC_SHIM = "io.containerd.runc.v2"
# What containerd runs instead of a shim that insists on its OOM score: the same process becomes the shim.
_OOM_SCRIPT = """#!/bin/sh
case " $* " in *" start ")
    exec unshare --mount --propagation slave /bin/sh -c \\
        'mount --bind {map} "/proc/$$/uid_map" && exec {shim} "$@"' sh "$@";;
esac
exec {shim} "$@"
"""
_CAP_SYS_RESOURCE = 24


class Engine(Private):
    """The private containerd of one testbed. Creating the object touches nothing."""

    def __init__(self, testbed_id: str, run_root: Path = RUN) -> None:
        super().__init__(testbed_id, run_root)
        self.place = self.folder / "cri"
        self.socket = self.place / "containerd.sock"
        self.config_file = self.place / "config.toml"
        self.logs = self.place / "logs"

    def toml(self, data: Path, folder: Path, handlers: Mapping[str, Mapping[str, Any]]) -> str:
        """containerd's configuration (version 3, read by 2.x): everything that has a fixed place is elsewhere.

        Args:
            folder: Where its programs and CNI's are.
            handlers: Name -> ``type`` and ``options`` of each runtime.
        """
        images, runtime = "plugins.'io.containerd.cri.v1.images'", "plugins.'io.containerd.cri.v1.runtime'"
        lines = [
            "version = 3",
            f"root = {_text(data / 'cri')}",
            f"state = {_text(self.place / 'state')}",
            "disabled_plugins = ['io.containerd.internal.v1.opt', 'io.containerd.nri.v1.nri']",
            "[grpc]",
            f"address = {_text(self.socket)}",
            f"[{images}.pinned_images]",
            f"sandbox = {_text(pause.REFERENCE)}",
            "[plugins.'io.containerd.grpc.v1.cri']",
            "disable_tcp_service = true",
            f"[{runtime}]",
            # Without CAP_SYS_RESOURCE nobody may ask for less than containerd has itself: every sandbox would fail.
            "restrict_oom_score_adj = true",
            # The pods' network namespaces: else they lie in /var/run/netns, which is everybody's.
            "netns_mounts_under_state_dir = true",
            f"[{runtime}.cni]",
            f"bin_dirs = [{_text(folder)}]",
            f"conf_dir = {_text(self.place / 'net.d')}",
            f"[{runtime}.containerd]",
            f"default_runtime_name = {_text(next(iter(handlers), 'runc'))}",
        ]
        for name, handler in handlers.items():
            lines += [
                f"[{runtime}.containerd.runtimes.{json.dumps(name)}]",
                f"runtime_type = {_text(handler['type'])}",
                *([f"runtime_path = {_text(handler['path'])}"] if "path" in handler else []),
                f"[{runtime}.containerd.runtimes.{json.dumps(name)}.options]",
                *(f"{key} = {_value(value)}" for key, value in sorted(handler["options"].items())),
            ]
        return "\n".join(lines) + "\n"

    def cni(self) -> Any:
        """The pods' network: a bridge in the testbed's namespace, from which they are reached; no way out, no rules."""
        gateway = next(ipaddress.ip_network(SUBNET).hosts())
        return {
            "cniVersion": "1.0.0",
            "name": self.name,
            "plugins": [
                {
                    "type": "bridge",
                    "bridge": BRIDGE,
                    "isGateway": True,
                    "ipMasq": False,
                    "ipam": {
                        "type": "host-local",
                        "ranges": [[{"subnet": SUBNET, "gateway": str(gateway)}]],
                        "dataDir": str(self.place / "addresses"),
                    },
                }
            ],
        }

    def runc_like(self, program: str) -> Mapping[str, Any]:
        """A handler for a runtime with runC's command line, with its files in this testbed's folder."""
        options = {"BinaryName": program, "Root": str(self.place / "runtimes"), "SystemdCgroup": False}
        return {"type": RUNC_SHIM, "options": options}

    def runsc(self, folder: Path, program: str) -> Mapping[str, Any]:
        """A handler for gVisor by its own shim, which alone can put several containers into a sandbox.

        The shim gives itself an OOM score that needs CAP_SYS_RESOURCE, and ends where it may not; only in a user
        namespace it goes on (gVisor's pkg/shim/v1/manager.go, containerd's sys.SetOOMScore). Where root lacks that
        right a script starts it so that it takes itself for being in one: for the moment of the start, in a mount
        namespace of the shim's own, and without any other effect.
        """
        shim = folder / "containerd-shim-runsc-v1"
        settings = self.place / "runsc.toml"
        text = f"binary_name = {_text(program)}\nroot = {_text(self.place / 'runtimes')}\n"
        atomic.write_bytes(settings, text.encode(), 0o600)
        handler: dict[str, Any] = {
            "type": "io.containerd.runsc.v1",
            "options": {"TypeUrl": "io.containerd.runsc.v1.options", "ConfigPath": str(settings)},
        }
        if may_lower_oom_score():
            return handler
        script = self.place / "shims" / shim.name
        atomic.make_folder(script.parent, 0o700)
        atomic.write_bytes(script.with_name("uid_map"), b"         0          0 4294967294\n", 0o600)
        atomic.write_bytes(script, _OOM_SCRIPT.format(shim=shim, map=script.with_name("uid_map")).encode(), 0o700)
        return {**handler, "path": str(script)}

    def answers(self) -> bool:
        return accepts(self.socket)

    def configured(self) -> str:
        """The configuration that it was started with; empty when there is none."""
        try:
            return self.config_file.read_text()
        except OSError:
            return ""

    def kept_by_cni(self, results: Path = CNI_RESULTS) -> tuple[Path, ...]:
        """Results of CNI that pods of this testbed left, because they were killed: they name its network namespaces."""
        found = []
        for file in sorted(results.iterdir()) if results.is_dir() else ():
            with contextlib.suppress(OSError):
                if not file.is_symlink() and f'"{self.folder}/' in file.read_text(errors="replace"):
                    found.append(file)
        return tuple(found)

    def start(self, data: Path, folder: Path, handlers: Mapping[str, Mapping[str, Any]], logs: Path) -> None:
        """Start containerd in the testbed's namespace; it outlives this process.

        Raises:
            CommandFailed: it did not come up; with the end of its log.
        """
        self.make_folder(data)
        for made in (self.place, self.place / "net.d", self.logs, data / "cri"):
            atomic.make_folder(made, 0o700)
        atomic.write_bytes(self.config_file, self.toml(data, folder, handlers).encode(), 0o600)
        atomic.write_json(self.place / "net.d" / "10-rtlab.conflist", self.cni(), 0o600)
        self.socket.unlink(missing_ok=True)
        self.daemon(
            (str(folder / "containerd"), "--config", str(self.config_file)),
            logs / "local-cri.log",
            lambda: accepts(self.socket),
            (str(folder),),
        )

    def load(self, folder: Path, image: Path, log: Path) -> None:
        """Put an image (docker-archive) where CRI finds it.

        Raises:
            CommandFailed: containerd did not take it.
        """
        done = self.ctr(folder, "images", "import", str(image), timeout_s=300, log=log)
        if not done.ok:
            raise CommandFailed(
                f"The private containerd did not load {image.name}: {done.tail(3)}",
                remedy=f"Its log is {log.with_name('local-cri.log')}.",
                argv=done.argv,
            )

    def load_pause(self, folder: Path, log: Path) -> None:
        file = self.place / "pause.tar"
        atomic.write_bytes(file, pause.archive(), 0o600)
        self.load(folder, file, log)

    def ctr(self, folder: Path, *arguments: str, timeout_s: float = 60, log: Path | None = None) -> CommandResult:
        return run(
            (str(folder / "ctr"), "--address", str(self.socket), "--namespace", NAMESPACE, *arguments),
            timeout_s=timeout_s,
            env={"LC_ALL": "C"},
            log=log,
        )

    def end_daemon(self) -> None:
        """End this containerd alone, with a signal; a Docker beside it goes on."""
        mark = str(self.config_file)
        self.end([p for p in self.processes() if p.program == "containerd" and mark in p.argv], signal.SIGTERM)


def may_lower_oom_score(status: str | None = None) -> bool:
    """Whether this process, and what it starts, may ask the kernel for less than it has (CAP_SYS_RESOURCE).

    Args:
        status: For tests; otherwise this process's own.
    """
    text = status if status is not None else Path("/proc/self/status").read_text()
    match = re.search(r"^CapEff:\s*([0-9a-f]+)$", text, re.M)
    return match is not None and bool(int(match[1], 16) >> _CAP_SYS_RESOURCE & 1)


def _text(value: object) -> str:
    # JSON's strings are TOML's as long as no character above the BMP is escaped.
    return json.dumps(str(value), ensure_ascii=False)


def _value(value: object) -> str:
    return json.dumps(value) if isinstance(value, bool | int) else _text(value)

"""containerd by its CRI socket: the machine's half of the engine. Python 3.6 and the standard library, but for grpcio.

A container is a pod here: a sandbox (network, shim, a pause process) with one container in it. Its id is the sandbox's,
which the shim's command line, the namespaces and both cgroups name, so that whatever a pod needs is found by it.
"""

import base64
import json
import os
import re
import socket
import struct
import sys
import time
import uuid
from typing import Any, Dict, List, Optional, Sequence, Tuple

from rtlab.engines.containerd.messages import METHODS, decode, encode
from rtlab.probe.base import OUTPUT_CAP, Document, TrialFailed, TrialTimedOut
from rtlab.probe.engine import STDERR, STDOUT, Engine, Executed, Limits, early_end, shim_of, without_registry
from rtlab.probe.programs import environment_of, which

# Names as the kernel cuts them, 15 characters.
PROGRAMS = ("containerd-shim",)
DAEMONS = ("containerd",)
# containerd's own name for what CRI made: runtimes keep their files of a container in a folder of that name.
NAMESPACE = "k8s.io"
POLL_S = 0.002
# How often a container whose output is followed is asked whether it still runs.
STATE_S = 0.25
EXITED = 2
CPU_PERIOD_US = 100000
SHIM_OF_RUNC = "io.containerd.runc.v2"
_CONTAINER_PID, _RUNTIME_DEFAULT = 1, 0
_CGROUPS = "/sys/fs/cgroup"


class Client(Engine):
    """Its settings: ``modules`` (folder of grpcio; empty: the interpreter's own), ``cgroup`` (folder below each
    hierarchy), ``logs`` (folder of the containers' output)."""

    interfaces = "rtlab0"

    def __init__(self, path: str, deadline: float, settings: Optional[Document] = None) -> None:
        Engine.__init__(self, path, deadline, settings)
        self.pods: Dict[str, str] = {}  # sandbox -> its container
        self.outputs: Dict[str, str] = {}  # sandbox -> folder of its container's output
        self.grpc = _grpc(str(self.settings.get("modules") or ""))
        # One connection, made before any clock runs, and no proxy of the environment's.
        self.channel = self.grpc.insecure_channel(
            "unix:" + path, options=[("grpc.max_receive_message_length", OUTPUT_CAP), ("grpc.enable_http_proxy", 0)]
        )
        self.methods = {method: self.channel.unary_unary("/runtime.v1." + method, _same, _same) for method in METHODS}

    def call(self, method: str, document: Optional[Document] = None, at_most: Optional[float] = None) -> Document:
        """One call of CRI; ``RuntimeService`` where no service is named."""
        full = method if "/" in method else "RuntimeService/" + method
        asked, answered = METHODS[full]
        try:
            content = self.methods[full](encode(asked, document or {}), timeout=self.left(at_most))
        except self.grpc.RpcError as error:
            code = error.code()
            if code == self.grpc.StatusCode.DEADLINE_EXCEEDED:
                raise TrialTimedOut("the engine did not answer %s in time" % method)
            if code == self.grpc.StatusCode.UNAVAILABLE:
                raise TrialFailed("the engine does not answer at %s: %s" % (self.path, error.details()))
            if code == self.grpc.StatusCode.NOT_FOUND:
                raise NotThere("the engine refused %s: %s" % (method, error.details()))
            raise TrialFailed("the engine refused %s: %s" % (method, error.details()))
        return decode(answered, content)

    # ----------------------------------------------------------------- containers

    def create(
        self,
        runtime: str,
        image: str,
        command: Optional[Sequence[str]] = None,
        limits: Limits = Limits(),  # noqa: B008 (a tuple)
        labels: Optional[Dict[str, str]] = None,
        stdin: bool = False,
    ) -> str:
        """The sandbox runs from here on, the container in it does not yet."""
        uid = uuid.uuid4().hex
        logs = os.path.join(str(self.settings["logs"]), uid)
        os.makedirs(logs, 0o700)
        pod: Document = {
            "metadata": {"name": "rtlab-" + uid[:12], "uid": uid, "namespace": "rtlab"},
            "hostname": "rtlab",
            "log_directory": logs,
            "labels": labels or {},
            "linux": {
                "cgroup_parent": self.cgroup(),
                "security_context": {"namespace_options": {"pid": _CONTAINER_PID}, "seccomp": {}},
                "resources": resources(limits),
            },
        }
        try:
            cid = str(self.call("RunPodSandbox", {"config": pod, "runtime_handler": runtime})["pod_sandbox_id"])
        except TrialFailed:
            os.rmdir(logs)
            raise
        self.outputs[cid] = logs
        # Its cgroup's folder names the sandbox, as everything of a pod does here.
        pod["linux"] = dict(pod["linux"], cgroup_parent="%s/pod-%s" % (self.cgroup(), cid))
        config: Document = {
            "metadata": {"name": "workload"},
            "image": {"image": image},
            "labels": labels or {},
            "log_path": "output",
            "linux": {
                "resources": resources(limits),
                "security_context": {"namespace_options": {"pid": _CONTAINER_PID}, "seccomp": {}},
            },
        }
        if command is not None:
            # Instead of the image's Cmd and after its entry point, as Docker takes it.
            config["args"] = list(command)
        if stdin:
            config["stdin"] = True
        try:
            made = self.call("CreateContainer", {"pod_sandbox_id": cid, "config": config, "sandbox_config": pod})
        except TrialFailed:
            self.remove(cid)
            raise
        self.pods[cid] = str(made["container_id"])
        return cid

    def cgroup(self) -> str:
        return "/" + str(self.settings["cgroup"]).strip("/")

    def inner(self, cid: str) -> str:
        """The container of a pod."""
        if cid not in self.pods:
            listed = self.call("ListContainers", {"filter": {"pod_sandbox_id": cid}})["containers"]
            if not listed:
                raise TrialFailed("the pod has no container")
            self.pods[cid] = str(listed[0]["id"])
        return self.pods[cid]

    def start(self, cid: str) -> None:
        self.call("StartContainer", {"container_id": self.inner(cid)})

    def stop(self, cid: str, grace_s: int = 10) -> None:
        """The container, then its sandbox with the network: what Docker's stop takes down as well."""
        self.call("StopContainer", {"container_id": self.inner(cid), "timeout": grace_s}, grace_s + 60)
        self.call("StopPodSandbox", {"pod_sandbox_id": cid}, 60)

    def remove(self, cid: str) -> None:
        try:
            status = self.call("PodSandboxStatus", {"pod_sandbox_id": cid, "verbose": True}, 60)
            self.call("StopPodSandbox", {"pod_sandbox_id": cid}, 120)
            self.call("RemovePodSandbox", {"pod_sandbox_id": cid}, 120)
        except NotThere:
            status = {"info": {}}
        # Of a pod that an earlier probe made, containerd tells where its output is.
        told = str((_info(status).get("config") or {}).get("log_directory") or "")
        self._forget(cid, self.outputs.pop(cid, told))

    def _forget(self, cid: str, logs: str) -> None:
        """What is ours of a pod that is gone: its output, and the folders of its cgroups."""
        self.pods.pop(cid, None)
        ours = str(self.settings["logs"])
        if logs.startswith(ours + os.sep):
            for name in os.listdir(logs) if os.path.isdir(logs) else ():
                os.unlink(os.path.join(logs, name))
            if os.path.isdir(logs):
                os.rmdir(logs)
        for root in [_CGROUPS] + [os.path.join(_CGROUPS, name) for name in sorted(os.listdir(_CGROUPS))]:
            folder = "%s%s/pod-%s" % (root, self.cgroup(), cid)
            if os.path.isdir(folder):
                _remove_cgroup(folder)

    def output(self, cid: str) -> str:
        """File of the container's output."""
        status = self.call("ContainerStatus", {"container_id": self.inner(cid)})["status"]
        return str(status["log_path"])

    def follow(self, cid: str, marker: str, stream: str = STDOUT) -> Tuple[str, str]:
        path = self.output(cid)
        texts = {STDOUT: "", STDERR: ""}
        at, rest, looked, ended = 0, b"", time.monotonic(), False
        while True:
            self.left()
            piece = _read_from(path, at)
            at += len(piece)
            lines = (rest + piece).split(b"\n")
            rest = lines.pop()
            for line in lines:
                origin, text = parsed(line)
                texts[origin] += text
            before, found, after = texts[stream].partition(marker)
            if found and "\n" in after:
                return before, after.partition("\n")[0].strip()
            if len(texts[STDOUT]) + len(texts[STDERR]) > OUTPUT_CAP:
                raise TrialFailed("the container prints without end")
            if ended and not piece:
                break
            if piece:
                continue
            if time.monotonic() - looked > STATE_S:
                looked = time.monotonic()
                ended = self.status(cid)["state"] == EXITED
            time.sleep(POLL_S)
        said = texts[STDERR].strip()[-300:]
        status = self.status(cid)
        raise TrialFailed(early_end(status["exit_code"], status.get("reason") == "OOMKilled", marker, said))

    def status(self, cid: str) -> Document:
        found: Document = self.call("ContainerStatus", {"container_id": self.inner(cid)})["status"]
        return found

    def stdin(self, cid: str) -> "Stdin":
        return Stdin(self, cid)

    def exec(self, cid: str, command: Sequence[str]) -> Executed:
        """The exit status comes with the output here."""
        asked = {"container_id": self.inner(cid), "cmd": list(command), "timeout": max(1, int(self.left()))}
        said = self.call("ExecSync", asked)
        stdout, stderr = (said[name].decode("utf-8", "replace") for name in ("stdout", "stderr"))
        return Executed(stdout, stderr, lambda: int(said["exit_code"]))

    def address(self, cid: str) -> Tuple[str, str]:
        status = self.call("PodSandboxStatus", {"pod_sandbox_id": cid, "verbose": True})
        address = str((status["status"].get("network") or {}).get("ip") or "")
        if not address:
            raise TrialFailed("the container has no address")
        interfaces = (_info(status).get("cniResult") or {}).get("Interfaces") or {}
        for interface in interfaces.values():
            for config in (interface or {}).get("IPConfigs") or []:
                if config.get("IP") == address:
                    return address, str(config.get("Gateway") or "")
        return address, ""

    def pid(self, cid: str) -> int:
        status = self.call("ContainerStatus", {"container_id": self.inner(cid), "verbose": True})
        return int(_info(status).get("pid") or 0)

    def namespace(self, cid: str) -> str:
        status = self.call("PodSandboxStatus", {"pod_sandbox_id": cid, "verbose": True})
        spec = _info(status).get("runtimeSpec") or {}
        for one in (spec.get("linux") or {}).get("namespaces") or []:
            if one.get("type") == "network":
                return str(one.get("path") or "")
        return ""

    def state_folders(self, cid: str) -> List[str]:
        return [os.path.join(NAMESPACE, self.inner(cid))]

    def labelled(self, labels: Dict[str, str]) -> List[str]:
        listed = self.call("ListPodSandbox", {"filter": {"label_selector": labels}})["items"]
        return [str(found["id"]) for found in listed]

    # ----------------------------------------------------------------- the engine itself

    def ping(self) -> None:
        self.call("Version")

    def configuration(self) -> Document:
        """What containerd made of its configuration file."""
        found: Document = _info(self.call("Status", {"verbose": True}), "config")
        return found

    def runtimes(self) -> Dict[str, Document]:
        handlers = (self.configuration().get("containerd") or {}).get("runtimes") or {}
        found: Dict[str, Document] = {}
        for name, handler in sorted(handlers.items()):
            options = handler.get("options") or {}
            found[name] = {"runtimeType": handler.get("runtimeType") or "", "options": options}
        return found

    def build(self) -> str:
        version = self.call("Version")
        return "%s %s" % (version["runtime_name"], version["runtime_version"])

    def program(self, name: str, entry: Document) -> Optional[str]:
        kind = str(entry.get("runtimeType") or "")
        wanted = str((entry.get("options") or {}).get("BinaryName") or "")
        if not wanted:
            wanted = "runc" if kind == SHIM_OF_RUNC else shim_of(kind)
        if wanted.startswith("/"):
            return wanted if os.path.isfile(wanted) else None
        return which(wanted, self.search_path())

    def search_path(self) -> Optional[str]:
        daemon = self.daemon()
        return environment_of(daemon).get("PATH") if daemon else None

    def daemon(self) -> Optional[int]:
        """Pid of the containerd that listens at the socket."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(10)
                connection.connect(self.path)
                pid = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
        except OSError:
            return None
        return int(pid) if pid > 1 else None

    def wrapped(self, path: str) -> str:
        """containerd writes no scripts of its own."""
        return path

    def storage(self) -> str:
        return str(self.configuration().get("containerdRootDir") or "/")

    def facts(self) -> Document:
        version, configuration = self.call("Version"), self.configuration()
        images = {}
        for image in self.call("ImageService/ListImages")["images"]:
            for tag in image["repo_tags"]:
                images[without_registry(tag)] = {
                    "id": image["id"],
                    "digests": [without_registry(digest) for digest in image["repo_digests"]],
                    "size_bytes": image["size"],
                }
        return {
            "containerd": {
                "version": version["runtime_version"],
                "name": version["runtime_name"],
                "storage_driver": (configuration.get("containerd") or {}).get("snapshotter") or None,
                "cni": (configuration.get("cni") or {}).get("confDir") or None,
            },
            "images": images,
        }

    def command_line(self, program: str, runtime: str, image: str, limits: Limits, labels: Dict[str, str]) -> List[str]:
        raise TrialFailed("nobody starts a container of CRI's by a command line: there is none to measure")


class NotThere(TrialFailed):
    """containerd knows no such container."""


class Stdin(object):
    """A container's stdin, by CRI's Attach: a WebSocket that is opened at the first byte, because a container must run
    before it can be attached to."""

    def __init__(self, engine: Client, cid: str) -> None:
        self.engine = engine
        self.cid = cid
        self.connection: Optional[socket.socket] = None

    def sendall(self, content: bytes) -> None:
        if self.connection is None:
            self.connection = self._attached()
        # The first byte is the stream's number: 0 is stdin.
        self.connection.sendall(frame(b"\0" + content))

    def _attached(self) -> socket.socket:
        url = str(self.engine.call("Attach", {"container_id": self.engine.inner(self.cid), "stdin": True})["url"])
        match = re.match(r"http://([\d.]+|\[[0-9a-f:]+\]):(\d+)(/\S*)$", url)
        if match is None:
            raise TrialFailed("the engine attaches a container's stdin at no address: %r" % url[:200])
        address = (match.group(1).strip("[]"), int(match.group(2)))
        try:
            connection = socket.create_connection(address, timeout=self.engine.left(60))
            connection.sendall(
                (
                    "GET %s HTTP/1.1\r\nHost: %s:%d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n"
                    "Sec-WebSocket-Protocol: v4.channel.k8s.io\r\n\r\n"
                    % (match.group(3), address[0], address[1], base64.b64encode(os.urandom(16)).decode())
                ).encode()
            )
            head = b""
            while not head.endswith(b"\r\n\r\n") and len(head) < 8192:
                piece = connection.recv(1)
                if not piece:
                    break
                head += piece
        except OSError as error:
            raise TrialFailed("the engine did not attach the container's stdin: %s" % error)
        if b" 101 " not in head.split(b"\r\n")[0] + b" ":
            connection.close()
            raise TrialFailed("the engine did not attach the container's stdin: %r" % head[:200])
        return connection

    def close(self) -> None:
        if self.connection is not None:
            self.connection.close()


def frame(content: bytes) -> bytes:
    """A WebSocket message of a client's (RFC 6455): one binary frame, masked as it must be."""
    size = len(content)
    if size < 126:
        head = struct.pack(">BB", 0x82, 0x80 | size)
    elif size < 65536:
        head = struct.pack(">BBH", 0x82, 0x80 | 126, size)
    else:
        head = struct.pack(">BBQ", 0x82, 0x80 | 127, size)
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(content))


def resources(limits: Limits) -> Document:
    found: Document = {}
    if limits.cpus is not None:
        found.update(cpu_period=CPU_PERIOD_US, cpu_quota=int(limits.cpus * CPU_PERIOD_US))
    if limits.memory_bytes is not None:
        found["memory_limit_in_bytes"] = limits.memory_bytes
    return found


def parsed(line: bytes) -> Tuple[str, str]:
    """(stream, text) of a line of CRI's log: ``TIME stdout F text``; P instead of F: the line goes on in the next."""
    words = line.split(b" ", 3)
    if len(words) < 4 or words[1] not in (b"stdout", b"stderr"):
        raise TrialFailed("the container's output is not written as CRI has it: %r" % line[:100])
    text = words[3].decode("utf-8", "surrogateescape")
    return words[1].decode(), text if words[2].split(b":")[0] == b"P" else text + "\n"


def _info(answer: Document, key: str = "info") -> Any:
    """What containerd tells beyond CRI when it is asked to be verbose: JSON in a map."""
    try:
        found = json.loads((answer.get("info") or {}).get(key) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _read_from(path: str, at: int) -> bytes:
    try:
        with open(path, "rb") as file:
            file.seek(at)
            return file.read(1 << 20)
    except FileNotFoundError:
        return b""
    except OSError as error:
        raise TrialFailed("the container's output cannot be read: %s" % error)


def _remove_cgroup(folder: str) -> None:
    """A cgroup and what is below it; they go as soon as their last process has."""
    until = time.monotonic() + 2.0
    while True:
        for inner, _, _ in os.walk(folder, topdown=False):
            try:
                os.rmdir(inner)
            except OSError:
                continue
        if not os.path.isdir(folder) or time.monotonic() > until:
            return
        time.sleep(0.02)


def _same(content: bytes) -> bytes:
    return content


def _grpc(folder: str) -> Any:
    if folder and folder not in sys.path:
        sys.path.insert(0, folder)
    # No handlers around fork: the probe's children are other programs at once.
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
    try:
        import grpc
    except ImportError as error:
        raise TrialFailed("grpcio is missing for %s: %s" % (sys.executable, error))
    return grpc

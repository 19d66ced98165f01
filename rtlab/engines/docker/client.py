"""dockerd by its socket: the machine's half of the engine. Python 3.6 and the standard library."""

import http.client
import json
import os
import re
import socket
import struct
import time
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple

from rtlab.probe.base import OUTPUT_CAP, Document, TrialFailed, TrialTimedOut
from rtlab.probe.engine import STDERR, STDOUT, Engine, Executed, Limits, early_end, shim_of, without_registry
from rtlab.probe.kernel import processes, read
from rtlab.probe.programs import environment_of, which

# Names as the kernel cuts them, 15 characters.
PROGRAMS = ("containerd-shim",)
DAEMONS = ("dockerd", "containerd")
OK = (200, 201, 204, 304)


class BoundedSocket(socket.socket):
    """Reads until one moment, not for so long each: an answer that drips would otherwise never end."""

    until = float("inf")

    def recv_into(self, *arguments: Any) -> int:
        left = self.until - time.monotonic()
        if left <= 0:
            raise socket.timeout("timed out")
        self.settimeout(left)
        return socket.socket.recv_into(self, *arguments)


class UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        http.client.HTTPConnection.__init__(self, "localhost", timeout=timeout)
        self.path = path
        self.limit = timeout

    def connect(self) -> None:
        bounded = BoundedSocket(socket.AF_UNIX, socket.SOCK_STREAM)
        bounded.settimeout(self.limit)
        bounded.until = time.monotonic() + self.limit
        self.sock = bounded
        bounded.connect(self.path)


def exactly(stream: Any, size: int) -> bytes:
    """So many bytes, or what there is before the stream's end."""
    content = bytearray()
    while len(content) < size:
        piece = stream.read(size - len(content))
        if not piece:
            break
        content.extend(piece)
    return bytes(content)


def frames(stream: Any) -> Iterator[Tuple[str, bytes]]:
    """Docker's framing of a container's output: (which stream, a piece of it)."""
    while True:
        head = exactly(stream, 8)
        if len(head) < 8:
            return
        yield (STDOUT if head[0] == 1 else STDERR), exactly(stream, struct.unpack(">I", head[4:])[0])


class Client(Engine):
    """The Docker Engine API, unversioned: the daemon's own newest."""

    interfaces = "docker0"
    _info: Optional[Document] = None

    def call(
        self, method: str, path: str, body: Optional[Document] = None, at_most: Optional[float] = None
    ) -> Tuple[int, Any]:
        """(status, decoded answer). Raises TrialTimedOut or TrialFailed when the engine does not answer."""
        status, content = self._asked(method, path, body, at_most, _whole)
        try:
            return status, json.loads(content.decode("utf-8", "replace")) if content else None
        except ValueError:
            return status, content.decode("utf-8", "replace")

    def _asked(
        self,
        method: str,
        path: str,
        body: Optional[Document],
        at_most: Optional[float],
        take: Callable[[http.client.HTTPResponse], Any],
    ) -> Tuple[int, Any]:
        connection = UnixConnection(self.path, self.left(at_most))
        headers = {"Host": "docker"}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        try:
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            return answer.status, take(answer)
        except socket.timeout:
            raise TrialTimedOut("the engine did not answer %s %s in time" % (method, path.split("?")[0]))
        except (OSError, http.client.HTTPException) as error:
            raise TrialFailed("the engine does not answer at %s: %s" % (self.path, error))
        finally:
            connection.close()

    def must(
        self,
        method: str,
        path: str,
        body: Optional[Document] = None,
        at_most: Optional[float] = None,
        ok: Tuple[int, ...] = OK,
    ) -> Any:
        status, answer = self.call(method, path, body, at_most)
        if status not in ok:
            said = answer.get("message") if isinstance(answer, dict) else answer
            raise TrialFailed("the engine refused %s %s: %s" % (method, path.split("?")[0], said))
        return answer

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
        host: Document = {"Runtime": runtime, "NetworkMode": "bridge"}
        if limits.cpus is not None:
            host["NanoCpus"] = int(limits.cpus * 1e9)
        if limits.memory_bytes is not None:
            host["Memory"] = limits.memory_bytes
        body: Document = {"Image": image, "Labels": labels or {}, "HostConfig": host}
        if command is not None:
            body["Cmd"] = list(command)
        if stdin:
            body["OpenStdin"] = True
        return str(self.must("POST", "/containers/create", body)["Id"])

    def start(self, cid: str) -> None:
        self.must("POST", "/containers/%s/start" % cid)

    def stop(self, cid: str, grace_s: int = 10) -> None:
        self.must("POST", "/containers/%s/stop?t=%d" % (cid, grace_s), at_most=grace_s + 60)

    def remove(self, cid: str) -> None:
        self.must("DELETE", "/containers/%s?force=1&v=1" % cid, at_most=120, ok=(204, 404, 409))

    def inspect(self, cid: str) -> Document:
        found: Document = self.must("GET", "/containers/%s/json" % cid)
        return found

    def follow(self, cid: str, marker: str, stream: str = STDOUT) -> Tuple[str, str]:
        connection = UnixConnection(self.path, self.left())
        texts = {STDOUT: bytearray(), STDERR: bytearray()}
        try:
            connection.request("GET", "/containers/%s/logs?stdout=1&stderr=1&follow=1" % cid, None, {"Host": "docker"})
            for origin, piece in frames(connection.getresponse()):
                texts[origin].extend(piece)
                text = bytes(texts[stream]).decode("utf-8", "surrogateescape")
                before, found, rest = text.partition(marker)
                if found and "\n" in rest:
                    return before, rest.partition("\n")[0].strip()
                if len(texts[STDOUT]) + len(texts[STDERR]) > OUTPUT_CAP:
                    raise TrialFailed("the container prints without end")
        except socket.timeout:
            raise TrialTimedOut("the workload did not come to an end within the trial's time limit")
        except (OSError, http.client.HTTPException) as error:
            raise TrialFailed("the container's output was cut: %s" % error)
        finally:
            connection.close()
        state = self.inspect(cid)["State"]
        said = bytes(texts[STDERR]).decode("utf-8", "replace").strip()[-300:]
        raise TrialFailed(early_end(state.get("ExitCode"), bool(state.get("OOMKilled")), marker, said))

    def stdin(self, cid: str) -> socket.socket:
        """The engine's hijacked connection."""
        connection = BoundedSocket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.settimeout(self.left(60))
            connection.connect(self.path)
            connection.sendall(
                b"POST /containers/%s/attach?stream=1&stdin=1 HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\n"
                b"Upgrade: tcp\r\nContent-Length: 0\r\n\r\n" % cid.encode()
            )
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                piece = connection.recv(1)
                if not piece:
                    break
                head += piece
            words = head.split(b"\r\n")[0].split()
            if len(words) < 2 or words[1] not in (b"101", b"200"):
                raise TrialFailed("the engine did not attach the container's stdin: %r" % head[:200])
        except socket.timeout:
            connection.close()
            raise TrialTimedOut("the engine did not attach the container's stdin in time")
        except (OSError, TrialFailed) as error:
            connection.close()
            raise TrialFailed("the engine did not attach the container's stdin: %s" % error)
        return connection

    def exec(self, cid: str, command: Sequence[str]) -> Executed:
        made = self.must(
            "POST",
            "/containers/%s/exec" % cid,
            {"AttachStdout": True, "AttachStderr": True, "Cmd": list(command)},
        )["Id"]
        texts = {STDOUT: bytearray(), STDERR: bytearray()}

        def take(answer: http.client.HTTPResponse) -> bytes:
            if answer.status != 200:
                return answer.read(OUTPUT_CAP)
            for origin, piece in frames(answer):
                texts[origin].extend(piece)
                if len(texts[origin]) > OUTPUT_CAP:
                    raise TrialFailed("the command in the container prints without end")
            return b""

        status, said = self._asked("POST", "/exec/%s/start" % made, {"Detach": False, "Tty": False}, None, take)
        if status != 200:
            raise TrialFailed("exec in the container failed: %s" % said[:200].decode("utf-8", "replace"))
        stdout, stderr = (bytes(text).decode("utf-8", "replace") for text in texts.values())

        def exit_status() -> Optional[int]:
            known = self.must("GET", "/exec/%s/json" % made).get("ExitCode")
            return known if isinstance(known, int) else None

        return Executed(stdout, stderr, exit_status)

    def address(self, cid: str) -> Tuple[str, str]:
        settings = self.inspect(cid)["NetworkSettings"]
        networks = list((settings.get("Networks") or {}).values()) or [settings]
        address, gateway = networks[0].get("IPAddress"), networks[0].get("Gateway")
        if not address:
            raise TrialFailed("the container has no address")
        return address, gateway

    def pid(self, cid: str) -> int:
        return int(self.inspect(cid)["State"]["Pid"])

    def namespace(self, cid: str) -> str:
        return (self.inspect(cid).get("NetworkSettings") or {}).get("SandboxKey") or ""

    def state_folders(self, cid: str) -> List[str]:
        return [os.path.join("moby", cid), cid]

    def labelled(self, labels: Dict[str, str]) -> List[str]:
        filters = json.dumps({"label": ["%s=%s" % item for item in sorted(labels.items())]})
        return [found["Id"] for found in self.must("GET", "/containers/json?all=1&filters=" + _quoted(filters))]

    # ----------------------------------------------------------------- the engine itself

    def ping(self) -> None:
        self._asked("GET", "/_ping", None, None, _whole)

    def info(self) -> Document:
        """Asked once: a client serves one request of the controller's, and dockerd starts runc to answer this."""
        if self._info is None:
            self._info = self.must("GET", "/info") or {}
        return self._info

    def runtimes(self) -> Dict[str, Document]:
        """Its own second names of runc are none: they are there after a start, gone after a reload (Docker 20.10)."""
        registered = daemon_settings(daemon_of(self.path)).get("runtimes") or {}
        return {
            name: dict(registered.get(name) or {}, **{key: value for key, value in entry.items() if value})
            for name, entry in sorted((self.info().get("Runtimes") or {}).items())
            if not name.startswith("io.containerd.")
        }

    def build(self) -> str:
        info = self.info()
        parts = [("containerd", "ContainerdCommit"), ("runc", "RuncCommit")]
        behind = ["%s %s" % (name, (info.get(key) or {}).get("ID")) for name, key in parts]
        if any(text.endswith(" N/A") for text in behind):
            return ""  # dockerd could not ask it at this moment: nothing is told
        return ", ".join(["Docker %s" % info.get("ServerVersion")] + behind)

    def program(self, name: str, entry: Document) -> Optional[str]:
        wanted = entry.get("path") or shim_of(entry.get("runtimeType") or "") or name
        if wanted.startswith("/"):
            return wanted if os.path.isfile(wanted) else None
        return which(wanted, self.search_path())

    def search_path(self) -> Optional[str]:
        daemon = daemon_of(self.path)
        return environment_of(daemon).get("PATH") if daemon else None

    def wrapped(self, path: str) -> str:
        root = self.info().get("DockerRootDir") or ""
        return wrapped_by_engine(path, os.path.join(root, "runtimes") if root else "")

    def storage(self) -> str:
        return self.info().get("DockerRootDir") or "/"

    def facts(self) -> Document:
        version, info = self.must("GET", "/version"), self.info()
        images = {}
        for image in self.must("GET", "/images/json"):
            for tag in image.get("RepoTags") or []:
                images[without_registry(tag)] = {
                    "id": image["Id"],
                    "digests": [without_registry(digest) for digest in image.get("RepoDigests") or []],
                    "size_bytes": image["Size"],
                }
        return {
            "docker": {
                "version": version.get("Version"),
                "api": version.get("ApiVersion"),
                "components": {c["Name"]: c["Version"] for c in version.get("Components") or []},
                "storage_driver": info.get("Driver"),
                "cgroup_driver": info.get("CgroupDriver"),
                "security": sorted(info.get("SecurityOptions") or []),
            },
            "images": images,
        }

    def command_line(self, program: str, runtime: str, image: str, limits: Limits, labels: Dict[str, str]) -> List[str]:
        argv = [program, "--host", "unix://" + self.path, "run", "--detach"]
        if limits.cpus is not None:
            argv += ["--cpus", str(int(limits.cpus * 1e9) / 1e9)]
        if limits.memory_bytes is not None:
            argv += ["--memory", str(limits.memory_bytes)]
        argv += ["--runtime", runtime]
        for item in sorted(labels.items()):
            argv += ["--label", "%s=%s" % item]
        return argv + [image]


def _whole(answer: http.client.HTTPResponse) -> bytes:
    content = answer.read(OUTPUT_CAP)
    if answer.length and len(content) < OUTPUT_CAP:
        raise http.client.IncompleteRead(content, answer.length)
    return content


def _quoted(text: str) -> str:
    return "".join(c if c.isalnum() else "%%%02X" % ord(c) for c in text)


def daemon_of(socket_path: str) -> Optional[int]:
    """Pid of the dockerd that listens there; None where that cannot be told (systemd holds the socket: pid 1)."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(10)
            connection.connect(socket_path)
            pid = int(struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0])
    except OSError:
        return None
    if pid > 1:
        return pid
    daemons = [number for number, process in processes().items() if process.comm == DAEMONS[0]]
    return daemons[0] if len(daemons) == 1 else None


def daemon_settings(pid: Optional[int]) -> Document:
    """daemon.json of that dockerd, empty where it cannot be read. From Docker 26 on ``/info`` says nothing of what a
    shim v2 runtime is."""
    words = re.sub("(^|\0)(--config-file)=", "\\1\\2\0", read("/proc/%s/cmdline" % pid)).split("\0")
    named = [after for word, after in zip(words, words[1:]) if word == "--config-file"]
    try:
        found = json.loads(read(named[0] if named else "/etc/docker/daemon.json").lstrip("\ufeff"))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def wrapped_by_engine(path: str, folder: str) -> str:
    """The program behind dockerd's own wrapper for a runtime with arguments, else the path itself.

    dockerd writes ``#!/bin/sh`` and ``PROGRAM ARGUMENTS $@`` into ``<data-root>/runtimes``, under the runtime's name
    before Docker 23 and ``NAME.<HASH>`` since (moby, daemon/runtime_unix.go). Only there is a script followed: what
    any other one would run is not known.
    """
    if not folder or not os.path.realpath(path).startswith(os.path.realpath(folder) + os.sep):
        return path
    lines = read(path).split("\n")
    words = lines[1].split() if len(lines) == 3 and lines[0] == "#!/bin/sh" and not lines[2] else []
    if len(words) < 2 or words[-1] not in ("$@", '"$@"'):
        return path
    return words[0] if os.path.isabs(words[0]) else which(words[0], None) or path

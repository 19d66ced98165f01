"""An engine for tests whose containers are plain processes of this machine: no isolation, no image, no runtime.

It keeps the contract of ``rtlab.probe.engine``, so that an experiment's machine half can be run whole. The image
``httpd`` is one server of this process; a command runs for real. A container's process descends from one that the
kernel calls ``containerd-shim`` and whose command line names the container, by which the probe's meters find it.
"""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from unittest import mock

from rtlab.probe.base import Document, TrialFailed
from rtlab.probe.engine import STDOUT, Engine, Executed, Limits
from rtlab.probe.trial import Trial

PAGE = b"<html><body>It works.</body></html>\n"
PAGE_SHA256 = hashlib.sha256(PAGE).hexdigest()
HERE = "127.0.0.1"


class _Page(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(PAGE)

    def log_message(self, *_: Any) -> None: ...


@dataclass
class _Container:
    argv: list[str]
    stdin: tuple[socket.socket, socket.socket] | None
    process: subprocess.Popen[bytes] | None = None
    texts: dict[str, bytearray] = field(default_factory=lambda: {"stdout": bytearray(), "stderr": bytearray()})


class ProcessEngine(Engine):
    """See the module."""

    interfaces = "none-of-them"

    def __init__(self, folder: Path, deadline: float) -> None:
        super().__init__(str(folder), deadline)
        self.folder = folder
        self.containers: dict[str, _Container] = {}
        self.made = 0
        shim = folder / "containerd-shim"
        shim.symlink_to("/bin/sh")
        self.shim = str(shim)
        self.path_of_programs = f"{folder}:{os.environ['PATH']}"

    def create(
        self,
        runtime: str,
        image: str,
        command: Sequence[str] | None = None,
        limits: Limits = Limits(),  # noqa: B008
        labels: dict[str, str] | None = None,
        stdin: bool = False,
    ) -> str:
        self.made += 1
        cid = hashlib.sha256(f"{self.folder} {self.made}".encode()).hexdigest()
        argv = [word.replace("/tmp/", f"{self.folder}/") for word in command or ["sleep", "86400"]]
        self.containers[cid] = _Container(argv, socket.socketpair() if stdin else None)
        return cid

    def start(self, cid: str) -> None:
        container = self.containers[cid]
        process = container.process = subprocess.Popen(
            [f"containerd-shim {cid}", "-c", '"$@"; :', "sh", *container.argv],
            executable=self.shim,
            stdin=container.stdin[1] if container.stdin else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PATH": self.path_of_programs},
            start_new_session=True,
        )
        for name, text in container.texts.items():
            threading.Thread(target=self._keep, args=(getattr(process, name), text), daemon=True).start()

    @staticmethod
    def _keep(stream: Any, text: bytearray) -> None:
        with stream:
            while piece := os.read(stream.fileno(), 65536):
                text.extend(piece)

    def stop(self, cid: str, grace_s: int = 10) -> None:
        process = self.containers[cid].process
        if process is not None and process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def remove(self, cid: str) -> None:
        if cid in self.containers:
            self.stop(cid)
            for end in self.containers.pop(cid).stdin or ():
                end.close()

    def follow(self, cid: str, marker: str, stream: str = STDOUT) -> tuple[str, str]:
        container = self.containers[cid]
        while self.left() > 0:
            before, found, rest = bytes(container.texts[stream]).decode().partition(marker)
            if found and "\n" in rest:
                return before, rest.partition("\n")[0].strip()
            if container.process is not None and container.process.poll() is not None and not found:
                raise TrialFailed(f"the container ended before {marker}: {bytes(container.texts['stderr'])[-300:]!r}")
            time.sleep(0.002)
        raise AssertionError

    def stdin(self, cid: str) -> Any:
        pair = self.containers[cid].stdin
        assert pair is not None
        return pair[0]

    def exec(self, cid: str, command: Sequence[str]) -> Executed:
        done = subprocess.run(list(command), capture_output=True, text=True)
        return Executed(done.stdout, done.stderr, lambda: done.returncode)

    def address(self, cid: str) -> tuple[str, str]:
        return HERE, HERE

    def pid(self, cid: str) -> int:
        process = self.containers[cid].process
        assert process is not None
        return process.pid

    def namespace(self, cid: str) -> str:
        return ""

    def labelled(self, labels: dict[str, str]) -> list[str]:
        return []

    def ping(self) -> None: ...

    def command_line(self, program: str, runtime: str, image: str, limits: Limits, labels: dict[str, str]) -> list[str]:
        cid = self.create(runtime, image)
        self.start(cid)
        return [sys.executable, "-S", "-c", f"print({cid!r})"]


class ProcessTrial(Trial):
    """A trial on such an engine; nothing is proved, because no runtime runs."""

    proved = 0

    def prove(self, cid: str, inside: Document | None = None) -> None:
        self.proved += 1
        self.proof = {"ok": True, "objections": [], "evidence": {}}


@contextmanager
def trial(folder: Path, request: Document) -> Iterator[ProcessTrial]:
    """A trial with that request; its page is served, and nothing of it is left afterwards."""
    with socketserver.ThreadingTCPServer((HERE, 0), _Page) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = {"page_port": server.server_address[1], "page_sha256": PAGE_SHA256}
        parameters = {**request["parameters"], **{k: v for k, v in page.items() if k in request["parameters"]}}
        engine = ProcessEngine(folder, time.monotonic() + request["timeout_s"])
        with mock.patch("rtlab.probe.trial.engine", lambda *_: engine):
            made = ProcessTrial({**request, "engine": {"name": "processes", "cli": ""}, "parameters": parameters})
        try:
            yield made
        finally:
            for cid in list(made.engine.containers):
                made.engine.remove(cid)
            server.shutdown()

"""The page and the network behind it. On the machine: Python 3.6 and the standard library."""

import socket
import statistics
import threading
from typing import Dict, List, Optional

from rtlab.probe.base import Document, Invalid, TrialFailed, monotonic_ns
from rtlab.probe.engine import STDERR, ending
from rtlab.probe.trial import Trial
from rtlab.probe.window import observe


class Mirror(threading.Thread):
    """The native peer: an HTTP server on the bridge's gateway address, so that no load leaves the machine.

    /page answers with the page of the paper's size, /small with one line, /big with ``big_bytes``; keep-alive. It notes
    on the machine's clock when each request for /small came in, and how long /big took from its first byte to the
    client's next move.
    """

    def __init__(self, address: str, page_bytes: int, big_bytes: int) -> None:
        threading.Thread.__init__(self)
        self.daemon = True
        self.listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((address, 0))
        self.listener.listen(16)
        self.port = self.listener.getsockname()[1]
        self.bodies = {b"/page": b"x" * page_bytes, b"/small": b"ok\n", b"/big": b"x" * big_bytes}
        self.small_ns: List[int] = []
        self.big: Optional[Dict[str, int]] = None
        self.served = 0

    def run(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                self.serve(connection)
            except OSError:
                pass
            finally:
                connection.close()

    def serve(self, connection: socket.socket) -> None:
        pending = b""
        while True:
            while b"\r\n\r\n" not in pending:
                piece = connection.recv(65536)
                if not piece:
                    return
                pending += piece
            head, _, pending = pending.partition(b"\r\n\r\n")
            now = monotonic_ns()
            path = head.split()[1]
            body = self.bodies.get(path)
            if body is None:
                connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                continue
            if path == b"/small":
                self.small_ns.append(now)
            connection.sendall(
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + (b"" if len(body) > 65536 else body)
            )
            if len(body) > 65536:
                connection.sendall(body)
            self.served += 1
            if path == b"/big":
                # The client's next move (end of the connection) tells that it has read everything.
                rest = connection.recv(65536)
                self.big = {"bytes": len(body), "elapsed_ns": monotonic_ns() - now}
                if not rest:
                    return
                pending += rest

    def close(self) -> None:
        self.listener.close()


def measure(trial: Trial) -> Document:
    """The page once, by curl from a container of the arm's runtime, in the window; then latency and transfer."""
    parameters = trial.parameters
    state: Dict[str, Mirror] = {}

    def fetch(gateway: str) -> Document:
        mirror = state["mirror"] = Mirror(gateway, int(parameters["page_bytes"]), int(parameters["big_bytes"]))
        mirror.start()
        url = parameters["url"] or "http://%s:%d/page" % (gateway, mirror.port)
        return _curl(trial, [url], int(parameters["page_bytes"]) if not parameters["url"] else None)

    try:
        cid, measured, page = observe(trial, fetch)
        trial.engine.stop(cid)
        trial.remove(cid)
        measured["page"] = page
        mirror = state["mirror"]
        base = "http://%s:%d" % mirror.listener.getsockname()
        requests = int(parameters["requests"])
        if requests:
            _curl(trial, [base + "/small"] * requests, 3 * requests)
            times = mirror.small_ns
            if len(times) != requests:
                raise TrialFailed("the native peer saw %d of %d requests" % (len(times), requests))
            gaps = [b - a for a, b in zip(times, times[1:])]
            measured["latency"] = {"requests": requests, "gaps_ns": gaps, "median_ns": statistics.median(gaps)}
        if int(parameters["big_bytes"]):
            _curl(trial, [base + "/big"], int(parameters["big_bytes"]))
            if mirror.big is None:
                raise TrialFailed("the native peer did not see the end of the transfer")
            measured["transfer"] = mirror.big
    finally:
        if "mirror" in state:
            state["mirror"].close()
    return measured


def _curl(trial: Trial, urls: List[str], expected_bytes: Optional[int]) -> Document:
    """curl in a container of the arm's runtime; Invalid when it fails or brought another number of bytes."""
    form = "%{http_code} %{size_download}\\n"
    argv = ["curl", "--silent", "--show-error", "--max-time", "%d" % max(1, int(trial.engine.left(600)))]
    config = "".join('url = "%s"\noutput = "/dev/null"\n' % url for url in urls)
    # The URLs go in by a file: hundreds of them, and the same command line for every runtime.
    ended = ending("rtlab-done")
    script = 'printf %s "$1" > /tmp/urls; shift; "$@" --config /tmp/urls; ' + ended + "; exec sleep 86400"
    cid = trial.create("tools", ["sh", "-c", script, "sh", config] + argv + ["--write-out", form])
    trial.engine.start(cid)
    stdout, said = trial.engine.follow(cid, "rtlab-done")
    stderr, _ = trial.engine.follow(cid, "rtlab-done", STDERR)
    trial.remove(cid)
    status = int(said)
    trial.tool = {"argv": argv, "exit_status": status, "stdout": stdout[-4000:], "stderr": stderr}
    if status != 0:
        raise Invalid("curl ended with status %s: %s" % (status, stderr.strip()[-300:]))
    lines = [line.split() for line in stdout.split("\n") if line.strip()]
    brought = sum(int(words[1]) for words in lines if len(words) == 2)
    if any(words[0] != "200" for words in lines) or (expected_bytes is not None and brought != expected_bytes):
        raise Invalid("curl brought %d bytes instead of %s, or not status 200" % (brought, expected_bytes))
    return {"bytes": brought, "fetches": len(lines)}

"""Waiting for a container's page."""

import glob
import hashlib
import socket
import time
from typing import Dict

from rtlab.probe.engine import Engine
from rtlab.probe.kernel import read

POLL_S = 0.0005
CONNECT_S = 0.05
PAGE_BYTES_MAX = 1 << 20


def page_is_there(address: str, port: int, wanted_sha256: str, timeout: float) -> bool:
    """One attempt at GET /, of at most ``timeout`` seconds: True only for status 200 with the right body."""
    until = time.monotonic() + timeout
    try:
        sock = socket.create_connection((address, port), timeout=CONNECT_S)
    except (OSError, socket.timeout):
        return False
    try:
        sock.sendall(b"GET / HTTP/1.0\r\nHost: rtlab\r\n\r\n")
        content = bytearray()
        while len(content) < PAGE_BYTES_MAX:
            sock.settimeout(max(0.001, until - time.monotonic()))
            piece = sock.recv(65536)
            if time.monotonic() > until:
                return False
            if not piece:
                break
            content.extend(piece)
    except (OSError, socket.timeout):
        return False
    finally:
        sock.close()
    head, _, body = bytes(content).partition(b"\r\n\r\n")
    words = head.split(b"\r\n")[0].split()
    return len(words) > 1 and words[1] == b"200" and hashlib.sha256(body).hexdigest() == wanted_sha256


def wait_for_page(engine: Engine, address: str, port: int, wanted: str) -> None:
    """Poll until the page is served; raises TrialTimedOut."""
    while not page_is_there(address, port, wanted, engine.left(5.0)):
        time.sleep(POLL_S)


class QuickNeighbours(object):
    """The kernel asks for an unknown neighbour once a second, which would round start times up to whole seconds for a
    runtime whose interface appears late. For the trial it asks every 10 ms; afterwards as before."""

    def __init__(self, interfaces: str) -> None:
        self.interfaces = interfaces
        self.before: Dict[str, str] = {}

    def __enter__(self) -> "QuickNeighbours":
        for path in glob.glob("/proc/sys/net/ipv4/neigh/%s/retrans_time_ms" % self.interfaces):
            value = read(path).strip()
            try:
                with open(path, "w") as file:
                    file.write("10")
                self.before[path] = value
            except OSError:
                continue
        return self

    @staticmethod
    def mend() -> None:
        """After a probe that was killed in between: the kernel's usual second where our 10 ms still stand."""
        for path in glob.glob("/proc/sys/net/ipv4/neigh/*/retrans_time_ms"):
            if read(path).strip() == "10":
                try:
                    with open(path, "w") as file:
                        file.write("1000")
                except OSError:
                    continue

    def __exit__(self, *_: object) -> None:
        for path, value in self.before.items():
            try:
                with open(path, "w") as file:
                    file.write(value)
            except OSError:
                continue

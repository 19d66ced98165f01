"""Downloads are verified before anybody opens them. Digests by hashlib here, from the bytes that were served."""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import http.server
import ipaddress
import os
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from rtlab.artifacts import download
from rtlab.errors import CommandFailed, ConfigError, RtlabError, StoreError, Unsafe
from rtlab.model import Event, ignore_events

CONTENT = b"kernel" * 1000
PIN = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTLAB_CACHE", str(tmp_path / "cache"))


def served(tmp_path: Path, content: bytes = CONTENT) -> Path:
    file = tmp_path / "archive"
    file.write_bytes(content)
    return file


def test_path_and_file_url_give_the_verified_content(tmp_path: Path) -> None:
    file = served(tmp_path)
    for url in (str(file), file.as_uri()):
        assert download.fetch(url, PIN.upper(), ignore_events).read_bytes() == CONTENT


def test_the_second_time_it_comes_from_the_cache(tmp_path: Path) -> None:
    file = served(tmp_path)
    first = download.fetch(str(file), PIN, ignore_events)
    file.unlink()
    assert download.fetch(str(file), PIN, ignore_events) == first


def test_a_spoiled_cache_is_not_believed(tmp_path: Path) -> None:
    file = served(tmp_path)
    download.fetch(str(file), PIN, ignore_events).write_bytes(b"spoiled")
    assert download.fetch(str(file), PIN, ignore_events).read_bytes() == CONTENT


def test_other_content_is_refused_and_not_kept(tmp_path: Path) -> None:
    file = served(tmp_path, b"trojan")
    with pytest.raises(Unsafe, match=hashlib.sha256(b"trojan").hexdigest()):
        download.fetch(str(file), PIN, ignore_events)
    assert [p for p in (tmp_path / "cache" / "downloads").iterdir() if p.is_file()] == []


@pytest.mark.parametrize(
    ("url", "pin", "error"),
    [
        ("x", "12ab", ConfigError),
        ("http://server.example/x", PIN, ConfigError),
        ("ftp://server.example/x", PIN, ConfigError),
        ("/does/not/exist", PIN, StoreError),
    ],
)
def test_what_cannot_be_fetched(url: str, pin: str, error: type[RtlabError]) -> None:
    with pytest.raises(error):
        download.fetch(url, pin, ignore_events)


def test_progress_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(2, 1000, 2))
    monkeypatch.setattr(download.time, "monotonic", lambda: float(next(clock)))
    events: list[Event] = []
    download.fetch(str(served(tmp_path)), PIN, events.append, stage="box")
    assert events and events[-1].fraction == 1.0 and events[-1].stage == "box"


def test_ctrl_c_in_a_download_leaves_no_part_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real SIGINT while bytes are still to come: the server is a pipe that is never closed."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from rtlab.artifacts import download\n"
        "print('begun', flush=True)\n"
        "download.fetch(sys.argv[1], sys.argv[2], lambda event: None)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, str(pipe), PIN], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"begun\n"
        with pipe.open("wb", buffering=0) as server:  # opens when the other side does
            server.write(CONTENT[:100])
            for _ in range(200):
                if list(tmp_path.rglob("*.part")):
                    break
                time.sleep(0.02)
            child.send_signal(signal.SIGINT)
            _, err = child.communicate(timeout=20)
    assert b"KeyboardInterrupt" in err
    assert not list(tmp_path.rglob("*.part"))
    assert download.fetch(str(served(tmp_path)), PIN, ignore_events).read_bytes() == CONTENT


# --------------------------------------------------------------------------- servers


def _certificate(folder: Path) -> Path:
    """A certificate for 127.0.0.1 that signs itself, with its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    today = datetime.datetime.now(datetime.timezone.utc)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(today - datetime.timedelta(days=1))
        .not_valid_after(today + datetime.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


LOGIN = b"<html><form action='https://login.example/'>Please sign in to use this network.</form></html>"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """https://127.0.0.1:port/ with: file, cut (half of it), drip (a byte now and then), login (a proxy's page),
    endless, to-http, to-https, to-file."""
    pem = _certificate(tmp_path)

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            way = self.path.strip("/")
            if way.startswith("to-"):
                host = self.headers["Host"]
                targets = {"to-http": f"http://{host}/file", "to-https": f"https://{host}/file"}
                self.send_response(302)
                self.send_header("Location", targets.get(way, f"file://{tmp_path}/archive"))
                self.end_headers()
                return
            self.send_response(200)
            if way != "endless":
                self.send_header("Content-Length", str(len(LOGIN if way == "login" else CONTENT)))
            self.end_headers()
            with contextlib.suppress(OSError):
                if way == "login":
                    self.wfile.write(LOGIN)
                elif way == "endless":
                    for _ in range(1000):
                        self.wfile.write(b"k" * 65536)
                        time.sleep(0.01)
                elif way == "drip":
                    for _ in range(100):
                        self.wfile.write(b"k")
                        self.wfile.flush()
                        time.sleep(0.1)
                else:
                    self.wfile.write(CONTENT[: len(CONTENT) // 2] if way == "cut" else CONTENT)

        def log_message(self, *_: object) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)
    monkeypatch.setenv("SSL_CERT_FILE", str(pem))
    for name in ("https_proxy", "HTTPS_PROXY", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as running:
        running.socket = context.wrap_socket(running.socket, server_side=True)
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"https://127.0.0.1:{running.server_address[1]}"
        running.shutdown()


def parts(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "cache").rglob("*.part"))


def test_by_https_it_comes_also_by_a_redirect_to_https(server: str, tmp_path: Path) -> None:
    assert download.fetch(f"{server}/to-https", PIN, ignore_events).read_bytes() == CONTENT
    assert parts(tmp_path) == []


@pytest.mark.parametrize("way", ["to-http", "to-file"])  # the second one is refused by urllib itself
def test_a_redirect_away_from_https_is_refused(server: str, tmp_path: Path, way: str) -> None:
    served(tmp_path)
    with pytest.raises((Unsafe, CommandFailed), match=r"which is not https|is not allowed"):
        download.fetch(f"{server}/{way}", PIN, ignore_events)
    assert parts(tmp_path) == []


def test_a_server_that_sends_a_byte_now_and_then_is_given_up(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "TOTAL_S", 1.0)
    begin = time.monotonic()
    with pytest.raises(CommandFailed, match="was given up after"):
        download.fetch(f"{server}/drip", PIN, ignore_events)
    assert time.monotonic() - begin < 5
    assert parts(tmp_path) == []


def test_a_proxys_login_page_is_not_taken_for_the_file(server: str, tmp_path: Path) -> None:
    """Status 200 and HTML, as captive portals and filters answer."""
    with pytest.raises(Unsafe, match="is not the file that was pinned") as caught:
        download.fetch(f"{server}/login", PIN, ignore_events)
    assert "Do not use it" in caught.value.remedy
    assert list((tmp_path / "cache" / "downloads").iterdir()) == []


def test_a_server_that_never_ends_is_given_up(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(download, "TOTAL_S", 1.0)
    with pytest.raises(CommandFailed, match="was given up after"):
        download.fetch(f"{server}/endless", PIN, ignore_events)
    assert parts(tmp_path) == []


def test_a_connection_that_ends_early_is_a_matter_of_the_network_not_of_trust(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(download, "ATTEMPTS", 1)
    with pytest.raises(CommandFailed, match=r"only 2\.9 KiB of 5\.9 KiB came"):
        download.fetch(f"{server}/cut", PIN, ignore_events)
    assert parts(tmp_path) == []


def test_two_that_fetch_the_same_at_once_do_not_write_into_one_file(tmp_path: Path) -> None:
    """The second one's server sends other bytes. Before, both wrote into one .part, and other bytes were kept."""
    good, bad = tmp_path / "good", tmp_path / "bad"
    for pipe in (good, bad):
        os.mkfifo(pipe)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(download.fetch, str(good), PIN, ignore_events)
        second = pool.submit(download.fetch, str(bad), PIN, ignore_events)
        with good.open("wb", buffering=0) as one, bad.open("wb", buffering=0) as other:
            one.write(CONTENT[:3000])
            for _ in range(200):
                if len(parts(tmp_path)) == 2:
                    break
                time.sleep(0.02)
            other.write(b"trojan" * 1000)
            one.write(CONTENT[3000:])
        with pytest.raises(Unsafe):
            second.result(timeout=20)
        assert first.result(timeout=20).read_bytes() == CONTENT
    assert parts(tmp_path) == []


def test_what_killed_downloads_left_is_swept_and_a_living_one_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "downloads"
    folder.mkdir(parents=True)
    old, young, foreign = (folder / n for n in (f"{PIN}.a.part", f"{PIN}.b.part", f"{'0' * 64}.c.part"))
    for file in (old, young, foreign):
        file.write_bytes(b"half")
    os.utime(old, (1, 1))
    os.utime(foreign, (1, 1))
    download.fetch(str(served(tmp_path)), PIN, ignore_events)
    assert sorted(parts(tmp_path)) == sorted([young, foreign])

"""Downloads are verified before anybody opens them. Digests by hashlib here, from the bytes that were served."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rtlab import download
from rtlab.errors import ConfigError, RtlabError, StoreError, Unsafe
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
        "from rtlab import download\n"
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

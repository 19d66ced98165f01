"""Real apt and mmdebstrap beside third parties' signed repositories: only the distribution's archive is taken.

The repositories are made here and served on loopback; apt works in a folder of its own (``Dir``), so that this
machine's sources and lists stay as they are.
"""

from __future__ import annotations

import functools
import shutil
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rtlab.artifacts import apt_sources, images
from tests.third_party import Publisher, QuietServer, add_to

pytestmark = [
    pytest.mark.local,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        shutil.which("gpg") is None or shutil.which("apt-get") is None or shutil.which("mmdebstrap") is None,
        reason="needs gnupg, apt and mmdebstrap (make test installs them)",
    ),
]


@pytest.fixture
def publisher(short_folder: Path) -> Iterator[Publisher]:
    """A server on loopback. GnuPG's sockets want a short path."""
    (short_folder / "www").mkdir()
    with QuietServer(short_folder / "www") as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Publisher(short_folder, server.address)
        server.shutdown()
        thread.join()


@pytest.fixture
def short_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="rtlab-apt-") as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder with what apt needs of a system."""
    for name in ("etc/apt/sources.list.d", "etc/apt/keyrings", "var/lib/apt/lists/partial", "var/lib/dpkg"):
        (tmp_path / "root" / name).mkdir(parents=True)
    (tmp_path / "root/var/cache/apt/archives/partial").mkdir(parents=True)
    (tmp_path / "root/var/lib/dpkg/status").touch()
    return tmp_path / "root"


def update(root: Path) -> None:
    """A real `apt-get update` in that folder."""
    done = subprocess.run(
        [
            *("apt-get", "update", "-q", "-o", f"Dir={root}", "-o", f"Dir::State::status={root}/var/lib/dpkg/status"),
            *("-o", "APT::Architecture=amd64", "-o", "APT::Sandbox::User=root", "-o", "APT::Update::Error-Mode=any"),
            *("-o", "Acquire::http::Proxy::127.0.0.1=DIRECT"),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_only_the_distributions_archive_is_taken_and_mmdebstrap_can_use_it(
    publisher: Publisher, root: Path, tmp_path: Path
) -> None:
    add_to(root, publisher)
    ours = publisher.publish("debian", "Debian", "base-stand-in", "main")
    block = "\n".join(f" {line or '.'}" for line in ours.key.splitlines())
    (root / "etc/apt/sources.list.d/debian.sources").write_text(
        f"Types: deb\nURIs: {ours.uri}\nSuites: bookworm\nComponents: main\nSigned-By:\n{block}\n"
    )
    before = apt_sources.choose("debian-12", root)
    update(root)
    chosen = apt_sources.choose("debian-12", root)

    assert before.public and "not known until apt-get update has run" in before.note
    assert [(s.uri, s.suite, s.components) for s in chosen.sources] == [(ours.uri, "bookworm", ("main",))]
    assert not chosen.public and not chosen.note
    # The key goes along, inside: mmdebstrap verifies the archive with nothing else.
    sources = tmp_path / "sources"
    sources.write_text(apt_sources.text(chosen.sources))
    made = subprocess.run(
        [
            *("mmdebstrap", "--variant=extract", "--include=base-stand-in", "--architectures=amd64"),
            *('--aptopt=Acquire::http::Proxy::127.0.0.1 "DIRECT"', "bookworm", tmp_path / "root.tar", sources),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert made.returncode == 0, made.stderr
    with tarfile.open(tmp_path / "root.tar") as tar:
        names = {name.removeprefix("./") for name in tar.getnames()}
    assert "usr/share/base-stand-in/mark" in names
    assert not [n for n in names if "docker-stand-in" in n or "terraform-stand-in" in n]


@pytest.mark.skipif(not images.host_suite().startswith("debian"), reason="the stand-ins are bookworm's")
def test_the_tools_image_is_made_beside_them(
    publisher: Publisher, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This machine's own sources, and the third parties' beside them."""
    add_to(root, publisher)
    update(root)
    for file in (Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")):
        if file.is_file():
            shutil.copy(file, root / "etc/apt" / file.relative_to("/etc/apt"))
    if Path("/etc/apt/mirrors").is_dir():
        shutil.copytree("/etc/apt/mirrors", root / "etc/apt/mirrors")
    for file in Path("/var/lib/apt/lists").glob("*Release"):
        shutil.copy(file, root / "var/lib/apt/lists")
    monkeypatch.setattr(apt_sources, "choose", functools.partial(apt_sources.choose, root=root))
    monkeypatch.setenv("RTLAB_CACHE", str(tmp_path / "cache"))

    made = images.build("tools")

    assert "curl" in made.packages
    assert not [p for p in made.packages if p.endswith("stand-in")]

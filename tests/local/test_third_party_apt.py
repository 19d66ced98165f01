"""Real apt and mmdebstrap beside third parties' signed repositories: only the distribution's archive is taken.

The repositories are made here and served on loopback; apt works in a folder of its own (``Dir``), so that this
machine's sources and lists stay as they are.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import shutil
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

import pytest

from rtlab.artifacts import apt_sources, images

pytestmark = [
    pytest.mark.local,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        shutil.which("gpg") is None or shutil.which("apt-get") is None or shutil.which("mmdebstrap") is None,
        reason="needs gnupg, apt and mmdebstrap (make test installs them)",
    ),
]


@dataclass(frozen=True)
class Repository:
    """One archive on loopback: its address, its armoured public key, and the same key as a file."""

    uri: str
    key: str
    key_file: Path


class Publisher:
    """Makes repositories, each signed with a key of its own, below one folder that a server shows."""

    def __init__(self, folder: Path, address: str) -> None:
        self.folder, self.address = folder, address

    def publish(self, path: str, origin: str, package: str, component: str) -> Repository:
        """A repository for bookworm with one package, at that path of the server."""
        root = self.folder / "www" / path
        pool = root / "pool"
        pool.mkdir(parents=True)
        deb = self._package(package, pool)
        data = deb.read_bytes()
        control = (
            f"Package: {package}\nVersion: 1.0\nArchitecture: all\nMaintainer: test <test@example.org>\n"
            f"Essential: yes\nPriority: required\nFilename: pool/{deb.name}\nSize: {len(data)}\n"
            f"SHA256: {hashlib.sha256(data).hexdigest()}\nDescription: stand-in\n\n"
        ).encode()
        dist = root / "dists/bookworm"
        listed = []
        for name, content in (("Packages", control), ("Packages.gz", gzip.compress(control))):
            file = dist / component / "binary-amd64" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            listed.append(f" {hashlib.sha256(content).hexdigest()} {len(content)} {file.relative_to(dist)}")
        release = (
            f"Origin: {origin}\nLabel: {origin}\nSuite: bookworm\nCodename: bookworm\nDate: {formatdate(usegmt=True)}\n"
            f"Architectures: amd64\nComponents: {component}\nSHA256:\n" + "\n".join(listed) + "\n"
        )
        (dist / "Release").write_text(release)
        return self._sign(path, origin, dist)

    def _package(self, name: str, pool: Path) -> Path:
        tree = self.folder / "build" / name
        (tree / "DEBIAN").mkdir(parents=True)
        (tree / "DEBIAN/control").write_text(
            f"Package: {name}\nVersion: 1.0\nArchitecture: all\nMaintainer: test <test@example.org>\n"
            "Essential: yes\nPriority: required\nDescription: stand-in\n"
        )
        (tree / "usr/share" / name).mkdir(parents=True)
        (tree / "usr/share" / name / "mark").write_text(f"{name}\n")
        subprocess.run(["dpkg-deb", "--build", "--root-owner-group", tree, pool / f"{name}_1.0_all.deb"], check=True)
        return pool / f"{name}_1.0_all.deb"

    def _sign(self, path: str, origin: str, dist: Path) -> Repository:
        home = self.folder / "gnupg" / path.replace("/", "-")
        home.mkdir(parents=True, mode=0o700)
        gpg = ("gpg", "--homedir", str(home), "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", "")
        subprocess.run([*gpg, "--quick-gen-key", f"{origin} <test@example.org>", "ed25519", "sign", "1y"], check=True)
        subprocess.run([*gpg, "--clearsign", "--output", dist / "InRelease", dist / "Release"], check=True)
        key = subprocess.run([*gpg, "--armor", "--export"], check=True, capture_output=True, text=True).stdout
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=True)
        file = self.folder / f"{home.name}.asc"
        file.write_text(key)
        return Repository(f"{self.address}/{path}", key, file)


@pytest.fixture
def publisher(tmp_path: Path, short_folder: Path) -> Iterator[Publisher]:
    """A server on loopback. GnuPG's sockets want a short path."""
    (short_folder / "www").mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, format: str, *args: object) -> None:
            pass

    handler = functools.partial(Quiet, directory=str(short_folder / "www"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield Publisher(short_folder, f"http://127.0.0.1:{server.server_port}")
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


def third_parties(root: Path, publisher: Publisher) -> None:
    """Laid out like docker-ce's (component stable, a key file) and like HashiCorp's (component main)."""
    docker = publisher.publish("linux/debian", "Docker", "docker-stand-in", "stable")
    hashicorp = publisher.publish("hashicorp", "Artifactory", "terraform-stand-in", "main")
    for name, repository, component in (("docker", docker, "stable"), ("hashicorp", hashicorp, "main")):
        (root / f"etc/apt/sources.list.d/{name}.list").write_text(
            f"deb [arch=amd64 signed-by={repository.key_file}] {repository.uri} bookworm {component}\n"
        )


def test_only_the_distributions_archive_is_taken_and_mmdebstrap_can_use_it(
    publisher: Publisher, root: Path, tmp_path: Path
) -> None:
    third_parties(root, publisher)
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
    third_parties(root, publisher)
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

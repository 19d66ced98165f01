"""Third parties' apt repositories, each signed with a key of its own, as docker-ce and HashiCorp publish theirs.

Used by the tests, and by `.ci/fresh`, which runs the README's commands beside them: ``python3 tests/third_party.py ROOT
SUITE FOLDER`` adds two of them to the system below ROOT and serves them on loopback until it is told to stop.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import http.server
import subprocess
import sys
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path


@dataclass(frozen=True)
class Repository:
    """One archive on loopback: its address, its armoured public key, and the same key as a file."""

    uri: str
    key: str
    key_file: Path


class Publisher:
    """Makes repositories, each signed with a key of its own, below one folder that a server shows."""

    def __init__(self, folder: Path, address: str, suite: str = "bookworm") -> None:
        self.folder, self.address, self.suite = folder, address, suite

    def publish(self, path: str, origin: str, package: str, component: str) -> Repository:
        """A repository with one package for the suite, at that path of the server."""
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
        dist = root / "dists" / self.suite
        listed = []
        for name, content in (("Packages", control), ("Packages.gz", gzip.compress(control))):
            file = dist / component / "binary-amd64" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            listed.append(f" {hashlib.sha256(content).hexdigest()} {len(content)} {file.relative_to(dist)}")
        release = (
            f"Origin: {origin}\nLabel: {origin}\nSuite: {self.suite}\nCodename: {self.suite}\n"
            f"Date: {formatdate(usegmt=True)}\n"
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


class QuietServer(http.server.ThreadingHTTPServer):
    """Shows the repositories below a folder, on a free port of loopback."""

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder)))
        self.address = f"http://127.0.0.1:{self.server_port}"


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


def add_to(root: Path, publisher: Publisher) -> None:
    """Add two to the system below root as their vendors tell users to.

    Docker's has the component ``stable`` and an armoured key, HashiCorp's the component ``main`` and a binary one.
    """
    docker = publisher.publish("linux/debian", "Docker", "docker-stand-in", "stable")
    hashicorp = publisher.publish("hashicorp", "Artifactory", "terraform-stand-in", "main")
    for name, repository, component in (("docker", docker, "stable"), ("hashicorp", hashicorp, "main")):
        key = root / ("etc/apt/keyrings/docker.asc" if name == "docker" else "usr/share/keyrings/hashicorp.gpg")
        key.parent.mkdir(parents=True, exist_ok=True)
        if key.suffix == ".asc":
            key.write_text(repository.key)
        else:
            subprocess.run(["gpg", "--batch", "--dearmor", "--output", key, repository.key_file], check=True)
        inside = "/" + str(key.relative_to(root)) if (root / "usr/bin").is_dir() else str(key)
        (root / f"etc/apt/sources.list.d/{name}.list").write_text(
            f"deb [arch=amd64 signed-by={inside}] {repository.uri} {publisher.suite} {component}\n"
        )


def main(root: Path, suite: str, folder: Path) -> None:
    """Serve two until the process is stopped; a line on stdout says that they are ready."""
    (folder / "www").mkdir(parents=True)
    with QuietServer(folder / "www") as server:
        add_to(root, Publisher(folder, server.address, suite))
        print(f"two third parties' repositories are served at {server.address}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]))

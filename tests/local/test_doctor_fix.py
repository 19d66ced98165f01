"""``rtlab doctor --fix`` on a fresh system without systemd: a chroot made by mmdebstrap, in its own mount namespace.

The chroot sees this test's Python environment and checkout; everything that the playbook installs goes into the chroot.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rtlab.artifacts import apt_sources
from rtlab.host import facts as host

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(shutil.which("mmdebstrap") is None, reason="needs mmdebstrap"),
]

CHECKOUT = Path(__file__).resolve().parent.parent.parent
SUITES = {suite: code for suite, (system, code) in apt_sources.CODENAMES.items() if system == "debian"}

# Stand-ins with the names, relations and programs of Docker's own packages.
DOCKER_CE = {
    "containerd.io": ("containerd runc ctr containerd-shim-runc-v2", "containerd, runc", ""),
    "docker-ce": ("dockerd", "docker.io", "containerd.io"),
}


class Fresh:
    """A fresh system below a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a program inside; its mounts end with it, because the mount namespace is its own."""
        # The environment of this test: a venv, the Python that it was made from, the checkout.
        shown = {Path(sys.prefix), Path(sys.base_prefix), CHECKOUT} - {Path("/usr")}
        script = ["set -e", f"mount --bind {self.root} {self.root}"]
        for folder in sorted(shown):
            script += [f"mkdir -p {self.root}{folder}", f"mount --bind {folder} {self.root}{folder}"]
        script += [
            f"mount -t proc proc {self.root}/proc",
            f"mount --rbind /sys {self.root}/sys",
            f"mount --rbind /dev {self.root}/dev",
            f"mount -t tmpfs tmpfs {self.root}/run",
            f"cp /etc/resolv.conf {self.root}/etc/resolv.conf",
            f"cd /; exec chroot {self.root} /usr/bin/env --chdir=/srv PYTHONPATH={CHECKOUT} {shlex.join(argv)}",
        ]
        return subprocess.run(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", "\n".join(script)],
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    def rtlab(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "rtlab", *arguments)

    def packages(self) -> set[str]:
        return set(self.run("dpkg-query", "-W", "-f", "${Package}\n").stdout.split())


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A minimal system of this machine's Debian suite, with Python for this test's environment."""
    release = host.os_release(Path("/etc/os-release").read_text())
    suite = f"{release.get('ID')}-{release.get('VERSION_ID')}"
    if suite not in SUITES:
        pytest.skip("needs a Debian 12 or 13 host")
    folder = tmp_path_factory.mktemp("fresh")
    sources = folder / "sources"
    sources.write_text(apt_sources.text(apt_sources.of_this_machine(suite)))
    subprocess.run(
        [
            "mmdebstrap",
            "--variant=minbase",
            "--include=python3,ca-certificates",
            SUITES[suite],
            folder / "root",
            sources,
        ],
        check=True,
        capture_output=True,
        timeout=600,
    )
    yield folder / "root"
    shutil.rmtree(folder)


@pytest.fixture
def fresh(image: Path, tmp_path: Path) -> Iterator[Fresh]:
    root = tmp_path / "root"
    subprocess.run(["cp", "-a", image, root], check=True, timeout=120)
    yield Fresh(root)
    shutil.rmtree(root)


def in_chroot(root: Path) -> set[str]:
    """Process ids whose root folder is the chroot."""
    found = set()
    for link in Path("/proc").glob("[0-9]*/root"):
        try:
            if link.readlink() == root:
                found.add(link.parent.name)
        except OSError:
            continue
    return found


@pytest.mark.parametrize(
    "options",
    [
        # Some 200 MB of packages: for the slower run of the two.
        pytest.param(("libvirt", "--accel", "tcg"), id="libvirt", marks=pytest.mark.vm),
        pytest.param(("local", "--engine", "system"), id="local", marks=pytest.mark.local),
    ],
)
def test_a_fresh_system_can_run_afterwards_and_the_second_time_nothing_changes(
    fresh: Fresh, options: tuple[str, ...]
) -> None:
    before = fresh.rtlab("doctor", "--provider", *options)
    fixed = fresh.rtlab("doctor", "--provider", *options, "--fix", "--yes")
    again = fresh.rtlab("doctor", "--provider", *options, "--fix", "--yes")

    assert before.returncode == 3, before.stderr
    assert (fixed.returncode, again.returncode) == (0, 0), fixed.stdout + fixed.stderr
    assert "install packages: " in fixed.stderr
    assert "Nothing to install" in again.stderr
    assert not in_chroot(fresh.root), "something was started"
    assert not (fresh.root / "usr/sbin/policy-rc.d").exists()


@pytest.mark.local
def test_an_engine_of_another_origin_is_left_alone(fresh: Fresh) -> None:
    install_docker_ce(fresh)
    etc = {p: p.read_bytes() for p in (fresh.root / "etc").rglob("*") if "docker" in p.name or "containerd" in p.name}

    fixed = fresh.rtlab("doctor", "--provider", "local", "--engine", "system", "--fix", "--yes")

    assert fixed.returncode == 0, fixed.stdout + fixed.stderr
    assert "not touched: the engine that is here (Docker 27.5.1, docker-ce)" in fixed.stderr
    packages = fresh.packages()
    assert {"docker-ce", "containerd.io", "mmdebstrap"} <= packages
    assert not {"docker.io", "containerd", "runc", "docker-cli"} & packages
    assert etc == {
        p: p.read_bytes() for p in (fresh.root / "etc").rglob("*") if "docker" in p.name or "containerd" in p.name
    }


def install_docker_ce(fresh: Fresh) -> None:
    files = []
    for name, (programs, conflicts, depends) in DOCKER_CE.items():
        folder = fresh.root / "tmp" / name
        (folder / "DEBIAN").mkdir(parents=True)
        (folder / "usr/bin").mkdir(parents=True)
        control = (
            f"Package: {name}\nVersion: 5:27.5.1-1\nArchitecture: all\nMaintainer: test <test@example.org>\n"
            f"Conflicts: {conflicts}\nReplaces: {conflicts}\nProvides: {conflicts}\nDescription: stand-in\n"
        )
        (folder / "DEBIAN/control").write_text(control + (f"Depends: {depends}\n" if depends else ""))
        for program in [*programs.split(), *(["docker"] if name == "docker-ce" else [])]:
            (folder / "usr/bin" / program).write_text("#!/bin/sh\necho Docker version 27.5.1, build test\n")
            (folder / "usr/bin" / program).chmod(0o755)
        assert fresh.run("dpkg-deb", "--build", f"/tmp/{name}").returncode == 0
        files.append(f"/tmp/{name}.deb")
    installed = fresh.run("dpkg", "--install", *files)
    assert installed.returncode == 0, installed.stderr

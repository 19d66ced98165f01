"""Profile ``current`` by the local provider, for real, with its vendors' files made here.

Their servers are out of reach where rtlab is developed. The archives have their layout and names and hold the programs
that profile ``modules`` builds; the pins have the archives' own digests. All the rest is what a user's machine runs.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from rtlab.artifacts import builds, cache, profile, programs
from rtlab.artifacts.programs import Programs
from rtlab.config import TestbedSettings
from rtlab.engines.docker import private as engine
from rtlab.errors import Unsafe
from rtlab.host import today
from rtlab.model import ignore_events
from rtlab.providers.local import programs as local_programs
from rtlab.providers.local.provider import PROVIDER
from rtlab.state import StateFolder

pytestmark = [pytest.mark.local, pytest.mark.timeout(2400)]


def archive(file: Path, mode: str, members: dict[str, Path]) -> str:
    """A tar archive of these programs; its SHA-256."""
    with tarfile.open(file, mode, compresslevel=1) as made:  # type: ignore[call-overload]
        for name, path in members.items():
            made.add(path, name)
    return hashlib.sha256(file.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def built() -> Programs:
    why = today.refusal()
    if why:
        pytest.skip(f"no builds can be had: {why}")
    return programs.obtain(("runc", "gvisor"), profile.load("modules"), ignore_events)


@pytest.fixture(scope="module")
def files_of_vendors(built: Programs, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, str]]:
    """Build -> its file, and the file's SHA-256. Packed once: it takes half a minute."""
    folder = tmp_path_factory.mktemp("vendors")
    files = {name: path for one in built.builds for name, path in one.programs.items()}
    engine_files = ("dockerd", "docker", "docker-proxy", "containerd", "containerd-shim-runc-v2", "ctr")
    docker = archive(folder / "docker.tgz", "w:gz", {f"docker/{name}": files[name] for name in engine_files})
    # The module has no side programs: their folder stands empty but for one that nothing starts.
    gvisor = archive(
        folder / "gvisor.tar.bz2",
        "w:bz2",
        {"runsc": files["runsc"], "containerd-shim-runsc-v1": files["containerd-shim-runsc-v1"]}
        | {"gvisor-bin/runsc-metric-server": files["docker-proxy"]},
    )
    return {
        "docker": (folder / "docker.tgz", docker),
        "gvisor-release": (folder / "gvisor.tar.bz2", gvisor),
        "runc-release": (files["runc"], hashlib.sha256(files["runc"].read_bytes()).hexdigest()),
    }


@pytest.fixture
def served(
    files_of_vendors: dict[str, tuple[Path, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, str]]:
    """Build -> SHA-256 of its file, which the pins name, as a file of this test's own, whose vendor seems to answer."""
    urls = {name: Path(shutil.copy(file, tmp_path)) for name, (file, _) in files_of_vendors.items()}
    digests = {name: digest for name, (_, digest) in files_of_vendors.items()}
    text = builds.PINS.read_text()
    for name, digest in digests.items():
        text = re.sub(
            rf'(\[builds\.{name}\]\n(?:.*\n)*?)url = ".*"\nsha256 = ".*"',
            rf'\1url = "{urls[name].as_uri()}"\nsha256 = "{digest}"', text, count=1,
        )  # fmt: skip
    (tmp_path / "pins.toml").write_text(text)
    monkeypatch.setattr(builds, "PINS", tmp_path / "pins.toml")
    monkeypatch.setattr(profile, "_answers", lambda host, timeout_s: True)
    builds.forget()
    today.forget()
    yield digests
    monkeypatch.undo()
    builds.forget()
    today.forget()
    # The images are this user's, and what was fetched from here is nobody's.
    for digest in digests.values():
        (cache.path() / "downloads" / digest).unlink(missing_ok=True)
    for made in (cache.path() / "builds").glob("*/build.json"):
        if str(tmp_path) in made.read_text():
            shutil.rmtree(made.parent)
            made.parent.with_name(f"{made.parent.name}.lock").unlink(missing_ok=True)


def test_what_vendors_release_is_installed_proved_and_removed(served: dict[str, str], tmp_path: Path) -> None:
    assert today.found() == (today.RELEASED, "")
    state = StateFolder(tmp_path / ".rtlab")
    new = StateFolder.new_testbed_id()
    settings = TestbedSettings(provider="local", profile="current", runtimes=("runc", "gvisor"))
    try:
        testbed = PROVIDER.up(settings, profile.load("current"), new, state, ignore_events)
        records = testbed.details["builds"]
        assert {name: record["build"]["sha256"] for name, record in records.items()} == served
        assert testbed.details["fallback"] == ""
        assert testbed.details["unavailable_runtimes"] == {}
        assert "docker 29.8.1, runc 1.5.1" in testbed.details["taken"]
        assert "as released" in testbed.details["taken"]
        kept = {p: sha for record in records.values() for p, sha in record["sha256"].items()}
        folder = local_programs.folder_of(new)
        files = [p for p in folder.rglob("*") if p.is_file()]
        assert {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files} == kept
        assert "gvisor-bin/runsc-metric-server" in kept
        assert {"dockerd", "containerd"} <= {p.program for p in engine.Engine(new).processes()}
    finally:
        left = PROVIDER.teardown(new, state, ignore_events)
    assert left == ()
    assert not local_programs.home(new).exists()


def test_a_release_that_is_not_the_pinned_one_is_not_used(
    served: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RTLAB_CACHE", str(tmp_path / "cache"))
    (tmp_path / "docker.tgz").write_bytes(b"a proxy's login page")
    with pytest.raises(Unsafe, match=served["docker"]):
        programs.obtain(("runc",), profile.load("current"), ignore_events)

"""Builds for real: from the module proxy, by a real compiler, started. Takes about a minute."""

from __future__ import annotations

import hashlib
import subprocess
import time
from pathlib import Path

import pytest

from rtlab.artifacts import builds

pytestmark = [pytest.mark.local, pytest.mark.timeout(1800)]


def said_by(program: Path, *arguments: str) -> str:
    done = subprocess.run([str(program), *arguments], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout + done.stderr


def test_a_pin_is_built_starts_and_comes_out_the_same_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """runC: of all pins the one with C in it."""
    monkeypatch.setenv("RTLAB_CACHE", str(tmp_path / "one"))
    made = builds.obtain(builds.pinned("runc"))

    assert "runc version 1.5.2" in said_by(made.programs["runc"], "--version")
    begin = time.monotonic()
    assert builds.obtain(builds.pinned("runc")) == made
    assert time.monotonic() - begin < 2

    # Nothing is shared with the first: another folder, another module cache, nothing compiled before.
    monkeypatch.setenv("RTLAB_CACHE", str(tmp_path / "another-folder" / "two"))
    monkeypatch.setenv("CGO_CFLAGS", "-O0")
    again = builds.obtain(builds.pinned("runc"))

    assert again.programs["runc"] != made.programs["runc"]
    for file, digest in made.sha256.items():
        assert hashlib.sha256(again.programs[file].read_bytes()).hexdigest() == digest


def test_go_is_brought_where_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RTLAB_CACHE", str(tmp_path))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")

    made = builds.obtain(builds.pinned("cni"))

    assert made.made_with["go"] == builds.toolchain.VERSION
    assert "v1.10.0" in said_by(made.programs["bridge"], "--version")

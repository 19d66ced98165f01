"""Appending lines: what a power loss or a full disk leaves must not spoil the next line."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rtlab import atomic
from rtlab.errors import StoreError


@pytest.mark.parametrize("kept", [b"", b"one\n", b"one\ntwo\n", b"x" * 9000 + b"\n"])
@pytest.mark.parametrize("torn", [b"", b"thr", b"y" * 9000])
def test_a_torn_last_line_is_cut_off_before_the_next_one(tmp_path: Path, kept: bytes, torn: bytes) -> None:
    file = tmp_path / "journal.jsonl"
    file.write_bytes(kept + torn)
    atomic.append_line(file, "new")
    assert file.read_bytes() == kept + b"new\n"


def test_a_disk_that_fills_up_in_a_line_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """write(2): a full disk takes what fits, says how much, and fails only at the next call."""
    file = tmp_path / "journal.jsonl"
    file.write_bytes(b"one\n")
    room = [3, 2]
    real = os.pwrite

    def short(descriptor: int, content: bytes, at: int) -> int:
        if not room:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(descriptor, content[: room.pop()], at)

    monkeypatch.setattr("os.pwrite", short)
    with pytest.raises(StoreError, match="No space left"):
        atomic.append_line(file, "two is longer")
    assert file.read_bytes() == b"one\n"
    room[:] = [3, 2, 100]
    atomic.append_line(file, "two is longer")
    assert file.read_bytes() == b"one\ntwo is longer\n"


def test_what_a_killed_write_left_goes_with_the_next_and_a_living_ones_stays(tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    dead = tmp_path / ".report.html.0123abcd.tmp"
    others = [tmp_path / n for n in (".report.html.tmp", ".report.html.0123abcd.tmp.old", ".other.html.0123abcd.tmp")]
    for leftover in (dead, *others):
        leftover.write_text("half")
    outside = tmp_path / "outside"
    outside.write_text("mine")
    (tmp_path / ".report.html.89abcdef.tmp").symlink_to(outside)

    def parts() -> Iterator[bytes]:
        yield b"first "
        (living,) = [p for p in tmp_path.glob(".report.html.*.tmp") if p not in others and not p.is_symlink()]
        atomic.write_bytes(file, b"another process")  # a lock of another open file stops it as another process's does
        assert living.exists(), "the living one's was swept"
        yield b"second"

    atomic.write_bytes(file, parts())
    assert file.read_bytes() == b"first second" and not dead.exists()
    assert all(o.exists() for o in others) and outside.read_text() == "mine"

"""rtlab.lock: a digest is given once, kept when it was found right, and never replaced silently."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtlab.artifacts import pins
from rtlab.artifacts.profile import MissingPin
from rtlab.errors import ConfigError, UsageError

BOX = MissingPin(variable="box_sha256", of="https://cloud-images.ubuntu.com/bionic.img")
KATA = MissingPin(variable="kata_sha256", of="/home/someone/kata-static-1.12.1-x86_64.tar.xz")
A, B = "a" * 64, "b" * 64


def test_what_was_given_is_known_the_next_time(tmp_path: Path) -> None:
    assert pins.read(tmp_path) == {}
    pins.write(tmp_path, (BOX, KATA), {"kata_sha256": A}, {})
    pins.write(tmp_path, (BOX,), {"box_sha256": B}, pins.read(tmp_path))

    locked = pins.read(tmp_path)

    assert pins.recall((BOX, KATA), locked) == {"kata_sha256": A, "box_sha256": B}
    elsewhere = MissingPin(variable="kata_sha256", of="/srv/kata-static-1.12.1-x86_64.tar.xz")
    assert pins.recall((elsewhere,), locked) == {"kata_sha256": A}
    other = MissingPin(variable="kata_sha256", of="/srv/kata-static-1.11.0-x86_64.tar.xz")
    assert pins.recall((other,), locked) == {}
    assert "someone" not in (tmp_path / pins.FILE_NAME).read_text()


def test_another_digest_for_the_same_thing_is_refused() -> None:
    locked = {("kata_sha256", "kata-static-1.12.1-x86_64.tar.xz"): A}
    pins.refuse_changes((KATA,), {"kata_sha256": A}, locked)
    pins.refuse_changes((KATA, BOX), {"box_sha256": B}, locked)
    with pytest.raises(UsageError, match="against which it was checked before"):
        pins.refuse_changes((KATA,), {"kata_sha256": B}, locked)


def test_a_lock_that_says_nothing_new_is_not_written(tmp_path: Path) -> None:
    pins.write(tmp_path, (KATA,), {}, {})
    assert not (tmp_path / pins.FILE_NAME).exists()


@pytest.mark.parametrize(
    "text", ["pin = 3", "[[pin]]\nsetting = 'x'", "[[pin]]\nsetting='x'\nof='y'\ndigest='no hex'", "no toml"]
)
def test_a_damaged_lock_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / pins.FILE_NAME).write_text(text)
    with pytest.raises(ConfigError, match=r"rtlab\.lock"):
        pins.read(tmp_path)

"""apt sources of this machine, read in both of apt's formats (sources.list(5)) and moved to another suite."""

from __future__ import annotations

from pathlib import Path

import pytest

from rtlab import apt_sources

ONE_LINE = """\
# a comment
deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian/ bookworm main contrib # why
deb-src http://mirror.example/debian bookworm main
deb http://mirror.example/security bookworm-security main
deb http://mirror.example/debian bookworm-backports main
"""
DEB822 = """\
Types: deb deb-src
# a comment inside
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /k.gpg

Types: deb
URIs: http://elsewhere.example/tool
Suites: stable
Components: main

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
"""


def apt_folder(path: Path, one_line: str = "", deb822: str = "") -> Path:
    (path / "sources.list.d").mkdir()
    (path / "sources.list").write_text(one_line)
    (path / "sources.list.d" / "debian.sources").write_text(deb822)
    return path


def test_one_line_style(tmp_path: Path) -> None:
    found = apt_sources.of_this_machine("debian-12", apt_folder(tmp_path, ONE_LINE))
    assert apt_sources.one_line_style(found, "debian-12").splitlines() == [
        "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://mirror.example/debian bookworm main",
        "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] "
        "http://mirror.example/security bookworm-security main",
    ]


def test_deb822_style_without_what_is_switched_off_or_foreign(tmp_path: Path) -> None:
    found = apt_sources.of_this_machine("debian-12", apt_folder(tmp_path, deb822=DEB822))
    assert [(s.uri, s.suite) for s in found] == [
        ("http://mirror.example/debian", "bookworm"),
        ("http://mirror.example/debian", "bookworm-updates"),
    ]


def test_another_suite_comes_from_the_same_servers(tmp_path: Path) -> None:
    found = apt_sources.of_this_machine("debian-13", apt_folder(tmp_path, ONE_LINE))
    assert [(s.uri, s.suite) for s in found] == [
        ("http://mirror.example/debian", "trixie"),
        ("http://mirror.example/security", "trixie-security"),
    ]


def test_a_machine_of_another_distribution_takes_the_public_servers(tmp_path: Path) -> None:
    ubuntu = "deb http://archive.example/ubuntu noble main universe\n"
    found = apt_sources.of_this_machine("debian-12", apt_folder(tmp_path, ubuntu))
    assert found == apt_sources.public("debian-12") and found[0].uri == "http://deb.debian.org/debian"


@pytest.mark.parametrize("text", ["", "deb", "deb http://x", "deb [a b http://x y z", "nonsense\n\n::\n"])
def test_broken_lines_are_passed_over(tmp_path: Path, text: str) -> None:
    assert apt_sources.of_this_machine("debian-12", apt_folder(tmp_path, text, text)) == apt_sources.public("debian-12")

"""What README and gallery show is what rtlab says of the kept campaigns today: first screens and whole reports."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from rtlab import report, store

ROOT = Path(__file__).parent.parent
SHOWN = [
    (page, name, text)
    for page in ("README.md", "docs/gallery.md")
    for name, text in re.findall(r"^```text ([\w.-]+)\n(.*?)^```$", (ROOT / page).read_text(), re.M | re.S)
]


GALLERY = ROOT / "docs" / "gallery"
REPORTS = sorted(p.stem for p in GALLERY.glob("*.md"))


def kept(name: str) -> Path:
    return next(f for f in (ROOT / "tests" / "data" / name, GALLERY / name) if f.is_dir())


def test_every_campaign_that_is_shown_has_its_whole_report() -> None:
    assert sorted({name for page, name, _ in SHOWN if page == "docs/gallery.md"}) == REPORTS


@pytest.mark.parametrize("name", REPORTS)
def test_a_whole_report_is_rebuilt_from_the_raw_files_and_names_nobody(name: str) -> None:
    """To make it anew: rtlab report FOLDER --format markdown > docs/gallery/NAME.md"""
    text = (GALLERY / f"{name}.md").read_text()
    assert text == report.markdown(report.build(store.Campaign(kept(name))))
    assert not re.search(r"\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b|\b\d{1,3}(\.\d{1,3}){3}\b|://|/home/|/root/", text)
    assert socket.gethostname() not in text


def test_both_pages_show_a_campaign() -> None:
    assert {page for page, _, _ in SHOWN} == {"README.md", "docs/gallery.md"}
    assert len({name for page, name, _ in SHOWN if page == "docs/gallery.md"}) == 4


@pytest.mark.parametrize(("page", "name", "text"), SHOWN, ids=[f"{page}-{name}" for page, name, _ in SHOWN])
def test_what_is_shown_is_what_the_report_says(page: str, name: str, text: str, tmp_path: Path) -> None:
    shutil.copytree(kept(name), tmp_path / "campaigns" / name)
    done = subprocess.run(
        [sys.executable, "-m", "rtlab", "report", "--brief", name],
        cwd=tmp_path,
        env={**os.environ, "COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert "\n".join(line.rstrip() for line in done.stdout.strip().splitlines()) == text.strip()

"""The tables that README and gallery show are what `rtlab report --brief` prints for the kept campaigns."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SHOWN = [
    (page, name, text)
    for page in ("README.md", "docs/gallery.md")
    for name, text in re.findall(r"^```text ([\w.-]+)\n(.*?)^```$", (ROOT / page).read_text(), re.M | re.S)
]


def test_both_pages_show_a_campaign() -> None:
    assert {page for page, _, _ in SHOWN} == {"README.md", "docs/gallery.md"}
    assert len({name for page, name, _ in SHOWN if page == "docs/gallery.md"}) == 3


@pytest.mark.parametrize(("page", "name", "text"), SHOWN, ids=[f"{page}-{name}" for page, name, _ in SHOWN])
def test_what_is_shown_is_what_the_report_says(page: str, name: str, text: str, tmp_path: Path) -> None:
    kept = next(f for f in (ROOT / "tests" / "data" / name, ROOT / "docs" / "gallery" / name) if f.is_dir())
    shutil.copytree(kept, tmp_path / "campaigns" / name)
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

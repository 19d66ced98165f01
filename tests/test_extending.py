"""docs/extending.md is true: the experiment that it shows is added to a copy of rtlab, exactly as it says, and used."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import rtlab

PACKAGE = Path(rtlab.__file__).parent
ROOT = PACKAGE.parent
NAME = "sync"
RUN = {"capture_output": True, "text": True, "timeout": 240}


def shown() -> dict[str, str]:
    """The files of the example, by name."""
    text = (ROOT / "docs" / "extending.md").read_text()
    return dict(re.findall(r"^```python (\S+)\n(.*?)^```$", text, re.M | re.S))


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package with the new folder, and of what it finds beside itself; no file of it is changed."""
    root = tmp_path_factory.mktemp("copy")
    left_out = shutil.ignore_patterns("__pycache__", "_content")
    shutil.copytree(PACKAGE, root / "rtlab", ignore=left_out)
    for name in ("roles", "playbooks", "ansible.cfg", "Vagrantfile"):
        (root / name).symlink_to(ROOT / name)
    folder = root / "rtlab" / "experiments" / NAME
    folder.mkdir()
    (folder / "__init__.py").write_text('"""Files written and synced."""\n')
    for name, content in shown().items():
        (folder / name).write_text(content)
    return root


def run(copy: Path, *argv: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(copy), "RTLAB_CACHE": str(cwd / "cache")}
    return subprocess.run([sys.executable, *argv], cwd=cwd, env=environment, **RUN)  # type: ignore[call-overload,no-any-return]


def rtlab_of(copy: Path, *words: str, cwd: Path) -> str:
    done = run(copy, "-m", "rtlab", *words, cwd=cwd)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_the_page_shows_the_three_files() -> None:
    assert list(shown()) == ["experiment.py", "measure.py", "simulate.py"]


def test_a_simulated_campaign_runs_it_and_its_report_shows_it(copy: Path, tmp_path: Path) -> None:
    rtlab_of(copy, "up", "--provider", "simulated", cwd=tmp_path)
    rtlab_of(copy, "bench", "--runs", "4", "--experiments", f"{NAME},boot", "--set", f"{NAME}.size_mb=32", cwd=tmp_path)
    rtlab_of(copy, "report", cwd=tmp_path)

    (campaign,) = (tmp_path / "campaigns").glob("2*")
    with (campaign / "derived" / "observations.csv").open() as file:
        values = [float(row["value"]) for row in csv.DictReader(file) if row["experiment"] == NAME]
    assert len(values) == 8, "4 blocks of 2 runtimes"
    assert all(0.2 < value < 0.8 for value in values), "about twice 0.2 s, for twice the size"
    page = (campaign / "report" / "index.html").read_text()
    assert "Written and synced file" in page and "written and synced" in page


def test_a_campaign_that_names_no_experiment_does_not_run_it(copy: Path, tmp_path: Path) -> None:
    rtlab_of(copy, "up", "--provider", "simulated", cwd=tmp_path)
    plan = json.loads(rtlab_of(copy, "plan", "--runs", "1", "--json", cwd=tmp_path))
    assert {trial["experiment"] for trial in plan["trials"]} == {"boot", "io", "cpu", "memory", "network"}


def test_a_wrong_setting_is_refused_with_its_limits(copy: Path, tmp_path: Path) -> None:
    rtlab_of(copy, "up", "--provider", "simulated", cwd=tmp_path)
    done = run(copy, "-m", "rtlab", "bench", "--experiments", NAME, "--set", f"{NAME}.size_mb=0", cwd=tmp_path)
    assert done.returncode == 2
    assert "size_mb = 0: must be a whole number from 1 to 65536" in " ".join(done.stderr.split())
    assert f"[experiments.{NAME}]" in rtlab_of(copy, "init", "--stdout", cwd=tmp_path)


def test_it_keeps_the_contract(copy: Path, tmp_path: Path) -> None:
    """The same tests as for rtlab's own, with the copy's package."""
    shutil.copytree(ROOT / "tests", copy / "tests", ignore=shutil.ignore_patterns("__pycache__", "data", "vm", "local"))
    shutil.copy(ROOT / "pyproject.toml", copy / "pyproject.toml")
    chosen = ["tests/test_contract.py", "tests/test_architecture.py", "tests/test_names.py"]
    done = run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", NAME + " or orders", *chosen, cwd=copy)
    assert done.returncode == 0, done.stdout[-3000:]
    (passed,) = re.findall(r"(\d+) passed", done.stdout)
    assert int(passed) >= 8, "what it says, both halves, the orders, and the imports of its four modules"


def test_its_files_are_formed_as_the_others(copy: Path) -> None:
    folder = copy / "rtlab" / "experiments" / NAME
    settings = ["--config", str(ROOT / "pyproject.toml")]
    for words in (("format", "--check"), ("check", "--no-cache")):
        done = run(copy, "-m", "ruff", words[0], *words[1:], *settings, str(folder), cwd=copy)
        assert done.returncode == 0, done.stdout + done.stderr

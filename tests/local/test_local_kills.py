"""kill -9 of `up` and of `bench` under a real private Docker, at random moments: what is left is removed or named, no
trial is lost or doubled. RTLAB_TEST_LOCAL_KILLS=50 is thorough."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rtlab.host import today
from rtlab.model import Outcome
from rtlab.store import Campaign
from tests import invariants
from tests.invariants import Before, require, rtlab

pytestmark = [pytest.mark.local, pytest.mark.timeout(7200)]
KILLS = int(os.environ.get("RTLAB_TEST_LOCAL_KILLS", "2"))
UP = ("up", "--provider", "local", "--profile", "modules", "--runtimes", "runc,gvisor")
SHORT = ("--set", "boot.starts=8", "--set", "boot.cli_starts=4")
BENCH = ("bench", "--runs", "3", "--experiments", "boot", "--seed", "5", "--reboot", "never", *SHORT)


def traces(testbed_id: str) -> list[str]:
    """Whatever of this machine carries a testbed's id: processes, mounts, namespaces, control groups, folders, links.
    Looked for without rtlab's own code."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
        except OSError:
            continue
        if testbed_id in line and "teardown" not in line:
            found.append(f"process {line[:100]}")
    found += [f"mount {m.split()[4]}" for m in Path("/proc/self/mountinfo").read_text().splitlines() if testbed_id in m]
    for root in ("/run", "/opt/rtlab", "/var/lib", "/sys/fs/cgroup"):
        depth = 4 if root == "/sys/fs/cgroup" else 2
        for folder, inner, files in os.walk(root):
            if folder.count("/") - root.count("/") >= depth:
                inner.clear()
            found += [f"path {folder}/{name}" for name in (*inner, *files) if testbed_id in name]
    links = subprocess.run(("ip", "-o", "link"), capture_output=True, text=True, check=False).stdout
    return found + [f"link {line[:60]}" for line in links.splitlines() if testbed_id in line]


def testbed_of(folder: Path) -> str:
    """The id that `up` drew, from whatever it wrote first."""
    drawn = re.compile(r"\brtlab-([0-9a-f]{8})\b|\"(?:id|testbed)\": \"([0-9a-f]{8})\"")
    files = [f for f in sorted((folder / ".rtlab").glob("*.json*")) if f.is_file() and f.stat().st_size < 1 << 20]
    found = [m for m in (drawn.search(f.read_text("utf-8", "replace")) for f in files) if m]
    return found[0][1] or found[0][2] if found else ""


def killed_after(seconds: float, folder: Path, *words: str) -> bool:
    process = subprocess.Popen(
        [sys.executable, "-m", "rtlab", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(invariants.ROOT)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        process.wait(seconds)
        return False
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        return process.wait() == -signal.SIGKILL


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> float:
    """How long `up` takes once the engine is compiled, which the first one sees to."""
    if why := today.refusal():
        pytest.skip(f"no builds can be had: {why}")
    folder = tmp_path_factory.mktemp("built")
    try:
        first = rtlab(folder, *UP)
        assert first.returncode == 0, first.stderr
        assert rtlab(folder, "teardown", "--yes").returncode == 0
        began = time.monotonic()
        assert rtlab(folder, *UP).returncode == 0
        return time.monotonic() - began
    finally:
        rtlab(folder, "teardown", "--yes")


def test_after_a_killed_up_teardown_leaves_nothing_or_names_it(tmp_path: Path, built: float) -> None:
    rng = random.Random(7)
    kills, left_something = 0, 0
    for number in range(KILLS):
        folder = tmp_path / str(number)
        folder.mkdir()
        before = Before.of(folder)
        kills += killed_after(rng.uniform(0.5, built), folder, *UP)
        name = testbed_of(folder)
        left_something += bool(name and traces(name))
        first = rtlab(folder, "teardown", "--yes")
        require(before, [first], [0, 5], torn_down=True)
        if name and first.returncode == 0:
            for _ in range(50):  # a process that was killed is gone when the kernel has reaped it
                if not (still := traces(name)):
                    break
                time.sleep(0.1)
            assert still == []
        shutil.rmtree(folder)
    assert kills and left_something, "kills at which nothing was there test nothing"
    print(f"{kills} kills of up, {left_something} with something to remove")


def test_a_real_campaign_loses_and_doubles_nothing_by_kills_of_its_controller(tmp_path: Path, built: float) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    assert rtlab(folder, *UP).returncode == 0
    name = testbed_of(folder)
    try:
        rng = random.Random(8)
        kills = 0
        before = Before.of(folder)
        for _ in range(KILLS):
            if not killed_after(rng.uniform(1, 12), folder, *BENCH):
                break
            kills += 1
            now = Before.of(folder)
            assert now.trials.items() >= before.trials.items(), "a stored trial was lost"
            before = now
        done = rtlab(folder, *BENCH)
        assert done.returncode == 0, done.stderr
        (campaign,) = (folder / "campaigns").glob("2*")
        opened = Campaign(campaign)
        ok = [r.trial.number for r in opened.records() if r.outcome is Outcome.OK]
        assert len(ok) == len(set(ok)) and kills
        bed = json.loads((folder / ".rtlab" / "testbed.json").read_text())
        machine = bed["machines"][0]
        asked = subprocess.run(
            (machine["engine"]["cli"], "--host", f"unix://{machine['engine']['socket']}", "ps", "--all", "--quiet"),
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert asked.stdout.split() == [], "containers are left"
        require(before, [done], [0])
        print(f"{kills} kills of bench, {len(ok)} trials")
    finally:
        down = rtlab(folder, "teardown", "--yes")
    assert down.returncode == 0, down.stderr
    assert traces(name) == []

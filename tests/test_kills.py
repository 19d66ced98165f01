"""kill -9 at every step of making a campaign and at many of making an archive: a process that really ends, by SIGKILL,
before its n-th change of the file system. What stays is never taken for a campaign, and the next command removes it."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from rtlab import scratch, store
from rtlab.campaign import choosing
from rtlab.cli import main as command_line
from rtlab.errors import StoreError
from rtlab.publish import pack
from rtlab.store import Campaign
from tests import invariants
from tests.conftest import make_spec, make_testbed, make_trial

CHANGES = ("open", "os.mkdir", "os.rename", "os.link", "os.remove", "os.rmdir", "shutil.rmtree")
KEPT = Path(__file__).parent / "data" / "emulated-debian-12"


def killed_at(step: int, below: Path, act: Callable[[], object]) -> bool:
    """Run ``act`` in a process of its own, which kills itself before its ``step``-th change below a folder.

    Returns whether it was killed; False: it came to its end before.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # from Python 3.12 on: other threads; none is needed here
        child = os.fork()
    if child == 0:
        try:
            left = step

            def hook(event: str, arguments: tuple[object, ...]) -> None:
                nonlocal left
                if event in CHANGES and str(arguments[0]).startswith(str(below)):
                    left -= 1
                    if left == 0:
                        os.kill(os.getpid(), signal.SIGKILL)

            sys.addaudithook(hook)
            act()
            os._exit(0)
        finally:
            os._exit(7)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0, f"step {step} failed otherwise"
    return os.WIFSIGNALED(status)


def hidden(folder: Path) -> list[str]:
    return [p.name for p in folder.iterdir() if p.name.startswith(".")]


def test_a_campaign_that_was_killed_in_the_making_is_none(tmp_path: Path) -> None:
    spec, testbed = make_spec(), make_testbed()
    killed, left_over = 0, 0
    for step in range(1, 200):
        parent = tmp_path / str(step) / "campaigns"
        parent.mkdir(parents=True)
        if not killed_at(step, parent, partial(store.create, parent, spec, testbed, [make_trial()])):
            break
        killed += 1
        left_over += len(hidden(parent)) > 0
        known = store.known(parent)
        if known:  # it had its name already: then it is whole
            assert known[0].plan and known[0].spec == spec and known[0].testbed.id == testbed.id
        else:
            with pytest.raises(StoreError, match="There is no campaign"):
                store.find(parent, "last")
            for name in hidden(parent):
                with pytest.raises(StoreError, match="what a kill left"):
                    choosing.choose_campaign(parent, spec, testbed, resume=str(parent / name))
        chosen, resumed = choosing.choose_campaign(parent, spec, testbed)
        assert resumed == bool(known) and not chosen.folder.name.startswith(".")
        chosen.sweep()
        assert [p.name for p in parent.iterdir()] == [chosen.folder.name], "the leftover is gone, nothing else is there"
    assert killed > 12 and left_over > 9, "steps in which nothing is left test nothing"


def test_a_leftover_with_everything_in_it_does_not_disturb_the_command_line(tmp_path: Path) -> None:
    """As it was found: a whole campaign under its hidden name, by an earlier rtlab without plan and by this one."""
    parent = tmp_path / "campaigns"
    whole = store.create(parent, make_spec(), make_testbed(), [make_trial()]).folder
    whole.rename(parent / ".20990101T000000Z-zzz.0123abcd.tmp")
    old = parent / ".20990101T000001Z-zzz.tmp"
    old.mkdir()
    (old / "campaign.json").write_bytes((parent / ".20990101T000000Z-zzz.0123abcd.tmp" / "campaign.json").read_bytes())
    for words in (("up", "--provider", "simulated"), ("status",), ("bench", "--runs", "2"), ("report",), ("verify",)):
        done = subprocess.run(
            [sys.executable, "-m", "rtlab", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=99,
        )
        assert done.returncode == 0, f"{words}: {done.stderr}"
        assert ".tmp" not in done.stdout + done.stderr
    assert hidden(parent) == []


def test_what_a_living_process_fills_is_not_swept_nor_what_only_looks_like_it(tmp_path: Path) -> None:
    with scratch.folder(tmp_path, "20260101T000000Z-x", ".tmp") as living:
        others = [tmp_path / ".git.tmp", tmp_path / ".20260101T000000Z-x.tmp.old", tmp_path / "20260101T000000Z-x"]
        for other in others:
            other.mkdir()
        outside = tmp_path / "outside"
        (outside / "inner").mkdir(parents=True)
        (tmp_path / ".20260101T000000Z-link.tmp").symlink_to(outside)
        (tmp_path / ".20260101T000000Z-dead.0123abcd.tmp").mkdir()
        scratch.sweep(tmp_path, store.LEFTOVER)  # another open file of this process conflicts as another process's does
        assert living.is_dir() and all(o.is_dir() for o in others) and (outside / "inner").is_dir()
        assert not (tmp_path / ".20260101T000000Z-dead.0123abcd.tmp").exists()
    assert not living.exists()


def test_two_campaigns_of_one_second_are_two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:  # as if the other one came between look and rename
        patched.setattr(Path, "exists", lambda _: False)
        made = {store.create(tmp_path, make_spec(), make_testbed(), [make_trial()]).folder for _ in range(3)}
    assert len(made) == 3 == len(store.known(tmp_path))


def test_a_killed_pack_leaves_nothing_that_the_next_does_not_remove(tmp_path: Path) -> None:
    def packs() -> None:
        pack.pack(Campaign(KEPT), tmp_path / "x.zip")

    killed = 0
    for step in (1, 2, 3, 10, 60, 150):
        killed += killed_at(step, tmp_path, packs)
        assert not (tmp_path / "x.zip").exists(), "half an archive under its final name"
        assert len(hidden(tmp_path)) <= 1, "what the one before left is gone"
    assert killed == 6
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "rtlab", "pack", str(KEPT), "--output", "x.zip"],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(temporary)},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["tmp", "x.zip"] and list(temporary.iterdir()) == []


# --------------------------------------------------------------------------- at random moments

# Attempts, or with RTLAB_TEST_KILLS=100 that many real kills, of each command: a command may end before its moment, of
# few attempts all of them.
THOROUGH = "RTLAB_TEST_KILLS" in os.environ
KILLS = int(os.environ.get("RTLAB_TEST_KILLS", "4"))
ATTEMPTS = KILLS * (8 if THOROUGH else 1)


def enough(kills: int, *, at_the_end: bool = False) -> bool:
    return kills >= THOROUGH * KILLS if at_the_end else THOROUGH and kills >= KILLS


def killed_after(seconds: float, folder: Path, *words: str) -> bool:
    """Run a command in a process of its own and SIGKILL it that long after its work began; whether it was killed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            os.chdir(folder)
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            sys.argv = ["rtlab", *words]
            command_line()
        except SystemExit as ended:
            os._exit(ended.code if isinstance(ended.code, int) else 0)
        finally:
            os._exit(7)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if (done := os.waitpid(child, os.WNOHANG))[0]:
            assert os.waitstatus_to_exitcode(done[1]) == 0
            return False
        time.sleep(0.0005)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def duration(folder: Path, *words: str) -> float:
    """Of the undisturbed command, in a process like the killed ones."""
    began = time.monotonic()
    assert not killed_after(200, folder, *words)
    return time.monotonic() - began


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("measured")
    for words in (("up", "--provider", "simulated"), ("bench", "--runs", "2", "--seed", "3", "--experiments", "boot")):
        assert invariants.rtlab(folder, *words).returncode == 0
    return folder


def visible(folder: Path) -> dict[str, str]:
    """Files under their final names, by digest."""
    found = invariants.digests(folder, "**/*")
    return {n: d for n, d in found.items() if not any(part.startswith(".") for part in Path(n).parts)}


def half_written(folder: Path) -> list[str]:
    """Files under their hidden names: what ``rtlab.atomic`` had not yet put in its place."""
    return sorted(str(p.relative_to(folder)) for p in folder.rglob(".*.tmp"))


def moments(folder: Path, *words: str) -> Iterator[float]:
    rng = random.Random(len(words[0]))
    longest = duration(folder, *words)
    return (rng.uniform(0, longest) for _ in range(ATTEMPTS))


def test_a_report_that_was_killed_is_made_whole_by_the_next(measured: Path, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    shutil.copytree(measured, folder)
    (campaign,) = (folder / "campaigns").iterdir()
    before = invariants.Before.of(folder)
    times = list(moments(folder, "report"))
    whole = visible(campaign)
    kills = 0
    for at in times:
        for made in ("report", "derived"):
            shutil.rmtree(campaign / made, ignore_errors=True)
        kills += killed_after(at, folder, "report")
        found = visible(campaign)
        assert found.items() <= whole.items(), "torn, or half under its final name"
        if enough(kills):
            break
    done = invariants.rtlab(folder, "report")
    assert enough(kills, at_the_end=True)
    assert visible(campaign) == whole and half_written(campaign) == [], "what a killed report left is swept"
    invariants.require(before, [done], [0], torn_down=True)
    print(f"report: {kills} kills")


def test_a_pack_that_was_killed_leaves_no_half_archive(measured: Path, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    shutil.copytree(measured, folder)
    before = invariants.Before.of(folder)
    times = list(moments(folder, "pack", "--output", "x.zip"))
    whole = (folder / "x.zip").read_bytes()
    kills = 0
    for at in times:
        (folder / "x.zip").unlink(missing_ok=True)
        kills += killed_after(at, folder, "pack", "--output", "x.zip")
        if (folder / "x.zip").exists():
            assert (folder / "x.zip").read_bytes() == whole
        assert len([n for n in hidden(folder) if n.startswith(".x.zip.")]) <= 1, "what the one before left is gone"
        if enough(kills):
            break
    (folder / "x.zip").unlink(missing_ok=True)
    done = invariants.rtlab(folder, "pack", "--output", "x.zip")
    assert enough(kills, at_the_end=True) and (folder / "x.zip").read_bytes() == whole
    assert hidden(folder) == [".rtlab"]
    invariants.require(before, [done], [0])
    print(f"pack: {kills} kills")


def test_an_export_that_was_killed_leaves_the_old_file_or_the_new_one(measured: Path, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    shutil.copytree(measured, folder)
    before = invariants.Before.of(folder)
    words = ("export", "bencher", "--output", "x.json")
    times = list(moments(folder, *words))
    whole = (folder / "x.json").read_bytes()
    kills = 0
    for at in times:
        (folder / "x.json").write_text("old")
        kills += killed_after(at, folder, *words)
        assert (folder / "x.json").read_bytes() in (b"old", whole)
        if enough(kills):
            break
    done = invariants.rtlab(folder, *words)
    assert enough(kills, at_the_end=True) and (folder / "x.json").read_bytes() == whole
    assert half_written(folder) == [], "what a killed export left is swept"
    invariants.require(before, [done], [0])
    print(f"export: {kills} kills")


def test_a_teardown_that_was_killed_is_finished_by_the_next(measured: Path, tmp_path: Path) -> None:
    first = tmp_path / "first"
    shutil.copytree(measured, first)
    # Its work is short beside the command's imports: begin where the testbed's files go.
    longest = duration(first, "teardown", "--yes")
    rng = random.Random(9)
    kills = 0
    for number in range(ATTEMPTS):
        folder = tmp_path / str(number) / "work"
        shutil.copytree(measured, folder)
        before = invariants.Before.of(folder)
        kills += killed_after(rng.uniform(0, longest), folder, "teardown", "--yes")
        done = invariants.rtlab(folder, "teardown", "--yes")
        if number % 10 == 0:
            invariants.require(before, [done], [0], torn_down=True)
        assert done.returncode == 0, done.stderr
        assert not (folder / ".rtlab" / "testbed.json").exists() and not (folder / ".rtlab" / "simulated").exists()
        assert invariants.digests(folder, "campaigns/**/*") == invariants.digests(measured, "campaigns/**/*")
        if enough(kills):
            break
    assert enough(kills, at_the_end=True)
    print(f"teardown: {kills} kills")

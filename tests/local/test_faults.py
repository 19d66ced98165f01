"""Faults of disks and connections, for real: file systems in a mount namespace of their own, an sshd on loopback."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rtlab.artifacts.profile import load as load_profile
from rtlab.campaign import choosing, session
from rtlab.config import TestbedSettings
from rtlab.errors import MachineUnreachable
from rtlab.model import Outcome, Testbed, ignore_events
from rtlab.providers.static.provider import PROVIDER
from rtlab.state import StateFolder
from rtlab.store import Campaign
from tests.local.test_ssh import Sshd, cut, inventory
from tests.test_bench import parameters, spec_for

pytestmark = pytest.mark.local
ROOT = Path(__file__).parent.parent.parent

# --------------------------------------------------------------------------- disks


class Disk:
    """A small tmpfs in a mount namespace of its own, entered by every command; it vanishes with its holder."""

    def __init__(self, at: Path, options: str) -> None:
        self.at = at
        self.holder = subprocess.Popen(
            [
                "unshare",
                "-m",
                "--",
                "sh",
                "-c",
                f'mount -t tmpfs -o {options} tmpfs "$0" && echo up && exec sleep 300',
                at,
            ],
            stdout=subprocess.PIPE,
        )
        assert self.holder.stdout is not None
        assert self.holder.stdout.readline() == b"up\n"

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        inside = [
            "nsenter",
            "-m",
            f"-t{self.holder.pid}",
            "--",
            "sh",
            "-c",
            'cd "$0" && exec "$@"',
            str(self.at),
            *argv,
        ]
        env = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(inside, capture_output=True, text=True, check=False, timeout=120, env=env)

    def rtlab(self, *words: str) -> subprocess.CompletedProcess[str]:
        return self.run(sys.executable, "-m", "rtlab", *words)

    def remount(self, options: str) -> None:
        done = self.run("mount", "-o", f"remount,{options}", str(self.at))
        assert done.returncode == 0, done.stderr

    def trials(self) -> dict[str, str]:
        """Every stored file of a trial with its digest."""
        root = Path(f"/proc/{self.holder.pid}/root{self.at}")
        return {
            str(p.relative_to(root)): hashlib.sha256(p.read_bytes()).hexdigest()
            for p in root.glob("campaigns/2*/trials/0*/*")
        }

    def close(self) -> None:
        self.holder.kill()
        self.holder.communicate()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(tmp_path, "size=256m")
    assert made.rtlab("up", "--provider", "simulated").returncode == 0
    yield made
    made.close()


BENCH = ("bench", "--runs", "40", "--experiments", "boot")


def finish(disk: Disk, before: dict[str, str]) -> None:
    """The same command goes on to the end, and what was stored is as it was."""
    done = disk.rtlab(*BENCH, "--json")
    assert done.returncode == 0, done.stderr
    assert "Resuming" in done.stderr
    assert json.loads(done.stdout)["trials"] == 80
    after = disk.trials()
    assert {name: after[name] for name in before} == before
    assert disk.rtlab("verify").returncode == 0


def test_a_disk_that_fills_up_stops_the_campaign_before_the_next_trial(disk: Disk) -> None:
    used = int(disk.run("du", "-sk", ".").stdout.split()[0])
    disk.remount(f"size={65536 + used + 600}k")
    full = disk.rtlab(*BENCH)

    assert full.returncode == 1
    assert "MiB are needed before the next trial may start" in full.stderr
    assert "goes on where it stopped" in full.stderr
    assert "Traceback" not in full.stderr
    before = disk.trials()
    assert before
    disk.remount("size=256m")
    finish(disk, before)


def test_a_disk_that_is_full_in_the_middle_of_a_write_keeps_every_whole_trial(disk: Disk) -> None:
    """No inodes are left although bytes are: the check before the trial does not see it, the write does."""
    used = int(disk.run("df", "--output=iused", ".").stdout.split()[-1])
    disk.remount(f"nr_inodes={used + 150}")
    full = disk.rtlab(*BENCH)

    assert full.returncode == 1
    assert "No space left on device" in full.stderr
    assert "Free some space there and run the same command again" in full.stderr
    assert "Traceback" not in full.stderr
    before = disk.trials()
    assert before
    assert not any(".tmp/" in name for name in before)
    assert disk.rtlab("report").returncode in (0, 1)
    disk.remount("nr_inodes=20000")
    finish(disk, before)


def test_a_completely_full_disk_is_said_in_one_sentence(disk: Disk) -> None:
    disk.run("sh", "-c", "head -c 300M /dev/zero > fill 2>/dev/null")
    full = disk.rtlab(*BENCH)
    assert full.returncode == 1
    assert "0 B free" in full.stderr
    assert "Traceback" not in full.stderr
    assert disk.rtlab("status").returncode == 0
    disk.run("rm", "fill")
    assert disk.rtlab(*BENCH).returncode == 0


def test_a_read_only_disk_is_said_in_one_sentence(disk: Disk) -> None:
    assert disk.rtlab(*BENCH).returncode == 0
    disk.remount("ro")
    for command in (BENCH, ("up", "--provider", "simulated"), ("teardown", "--yes")):
        done = disk.rtlab(*command)
        assert done.returncode == 1, done.stderr
        assert "Read-only file system" in done.stderr
        assert "remount it writable" in done.stderr
        assert "Traceback" not in done.stderr
    assert disk.rtlab("status").returncode == 0
    assert disk.rtlab("verify").returncode == 0


# --------------------------------------------------------------------------- connections

# Stands for the probe on a machine that has no Docker: answers like a simulated machine, but a trial takes a while.
STAND_IN = """\
    #!{python}
    import json, pathlib, sys, time
    sys.path.insert(0, {root!r})
    from rtlab.providers.simulated import simulation
    from rtlab.providers.simulated.provider import read_scenario, scenario_text
    request = json.load(sys.stdin)
    if request["verb"] == "trial":
        pathlib.Path({folder!r}, "trial-begun").write_text(request["labels"]["rtlab.trial"])
        time.sleep(0.5)
    boot_id = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    scenario = read_scenario(*scenario_text("no-difference"))
    json.dump(simulation.answer(scenario, request, machine="node1", boot_id=boot_id), sys.stdout)
"""


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    server = Sshd(tmp_path)
    yield server
    server.stop()


@pytest.fixture
def bed(sshd: Sshd, tmp_path: Path) -> Testbed:
    program = tmp_path / "stand-in"
    program.write_text(textwrap.dedent(STAND_IN).format(python=sys.executable, root=str(ROOT), folder=str(tmp_path)))
    program.chmod(0o755)
    hosts = inventory(sshd)
    extra = f" ansible_python_interpreter={program} rtlab_home={tmp_path}/home\n"
    hosts.write_text(hosts.read_text().rstrip() + extra)
    settings = TestbedSettings(provider="static", inventory=str(hosts))
    found = PROVIDER.up(
        settings, load_profile("debian-12"), "0123abcd", StateFolder(tmp_path / ".rtlab"), ignore_events
    )
    shutil.rmtree(tmp_path / "trial-begun", ignore_errors=True)
    return found


def campaign(bed: Testbed, folder: Path) -> Campaign:
    spec = spec_for(runs=2, reboot="never", runtimes=("runc", "gvisor"), parameters=parameters("boot"))
    return choosing.choose_campaign(folder / "campaigns", spec, bed)[0]


def carry_out(bed: Testbed, found: Campaign, folder: Path, events: list[Any] | None = None) -> session.Progressed:
    notify = ignore_events if events is None else events.append
    return session.Session(found, bed, PROVIDER.open(bed, StateFolder(folder / ".rtlab")), notify).execute()


def when_a_trial_began(folder: Path, do: Any) -> threading.Thread:
    def wait() -> None:
        for _ in range(6000):
            if (folder / "trial-begun").exists():
                do()
                return
            time.sleep(0.01)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


needs_sshd = pytest.mark.skipif(
    shutil.which("sshd", path="/usr/sbin:/usr/bin") is None, reason="openssh-server is missing"
)


@needs_sshd
def test_a_connection_dropped_in_a_trial_costs_that_trial(sshd: Sshd, bed: Testbed, tmp_path: Path) -> None:
    found = campaign(bed, tmp_path)
    cutter = when_a_trial_began(tmp_path, lambda: cut(sshd.sessions()))
    done = carry_out(bed, found, tmp_path)
    cutter.join()

    records = found.records()
    assert records[0].outcome is Outcome.FAILED
    assert "lost" in records[0].reason
    assert all(r.outcome is Outcome.OK for r in records[1:])
    assert (done.not_ok, done.repeated_blocks, done.short_of_blocks) == (1, 1, 0)


@needs_sshd
def test_a_machine_that_went_away_in_a_trial_is_named_and_bench_goes_on_when_it_is_back(
    sshd: Sshd, bed: Testbed, tmp_path: Path
) -> None:
    found = campaign(bed, tmp_path)

    def away() -> None:
        sessions = sshd.sessions()
        sshd.stop()
        cut(sessions)

    cutter = when_a_trial_began(tmp_path, away)
    with pytest.raises(MachineUnreachable, match=r"Trial 1 .* stored as failed: Cannot reach node1") as caught:
        carry_out(bed, found, tmp_path)
    cutter.join()
    assert "`rtlab bench` goes on" in caught.value.remedy
    first = found.records()

    sshd.start()
    done = carry_out(bed, found, tmp_path)
    assert found.records()[:1] == first
    assert (done.not_ok, done.repeated_blocks, done.short_of_blocks) == (1, 1, 0)


@needs_sshd
def test_a_host_key_that_changed_stops_everything(sshd: Sshd, bed: Testbed, tmp_path: Path) -> None:
    found = campaign(bed, tmp_path)
    sshd.remember("other")
    with pytest.raises(MachineUnreachable, match=r"host key of node1 .* changed"):
        carry_out(bed, found, tmp_path)
    assert found.records() == ()

    sshd.remember("host")

    def another_machine() -> None:
        sshd.remember("other")
        cut(sshd.sessions())

    cutter = when_a_trial_began(tmp_path, another_machine)
    with pytest.raises(MachineUnreachable, match=r"host key of node1 .* changed"):
        carry_out(bed, found, tmp_path)
    cutter.join()
    assert len(found.records()) == 1

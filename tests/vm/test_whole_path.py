"""The whole path on emulated machines, as a user runs it: box, up, keep, up again, bench, report, teardown.

One machine is provisioned, its roles are applied once more (the idempotence test), and it is kept as a box; two
machines come from that box; then the five experiments under runC and gVisor with one reboot per block and arm; then the
report; then teardown, after which nothing may be there that was not there before.

`-m "vm and slow"` puts today's engine beside a machine's own, as the static provider does by default, and lets machines
die in the middle of a trial.
RTLAB_VM_BLOCKS=2 runs two blocks, each arm on each machine: some ten minutes more, which CI has not got.
RTLAB_VM_KEEP_CAMPAIGN=FOLDER keeps the campaign (it is where tests/data/emulated-debian-12 came from).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = [
    pytest.mark.vm,
    pytest.mark.skipif(shutil.which("vagrant") is None, reason="Vagrant is missing: rtlab doctor --fix"),
]

RTLAB = (sys.executable, "-m", "rtlab")
UP = (
    "up",
    *("--provider", "libvirt", "--accel", "tcg", "--profile", "debian-12", "--runtimes", "runc,gvisor"),
    *("--cpus", "2", "--memory-mb", "2048"),
)
# What a machine has that an engine of rtlab's beside its own must not change.
LOOK = (
    "systemctl list-units --type service --all --plain --no-legend 'docker*' 'containerd*' 'rtlab-*' | cut -d' ' -f1; "
    "docker info --format '{{.ID}} {{.ServerVersion}} {{json .Runtimes}}'; docker ps -aq; docker images -q; "
    "ip -brief link | cut -c1-40; iptables-save | grep -v '^#' | cut -d'[' -f1; "
    "ls /run/netns /opt /etc/docker 2>/dev/null; "
    "cat /etc/docker/daemon.json; mount | cut -d' ' -f1-3 | sort; "
    "ls -d /run/rtlab-* /sys/fs/cgroup/rtlab-* 2>/dev/null; true"
)
BLOCKS = int(os.environ.get("RTLAB_VM_BLOCKS", "1"))
# Reduced, and labelled so in the report: emulated figures mean nothing anyway, what counts is that all of it runs.
REDUCED = (
    *("--set", "boot.starts=2", "--set", "io.size_mb=128", "--set", "cpu.window_s=5", "--set", "memory.window_s=5"),
    *("--set", "network.window_s=5", "--set", "memory.containers=[1,2]", "--set", "cpu.work_mb=16"),
    *("--set", "cpu.compute_units=1", "--set", "network.requests=40", "--set", "network.big_bytes=8388608"),
)


def rtlab(*words: str, cwd: Path, timeout_s: float, status: int = 0) -> str:
    """Run one command; its stdout. Prints how long it took: CI shows the time of each stage."""
    began = time.monotonic()
    done = subprocess.run([*RTLAB, *words], cwd=cwd, capture_output=True, text=True, timeout=timeout_s, check=False)
    print(done.stderr, file=sys.stderr)
    print(f"--- rtlab {' '.join(words[:3])}: {time.monotonic() - began:.0f} s, status {done.returncode}", flush=True)
    assert done.returncode == status, f"{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def inventory() -> dict[str, frozenset[str]]:
    """What exists on this machine that a testbed could leave behind."""

    def lines(*argv: str) -> frozenset[str]:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        return frozenset(line.strip() for line in done.stdout.splitlines() if line.strip())

    processes = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name = (folder / "comm").read_text().strip()
            if not (folder / "cmdline").read_bytes():
                continue  # ended, and waiting for a container's init that reaps nothing
        except OSError:
            continue
        if name.startswith(("qemu", "libvirtd", "virtlogd", "dnsmasq", "vagrant", "dockerd", "containerd")):
            processes.add(f"{name} {folder.name}")
    mounts = {line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()}
    return {
        "processes": frozenset(processes),
        "mounts": frozenset(mounts),
        "links": frozenset(p.name for p in Path("/sys/class/net").iterdir()),
        "namespaces": frozenset(p.name for p in Path("/run/netns").glob("*")),
        "loop devices": lines("losetup", "--list", "--noheadings", "--output", "BACK-FILE"),
        "domains": frozenset(p.name for p in Path("/etc/libvirt/qemu").glob("*.xml")),
        "networks": frozenset(p.name for p in Path("/etc/libvirt/qemu/networks").glob("*.xml")),
        "volumes": frozenset(p.name for p in Path("/var/lib/libvirt/images").glob("*")),
        "pools": frozenset(p.name for p in Path("/etc/libvirt/storage").glob("*.xml")),
        "iptables": lines("iptables-save"),
    }


def without_counters(found: dict[str, frozenset[str]]) -> dict[str, frozenset[str]]:
    rules = frozenset(line.split(" [")[0] for line in found["iptables"] if not line.startswith("#"))
    return {**found, "iptables": rules}


@pytest.fixture(scope="module")
def before() -> dict[str, frozenset[str]]:
    return without_counters(inventory())


@pytest.fixture(scope="module")
def first_folder(tmp_path_factory: pytest.TempPathFactory, before: dict[str, Any]) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("first")
    yield folder
    subprocess.run([*RTLAB, "teardown"], cwd=folder, timeout=600, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, before: dict[str, Any]) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("second")
    yield folder
    subprocess.run([*RTLAB, "teardown"], cwd=folder, timeout=600, check=False)


@pytest.fixture(scope="module")
def first(first_folder: Path) -> Path:
    """One machine, provisioned from the plain box; its folder."""
    up = json.loads(rtlab(*UP, "--machines", "1", "--json", cwd=first_folder, timeout_s=2400))
    assert up["provisioned"] == ["node1"]
    assert up["changed"]["node1"] > 10
    return first_folder


@pytest.fixture(scope="module")
def kept_box(first: Path, first_folder: Path) -> Path:
    """The first machine, kept as a box, and removed."""
    box = json.loads(rtlab("box", "keep", "node1", "--json", cwd=first_folder, timeout_s=900))
    assert box["provisioned"] is True
    rtlab("teardown", cwd=first_folder, timeout_s=600)
    return Path(box["path"])


@pytest.fixture(scope="module")
def testbed(kept_box: Path, folder: Path) -> dict[str, Any]:
    """Two machines from the kept box: ready without roles."""
    up = json.loads(rtlab(*UP, "--box", str(kept_box), "--json", cwd=folder, timeout_s=1800))
    assert up["provisioned"] == []
    found: dict[str, Any] = up["testbed"]
    return found


@pytest.fixture(scope="module")
def campaign(testbed: dict[str, Any], folder: Path) -> Path:
    words = ("bench", "--runs", str(BLOCKS), *REDUCED, "--json")
    done = json.loads(rtlab(*words, cwd=folder, timeout_s=3600))
    kept = os.environ.get("RTLAB_VM_KEEP_CAMPAIGN")
    if kept:
        shutil.copytree(done["campaign"], kept, dirs_exist_ok=True)
    return Path(done["campaign"])


def test_applying_the_roles_again_changes_nothing(first: Path) -> None:
    up = json.loads(rtlab(*UP, "--machines", "1", "--provision", "--json", cwd=first, timeout_s=2400))
    assert up["changed"] == {"node1": 0}


def test_two_machines_are_up_with_known_and_different_host_keys(testbed: dict[str, Any], folder: Path) -> None:
    assert [m["level"] for m in testbed["machines"]] == ["emulated", "emulated"]
    assert [m["runtimes"] for m in testbed["machines"]] == [["runc", "gvisor"]] * 2
    ids = {
        rtlab("ssh", m["name"], "--", "cat", "/etc/machine-id", cwd=folder, timeout_s=120) for m in testbed["machines"]
    }
    keys = {
        rtlab("ssh", m["name"], "--", "cat", "/etc/ssh/ssh_host_ed25519_key.pub", cwd=folder, timeout_s=120)
        for m in testbed["machines"]
    }
    assert len(ids) == 2
    assert len(keys) == 2


def test_a_second_up_does_nothing(testbed: dict[str, Any], folder: Path) -> None:
    up = json.loads(rtlab(*UP, "--json", cwd=folder, timeout_s=600))
    assert up["provisioned"] == []
    assert up["testbed"]["id"] == testbed["id"]


def test_every_trial_is_stored_proved_and_rebooted_by_block_and_arm(campaign: Path) -> None:
    records = [json.loads(f.read_text()) for f in sorted(campaign.glob("trials/*/record.json"))]
    usable = [r for r in records if r["outcome"] == "ok"]
    planned = len((campaign / "plan.jsonl").read_text().splitlines())

    assert len(records) == planned >= 10 * BLOCKS
    assert {(r["trial"]["experiment"], r["trial"]["runtime"]) for r in usable} == {
        (experiment, runtime)
        for experiment in ("boot", "io", "cpu", "memory", "network")
        for runtime in ("runc", "gvisor")
    }
    boots = {(r["trial"]["machine"], r["trial"]["boot"], r["boot_id"]) for r in records}
    assert len({boot for _, boot, _ in boots}) == len({boot_id for _, _, boot_id in boots}) >= 2 * BLOCKS
    assert sum(r["rebooted"] for r in records) == len({boot for _, boot, _ in boots})


def test_the_report_says_emulated_first_and_has_the_five_tables(campaign: Path, folder: Path) -> None:
    shown = rtlab("report", "--format", "markdown", cwd=folder, timeout_s=120)

    assert "emulated" in shown[:1500]
    for title in ("Table I", "Table II", "Table III", "Table IV", "Table V"):
        assert title in shown
    assert "0.633" in shown  # the paper's value stands beside
    page = (campaign / "report" / "index.html").read_text()
    assert "no figure" in page[:8000].lower()


def test_raw_files_are_unchanged_and_no_mirror_is_named(campaign: Path, folder: Path) -> None:
    rtlab("verify", cwd=folder, timeout_s=60)
    sources = (p for p in (Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")) if p.is_file())
    mirrors = {
        word.split("/")[2] for p in sources for word in p.read_text(errors="replace").split() if word.startswith("http")
    }
    for file in campaign.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert not [m for m in mirrors if m.encode() in content], file


def test_status_tells_the_truth_quickly(campaign: Path, folder: Path) -> None:
    began = time.monotonic()
    shown = json.loads(rtlab("status", "--json", cwd=folder, timeout_s=60))

    assert [m["state"] for m in shown["machines"]] == ["running", "running"]
    assert shown["campaign"]["pending"] == 0
    assert time.monotonic() - began < 20


def test_the_same_machines_by_an_inventory_are_measured_and_left_alone(
    testbed: dict[str, Any], campaign: Path, tmp_path: Path
) -> None:
    """The static provider: nothing is installed, nothing rebooted, and it is seen that they are emulated."""
    lines = [
        f"{m['name']} ansible_host={m['address']} ansible_user={m['user']} ansible_ssh_private_key_file={m['key_file']}"
        f" rtlab_known_hosts={m['known_hosts_file']}"
        for m in testbed["machines"]
    ]
    (tmp_path / "inventory").write_text("\n".join(lines) + "\n")
    words = ("--provider", "static", "--inventory", "inventory", "--profile", "debian-12", "--runtimes", "runc,gvisor")
    up = json.loads(rtlab("up", *words, "--json", cwd=tmp_path, timeout_s=1800))
    assert [m["level"] for m in up["testbed"]["machines"]] == ["emulated", "emulated"]
    reduced = ("--experiments", "boot", "--set", "boot.starts=2", "--set", "boot.cli_starts=1")
    done = json.loads(rtlab("bench", "--runs", "1", *reduced, "--json", cwd=tmp_path, timeout_s=1200))
    records = [json.loads(f.read_text()) for f in sorted(Path(done["campaign"]).glob("trials/*/record.json"))]
    assert [(r["outcome"], r["rebooted"]) for r in records] == [("ok", False)] * 2
    rtlab("teardown", cwd=tmp_path, timeout_s=120)
    still = rtlab("ssh", testbed["machines"][0]["name"], "--", "true", cwd=campaign.parents[1], timeout_s=120)
    assert still == ""


@pytest.mark.slow
def test_todays_engine_runs_beside_the_machines_own_and_leaves_it_alone(
    testbed: dict[str, Any], campaign: Path, tmp_path: Path
) -> None:
    """The static provider with builds, on a machine that has a Docker: that is the same before, meanwhile and after."""
    machine = testbed["machines"][0]
    line = " ".join(
        f"{key}={machine[value]}"
        for key, value in (
            ("ansible_host", "address"),
            ("ansible_user", "user"),
            ("ansible_ssh_private_key_file", "key_file"),
            ("rtlab_known_hosts", "known_hosts_file"),
        )
    )
    (tmp_path / "inventory").write_text(f"theirs {line}\n")

    def theirs() -> list[str]:
        words = ("ssh", machine["name"], "--", "sudo", "sh", "-c", LOOK)
        return rtlab(*words, cwd=campaign.parents[1], timeout_s=300).splitlines()

    found = theirs()
    assert any("docker0" in text for text in found)
    words = (
        "--provider",
        "static",
        "--inventory",
        "inventory",
        "--engine",
        "modules",
        "--runtimes",
        "runc,gvisor,kata",
    )
    up = json.loads(rtlab("up", *words, "--json", cwd=tmp_path, timeout_s=2400))
    assert set(up["unavailable"]) == {"kata"}
    assert [m["runtimes"] for m in up["testbed"]["machines"]] == [["runc", "gvisor"]]
    reduced = ("--experiments", "boot,network", "--set", "boot.starts=2", "--set", "boot.cli_starts=1")
    reduced += ("--set", "network.requests=20", "--set", "network.big_bytes=1048576", "--set", "network.window_s=5")
    done = json.loads(rtlab("bench", "--runs", "1", *reduced, "--json", cwd=tmp_path, timeout_s=1800))
    records = [json.loads(f.read_text()) for f in sorted(Path(done["campaign"]).glob("trials/*/record.json"))]
    assert [r["outcome"] for r in records] == ["ok"] * 4
    facts = (Path(done["campaign"]) / "facts" / "theirs").glob("*.json")
    assert any("2.0.0-beta" in file.read_text() for file in facts)
    again = json.loads(rtlab("up", *words, "--json", cwd=tmp_path, timeout_s=600))
    assert again["provisioned"] == []
    rtlab("teardown", cwd=tmp_path, timeout_s=900)
    assert theirs() == found


def working(folder: Path, machines: list[str], bench: subprocess.Popen[str]) -> str:
    """The machine in which a trial's Bonnie++ runs now."""
    deadline = time.monotonic() + 600
    while time.monotonic() < deadline and bench.poll() is None:
        for name in machines:
            words = ("ssh", name, "--", "pgrep", "-x", "bonnie++")
            asked = subprocess.run([*RTLAB, *words], cwd=folder, capture_output=True, timeout=120, check=False)
            if asked.returncode == 0:
                return name
    raise AssertionError("no trial began")


def panics(folder: Path, machine: str) -> None:
    """Its kernel dies, and stays so."""
    shell = "sudo sysctl -q kernel.panic=0 kernel.sysrq=1; echo c | sudo tee /proc/sysrq-trigger"
    ssh = subprocess.Popen([*RTLAB, "ssh", machine, "--", "sh", "-c", shell], cwd=folder, stdin=subprocess.DEVNULL)
    with suppress(subprocess.TimeoutExpired):
        ssh.wait(30)
    ssh.kill()
    ssh.wait()


def stops(folder: Path, machine: str) -> None:
    """Its QEMU is stopped, as by a debugger: it neither answers nor ends."""
    testbed = json.loads((folder / ".rtlab" / "testbed.json").read_text())["id"]
    (qemu,) = [
        p
        for p in psutil.process_iter(["name", "cmdline"])
        if p.info["name"].startswith("qemu-system")
        and any(testbed in w and machine in w for w in p.info["cmdline"] if w.startswith("guest="))
    ]
    qemu.suspend()


@pytest.mark.slow
@pytest.mark.parametrize("fault", [panics, stops])
def test_a_machine_that_dies_in_a_trial_is_reset_and_its_block_repeated(
    fault: Callable[[Path, str], None], testbed: dict[str, Any], campaign: Path, folder: Path
) -> None:
    names = [m["name"] for m in testbed["machines"]]
    words = ("bench", "--new", "--runs", "1", "--reboot", "never", "--experiments", "io", "--set", "io.size_mb=128")
    with (folder / "fault.log").open("w+") as log:
        bench = subprocess.Popen([*RTLAB, *words], cwd=folder, stdout=log, stderr=log)
        try:
            struck = working(folder, names, bench)
            fault(folder, struck)
            bench.wait(2400)
        finally:
            bench.kill()
            bench.wait()
        log.seek(0)
        told = log.read()
    print(told, file=sys.stderr)
    assert bench.returncode == 0, told[-4000:]
    hit = max(folder.glob("campaigns/2*"))
    records = [json.loads(f.read_text()) for f in sorted(hit.glob("trials/*/record.json"))]
    failed = [r for r in records if r["outcome"] != "ok"]
    assert [r["trial"]["machine"] for r in failed] == [struck] and failed[0]["reason"]
    block = [r for r in records if r["trial"]["block"] != failed[0]["trial"]["block"]]
    assert sorted((r["trial"]["runtime"], r["outcome"]) for r in block) == [("gvisor", "ok"), ("runc", "ok")]
    shown = json.loads(rtlab("status", "--json", cwd=folder, timeout_s=60))
    assert [m["state"] for m in shown["machines"]] == ["running", "running"]


def test_teardown_leaves_nothing_and_works_twice(campaign: Path, folder: Path, before: dict[str, Any]) -> None:
    rtlab("teardown", cwd=folder, timeout_s=600)

    after = without_counters(inventory())
    assert {kind: sorted(after[kind] - before[kind]) for kind in before} == {kind: [] for kind in before}
    assert not (folder / ".rtlab" / "keys").exists()
    assert campaign.exists()
    rtlab("teardown", cwd=folder, timeout_s=120)

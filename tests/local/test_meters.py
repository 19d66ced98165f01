"""The meters on a known load in real containers: 2 CPU-seconds burnt, 64 MiB held (measurement.md §2)."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from rtlab import plugins
from rtlab.artifacts import images, profile
from rtlab.config import TestbedSettings
from rtlab.connection.client import engine_of
from rtlab.engines import private as own
from rtlab.model import Machine, ignore_events
from rtlab.probe import needs
from rtlab.probe.trial import Trial
from rtlab.providers.local.provider import PROVIDER
from rtlab.state import StateFolder

pytestmark = [
    pytest.mark.local,
    pytest.mark.skipif(not own.find("dockerd"), reason="docker.io is missing"),
]
RUNTIMES = tuple(name for name, binary in (("runc", "runc"), ("gvisor", "runsc")) if shutil.which(binary))

# Holds memory, waits, and burns: until its own CPU clock says two seconds, or a given number of rounds. gVisor's CPU
# clock also runs while the host lets the container wait (seen here: 1.56 s on the host for its 2.0), so what two
# seconds are is found under runC, by the host kernel's clock, and the same number of rounds is run under gVisor.
LOAD = """
import sys, time
held = bytearray(int(sys.argv[1]))
held[::4096] = b"x" * len(held[::4096])
print("rtlab-begin", flush=True)
time.sleep(1.5)
begin, rounds = time.process_time(), 0
while rounds < int(sys.argv[2]) if int(sys.argv[2]) else time.process_time() - begin < 2.0:
    sum(range(200000))
    rounds += 1
print("rtlab-done", rounds, flush=True)
time.sleep(3600)
"""
HELD = 64 << 20


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    state = StateFolder(tmp_path_factory.mktemp("meters") / ".rtlab")
    testbed_id = StateFolder.new_testbed_id()
    settings = TestbedSettings(provider="local", profile="debian-12", runtimes=RUNTIMES)
    try:
        testbed = PROVIDER.up(settings, profile.load("debian-12"), testbed_id, state, ignore_events)
        (found,) = testbed.machines
        archive = images.build("tools")
        subprocess.run(
            (found.engine.cli, "--host", f"unix://{found.engine.socket}", "load", "--quiet", "--input", archive.path),
            check=True,
            timeout=120,
        )
        yield found
    finally:
        assert PROVIDER.teardown(testbed_id, state, ignore_events) == ()


def request(machine: Machine, runtime: str) -> dict[str, Any]:
    known = plugins.runtime(runtime)
    return {
        "engine": engine_of(machine),
        "timeout_s": 120,
        "runtime": {"docker_name": known.docker_name, "proof": known.proof},
        "labels": {"rtlab.testbed": "meters", "rtlab.trial": "meters"},
        "images": {"tools": images.reference("tools", images.host_suite())},
        "parameters": {},
    }


def measure(machine: Machine, runtime: str, rounds: int) -> tuple[float, int, int, int]:
    """(CPU-seconds, PSS and cgroup bytes beyond those of the same container without memory, rounds burnt)."""
    trial = Trial(request(machine, runtime))
    memory = []
    try:
        # The first one only brings the image's files into the page cache, which its cgroup pays for.
        for amount, count in ((4096, 1), (4096, 1), (HELD, rounds)):
            cid = trial.create("tools", ["python3", "-c", LOAD, str(amount), str(count)])
            trial.engine.start(cid)
            trial.engine.follow(cid, "rtlab-begin")
            begin = needs.cpu_seconds(cid)["total_s"]
            pid = trial.engine.pid(cid)
            memory.append((needs.pss_bytes(cid), needs.cgroup_memory_bytes(pid)))
            _, told = trial.engine.follow(cid, "rtlab-done")
            burnt = needs.cpu_seconds(cid)["total_s"] - begin
            # One at a time: PSS divides what containers share (libraries, gVisor's own binary) by their number.
            trial.remove(cid)
    finally:
        left = trial.finish()
    assert left == []
    pss, cgroup = (b - a for a, b in zip(*memory[1:], strict=True))
    print(f"{runtime}: {burnt:.3f} CPU-s, PSS {pss / 2**20:.2f} MiB, cgroup {cgroup / 2**20:.2f} MiB")
    return burnt, pss, cgroup, int(told)


def test_two_cpu_seconds_and_64_mib_read_so(machine: Machine) -> None:
    burnt, pss, cgroup, rounds = measure(machine, "runc", 0)
    assert burnt == pytest.approx(2.0, rel=0.05)
    assert pss == pytest.approx(HELD, rel=0.05)
    assert cgroup == pytest.approx(HELD, rel=0.05)

    if "gvisor" in RUNTIMES:
        # The same work costs as much to compute, and gVisor's own kernel beside it: a wider bound, not a proof to 5 %.
        # It holds while the processor is as fast as it was under runC, which a busy host's is not: then both again.
        bound = pytest.approx(2.0, rel=0.25)
        for _ in range(3):
            burnt, pss, cgroup, _ = measure(machine, "gvisor", rounds)
            assert pss == pytest.approx(HELD, rel=0.05)
            assert cgroup == pytest.approx(HELD, rel=0.05)
            if burnt == bound:
                break
            rounds = measure(machine, "runc", 0)[3]
        assert burnt == bound

"""Today's engine and runtimes by the local provider, for real: from builds, with nothing of the distribution's on PATH.

The builds come from this user's cache; where it is empty they are compiled here, once (about 8 minutes on two cores).
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from pathlib import Path

import pytest

from rtlab.artifacts import profile
from rtlab.config import TestbedSettings
from rtlab.engines.docker import private as engine
from rtlab.host import today
from rtlab.model import ignore_events
from rtlab.providers.local import programs
from rtlab.providers.local.provider import PROVIDER
from rtlab.state import StateFolder

pytestmark = [pytest.mark.local, pytest.mark.timeout(2400)]


@pytest.fixture(autouse=True)
def can_be_had() -> None:
    if why := today.refusal():
        pytest.skip(f"no builds can be had: {why}")


def digest(path: str | Path) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def test_todays_engine_runs_from_its_builds_and_leaves_nothing(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / ".rtlab")
    new = StateFolder.new_testbed_id()
    settings = TestbedSettings(provider="local", profile="modules", runtimes=("runc", "gvisor", "youki"))
    try:
        testbed = PROVIDER.up(settings, profile.load("modules"), new, state, ignore_events)
        folder = programs.folder_of(new)
        kept = {p: sha for record in testbed.details["builds"].values() for p, sha in record["sha256"].items()}
        assert {"dockerd", "containerd", "docker", "runc", "runsc"} <= kept.keys()
        assert {p.name: digest(p) for p in folder.iterdir()} == kept
        # What runs is what was built, by the kernel's word for it.
        running = {p.program: p.pid for p in engine.Engine(new).processes()}
        for name in ("dockerd", "containerd"):
            assert digest(os.path.realpath(f"/proc/{running[name]}/exe")) == kept[name]
        machine = testbed.machines[0]
        asked = subprocess.run(
            (machine.engine.cli, "--host", f"unix://{machine.engine.socket}", "info", "--format", "{{json .}}"),
            capture_output=True,
            check=True,
            timeout=60,
        )
        assert json.loads(asked.stdout)["ServerVersion"] == "2.0.0-beta.24"
        unavailable = testbed.details["unavailable_runtimes"]
        assert unavailable.keys() <= {"youki"}
        assert "Rust" in unavailable.get("youki", "Rust")
        assert testbed.details["fallback"] == ""
    finally:
        left = PROVIDER.teardown(new, state, ignore_events)
    assert left == ()
    assert not programs.home(new).exists()
    assert state.outstanding(new) == ()


def test_the_machines_own_runc_runs_under_todays_engine(tmp_path: Path) -> None:
    """Debian 12's runC 1.1 knows no time namespaces: dockerd looks at that switch when it starts, and only then."""
    state = StateFolder(tmp_path / ".rtlab")
    new = StateFolder.new_testbed_id()
    settings = TestbedSettings(provider="local", profile="modules", runtimes=("runc",), system_runtimes=("runc",))
    try:
        testbed = PROVIDER.up(settings, profile.load("modules"), new, state, ignore_events)
        details = testbed.details
        assert details["unavailable_runtimes"] == {}
        assert not (programs.folder_of(new) / "runc").exists()
        old = "namespace" in details["runtime_notes"]["runc"]
        assert details["engine_features"] == ({"time-namespaces": False} if old else {})
        assert details["runtime_notes"]["runc"].startswith("this machine's own runc: as asked for")
    finally:
        left = PROVIDER.teardown(new, state, ignore_events)
    assert left == ()

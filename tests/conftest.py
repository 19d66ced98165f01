"""What several test modules share: a small spec, a testbed and a record, all without I/O."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rtlab.model import CampaignSpec, Level, Machine, Outcome, Record, Testbed, Trial

# What stands before an "&" is started with SIGINT ignored, and nohup does so with SIGHUP; every child inherits that,
# and what a test interrupts would not stop. Tests mean the signals as a terminal sends them.
for _signal in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM):
    if signal.getsignal(_signal) == signal.SIG_IGN:
        signal.signal(_signal, signal.default_int_handler if _signal == signal.SIGINT else signal.SIG_DFL)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that need root say so by their marker; without root they are skipped, visibly."""
    for item in items:
        if ("local" in item.keywords or "vm" in item.keywords) and os.geteuid() != 0:
            item.add_marker(pytest.mark.skip(reason="needs root"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, whose cache is its own."""
    folder = tmp_path / "work"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("RTLAB_CACHE", str(tmp_path / "cache"))
    return folder


def make_spec(**changes: Any) -> CampaignSpec:
    spec = CampaignSpec(
        name="test",
        design="default",
        runs=2,
        experiments=("boot",),
        runtimes=("runc", "gvisor"),
        baseline="runc",
        reboot="never",
        seed=7,
        aa=False,
        margin=0.05,
        parameters={"boot": {"starts": 2}},
        images={"httpd": "h:1", "tools": "t:1"},
        trial_timeout_s=60.0,
        ready_timeout_s=60.0,
    )
    return replace(spec, **changes)


def make_testbed(machines: int = 1, **changes: Any) -> Testbed:
    bed = Testbed(
        id="0123abcd",
        provider="simulated",
        profile="current",
        design="crossover",
        machines=tuple(
            Machine(name=f"node{n}", transport="simulated", runtimes=("runc", "gvisor"), level=Level.SIMULATED)
            for n in range(1, machines + 1)
        ),
        created_at="2026-11-23T10:00:00Z",
    )
    return replace(bed, **changes)


def make_trial(number: int = 1, **changes: Any) -> Trial:
    trial = Trial(
        number=number,
        block=1,
        kind="ab",
        arm="runc",
        experiment="boot",
        runtime="runc",
        machine="node1",
        boot=1,
    )
    return replace(trial, **changes)


def make_record(trial: Trial | None = None, **changes: Any) -> Record:
    record = Record(
        trial=trial or make_trial(),
        attempt=1,
        outcome=Outcome.OK,
        reason="",
        started_at="2026-11-23T10:00:00Z",
        ended_at="2026-11-23T10:00:01Z",
        boot_id="11111111-2222-3333-4444-555555555555",
        rebooted=False,
        waited_s=0.1,
        exit_status=0,
        files={},
        overhead_s=0.01,
    )
    return replace(record, **changes)

"""containerd by CRI beside the private Docker, for real: every runtime proved, measured, and nothing left.

The builds come from this user's cache; where it is empty they are compiled here, once (about 8 minutes on two cores).
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rtlab import plugins
from rtlab.artifacts import images, profile
from rtlab.artifacts.builds import toolchain
from rtlab.config import TestbedSettings
from rtlab.connection import client as probe_client
from rtlab.connection.shell import LocalShell
from rtlab.engines.containerd.messages import MESSAGES
from rtlab.host import today
from rtlab.model import Machine, Outcome, RawOutput, Testbed, ignore_events
from rtlab.providers.local import programs
from rtlab.providers.local.provider import PROVIDER
from rtlab.state import StateFolder
from tests.conftest import make_record, make_spec, make_trial

pytestmark = [pytest.mark.local, pytest.mark.timeout(2400)]
ARMS = ("runc@containerd", "gvisor@containerd")
# Small, so that each takes a few seconds.
SMALL: dict[str, dict[str, Any]] = {
    "boot": {"starts": 3, "cli_starts": 0, "null_starts": 20},
    "cpu": {"window_s": 1, "work_mb": 16},
    "memory": {"window_s": 1, "containers": [1, 2], "settle_s": 0.2},
    "network": {"window_s": 1, "requests": 20, "big_bytes": 1 << 20},
    "io": {"size_mb": 32, "ram_mb": 16},
}
# The harness's own call, at most.
CALL_S = 0.001


class Lab:
    def __init__(self, testbed: Testbed) -> None:
        self.testbed, self.shell = testbed, LocalShell()
        self.machine: Machine = testbed.machines[0]
        self.images = {role: images.reference(role, images.host_suite()) for role in ("httpd", "tools")}
        probe_client.install(self.shell, self.machine)

    def measured(self, name: str, arm: str, **parameters: Any) -> tuple[probe_client.Answer, RawOutput, Any]:
        chosen = {**plugins.experiment(name).defaults("default"), **SMALL[name], **parameters}
        spec = make_spec(parameters={name: chosen}, images=self.images, trial_timeout_s=120.0, runtimes=ARMS)
        trial = make_trial(experiment=name, runtime=arm, arm=arm, machine=self.machine.name)
        request = probe_client.trial_request(trial, spec, self.machine, self.testbed.id)
        answer = probe_client.read_answer(probe_client.ask(self.shell, self.machine, request, 200))
        probe = json.loads(answer.files.get("probe.json") or b"{}")
        raw = RawOutput(
            record=make_record(trial, outcome=answer.outcome),
            stdout=answer.files.get("stdout", b"").decode(),
            stderr=answer.files.get("stderr", b"").decode(),
            probe=probe,
        )
        return answer, raw, chosen


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    if why := today.refusal():
        pytest.skip(f"no builds can be had: {why}")
    state = StateFolder(tmp_path_factory.mktemp("cri") / ".rtlab")
    new = StateFolder.new_testbed_id()
    settings = TestbedSettings(
        provider="local", profile="modules", runtimes=("runc", "gvisor"), engines=("docker", "containerd")
    )
    pins = profile.load("modules")
    try:
        testbed = PROVIDER.up(settings, pins, new, state, ignore_events)
        assert testbed.details["unavailable_runtimes"] == {}
        # A second one changes nothing, at once.
        again = PROVIDER.up(settings, pins, new, state, ignore_events)
        assert again.machines == testbed.machines
        yield Lab(testbed)
    finally:
        # With a pod that nobody removed, as a killed probe leaves it.
        assert PROVIDER.teardown(new, state, ignore_events) == ()
        assert not programs.home(new).exists()
        assert state.outstanding(new) == ()
        results = Path("/var/lib/cni/results")
        assert not [f for f in (results.iterdir() if results.is_dir() else ()) if new in f.read_text()]


@pytest.mark.parametrize("arm", ARMS)
@pytest.mark.parametrize("name", sorted(SMALL))
def test_every_experiment_is_carried_and_proved(lab: Lab, name: str, arm: str) -> None:
    free = {"limit_cpus": 0.0, "limit_memory_mb": 0} if arm.startswith("gvisor") else {}
    answer, raw, chosen = lab.measured(name, arm, **free)
    assert answer.outcome is Outcome.OK, answer.reason
    assert raw.probe["proof"]["ok"] and raw.probe["proof"]["objections"] == []
    assert raw.probe["leaks"] == []
    program = {"runc@containerd": "runc", "gvisor@containerd": "runsc"}[arm]
    (kept,) = {
        record["sha256"][program] for record in lab.testbed.details["builds"].values() if program in record["sha256"]
    }
    assert raw.probe["proof"]["evidence"]["installed_sha256"] == kept
    primary = {m.name for m in plugins.experiment(name).metrics if m.primary}
    found = {o.metric: o.value for o in plugins.experiment(name).parse(raw, chosen) if o.metric in primary}
    assert found.keys() == primary
    if name == "io":  # so small a file is too fast to tell
        assert "+++++" in raw.stdout or all(found.values())
    else:
        assert all(value is not None and value > 0 for value in found.values())


def test_a_call_of_the_harness_costs_less_than_a_millisecond(lab: Lab) -> None:
    """By the null driver, whose three calls to the engine make no container; the median, on a machine that is busy."""
    _, raw, _ = lab.measured("boot", ARMS[0], starts=2)
    calls = [start["calls_ns"] / 3e9 for start in raw.probe["measured"]["null"]]
    assert len(calls) == 20
    assert 0 < statistics.median(calls) < CALL_S


def test_limits_are_those_of_the_containers_cgroup(lab: Lab) -> None:
    answer, raw, _ = lab.measured("boot", ARMS[0], starts=2, limit_cpus=0.5, limit_memory_mb=256)
    assert answer.outcome is Outcome.OK, answer.reason
    evidence = raw.probe["proof"]["evidence"]
    assert (evidence["inside_cpu_limit"], evidence["inside_memory_limit_bytes"]) == (0.5, 256 * 1024 * 1024)


def test_another_program_in_the_runtimes_place_is_found_out(lab: Lab) -> None:
    """The proof is of what runs, in a pod as anywhere: the digest that `up` proved is another."""
    machine = Machine(
        **{**{f: getattr(lab.machine, f) for f in lab.machine.__slots__}, "programs": {ARMS[0]: "0" * 64}}
    )
    trial = make_trial(experiment="boot", runtime=ARMS[0], arm=ARMS[0], machine=machine.name)
    chosen = {**plugins.experiment("boot").defaults("default"), **SMALL["boot"]}
    spec = make_spec(parameters={"boot": chosen}, images=lab.images, trial_timeout_s=120.0, runtimes=ARMS)
    request = probe_client.trial_request(trial, spec, machine, lab.testbed.id)
    answer = probe_client.read_answer(probe_client.ask(lab.shell, machine, request, 200))
    assert answer.outcome is Outcome.INVALID
    assert "another build was put in place" in answer.reason


def test_every_field_is_cris_own(tmp_path: Path) -> None:
    """Numbers, names and kinds against api.proto, as the Go module of cri-api has it."""
    go = toolchain.ready(toolchain.choose("1.26.0"), ignore_events)
    made = subprocess.run(
        (go, "mod", "download", "-json", "k8s.io/cri-api@v0.36.3"),
        cwd=tmp_path,
        env={**os.environ, "GOFLAGS": "-mod=mod"},
        capture_output=True,
        timeout=300,
    )
    assert made.returncode == 0, made.stderr
    folder = Path(json.loads(made.stdout)["Dir"])
    text = re.sub(r"//.*", "", (folder / "pkg/apis/runtime/v1/api.proto").read_text())
    # Three of ours stand for several of the same form.
    same = {"PodSandboxId": "StopPodSandboxRequest", "ContainerId": "StartContainerRequest"}
    for name, fields in MESSAGES.items():
        if name in ("Empty", "_Entry"):
            continue
        (body,) = re.findall(rf"^message {same.get(name, name)} \{{(.*?)^\}}", text, re.M | re.S)
        for number, (field, kind) in fields.items():
            (declared,) = re.findall(rf"^\s*(.*?)\s+{field}\s*=\s*{number}\b", body, re.M)
            plain = declared.replace("repeated ", "")
            if kind == "map":
                assert re.fullmatch(r"map<string,\s*string>", plain), (name, field)
            elif kind.lstrip("*") in ("string", "bytes"):
                assert plain == kind.lstrip("*"), (name, field)
            elif kind == "int":
                is_enum = re.search(rf"^\s*enum {plain} \{{", text, re.M)
                assert plain in ("bool", "int32", "int64", "uint32", "uint64") or is_enum, (name, field)
            else:
                assert plain == kind.lstrip("*"), (name, field)
            assert declared.startswith("repeated ") is kind.startswith("*"), (name, field)

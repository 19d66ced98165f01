"""The probe on real containers: every experiment, and its ends: hung, killed, without image, engine or room."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from rtlab import plugins
from rtlab.artifacts import images, profile
from rtlab.config import TestbedSettings
from rtlab.connection import archive
from rtlab.connection import client as probe_client
from rtlab.connection.shell import LocalShell
from rtlab.engines import private as own
from rtlab.engines.docker.private import Engine
from rtlab.model import Machine, Outcome, RawOutput, ignore_events
from rtlab.providers.local.provider import PROVIDER
from rtlab.report.containers import Containers
from rtlab.state import StateFolder
from rtlab.store import facts
from tests.conftest import make_record, make_spec, make_trial

pytestmark = [
    pytest.mark.local,
    pytest.mark.skipif(not own.find("dockerd"), reason="docker.io is missing"),
]
RUNTIMES = tuple(name for name, binary in (("runc", "runc"), ("gvisor", "runsc")) if shutil.which(binary))
# Small, so that each takes a few seconds.
SMALL: dict[str, dict[str, Any]] = {
    "boot": {"starts": 2, "cli_starts": 1, "null_starts": 1},
    "cpu": {"window_s": 1, "work_mb": 16},
    "memory": {"window_s": 1, "containers": [1, 2], "settle_s": 0.2},
    "network": {"window_s": 1, "requests": 20, "big_bytes": 1 << 20},
    "io": {"size_mb": 32, "ram_mb": 16},
}
ZEROS_SHA256 = hashlib.sha256(bytes(16 << 20)).hexdigest()


class Lab:
    """One private Docker with both images, and the probe beside it as rtlab installs it."""

    def __init__(self, machine: Machine, testbed_id: str) -> None:
        self.machine, self.testbed_id, self.shell = machine, testbed_id, LocalShell()
        self.images = {role: images.reference(role, images.host_suite()) for role in ("httpd", "tools")}
        probe_client.install(self.shell, machine)

    def docker(self, *arguments: str) -> str:
        argv = (self.machine.engine.cli, "--host", f"unix://{self.machine.engine.socket}", *arguments)
        return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=120).stdout

    def request(self, name: str, runtime: str, *, timeout_s: float = 120.0, **parameters: Any) -> dict[str, Any]:
        chosen = {**plugins.experiment(name).defaults("default"), **SMALL[name], **parameters}
        spec = make_spec(parameters={name: chosen}, images=self.images, trial_timeout_s=timeout_s)
        trial = make_trial(experiment=name, runtime=runtime, arm=runtime, machine="local")
        return probe_client.trial_request(trial, spec, self.machine, self.testbed_id)

    def ask(self, request: Mapping[str, Any], at_most_s: float = 150.0) -> tuple[probe_client.Answer, dict[str, Any]]:
        answer = probe_client.read_answer(probe_client.ask(self.shell, self.machine, request, at_most_s))
        return answer, json.loads(answer.files.get("probe.json") or b"{}")

    def popen(self, request: Mapping[str, Any]) -> subprocess.Popen[bytes]:
        argv = (self.machine.python, probe_client.probe_path(self.machine))
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdin is not None
        process.stdin.write(json.dumps(request).encode())
        process.stdin.close()
        process.stdin = None
        return process

    def containers(self) -> list[str]:
        return self.docker("ps", "--all", "--quiet", "--no-trunc").split()

    def nothing_is_left(self) -> None:
        """No container, and no process below this engine's cgroup or with a shim's command line."""
        assert self.containers() == []
        private = Engine(self.testbed_id)
        programs = sorted(process.program for process in private.processes())
        assert programs == ["containerd", "dockerd"]


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    state = StateFolder(tmp_path_factory.mktemp("probe") / ".rtlab")
    testbed_id = StateFolder.new_testbed_id()
    settings = TestbedSettings(provider="local", profile="debian-12", runtimes=RUNTIMES)
    try:
        testbed = PROVIDER.up(settings, profile.load("debian-12"), testbed_id, state, ignore_events)
        found = Lab(testbed.machines[0], testbed_id)
        for role in ("httpd", "tools"):
            found.docker("load", "--quiet", "--input", str(images.build(role).path))
        yield found
    finally:
        assert PROVIDER.teardown(testbed_id, state, ignore_events) == ()


# --------------------------------------------------------------------------- the five experiments


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("name", SMALL)
def test_an_experiment_measures_and_leaves_nothing(lab: Lab, name: str, runtime: str) -> None:
    request = lab.request(name, runtime)
    answer, document = lab.ask(request)

    assert (answer.outcome, answer.reason) == (Outcome.OK, "")
    assert document["leaks"] == []
    assert document["proof"]["objections"] == []
    assert document["boot_id"] == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    lab.nothing_is_left()
    experiment = plugins.experiment(name)
    raw = RawOutput(
        record=make_record(make_trial(experiment=name)),
        stdout=answer.files["stdout"].decode(),
        stderr=answer.files["stderr"].decode(),
        probe=document,
    )
    found = experiment.parse(raw, request["parameters"])
    assert {o.metric for o in found} == {m.name for m in experiment.metrics}
    (primary,) = [metric for metric in experiment.metrics if metric.primary]
    values = [o.value for o in found if o.metric == primary.name]
    # 32 MiB is soon written: Bonnie++ may withhold the rate.
    assert values and all(v is None if name == "io" and v is None else v and v > 0 for v in values)
    if name == "boot":
        # The page server ends by the image's stop signal under every runtime, not by SIGKILL after ten seconds.
        assert all(start["stop_ns"] < 8e9 for start in document["measured"]["socket"])
    if name == "cpu":
        assert document["measured"]["work"]["stdout"].split()[0] == ZEROS_SHA256
        # What the container printed, verbatim: rtlab's own markers among it.
        assert answer.files["stdout"].decode().split()[0] == "rtlab-begin"
        seen = Containers()
        seen.add(raw.record, document, request["parameters"])
        # The default limits, whoever enforces them: 1 CPU and 512 MiB under every runtime.
        assert seen.usual("cpu", raw.record.trial.runtime) == (1.0, 512 * 2**20)
    private = "\n".join(content.decode("utf-8", "replace") for content in answer.files.values())
    assert not re.search(rf"(?<![\w-]){re.escape(socket.gethostname())}(?![\w-])", private)
    assert not re.search(r"(?i)\b[0-9a-f]{2}(:[0-9a-f]{2}){5}\b", private)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_the_runtime_is_proved_and_another_name_is_not(lab: Lab, runtime: str) -> None:
    answer = probe_client.prove(lab.shell, lab.machine, runtime, lab.images, lab.testbed_id)
    assert answer["proof"]["ok"] is True
    # The same engine entry, taken for another runtime: a lie that must not pass.
    for claimed in {"runc", "crun", "gvisor", "kata"} - {runtime}:
        request = lab.request("boot", runtime, starts=2, cli_starts=0, null_starts=0)
        request["runtime"]["proof"] = claimed
        request["verb"] = "prove"
        refused, document = lab.ask(request)
        assert refused.outcome is Outcome.INVALID
        assert document["proof"]["objections"]
    lab.nothing_is_left()


def test_builds_are_told_apart_not_names(lab: Lab, tmp_path: Path) -> None:
    """A runC by another name and path is runC; a script that calls it, or a file changed since `up`, is not."""
    private, runc = Engine(lab.testbed_id), own.find("runc")
    other, script = tmp_path / "1.3-as-others-call-it", tmp_path / "runc"
    shutil.copy(runc, other)
    script.write_text(f'#!/bin/sh\nexec {runc} "$@"\n')
    script.chmod(0o755)
    usual = json.loads(private.config_file.read_text())
    more = {"other": {"path": str(other)}, "script": {"path": str(script)}}
    more["arguments"] = {"path": str(other), "runtimeArgs": ["--log-format=json"]}
    private.reload({**usual, "runtimes": {**usual["runtimes"], **more}})

    def prove(name: str, sha256: str | None) -> tuple[str, str]:
        deadline = time.monotonic() + 20
        while name not in json.loads(lab.docker("info", "--format", "{{json .Runtimes}}")):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        request = lab.request("boot", "runc")
        request["runtime"].update(docker_name=name, sha256=sha256)
        request["verb"] = "prove"
        answer, _ = lab.ask(request)
        return answer.outcome.value, answer.reason

    digest = hashlib.sha256(other.read_bytes()).hexdigest()
    try:
        assert prove("other", digest) == ("ok", "")
        # The engine itself wraps a runtime with arguments in a script of its own, which is followed.
        assert prove("arguments", digest) == ("ok", "")
        outcome, reason = prove("script", None)
        assert outcome == "invalid" and "names a script" in reason
        with other.open("ab") as file:
            file.write(b"another build")
        outcome, reason = prove("other", digest)
        assert outcome == "invalid" and "another build was put in place" in reason
    finally:
        private.reload(usual)
    lab.nothing_is_left()


def test_facts_are_the_same_twice_and_name_nobody(lab: Lab) -> None:
    first = probe_client.facts(lab.shell, lab.machine)
    second = probe_client.facts(lab.shell, lab.machine)
    assert facts.changes(first, second) == ()
    assert (
        first["runtimes"]["runc"]["sha256"] == hashlib.sha256(Path(shutil.which("runc") or "").read_bytes()).hexdigest()
    )
    assert set(lab.images.values()) <= set(first["images"])
    text = json.dumps(first)
    assert not re.search(rf"(?<![\w-]){re.escape(socket.gethostname())}(?![\w-])", text)
    assert not re.search(r"\b(?!0\.0)\d{1,3}(\.\d{1,3}){3}\b(?!~)|https?://", text)


# --------------------------------------------------------------------------- bad ends


def hanging(lab: Lab, runtime: str, timeout_s: float) -> dict[str, Any]:
    """An io trial whose tool never ends."""
    request = lab.request("io", runtime, timeout_s=timeout_s)
    request["parameters"]["command"] = ["sleep", "100000"]
    return request


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_container_that_hangs_is_timed_out_and_removed(lab: Lab, runtime: str) -> None:
    began = time.monotonic()
    answer, document = lab.ask(hanging(lab, runtime, 3.0))
    assert answer.outcome is Outcome.TIMED_OUT
    assert time.monotonic() - began < 25
    assert document["leaks"] == []
    lab.nothing_is_left()


def test_a_killed_probe_leaves_its_container_to_clean(lab: Lab) -> None:
    process = lab.popen(hanging(lab, "runc", 60.0))
    deadline = time.monotonic() + 20
    while not lab.docker("ps", "--quiet") and time.monotonic() < deadline:
        time.sleep(0.1)
    process.kill()
    process.communicate()
    assert len(lab.containers()) == 1

    # Another testbed's clean does not touch it.
    assert probe_client.clean(lab.shell, lab.machine, "ffffffff")["removed"] == 0
    assert len(lab.containers()) == 1
    cleaned = probe_client.clean(lab.shell, lab.machine, lab.testbed_id)
    assert (cleaned["outcome"], cleaned["removed"], cleaned["leaks"]) == ("ok", 1, [])
    lab.nothing_is_left()


def test_a_trial_that_is_told_to_stop_removes_its_container(lab: Lab) -> None:
    process = lab.popen(hanging(lab, "runc", 60.0))
    deadline = time.monotonic() + 20
    while not lab.docker("ps", "--quiet") and time.monotonic() < deadline:
        time.sleep(0.1)
    process.terminate()
    stdout, _ = process.communicate(timeout=60)
    assert json.loads(stdout)["outcome"] == "failed"
    lab.nothing_is_left()


def test_an_image_that_is_missing_is_named(lab: Lab) -> None:
    for name, role in (("boot", "httpd"), ("io", "tools")):
        request = lab.request(name, "runc")
        request["images"][role] = "rtlab/none:here"
        answer, _ = lab.ask(request)
        assert answer.outcome is Outcome.FAILED
        assert "rtlab/none:here" in answer.reason


def test_an_engine_that_does_not_answer_is_timed_out(lab: Lab) -> None:
    """dockerd is stopped in the middle of a trial and goes on after it."""
    (daemon,) = [process for process in Engine(lab.testbed_id).processes() if process.program == "dockerd"]
    request = lab.request("boot", "runc", timeout_s=4.0, starts=500)
    awake = threading.Timer(9, os.kill, (daemon.pid, signal.SIGCONT))
    awake.start()
    process = lab.popen(request)
    try:
        time.sleep(1.5)
        os.kill(daemon.pid, signal.SIGSTOP)
        stdout, _ = process.communicate(timeout=90)
    finally:
        awake.join()
        os.kill(daemon.pid, signal.SIGCONT)
    answer = json.loads(stdout)
    assert answer["outcome"] == "timed out"
    assert "did not answer" in answer["reason"]
    # It answered again while the probe still had time to clean up.
    lab.nothing_is_left()


def test_a_full_disk_is_bonnies_message(lab: Lab) -> None:
    """/dev/shm in a container holds 64 MiB."""
    answer, document = lab.ask(lab.request("io", "runc", folder="/dev/shm", size_mb=256, ram_mb=16))
    assert answer.outcome is Outcome.INVALID
    assert "No space left on device" in answer.reason
    assert document["tool"]["exit_status"] != 0
    lab.nothing_is_left()


def test_work_that_fails_is_no_measurement(lab: Lab) -> None:
    request = lab.request("cpu", "runc")
    request["parameters"]["work"] = ["sh", "-c", "echo no such tool >&2; exit 3"]
    answer, _ = lab.ask(request)
    assert (answer.outcome, answer.reason) == (Outcome.INVALID, "the unit of work ended with status 3: no such tool")
    lab.nothing_is_left()


def test_a_window_longer_than_the_time_limit_is_refused_at_once(lab: Lab) -> None:
    began = time.monotonic()
    answer, _ = lab.ask(lab.request("cpu", "runc", window_s=3000, timeout_s=60.0))
    assert answer.outcome is Outcome.TIMED_OUT
    assert time.monotonic() - began < 20
    lab.nothing_is_left()


def test_the_probe_is_installed_once(lab: Lab) -> None:
    assert probe_client.install(lab.shell, lab.machine) is False
    path = Path(probe_client.probe_path(lab.machine))
    path.write_text("broken")
    assert probe_client.install(lab.shell, lab.machine) is True
    assert path.read_bytes() == archive.built()
    assert subprocess.run((sys.executable, path), input=b"{}", capture_output=True, check=False).returncode != 0

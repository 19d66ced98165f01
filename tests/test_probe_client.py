"""What the probe prints becomes an outcome and files; anything else is a failed trial, kept verbatim."""

from __future__ import annotations

import json
from typing import Any

import pytest

from rtlab.connection import client as probe_client
from rtlab.errors import CommandFailed, HostUnfit
from rtlab.model import CommandResult, EngineAt, Machine, Outcome


def result(stdout: bytes, *, status: int | None = 0, stderr: bytes = b"", timed_out: bool = False) -> CommandResult:
    return CommandResult(
        argv=("python3", "probe.pyz"),
        exit_status=status,
        stdout=stdout,
        stderr=stderr,
        started_at="2026-11-23T10:00:00Z",
        elapsed_s=1.0,
        timed_out=timed_out,
    )


def test_a_whole_answer_is_split_into_tool_output_and_document() -> None:
    document = {
        "schema": 1,
        "outcome": "ok",
        "reason": "",
        "boot_id": "b",
        "tool": {"argv": ["x"], "exit_status": 0, "stdout": "1.98,2.00a\n", "stderr": "done\n"},
        "measured": {"n": 1},
    }

    answer = probe_client.read_answer(result(json.dumps(document).encode(), stderr=b"warning\n"))

    assert answer.outcome is Outcome.OK
    assert answer.boot_id == "b"
    assert answer.files["stdout"] == b"1.98,2.00a\n"
    assert answer.files["stderr"] == b"done\nwarning\n"
    assert json.loads(answer.files["probe.json"]) == {**document, "tool": {"argv": ["x"], "exit_status": 0}}


@pytest.mark.parametrize("cut", [0, 1, 10, -1])
def test_a_truncated_answer_is_a_failed_trial_kept_verbatim(cut: int) -> None:
    whole = json.dumps({"outcome": "ok", "boot_id": "b"}).encode()

    answer = probe_client.read_answer(result(whole[:cut], status=1, stderr=b"Traceback\n"))

    assert answer.outcome is Outcome.FAILED
    assert "status 1" in answer.reason
    assert answer.files == {"stdout": whole[:cut], "stderr": b"Traceback\n"}


def test_an_outcome_nobody_knows_is_not_taken_for_ok() -> None:
    answer = probe_client.read_answer(result(b'{"outcome": "great"}'))
    assert answer.outcome is Outcome.FAILED


def test_a_probe_that_never_answers_timed_out() -> None:
    answer = probe_client.read_answer(result(b"", status=None, timed_out=True))
    assert answer.outcome is Outcome.TIMED_OUT


def test_a_lost_machine_is_a_failed_trial_with_the_reason() -> None:
    answer = probe_client.read_answer(None, "The connection was lost.")
    assert (answer.outcome, answer.reason, dict(answer.files)) == (Outcome.FAILED, "The connection was lost.", {})


class OneAnswer:
    """A Shell that gives the same answer to everything and remembers what it was asked."""

    def __init__(self, stdout: bytes, status: int = 0) -> None:
        self.stdout, self.status = stdout, status
        self.requests: list[dict[str, Any]] = []

    def run(self, argv: tuple[str, ...], *, timeout_s: float, stdin: bytes = b"", root: bool = True) -> CommandResult:
        self.requests.append(json.loads(stdin))
        return result(self.stdout, status=self.status, stderr=b"boom")

    def put(self, content: bytes, path: str, mode: int) -> None:
        raise AssertionError

    def get(self, path: str) -> bytes:
        raise AssertionError

    def close(self) -> None:
        pass


MACHINE = Machine(
    name="node1",
    runtimes=("runc", "gvisor"),
    programs={"gvisor": "ab" * 32},
    engine=EngineAt(socket="/run/x.sock", settings={"logs": "/run/x"}),
    netns="/run/netns/y",
)


def test_the_envelope_says_where_the_engine_is() -> None:
    shell = OneAnswer(b'{"boot_id": "b", "missing": ["engine"], "blocking": true}')

    readiness = probe_client.ready(shell, MACHINE, "gvisor")

    (request,) = shell.requests
    assert request["verb"] == "ready"
    assert request["engine"] == {"name": "docker", "socket": "/run/x.sock", "cli": "/usr/bin/docker", "logs": "/run/x"}
    assert request["netns"] == "/run/netns/y"
    # With the digest that `up` proved: another build put in place since is no longer that runtime.
    expected = {"name": "gvisor", "docker_name": "runsc", "proof": "gvisor", "own_kernel": True, "sha256": "ab" * 32}
    assert request["runtime"] == expected
    assert readiness.missing == ("engine",)
    assert readiness.blocking


def test_a_broken_probe_is_an_error_that_names_the_machine() -> None:
    with pytest.raises(CommandFailed, match=r"probe on node1 did not answer `facts` \(status 2\): boom"):
        probe_client.facts(OneAnswer(b"", status=2), MACHINE)


def test_a_failed_proof_is_an_error_with_what_was_found() -> None:
    shell = OneAnswer(b'{"outcome": "invalid", "reason": "it is runc"}')
    with pytest.raises(HostUnfit, match="kata does not run on node1: it is runc"):
        probe_client.prove(shell, MACHINE, "kata", {}, "0123abcd")


def test_the_proved_program_is_the_installed_build() -> None:
    assert probe_client.proved_program({"proof": {"evidence": {"installed_sha256": "aa"}}}) == "aa"


def test_an_answer_without_proof_proves_no_program() -> None:
    assert probe_client.proved_program({"proof": None}) is None

"""Answers of a hostile machine: whatever comes, the trial is stored and the campaign stays readable."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rtlab import arrival, report, store
from rtlab.connection import client as probe_client
from rtlab.errors import CommandFailed
from rtlab.model import CommandResult, Outcome
from tests.conftest import make_record, make_spec, make_testbed, make_trial


def said(stdout: bytes, stderr: bytes = b"") -> CommandResult:
    return CommandResult(
        argv=("probe",),
        exit_status=0,
        stdout=stdout,
        stderr=stderr,
        started_at="2026-01-01T00:00:00Z",
        elapsed_s=1.0,
        timed_out=False,
    )


def nested(levels: int) -> str:
    return "[" * levels + "]" * levels


OK = '{"outcome": "ok", "timeline": %s}'
HOSTILE = {
    "reason of 2 MB": json.dumps({"outcome": "ok", "reason": "x" * 2_000_000}).encode(),
    "boot id of 2 MB": json.dumps({"outcome": "ok", "boot_id": "x" * 2_000_000}).encode(),
    "17 MB": json.dumps({"outcome": "ok", "x": "y" * 17_000_000}).encode(),
    "grows when indented": (OK % ("[" + "1," * 6_000_000 + "1]")).encode(),
    "41 levels": (OK % nested(41)).encode(),
    "600 levels": (OK % nested(600)).encode(),
    "100 000 levels": (OK % nested(100_000)).encode(),
    "NaN": b'{"outcome": "ok", "x": NaN}',
    "infinite": b'{"outcome": "ok", "x": 1e999}',
    "lone surrogates": b'{"outcome": "failed", "reason": "\\ud800", "boot_id": "\\ud800"}',
    "tool's output of 64 MiB and more": json.dumps({"outcome": "ok", "tool": {"stderr": "x" * (63 << 20)}}).encode(),
    "5 000 digits": b'{"outcome": "ok", "x": ' + b"9" * 5000 + b"}",
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_hostile_answer_is_stored_and_the_campaign_stays_readable(case: str, tmp_path: Path) -> None:
    trial = make_trial()
    campaign = store.create(tmp_path, make_spec(runs=1, runtimes=("runc",)), make_testbed(), [trial], durable=False)
    # What a tool wrote and what the probe's own stderr holds end in one file.
    read = probe_client.read_answer(said(HOSTILE[case], b"y" * (2 << 20)))
    record = make_record(trial)
    given: dict[str, Any] = {"outcome": read.outcome, "reason": read.reason, "boot_id": read.boot_id}
    written = campaign.write_trial(replace(record, **given), read.files)

    again = store.Campaign(campaign.folder)
    (found,) = again.records()
    assert found == written and again.changed_files() == ()
    assert list(again.raw_outputs()) and report.build(again).attempts
    assert len(found.reason) < 50_000 and len(found.boot_id or "") <= 64
    if case != "boot id of 2 MB":  # which is only left out
        assert found.outcome is Outcome.FAILED and found.reason


class Says:
    """A machine that answers every request with the same bytes."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer

    def run(self, argv: tuple[str, ...], **_: object) -> CommandResult:
        return said(self.answer)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (json.dumps({"outcome": "ok", "x": "y" * 17_000_000}).encode(), "17000026 bytes, more than 1048576"),
        ((OK % nested(600)).encode(), "nested more than 40 levels"),
        ((OK % nested(100_000)).encode(), "nested more than 40 levels"),
        (b'{"outcome": "ok", "x": NaN}', "did not answer `facts`"),
    ],
)
def test_hostile_facts_are_an_error_in_words(answer: bytes, says: str) -> None:
    with pytest.raises(CommandFailed, match=says) as caught:
        probe_client.facts(Says(answer), make_testbed().machines[0])  # type: ignore[arg-type]
    assert len(str(caught.value)) < 5000


def test_facts_with_a_lone_surrogate_can_be_kept(tmp_path: Path) -> None:
    campaign = store.create(tmp_path, make_spec(), make_testbed(), [make_trial()])
    answer = b'{"outcome": "ok", "distribution": "\\ud800x", "\\udfff": [1]}'
    campaign.write_facts("node1", probe_client.facts(Says(answer), make_testbed().machines[0]))  # type: ignore[arg-type]
    assert campaign.facts()["node1"][0]["distribution"] == "?x"


@pytest.mark.parametrize("answer", [b'{"missing": 7}', b'{"missing": "x", "boot_id": ["y"]}', b'{"boot_id": {}}'])
def test_a_gate_s_answer_of_another_shape_names_nothing(answer: bytes) -> None:
    ready = probe_client.ready(Says(answer), make_testbed().machines[0], "runc")  # type: ignore[arg-type]
    assert ready.missing == () and ready.boot_id is None


@pytest.mark.parametrize("levels", [1, 12, 39])
def test_what_the_probe_nests_is_taken(levels: int) -> None:
    assert arrival.parse(nested(levels).encode()) is not None

"""What a real Kata campaign (tests/data/emulated-kata-1.12.1) shows of the rules: proof, failures, repeats, meters.

Expected values are read from its raw files by hand, here.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from rtlab import report, store
from rtlab.report.model import Report

KEPT = Path(__file__).parent / "data" / "emulated-kata-1.12.1"


@pytest.fixture(scope="module")
def built() -> Report:
    return report.build(store.find(KEPT.parent, KEPT.name))


def raw(pattern: str) -> list[dict]:  # type: ignore[type-arg]
    return [json.loads(f.read_text()) for f in sorted(KEPT.glob(pattern))]


def test_kata_was_proved_by_kernel_boot_id_and_a_vmm_that_holds_kvm() -> None:
    answers = [a for a in raw("trials/*-kata-*/probe.json") if a.get("outcome") == "ok"]
    assert len(answers) == 16
    for answer in answers:
        evidence = answer["proof"]["evidence"]
        assert evidence["inside_boot_id"] != evidence["machine_boot_id"]
        assert evidence["vmm_holds_kvm"] is True


def test_failed_starts_are_counted_shown_and_in_no_mean(built: Report) -> None:
    failed = [r for r in raw("trials/*/record.json") if r["outcome"] == "failed"]
    assert len(failed) == 4 and {r["trial"]["runtime"] for r in failed} == {"kata"}
    assert sum("Failed to check if grpc server is working" in r["reason"] for r in failed) == 3
    table = next(t for t in built.tables if t.number == "I")
    (row,) = (row for row in table.rows if row.runtime == "Kata" and not row.of_the_paper)
    # Four boot trials of Kata ran; that of the repeated block counts once.
    assert {(cell.n, cell.n_failed) for cell in row.cells if cell.mean is not None} == {(2, 1)}


def test_the_repeat_takes_the_place_of_the_block_and_the_limit_is_told(built: Report) -> None:
    plan = [json.loads(line) for line in (KEPT / "plan.jsonl").read_text().splitlines()]
    assert {t["repeats"] for t in plan} == {None, 1}
    (memory,) = [c for c in built.primaries() if c.experiment == "memory"]
    assert memory.ratio is not None
    values = {
        (o.trial.block, o.trial.arm): o.value
        for o in built.observations
        if (o.trial.experiment, o.metric) == ("memory", "container_pss_bytes") and o.value is not None
    }
    logs = [math.log(values[block, "kata"] / values[block, "runc"]) for block in (2, 3, 4)]
    assert memory.ratio.point == pytest.approx(math.exp(sum(logs) / 3))
    assert any("block 4" in caveat.message for caveat in built.caveats)


def test_a_meter_that_sees_only_the_container_s_cgroup_misses_a_virtual_machine(built: Report) -> None:
    """The VMM lives outside the container's cgroup under Docker 20.10: the reason for three meters."""
    (told,) = [c.message for c in built.caveats if c.kind == "meters" and "memory" in c.message and "Kata" in c.message]
    assert "Its cgroup is 96 % below PSS" in told

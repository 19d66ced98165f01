"""Campaigns that rtlab measured on real machines, kept in tests/data: all that comes after the machines, on them."""

from __future__ import annotations

import math
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from rtlab import report, store
from rtlab.model import Outcome

KEPT = sorted(p.parent for p in (Path(__file__).parent / "data").glob("*/campaign.json"))
pytestmark = pytest.mark.parametrize("kept", KEPT, ids=lambda p: p.name)


@pytest.fixture
def campaign(kept: Path, tmp_path: Path) -> store.Campaign:
    shutil.copytree(kept, tmp_path / kept.name)
    return store.find(tmp_path, kept.name)


def test_its_raw_files_are_what_was_stored(campaign: store.Campaign) -> None:
    assert campaign.finished
    assert campaign.changed_files() == ()


def test_every_usable_trial_can_be_read_and_was_proved(campaign: store.Campaign) -> None:
    built = report.build(campaign)
    ran = [a for a in built.attempts if a.record is not None]
    assert ran
    assert not [a.reason for a in ran if "not readable" in a.reason]
    for raw in campaign.raw_outputs():
        if raw.record.outcome is Outcome.OK:
            proof: Any = raw.probe["proof"]
            assert proof["ok"] is True
            own_kernel = raw.record.trial.runtime.startswith(("kata", "gvisor"))
            evidence = proof["evidence"]
            assert own_kernel == (evidence["inside_boot_id"] != evidence["machine_boot_id"])


def test_mean_and_deviation_are_those_of_the_raw_values(campaign: store.Campaign) -> None:
    """By hand, from the observations: sum over n, and n − 1 below the deviation."""
    built = report.build(campaign)
    replaced = {t.repeats for t in campaign.plan}
    checked = 0
    for summary in built.analysis.summaries:
        values = [
            o.value
            for o in built.observations
            if (o.trial.experiment, o.metric, o.trial.arm) == (summary.experiment, summary.metric, summary.arm)
            and o.trial.kind == "ab"
            and o.trial.block not in replaced
            and o.value is not None
        ]
        if len(values) < 2 or summary.mean is None or summary.sd is None or len(values) != summary.n:
            continue
        mean = sum(values) / len(values)
        deviation = math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))
        assert summary.mean == pytest.approx(mean)
        assert summary.sd == pytest.approx(deviation, abs=1e-9 * abs(mean))
        checked += 1
    assert checked >= 10


def test_five_tables_with_both_runtimes_and_the_level_on_top(campaign: store.Campaign) -> None:
    built = report.build(campaign)
    text = report.markdown(built)
    assert [t.number for t in built.tables] == ["I", "II", "III", "IV", "V"]
    for table in built.tables:
        here = {row.runtime for row in table.rows if not row.statistic.startswith("the paper")}
        assert {built.titles[r] for r in built.spec.runtimes} <= here, table.heading
    assert built.where in text.splitlines()[0]
    assert not re.search(r"\b(nan|inf)\b", text, re.IGNORECASE)


def test_the_report_is_rebuilt_byte_for_byte(campaign: store.Campaign) -> None:
    first = {p: p.read_bytes() for p in report.write(report.build(campaign), campaign.folder)}
    shutil.rmtree(campaign.folder / "derived")
    shutil.rmtree(campaign.folder / "report")
    assert {p: p.read_bytes() for p in report.write(report.build(campaign), campaign.folder)} == first


def test_it_names_no_host_and_no_address_of_hardware(kept: Path) -> None:
    for file in kept.rglob("*"):
        if file.is_file():
            text = file.read_text(errors="replace")
            assert not re.search(r"\b([0-9a-f]{2}:){5}[0-9a-f]{2}\b", text), file
            assert not re.search(r"https?://(?!download\.docker\.com|github\.com)[a-z]", text), file

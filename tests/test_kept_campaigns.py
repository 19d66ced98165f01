"""Campaigns that rtlab measured on real machines, kept in tests/data: all that comes after the machines, on them."""

from __future__ import annotations

import math
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from markupsafe import escape

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
        here = {row.runtime for row in table.rows if not row.of_the_paper}
        assert {built.titles[r] for r in built.spec.runtimes} == here, table.heading
    assert built.where in text.partition("\n## ")[0]
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


def test_old_and_deprecated_parts_stand_in_the_heading(campaign: store.Campaign, kept: Path) -> None:
    """By the projects' release dates; the emulated campaigns are of November 2026, on Debian 12's packages."""
    built = report.build(campaign)
    old = [c.message.partition(",")[0] for c in built.heading if c.kind == "old"]
    debian = ["Docker of 2023-04 (20.10.24", "containerd of 2023-03 (1.6.20", "runC of 2023-03 (1.1.5"]
    arms = {
        "emulated-debian-12": ["gVisor of 2022-12 (0.0~20221219.0"],
        "emulated-kata-1.12.1": ["Kata of 2021-01 (1.12.1): released more than a year before this campaign."],
    }
    assert old == ([*debian, *arms[kept.name]] if kept.name in arms else [])  # else today's
    ptrace = "gVisor ran on platform ptrace: deprecated since systrap (2023)."
    deprecated = [c.message for c in built.heading if c.kind == "deprecated"]
    assert deprecated == ([ptrace] if kept.name == "emulated-debian-12" else [])

    page = next(p for p in report.write(built, campaign.folder) if p.name == "index.html").read_text()
    page = page.replace("\u00a0", " ")
    header, _, rest = page.partition("</header>")
    first, _, after = report.markdown(built).partition("\n## ")
    document: Any = report.as_json(built)
    for caveat in built.heading:
        # Named above the answer, told below it, once.
        assert caveat.short and str(escape(caveat.short)) in header
        assert caveat.short in re.sub(r"\\(.)", r"\1", first)
        assert rest.count(str(escape(caveat.message))) == 1 and str(escape(caveat.message)) not in header
        assert caveat.message in re.sub(r"\\(.)", r"\1", after)
        assert caveat.message in [told["message"] for told in document["heading"]]
    assert len(header.partition("<body>")[2]) < 2000  # it pushes the answer off no screen

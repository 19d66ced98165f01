"""``plan``, ``campaigns``, ``show`` and ``status`` tell what is, and what would be."""

from __future__ import annotations

import dataclasses
import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rtlab import store
from rtlab.campaign.overview import overview
from rtlab.config import section as settings_of
from rtlab.model import Outcome
from rtlab.state import hold_lock

DATA = Path(__file__).parent / "data"


def rtlab(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rtlab", *words], cwd=cwd, capture_output=True, text=True, check=False, timeout=120
    )


def document(*words: str, cwd: Path) -> Any:
    done = rtlab(*words, "--json", cwd=cwd)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def failed() -> int:
    """How many trials of the kept campaign with Kata were not ok, by the files themselves."""
    records = (DATA / "emulated-kata-1.12.1" / "trials").glob("*/record.json")
    return sum(json.loads(file.read_text())["outcome"] != "ok" for file in records)


@pytest.fixture
def study(tmp_path: Path) -> Path:
    assert rtlab("up", "--provider", "simulated", cwd=tmp_path).returncode == 0
    return tmp_path


def test_the_command_that_plan_names_runs_exactly_what_was_shown(study: Path) -> None:
    words = ("--runs", "3", "--experiments", "boot,cpu", "--set", "boot.starts=3", "--margin", "7%", "--aa")
    shown = document("plan", *words, cwd=study)
    assert document("plan", *words, cwd=study)["seed"] != shown["seed"], "each plan draws its own"

    program, *command = shlex.split(shown["command"])
    assert program == "rtlab" and shlex.join(words[:4]) in shown["command"]
    assert document(*command, "--dry-run", cwd=study)["trials"] == shown["trials"]
    campaign = store.Campaign(Path(document(*command, cwd=study)["campaign"]))
    assert [dataclasses.asdict(t) for t in campaign.plan] == shown["trials"]
    assert campaign.spec.margin == 0.07 and campaign.spec.parameters["boot"]["starts"] == 3


def test_a_dry_run_shows_what_is_left_of_an_unfinished_campaign(study: Path) -> None:
    words = ("--runs", "2", "--experiments", "boot")
    campaign = store.Campaign(Path(document("bench", *words, cwd=study)["campaign"]))
    (campaign.folder / "finished.json").unlink()
    gone = campaign.trial_folders()[-1]
    shutil.rmtree(gone)

    shown = document("bench", *words, "--dry-run", cwd=study)
    assert shown["goes_on_with"] == campaign.folder.name and shown["seed"] == campaign.spec.seed
    assert [t["number"] for t in shown["trials"]] == [len(campaign.plan)]
    said = rtlab("plan", *words, cwd=study)
    assert f"1 of {len(campaign.plan)} trials are left of {campaign.folder.name}" in said.stdout
    assert f"rtlab bench --resume {campaign.folder.name}" in said.stderr
    fresh = document("plan", *words, "--new", cwd=study)
    assert fresh["goes_on_with"] is None and fresh["command"].endswith(" --new")
    # Other settings: bench refuses, and so does its dry run.
    refused = rtlab("bench", "--runs", "3", "--dry-run", cwd=study)
    assert refused.returncode == 2 and "is unfinished" in refused.stderr


def test_one_arm_compares_nothing_and_is_said_to(study: Path) -> None:
    done = rtlab("bench", "--runs", "2", "--experiments", "boot", "--runtimes", "runc", cwd=study)
    assert done.returncode == 0
    assert "Nothing will be compared: runc is the only runtime" in done.stderr
    assert "Nothing will be compared" in rtlab("plan", "--runtimes", "runc", "--design", "paper", cwd=study).stderr
    assert "runc alone: nothing is compared" in rtlab("campaigns", cwd=study).stdout


def test_campaigns_are_listed_with_state_blocks_and_verdicts(tmp_path: Path) -> None:
    for name in ("emulated-debian-12", "emulated-kata-1.12.1"):
        shutil.copytree(DATA / name, tmp_path / "campaigns" / name)
    broken = tmp_path / "campaigns" / "broken"
    broken.mkdir()
    (broken / "campaign.json").write_text('{"schema": 99}')
    (tmp_path / "campaigns" / "emulated-debian-12" / "finished.json").unlink()

    rows = {row["name"]: row for row in document("campaigns", cwd=tmp_path)["campaigns"]}
    assert rows["broken"]["state"] == "unreadable" and "schema 99" in rows["broken"]["reason"]
    assert rows["emulated-debian-12"]["state"] == "unfinished"
    kata = rows["emulated-kata-1.12.1"]
    assert (kata["state"], kata["trials"], kata["not_ok"], kata["pending"]) == ("finished", 40, failed(), 0)
    assert {v["experiment"]: v["verdict"] for v in kata["verdicts"]}["boot"] == "slower"
    shown = rtlab("campaigns", cwd=tmp_path).stdout
    assert "kata: 3 worse, 2 unclear (emulated: without meaning)" in shown
    assert "verdicts" not in document("campaigns", "--no-verdicts", cwd=tmp_path)["campaigns"][0]


def test_a_folder_without_campaigns_is_no_error(tmp_path: Path) -> None:
    done = rtlab("campaigns", cwd=tmp_path)
    assert done.returncode == 0 and "There is no campaign here" in done.stderr
    assert document("campaigns", cwd=tmp_path)["campaigns"] == []


def test_show_tells_what_happened_in_a_failed_trial_and_in_a_good_one(tmp_path: Path) -> None:
    kept = ("--campaign", str(DATA / "emulated-kata-1.12.1"))
    failed = rtlab("show", "18", *kept, cwd=tmp_path).stdout
    assert failed.startswith("Trial 18: network kata on node1, block 2: failed\nWhy: the engine refused POST")
    good = rtlab("show", "0017.1-boot-kata-node1", *kept, cwd=tmp_path).stdout
    for part in ("quiet after", "vmm_holds_kvm: True", "kata-runtime", "first_page_s", "20.2538 s", "stdout: empty"):
        assert part in good
    for line in good.split("Files:\n")[1].splitlines():
        assert Path(line.strip()).is_file()
    values = document("show", "17", *kept, cwd=tmp_path)["attempts"][0]["observations"]
    assert [round(v["value"], 4) for v in values if v["metric"] == "first_page_s"] == [20.6813]


@pytest.mark.parametrize(
    ("trial", "said"), [("99", "numbers 1 to 40"), ("../../etc", "has no trial"), ("1e3", "has no trial")]
)
def test_a_trial_that_is_not_there_is_named(trial: str, said: str, tmp_path: Path) -> None:
    done = rtlab("show", trial, "--campaign", str(DATA / "emulated-kata-1.12.1"), cwd=tmp_path)
    assert done.returncode == 1 and said in done.stderr and "Traceback" not in done.stderr


def test_show_refuses_raw_output_that_was_changed(tmp_path: Path) -> None:
    copy = tmp_path / "campaigns" / "c"
    shutil.copytree(DATA / "emulated-kata-1.12.1", copy)
    (copy / "trials" / "0017.1-boot-kata-node1" / "stdout").write_text("no\n")
    done = rtlab("show", "17", cwd=tmp_path)
    assert done.returncode == 1 and "is not what was stored" in done.stderr


def test_a_campaign_that_is_worked_on_is_running_until_the_lock_is_free(tmp_path: Path) -> None:
    copy = tmp_path / "campaigns" / "c"
    shutil.copytree(DATA / "emulated-kata-1.12.1", copy)
    (copy / "finished.json").unlink()
    campaign = store.Campaign(copy)
    with hold_lock(copy / ".lock", "a test"):
        found = overview(campaign)
        assert found.state == "running" and found.since_s is not None
    found = overview(campaign)
    assert found.state == "unfinished" and found.since_s is None
    assert [f.trial for f in found.failures] == [
        r.trial.number for r in campaign.records() if r.outcome is not Outcome.OK
    ]
    assert found.last.startswith("io runc ")


def test_watching_in_a_pipe_ends_with_the_campaign(tmp_path: Path) -> None:
    shutil.copytree(DATA / "emulated-kata-1.12.1", tmp_path / "campaigns" / "c")
    done = rtlab("status", "--watch", cwd=tmp_path)
    assert done.returncode == 0
    assert "Campaign c: finished" in done.stdout and f"{failed()} trials not usable" in done.stdout
    assert rtlab("status", "--watch", "--json", cwd=tmp_path).returncode == 2


@pytest.mark.parametrize(("section", "command"), [("testbed", "up"), ("campaign", "bench"), ("campaign", "plan")])
def test_every_setting_is_an_option_in_the_settings_own_words(section: str, command: str, tmp_path: Path) -> None:
    """One table: a setting that is added is an option of every command that takes them."""
    from rtlab.cli.options import with_option
    from rtlab.config import option

    shown = " ".join(rtlab(command, "--help", cwd=tmp_path).stdout.split()).replace("- ", "-")
    fields = {field.name: field for field in dataclasses.fields(settings_of(section))}
    # By hand: a section within the section, and what --provider names.
    assert fields.keys() - set(with_option(section)) == ({"kata", "backend"} if section == "testbed" else set())
    for field in fields.values():
        if field.name not in ("kata", "backend"):
            assert option(f"{section}.{field.name}") in shown
            assert field.metadata["about"].replace("- ", "-") in shown

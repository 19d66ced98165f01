"""How many blocks a precision takes, foretold from simulated pilots and held against the campaigns themselves."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from scipy import stats as reference

from rtlab import store
from rtlab.campaign import forecast
from rtlab.campaign.pace import Pace, elapsed_s
from rtlab.errors import UsageError
from rtlab.model import Level, Outcome
from rtlab.stats.adaptive import scatter_bound
from tests.conftest import make_record, make_spec, make_testbed, make_trial


def rtlab(*words: str, cwd: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "rtlab", *words], cwd=cwd, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def pilot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pilot")
    rtlab("up", "--provider", "simulated", cwd=folder)
    rtlab("bench", "--runs", "16", "--experiments", "boot,cpu", "--seed", "5", cwd=folder)
    return folder


def test_the_blocks_foretold_by_a_pilot_reach_the_precision(pilot: Path) -> None:
    """The scenario's noise is 4 % and 8 %: sd of a log ratio about sqrt(0.04² + 0.08²) = 0.089."""
    found = forecast.foretell(store.find(pilot / "campaigns"), 0.04)

    assert found.blocks is not None and found.careful_blocks is not None
    truth = next(n for n in range(5, 100) if reference.t.ppf(0.975, n - 2) * 0.089 / n**0.5 <= 0.0392)
    assert truth * 0.4 < found.blocks < truth * 2.5
    assert found.careful_blocks > found.blocks
    assert {f.experiment for f in found.forecasts} == {"boot", "cpu"}
    rtlab("bench", "--new", "--runs", str(found.careful_blocks), "--experiments", "boot,cpu", "--seed", "6", cwd=pilot)
    after = forecast.foretell(store.find(pilot / "campaigns"), 0.04)
    assert all(f.half_width is not None and f.half_width < 0.05 for f in after.forecasts)


def test_plan_says_it_as_a_table_and_as_json(pilot: Path) -> None:
    name = sorted(p.name for p in (pilot / "campaigns").iterdir())[0]
    shown = rtlab("plan", "--target", "5 %", "--campaign", name, cwd=pilot)
    assert "All together:" in shown and "boot" in shown
    data = json.loads(rtlab("plan", "--target", "5%", "--campaign", name, "--json", cwd=pilot))
    assert data["campaign"] == name
    assert data["blocks"] == max(f["blocks"] for f in data["forecasts"])


def test_a_finer_target_takes_more_blocks(pilot: Path) -> None:
    campaign = store.find(pilot / "campaigns")
    needed = [forecast.foretell(campaign, target).blocks or 0 for target in (0.2, 0.1, 0.05, 0.01)]
    assert needed == sorted(needed) and needed[-1] > 10 * needed[0]


def test_the_upper_limit_of_a_scatter_is_scipys() -> None:
    assert scatter_bound(0.05, 13, 0.8) == pytest.approx(0.05 * (13 / reference.chi2.ppf(0.2, 13)) ** 0.5)


def test_the_papers_design_has_no_blocks_to_foretell_from(tmp_path: Path) -> None:
    spec = make_spec(design="paper", runs=1)
    campaign = store.create(tmp_path, spec, make_testbed(), [make_trial()])
    with pytest.raises(UsageError, match="no blocks"):
        forecast.foretell(campaign, 0.05)


# --------------------------------------------------------------------------- how long


def past(tmp_path: Path, level: Level = Level.METAL, **changes: object) -> store.Campaign:
    """One boot per pair of trials: after a reboot a trial takes 70 s, the others 10 s."""
    bed = make_testbed()
    bed = replace(bed, machines=tuple(replace(m, level=level) for m in bed.machines))
    spec = make_spec(reboot="block", **changes)
    trials = [make_trial(n, block=n, boot=(n + 1) // 2) for n in range(1, 5)]
    campaign = store.create(tmp_path, spec, bed, trials)
    for trial in trials:
        rebooted = trial.number % 2 == 1
        ended = "2026-11-23T10:01:10Z" if rebooted else "2026-11-23T10:00:10Z"
        campaign.write_trial(make_record(trial, rebooted=rebooted, ended_at=ended, outcome=Outcome.OK), {})
    return campaign


def kept(name: str, runtime: str) -> dict[str, tuple[float, float]]:
    """Experiment -> what its trials took in a kept campaign, and what was guessed before anything was seen."""
    campaign = store.Campaign(Path(__file__).parent / "data" / name)
    pace = Pace(campaign.spec, campaign.testbed.level)
    took: dict[str, list[float]] = {}
    guessed: dict[str, float] = {}
    for record in campaign.records():
        if record.outcome is Outcome.OK and record.trial.runtime == runtime and not record.rebooted:
            took.setdefault(record.trial.experiment, []).append(elapsed_s(record) - (record.waited_s or 0.0))
            guessed[record.trial.experiment] = pace.trial_s(record.trial)
    return {experiment: (sum(times) / len(times), guessed[experiment]) for experiment, times in took.items()}


@pytest.mark.parametrize(("name", "factor"), [("local-2026-11", 4.0), ("emulated-debian-12", 2.0)])
def test_the_first_guess_of_a_trials_time_is_near_what_trials_took(name: str, factor: float) -> None:
    """Of real campaigns, under runC: the guess decides what `plan` says before anything was measured."""
    found = kept(name, "runc")
    assert len(found) >= 4
    far = {e: (took, guess) for e, (took, guess) in found.items() if not took / factor <= guess <= took * factor}
    assert not far


def test_the_pace_of_past_trials_is_learned_reboots_apart(tmp_path: Path) -> None:
    pace = Pace(make_spec(reboot="block"), Level.METAL)
    pace.learn_from([past(tmp_path)])

    assert pace.trial_s(make_trial()) == 10
    assert pace.reboot_s() == 60
    assert pace.remaining_s([make_trial(1, boot=1), make_trial(2, boot=1), make_trial(3, boot=2)]) == 3 * 10 + 2 * 60
    assert pace.source


@pytest.mark.parametrize(
    ("level", "parameters"),
    [(Level.NESTED, {"boot": {"starts": 2}}), (Level.METAL, {"boot": {"starts": 15}})],
)
def test_other_levels_and_other_parameters_teach_nothing(
    tmp_path: Path, level: Level, parameters: dict[str, dict[str, int]]
) -> None:
    pace = Pace(make_spec(), Level.METAL)
    pace.learn(past(tmp_path, level, parameters=parameters))
    assert not pace.seen and not pace.source


def test_a_damaged_campaign_teaches_nothing(tmp_path: Path) -> None:
    campaign = past(tmp_path)
    next((campaign.folder / "trials").glob("*/record.json")).write_text("{")
    pace = Pace(make_spec(), Level.METAL)
    pace.learn(campaign)
    assert not pace.seen

"""Simulated machines: truth in, estimates out, through the code that real machines use."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import statistics
import threading
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rtlab import config, plugins, testbed
from rtlab.campaign import choosing, session
from rtlab.campaign.plan import plan
from rtlab.campaign.repeats import pending
from rtlab.config import TestbedSettings
from rtlab.errors import ConfigError, MachineUnreachable, UsageError
from rtlab.model import CampaignSpec, Event, Outcome, Testbed, Verdict, ignore_events
from rtlab.providers.simulated import documents, simulation
from rtlab.providers.simulated.provider import PROVIDER, built_in, read_scenario, scenario_text
from rtlab.providers.simulated.scenario import Place, Scenario, truths
from rtlab.state import StateFolder
from rtlab.stats import Analysis, analyse
from rtlab.store import Campaign
from tests.conftest import make_record, make_spec

EXPERIMENTS = ("boot", "cpu", "io", "memory", "network")


def place(number: int = 1, **changes: Any) -> Place:
    return replace(Place(seed=1, number=number, machine="node1", runtime="runc"), **changes)


def full_spec(**changes: Any) -> CampaignSpec:
    parameters = {name: plugins.experiment(name).defaults("default") for name in EXPERIMENTS}
    base = make_spec(experiments=EXPERIMENTS, runtimes=("runc", "kata"), parameters=parameters, reboot="block", runs=16)
    return replace(base, **changes)


# --------------------------------------------------------------------------- scenarios


@pytest.mark.parametrize("name", built_in())
def test_each_built_in_scenario_is_right(name: str) -> None:
    scenario = read_scenario(*scenario_text(name))
    assert scenario.summary.endswith(".")


def test_every_metric_of_every_experiment_has_a_truth() -> None:
    for name in plugins.names("experiments"):
        assert set(truths()[name]) == {m.name for m in plugins.experiment(name).metrics}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('summary = "x"\nnois = 1', "nois"),
        ("machines = 2", "summary"),
        ('summary = "x"\nmachines = 0', "machines"),
        ('summary = "x"\nshape = "odd"', "two modes"),
        ('summary = "x"\nstep_factor = 0', "step_factor"),
        ('summary = "x"\n[failures]\nkata = 1.5', "failures.kata"),
        ('summary = "x"\n[ratios.kata]\nbots = 2', "bots"),
        ('summary = "x"\n[ratios.kata]\nboot = -1', "ratios.kata.boot"),
        ('summary = "x"\nratios = 3', "ratios"),
        ("=", "TOML"),
    ],
)
def test_a_wrong_scenario_is_named_with_its_key(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        read_scenario(text, "mine.toml")


def test_a_missing_scenario_names_the_built_in_ones() -> None:
    with pytest.raises(UsageError) as raised:
        scenario_text("nowhere.toml")
    assert "heavy-tails" in raised.value.remedy


def test_a_value_depends_on_seed_trial_and_attempt_only() -> None:
    scenario = Scenario(summary="x.")
    first = scenario.value(place(5), "boot", "first_page_s")
    for number in range(50):
        scenario.value(place(number), "boot", "first_page_s")
    assert scenario.value(place(5), "boot", "first_page_s") == first
    others = {
        scenario.value(p, "boot", "first_page_s")
        for p in (place(6), place(5, seed=2), place(5, attempt=2), place(5, runtime="kata"))
    }
    assert len(others) == 4 and first not in others


@pytest.mark.parametrize("shape", ["normal", "heavy tails", "two modes"])
def test_noise_has_the_declared_scatter_in_every_shape(shape: Any) -> None:
    """Mean 0 and SD 1 by construction; t with 3 degrees of freedom has no fourth moment, so its SD converges slowly."""
    draws = [Scenario(summary="x.", shape=shape).standard(place(n), "x") for n in range(4000)]
    assert statistics.fmean(draws) == pytest.approx(0, abs=0.06)
    assert statistics.stdev(draws) == pytest.approx(1, abs=0.25 if shape == "heavy tails" else 0.04)


def test_step_drift_and_machine_slow_times_and_lower_rates() -> None:
    plain = Scenario(summary="x.", noise={"default": 0.0})
    slow = replace(plain, step_factor=1.1, step_after=10, drift_factor=2.0, machine_effect=1.2)
    there = place(100, machine="node2")
    factor = 1.1 * 2.0 * 1.2
    assert slow.slowness(there) == pytest.approx(factor)
    for experiment, metric, wanted in (
        ("boot", "first_page_s", factor),
        ("io", "put_block_bytes_per_s", 1 / factor),
        ("network", "request_s", factor),
    ):
        ratio = slow.value(there, experiment, metric) / plain.value(there, experiment, metric)
        assert ratio == pytest.approx(wanted)


# --------------------------------------------------------------------------- answers


@pytest.mark.parametrize("design", ["default", "paper"])
@pytest.mark.parametrize("name", plugins.names("experiments"))
def test_answers_are_what_the_experiments_parse(name: str, design: Any) -> None:
    """Without noise each parsed value is the scenario's, as exactly as the tool prints it."""
    from rtlab.connection import client as probe_client
    from rtlab.model import CommandResult, RawOutput
    from tests.conftest import make_testbed

    experiment = plugins.experiment(name)
    scenario = Scenario(summary="x.", noise={"default": 0.0})
    spec = full_spec(parameters={name: experiment.defaults(design)}, experiments=(name,), design=design)
    trial = plan(spec, ("node1",), 1)[0]
    request = probe_client.trial_request(trial, spec, make_testbed().machines[0], "0123abcd")
    document = simulation.answer(scenario, request, machine="node1", boot_id="b")
    result = CommandResult(
        argv=(), exit_status=0, stdout=json.dumps(document).encode(), stderr=b"", started_at="", elapsed_s=0
    )
    read = probe_client.read_answer(result)
    assert read.outcome is Outcome.OK
    raw = RawOutput(
        record=make_record(trial),
        stdout=read.files["stdout"].decode(),
        stderr="",
        probe=json.loads(read.files["probe.json"]),
    )
    found = experiment.parse(raw, spec.parameters[name])
    share = 30 / 380 if design == "default" else 1.0
    for observation in found:
        if observation.value is None:
            assert observation.note == "not taken"
            continue
        # In the paper's design the start through the command line is the boot test itself.
        alias = design == "paper" and observation.metric == "cli_first_page_s"
        truth = truths()[name]["first_page_s" if alias else observation.metric]
        counted = name == "cpu" and plugins_paper(name, observation.metric)
        assert observation.value == pytest.approx(truth * (share if counted else 1.0), rel=2e-3), observation.metric
    assert {o.metric for o in found} | {"cold_first_page_s"} >= {
        m.name for m in experiment.metrics if m.primary and (design == "default" or m.paper)
    }


def plugins_paper(name: str, metric: str) -> bool:
    return any(m.name == metric and m.paper for m in plugins.experiment(name).metrics)


# --------------------------------------------------------------------------- whole campaigns


class Stop(Exception):
    """Stands for a kill at any moment at which bench reports something."""


def make(folder: Path, scenario: str = "paper") -> tuple[Testbed, StateFolder]:
    state = StateFolder(folder / ".rtlab")
    settings = replace(config.Config().testbed, provider="simulated", profile="debian-12", scenario=scenario)
    return testbed.up(settings, state, ignore_events).testbed, state


def run(folder: Path, bed: Testbed, state: StateFolder, spec: CampaignSpec, *, stop_at: int | None = None) -> Campaign:
    seen = 0

    def notify(_event: Event) -> None:
        nonlocal seen
        seen += 1
        if seen == stop_at:
            raise Stop

    campaign, _ = choosing.choose_campaign(folder / "campaigns", spec, bed, durable=False)
    session.Session(campaign, bed, PROVIDER.open(bed, state), notify).execute()
    return campaign


def analysis(campaign: Campaign) -> Analysis:
    spec = campaign.spec
    records = list(campaign.records())
    observations = [
        o
        for record in records
        if record.outcome is Outcome.OK
        for o in plugins.experiment(record.trial.experiment).parse(
            campaign.raw_output(record), spec.parameters[record.trial.experiment]
        )
    ]
    return analyse(spec, observations, records, {n: plugins.experiment(n).metrics for n in spec.experiments})


@pytest.mark.parametrize("name", ["paper", "step", "machine-effect", "heavy-tails", "two-modes", "drift"])
def test_a_campaign_finds_the_scenarios_truth(tmp_path: Path, name: str) -> None:
    bed, state = make(tmp_path, name)
    scenario = read_scenario(*scenario_text(name))
    found = analysis(run(tmp_path, bed, state, full_spec(aa=True)))
    assert not found.broken
    assert len(found.noise) >= 5
    for one in found.comparisons:
        if one.exploratory or one.ratio is None or one.ratio.low is None or one.ratio.high is None:
            continue
        truth = scenario.truth(one.experiment, one.metric, one.arm)
        # Four times the half-width: five ratios in six scenarios must all pass, whatever the seed.
        half = 2 * (math.log(one.ratio.high) - math.log(one.ratio.low))
        assert abs(math.log(one.ratio.point) - math.log(truth)) < half, one.sentence
    boot = found.comparison("boot", "first_page_s", "kata")
    assert boot is not None and boot.verdict is Verdict.SLOWER


def test_failed_blocks_are_repeated_and_counted(tmp_path: Path) -> None:
    bed, state = make(tmp_path, "failures")
    campaign = run(tmp_path, bed, state, full_spec())
    found = analysis(campaign)
    repeated = {t.repeats for t in campaign.plan} - {None}
    assert len(repeated) == 4  # 20 % of 16, rounded up
    boot = found.comparison("boot", "first_page_s", "kata")
    assert boot is not None
    assert not repeated & set(boot.blocks)
    assert sum(s.n_failed for s in found.summaries if s.arm == "kata") > 0


def test_a_resumed_campaign_has_the_estimates_of_an_undisturbed_one(tmp_path: Path) -> None:
    """Stopped at 12 moments by an exception that nothing catches; the plan, each trial once, the same numbers."""
    bed, state = make(tmp_path / "a", "failures")
    spec = full_spec(runs=4)
    whole = run(tmp_path / "a", bed, state, spec)
    other, other_state = make(tmp_path / "b", "failures")
    rng = random.Random(4)
    for _ in range(12):
        try:
            run(tmp_path / "b", other, other_state, spec, stop_at=rng.randint(1, 12))
        except Stop:
            continue
        except UsageError:
            break
    resumed = next(iter(sorted((tmp_path / "b" / "campaigns").iterdir())))
    if pending(Campaign(resumed)):
        run(tmp_path / "b", other, other_state, spec)
    again = Campaign(resumed)
    assert len(list((tmp_path / "b" / "campaigns").iterdir())) == 1
    assert again.plan == whole.plan
    assert [r.trial for r in again.records()] == [r.trial for r in whole.records()]
    assert analysis(again).comparisons == analysis(whole).comparisons


KILLS = int(os.environ.get("RTLAB_TEST_KILLS", "40"))


def killed(folder: Path, bed: Testbed, state: StateFolder, spec: CampaignSpec, after_s: float) -> bool:
    """Work on the campaign in a process that SIGKILL ends this long after bench began; whether it was killed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # numpy's threads, which the child leaves alone
        child = os.fork()
    if child == 0:
        try:
            campaign, _ = choosing.choose_campaign(folder / "campaigns", spec, bed, durable=False)
            threading.Timer(after_s, lambda: os.kill(os.getpid(), signal.SIGKILL)).start()
            session.Session(campaign, bed, PROVIDER.open(bed, state), ignore_events).execute()
        finally:
            os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def test_kill_9_at_random_moments_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """The undisturbed campaign is the truth: same plan, trials and estimates. RTLAB_TEST_KILLS=200 is thorough."""
    spec = full_spec(runs=max(4, KILLS // 4))
    bed, state = make(tmp_path / "a", "failures")
    whole = run(tmp_path / "a", bed, state, spec)
    other, other_state = make(tmp_path / "b", "failures")
    rng = random.Random(9)
    kills = 0
    for _ in range(KILLS):
        kills += killed(tmp_path / "b", other, other_state, spec, rng.uniform(0, 0.08))
        (found,) = (tmp_path / "b" / "campaigns").glob("2*")
        if not pending(Campaign(found)):
            break
    assert kills > 0
    if pending(Campaign(found)):
        run(tmp_path / "b", other, other_state, spec)
    again = Campaign(found)
    # Everything is done, but a kill may have come before the last repeats were planned.
    session.Session(again, other, PROVIDER.open(other, other_state), ignore_events).execute()
    again = Campaign(found)
    print(f"{kills} kills, {len(again.plan)} trials")
    assert again.plan == whole.plan
    assert [r.trial for r in again.records()] == [r.trial for r in whole.records()]
    assert analysis(again).comparisons == analysis(whole).comparisons


def test_reboots_change_the_boot_id_and_slow_ones_fail(tmp_path: Path) -> None:
    bed, state = make(tmp_path, "slow-reboots")
    campaign_spec = full_spec(runs=1, experiments=("boot",))
    machine = bed.machines[0]
    failed = 0
    for _ in range(60):
        try:
            PROVIDER.reboot(bed, machine, state, 600)
        except MachineUnreachable:
            failed += 1
    assert 1 <= failed <= 15  # one in ten
    campaign = run(tmp_path, bed, state, replace(campaign_spec, ready_timeout_s=1000))
    assert len({r.boot_id for r in campaign.records()}) == 2


def test_as_many_machines_as_were_asked_for(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / ".rtlab")
    settings = replace(config.Config().testbed, provider="simulated", profile="debian-12", machines=5)
    bed = testbed.up(settings, state, ignore_events).testbed
    assert [m.name for m in bed.machines] == ["node1", "node2", "node3", "node4", "node5"]


def test_teardown_removes_the_machines_and_nothing_else(tmp_path: Path) -> None:
    bed, state = make(tmp_path)
    assert PROVIDER.leftovers("ffffffff", state) == ()
    assert [r.kind for r in PROVIDER.leftovers(bed.id, state)] == ["folder"]
    PROVIDER.teardown("ffffffff", state, ignore_events)
    assert Path(bed.machines[0].home).is_dir()
    assert PROVIDER.teardown(bed.id, state, ignore_events) == ()
    assert PROVIDER.leftovers(bed.id, state) == ()
    assert PROVIDER.status(bed, state)[0].state == "missing"
    with pytest.raises(MachineUnreachable, match="gone"):
        PROVIDER.shell(bed.machines[0])


def test_a_wrong_scenario_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    settings: TestbedSettings = replace(config.Config().testbed, provider="simulated", scenario="nowhere.toml")
    with pytest.raises(UsageError):
        PROVIDER.check(settings)


def test_an_experiment_that_is_not_simulated_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugins, "simulation", lambda name: None)
    scenario = read_scenario(*scenario_text(""))
    asked = {
        "verb": "trial",
        "experiment": "fork",
        "labels": {"rtlab.trial": "1-fork"},
        "runtime": {"name": "runc"},
        "parameters": {},
    }
    with pytest.raises(UsageError, match="no values for the experiment 'fork'") as caught:
        documents.answer(scenario, asked, machine="node1", boot_id="b")
    assert "--experiments" in caught.value.remedy

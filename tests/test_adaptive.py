"""``rtlab bench --until``: blocks are added until the ratios are precise, by a rule that never looks at a verdict."""

from __future__ import annotations

import itertools
import json
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from rtlab import config, plugins, report, store, testbed
from rtlab.campaign import choosing, plan
from rtlab.campaign.repeats import pending
from rtlab.campaign.session import Session
from rtlab.config import CampaignSettings, Config, TestbedSettings
from rtlab.errors import UsageError
from rtlab.model import CampaignSpec, Event, Trial, Until, Verdict, ignore_events
from rtlab.state import StateFolder
from rtlab.stats import stop_reason
from rtlab.store import Campaign
from tests.conftest import make_spec, make_testbed


def settings(**changes: object) -> CampaignSettings:
    return CampaignSettings(**{"experiments": ("boot",), "seed": 11, "until_percent": 5.0, **changes})  # type: ignore[arg-type]


class Working:
    """A working folder with a simulated testbed."""

    def __init__(self, folder: Path, scenario: str = "") -> None:
        self.folder = folder
        self.state = StateFolder(folder / ".rtlab")
        wanted = TestbedSettings(provider="simulated", profile="current", scenario=scenario)
        self.testbed = testbed.up(wanted, self.state, ignore_events).testbed

    def spec(self, **changes: object) -> CampaignSpec:
        return config.campaign_spec(Config(campaign=settings(**changes)), self.testbed)

    def session(self, spec: CampaignSpec, notify: object = ignore_events) -> Session:
        campaign, _ = choosing.choose_campaign(self.folder / "campaigns", spec, self.testbed, durable=False)
        machines = plugins.provider("simulated").open(self.testbed, self.state)
        return Session(campaign, self.testbed, machines, notify)  # type: ignore[arg-type]


@pytest.fixture
def working(tmp_path: Path) -> Working:
    return Working(tmp_path)


def message(campaign: Campaign) -> str:
    (caveat,) = [c for c in report.build(campaign).caveats if c.kind == "adaptive"]
    return caveat.message


# --------------------------------------------------------------------------- why it stops


def test_it_stops_at_the_first_look_that_finds_the_precision(working: Working) -> None:
    session = working.session(working.spec())
    done = session.execute()
    campaign = session.campaign

    looks = campaign.looks()
    assert [look["full"] for look in looks] == list(range(15, 15 + len(looks)))
    widths = [look["half_widths"]["boot/first_page_s/kata"] for look in looks]
    assert widths[-1] <= 0.05 and all(w > 0.05 for w in widths[:-1]) and len(looks) > 1
    assert done.stopped == campaign.stopped and "every primary ratio is known" in done.stopped
    assert campaign.finished and not pending(campaign)
    assert done.stopped in message(campaign) and "adaptively" in message(campaign)
    assert f"{14 + len(looks)} blocks (adaptive" in report.build(campaign).design()


def test_it_stops_at_the_cap_of_blocks(working: Working) -> None:
    session = working.session(working.spec(until_percent=0.5, max_blocks=17))
    done = session.execute()

    assert done.stopped == "the cap of 17 blocks is reached"
    assert {t.block for t in session.campaign.plan} == set(range(1, 18))
    assert "cap of 17 blocks" in message(session.campaign)


@pytest.mark.parametrize(("hours", "blocks", "looked"), [(1.0, 6, 0), (2.8, 17, 3)])
def test_it_stops_before_the_next_block_when_the_hours_are_over(
    working: Working, monkeypatch: pytest.MonkeyPatch, hours: float, blocks: int, looked: int
) -> None:
    """Each trial takes 300 s by this clock, so each block of two takes 10 minutes."""
    ticks = itertools.count()

    def clock() -> str:
        seconds = next(ticks) * 300
        return f"2026-11-{23 + seconds // 86400:02d}T{seconds // 3600 % 24:02d}:{seconds // 60 % 60:02d}:00Z"

    monkeypatch.setattr("rtlab.campaign.session.now", clock)
    session = working.session(working.spec(until_percent=0.5, max_hours=hours))
    done = session.execute()

    assert done.stopped == f"the cap of {hours:g} hours is reached"
    ran = {r.trial.block for r in session.campaign.records()}
    assert ran == set(range(1, blocks + 1))
    assert len(session.campaign.looks()) == looked
    assert session.campaign.finished
    kinds = {c.kind: c.message for c in report.build(session.campaign).caveats}
    assert ("left out by the cap" in kinds.get("unfinished", "")) == (looked == 0)


def test_an_arm_that_always_fails_ends_at_the_cap_not_never(tmp_path: Path) -> None:
    scenario = tmp_path / "broken.toml"
    scenario.write_text('summary = "Kata never starts."\n[failures]\nkata = 1.0\n')
    working = Working(tmp_path, str(scenario))
    session = working.session(working.spec(max_blocks=16))
    done = session.execute()

    assert done.stopped == "the cap of 16 blocks is reached"
    assert done.short_of_blocks > 0
    assert session.campaign.looks()[-1]["full"] == 0


def test_the_rule_never_looks_at_a_verdict_or_at_p(working: Working) -> None:
    session = working.session(working.spec())
    session.execute()
    (found,) = [c for c in report.build(session.campaign).analysis.comparisons if not c.exploratory]
    until = Until(target=0.05)
    reasons = {
        stop_reason(until, [replace(found, verdict=v, p_value=p, p_adjusted=p)], blocks=n, hours=0, mid_block=False)
        for v in Verdict
        for p in (None, 0.0, 1.0)
        for n in (20,)
    }
    assert len(reasons) == 1


# --------------------------------------------------------------------------- the plan


def body(trials: tuple[Trial, ...]) -> list[tuple[str, str, str]]:
    return [(t.machine, t.arm, t.experiment) for t in trials]


@pytest.mark.parametrize("aa", [False, True])
def test_further_blocks_are_the_seeds_own_next_ones(aa: bool) -> None:
    spec = make_spec(runs=15, aa=aa, experiments=("boot", "cpu", "io"), seed=3)
    names = ("node1", "node2")
    stored = plan.plan(spec, names, spec.seed)
    for further in range(1, 6):
        stored += plan.next_block(spec, names, stored)
        assert stored == plan.plan(spec, names, spec.seed, further=further)
    longer = plan.plan(replace(spec, runs=20), names, spec.seed)
    if not aa:
        assert body(stored) == body(longer)
    assert [t.number for t in stored] == list(range(1, len(stored) + 1))


def test_repeats_in_between_do_not_change_which_block_is_next() -> None:
    spec = make_spec(runs=15, experiments=("boot", "cpu"))
    names = ("node1", "node2")
    plain = plan.plan(spec, names, spec.seed)
    repeated = plain + plan.repeat_block(plain, 4)

    after = plan.next_block(spec, names, repeated)
    assert body(after) == body(plan.next_block(spec, names, plain))
    assert {t.block for t in after} == {17} and all(t.repeats is None for t in after)
    assert after[0].number == repeated[-1].number + 1
    assert after[0].boot > max(t.boot for t in repeated)


def test_a_block_is_in_the_plan_before_it_runs(working: Working) -> None:
    """At every event the stored plan holds every trial that has a record."""
    sessions: list[Session] = []

    def notify(_event: Event) -> None:
        campaign = sessions[0].campaign
        planned = {t.number for t in campaign.plan}
        assert {int(f.name.split(".")[0]) for f in campaign.trial_folders()} <= planned

    sessions.append(working.session(working.spec(max_blocks=17, until_percent=0.5), notify))
    assert sessions[0].execute().done == 34


# --------------------------------------------------------------------------- interruption


def essence(campaign: Campaign) -> object:
    """What an interruption must not change."""
    values = [(o.trial, o.metric, o.value) for o in report.build(campaign).observations]
    looks = [{k: look[k] for k in ("planned", "full", "half_widths", "stopped")} for look in campaign.looks()]
    return campaign.plan, values, looks, campaign.stopped


def test_ctrl_c_at_any_event_goes_on_to_the_same_end(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    whole = Working(tmp_path / "whole")
    events: list[Event] = []
    undisturbed = whole.session(whole.spec(until_percent=6.0), events.append)
    undisturbed.execute()

    rng = random.Random(1)
    looks = [i for i, event in enumerate(events) if event.stage == "look"]
    for number, moment in enumerate(sorted({*looks, *rng.sample(range(len(events)), 10)})):
        (tmp_path / str(number)).mkdir()
        cut = Working(tmp_path / str(number))
        cut.testbed = whole.testbed
        cut.state = whole.state
        seen = itertools.count()

        def notify(_event: Event, seen: itertools.count[int] = seen, moment: int = moment) -> None:
            if next(seen) == moment:
                raise KeyboardInterrupt

        session = cut.session(cut.spec(until_percent=6.0), notify)
        with pytest.raises(KeyboardInterrupt):
            session.execute()
        again = cut.session(cut.spec(until_percent=6.0))
        assert again.campaign.folder == session.campaign.folder
        again.execute()
        assert essence(again.campaign) == essence(undisturbed.campaign)


def test_kill_9_at_random_moments_goes_on_to_the_same_end(tmp_path: Path) -> None:
    words = ["bench", "--until", "6%", "--experiments", "boot,cpu,network", "--seed", "11"]

    def start(*arguments: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "rtlab", *arguments]
        return subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    assert start("up", "--provider", "simulated").wait(60) == 0
    process = start(*words, "--name", "whole")
    assert process.wait(120) == 0
    (whole,) = (tmp_path / "campaigns").iterdir()

    rng, kills = random.Random(5), 0
    while kills < 8:
        process = start(*words, "--name", "cut")
        begun = tmp_path.glob("campaigns/*-cut/trials/*")
        deadline = time.monotonic() + 60
        before = len(list(begun))
        while process.poll() is None and time.monotonic() < deadline:
            if len(list(tmp_path.glob("campaigns/*-cut/trials/*"))) > before + 1:
                time.sleep(rng.random() * 0.02)
                process.send_signal(signal.SIGKILL)
                break
        kills += process.wait(60) == -signal.SIGKILL
        if list(tmp_path.glob("campaigns/*-cut/finished.json")):
            break
    else:
        assert start(*words, "--name", "cut").wait(120) == 0
    (cut,) = tmp_path.glob("campaigns/*-cut")
    assert kills, "it was quicker than the test: nothing was interrupted"
    assert essence(Campaign(cut)) == essence(Campaign(whole))


# --------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"runs": 5}, "looks first after 15"),
        ({"design": "paper"}, "no blocks"),
        ({"runs": 20, "max_blocks": 18}, "--max-blocks 18"),
    ],
)
def test_what_the_rule_cannot_do_is_refused(changes: dict[str, object], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        config.campaign_spec(Config(campaign=settings(**changes)), make_testbed(), {})


def test_the_rule_stands_in_the_stored_spec_and_comes_back(tmp_path: Path) -> None:
    spec = make_spec(runs=15, until=Until(target=0.05, max_blocks=40, max_hours=6.0))
    campaign = store.create(tmp_path, spec, make_testbed(), ())
    assert Campaign(campaign.folder).spec == spec
    assert json.loads((campaign.folder / "campaign.json").read_text())["spec"]["until"]["max_hours"] == 6.0


def test_other_campaigns_keep_the_digest_that_they_had_before_there_was_a_rule() -> None:
    """SHA-256 computed from the same content by hand, without the key."""
    import hashlib
    from dataclasses import asdict

    spec = make_spec()
    content = {**asdict(spec), "seed": None, "testbed": "0123abcd"}
    del content["until"]
    by_hand = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    assert store.spec_digest(spec, "0123abcd") == by_hand
    assert store.spec_digest(replace(spec, until=Until(target=0.05)), "0123abcd") != by_hand

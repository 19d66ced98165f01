"""The plan: balance, repeatability, resuming. The rules stand in measurement.md §1 and §4.2 and docs/method.md."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtlab.campaign.plan import plan, repeat_block
from rtlab.model import CampaignSpec, RebootPolicy, Trial
from tests.conftest import make_spec

ALL = ("boot", "io", "cpu", "memory", "network")
TWO = ("node1", "node2")


def spec_of(**changes: object) -> CampaignSpec:
    return make_spec(**{"runs": 16, "experiments": ALL, "runtimes": ("runc", "kata"), "reboot": "block", **changes})


def of_block(trials: tuple[Trial, ...], block: int) -> list[Trial]:
    return [t for t in trials if t.block == block]


@given(seed=st.integers(0, 2**63 - 1), runs=st.integers(1, 24), arms=st.integers(1, 4), machines=st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_every_block_has_every_arm_and_experiment_once(seed: int, runs: int, arms: int, machines: int) -> None:
    runtimes = ("runc", "kata", "gvisor", "crun")[:arms]
    names = tuple(f"node{n}" for n in range(1, machines + 1))
    trials = plan(spec_of(runs=runs, runtimes=runtimes), names, seed)
    assert [t.number for t in trials] == list(range(1, len(trials) + 1))
    wanted = {(r, e) for r in runtimes for e in ALL}
    for block in range(1, runs + 1):
        assert Counter((t.arm, t.experiment) for t in of_block(trials, block)) == Counter(wanted)
    # Within one boot only one arm on one machine.
    for _, group in by_boot(trials).items():
        assert len({(t.arm, t.machine, t.block) for t in group}) == 1


def by_boot(trials: tuple[Trial, ...]) -> dict[int, list[Trial]]:
    groups: dict[int, list[Trial]] = {}
    for trial in trials:
        groups.setdefault(trial.boot, []).append(trial)
    return groups


@given(seed=st.integers(0, 2**63 - 1))
@settings(max_examples=40, deadline=None)
def test_every_four_blocks_hold_each_combination_once(seed: int) -> None:
    """Baseline's machine x which goes first, shuffled (measurement.md §4.2)."""
    trials = plan(spec_of(aa=True), TWO, seed)
    for start in (1, 5, 9, 13, 17):  # the last four are A/A
        seen: Counter[tuple[str, bool]] = Counter()
        for block in range(start, start + 4):
            first = of_block(trials, block)[0]
            base = next(t for t in of_block(trials, block) if t.arm in ("runc", "runc#1"))
            seen[base.machine, first.arm == base.arm] += 1
            assert len({t.machine for t in of_block(trials, block)}) == 2
        assert set(seen.values()) == {1} and len(seen) == 4


@given(seed=st.integers(0, 2**63 - 1))
@settings(max_examples=20, deadline=None)
def test_one_machine_balances_who_goes_first(seed: int) -> None:
    trials = plan(spec_of(), ("node1",), seed)
    for start in (1, 5, 9, 13):
        firsts = [of_block(trials, block)[0].arm for block in range(start, start + 4)]
        assert Counter(firsts) == {"runc": 2, "kata": 2}


def test_the_same_seed_gives_the_same_plan_and_another_one_another() -> None:
    assert plan(spec_of(), TWO, 7) == plan(spec_of(), TWO, 7)
    assert len({plan(spec_of(), TWO, seed) for seed in range(20)}) == 20


def test_memory_comes_first_and_io_last_and_the_rest_is_shuffled() -> None:
    groups = by_boot(plan(spec_of(), TWO, 3)).values()
    orders = {tuple(t.experiment for t in group) for group in groups}
    assert {order[0] for order in orders} == {"memory"}
    assert {order[-1] for order in orders} == {"io"}
    assert len({order[1:-1] for order in orders}) == 6


@pytest.mark.parametrize(("policy", "boots"), [("block", 32), ("trial", 160)])
def test_one_boot_per_block_and_arm_or_per_trial(policy: RebootPolicy, boots: int) -> None:
    assert len(by_boot(plan(spec_of(reboot=policy), TWO, 1))) == boots


def test_aa_adds_four_blocks_with_the_baseline_in_both_arms() -> None:
    trials = plan(spec_of(aa=True), TWO, 1)
    extra = [t for t in trials if t.kind == "aa"]
    assert {t.block for t in extra} == {17, 18, 19, 20}
    assert {t.arm for t in extra} == {"runc#1", "runc#2"}
    assert {t.runtime for t in extra} == {"runc"}


def test_folders_of_variants_and_of_the_aa_arm_have_names_that_every_system_takes() -> None:
    """Artifact stores and Windows refuse a colon; a number sign ends a URL's path."""
    keys = {trial.key for trial in plan(spec_of(runtimes=("runc", "kata", "kata:clh"), aa=True), TWO, 3)}
    assert any("-kata.clh-" in key for key in keys)
    assert not [key for key in keys if set(key) & set(':#"<>|*?\\/')]


def test_the_papers_design_runs_one_runtime_after_the_other_each_test_in_its_own_boot() -> None:
    trials = plan(spec_of(runs=15, design="paper"), TWO, 1)
    # "150 for 15 runs of five tests" of two runtimes: measurement.md §1.
    assert len(trials) == len(by_boot(trials)) == 150
    assert [t.runtime for t in trials] == ["runc"] * 75 + ["kata"] * 75
    assert {(t.runtime, t.machine) for t in trials} == {("runc", "node1"), ("kata", "node2")}
    assert all(a.experiment == b.experiment for a, b in pairwise(trials[:15]))


def test_the_papers_design_follows_where_the_runtimes_were_installed() -> None:
    where = {"node1": ("kata",), "node2": ("runc",)}
    trials = plan(spec_of(design="paper"), TWO, 1, runtimes_on=where)
    assert {(t.runtime, t.machine) for t in trials} == {("runc", "node2"), ("kata", "node1")}


def test_a_block_is_repeated_whole_at_the_end_with_boots_of_its_own() -> None:
    trials = plan(spec_of(), TWO, 5)
    again = repeat_block(trials, 3)
    assert [t.number for t in again] == list(range(161, 171))
    assert {t.block for t in again} == {17} and {t.repeats for t in again} == {3}
    assert not {t.boot for t in again} & {t.boot for t in trials}
    assert [(t.arm, t.experiment, t.machine) for t in again] == [
        (t.arm, t.experiment, t.machine) for t in of_block(trials, 3)
    ]
    third = repeat_block((*trials, *again), 17)
    assert {t.block for t in third} == {18} and {t.repeats for t in third} == {17}

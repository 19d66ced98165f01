"""The plan: balance, repeatability, resuming. The rules stand in measurement.md §1 and §4.2 and docs/method.md."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtlab.campaign.plan import balance, plan, repeat_block
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


def carried(trials: tuple[Trial, ...], arm: str) -> list[tuple[str, str]]:
    """Per block: (the baseline's machine, the arm's)."""
    found = []
    for block in sorted({t.block for t in trials if t.kind == "ab"}):
        where = {t.arm: t.machine for t in of_block(trials, block)}
        found.append((where["runc"], where[arm]))
    return found


@given(seed=st.integers(0, 2**63 - 1), machines=st.integers(3, 5), arms=st.integers(2, 4))
@settings(max_examples=40, deadline=None)
def test_every_ordered_pair_of_machines_carries_baseline_and_arm_once(seed: int, machines: int, arms: int) -> None:
    """measurement.md §4.2: permutations of two machines, counted by itertools; each round is a Latin square's."""
    runtimes = ("runc", "kata", "gvisor", "crun")[:arms]
    names = tuple(f"node{n}" for n in range(1, machines + 1))
    blocks = machines * (machines - 1)
    trials = plan(spec_of(runs=blocks, runtimes=runtimes, experiments=("boot",)), names, seed)
    for arm in runtimes[1:]:
        assert Counter(carried(trials, arm)) == Counter(permutations(names, 2))
    for start in range(0, blocks, machines):
        for side in zip(*carried(trials, "kata")[start : start + machines], strict=True):
            assert Counter(side) == Counter(names)
    firsts = Counter(of_block(trials, b)[0].arm == "runc" for b in range(1, blocks + 1))
    assert arms > 2 or firsts[True] == firsts[False]


@given(seed=st.integers(0, 2**63 - 1), runs=st.integers(2, 24), machines=st.integers(2, 6))
@settings(max_examples=80, deadline=None)
def test_no_plan_of_two_or_more_blocks_confounds_runtime_and_machine(seed: int, runs: int, machines: int) -> None:
    """By numpy's rank: the intercept is no combination of the machines' columns; 3 blocks leave an interval."""
    names = [f"node{n}" for n in range(machines)]
    rows = carried(plan(spec_of(runs=runs, experiments=("boot",)), names, seed), "kata")
    columns = np.array([[(arm == m) - (base == m) for m in names] for base, arm in rows], dtype=float)
    full = np.column_stack([np.ones(runs), columns])
    assert np.linalg.matrix_rank(full) == np.linalg.matrix_rank(columns) + 1
    assert runs < 3 or np.linalg.matrix_rank(full) < runs


def test_the_balance_of_a_number_of_blocks_is_said() -> None:
    assert "every arm 5 times" in balance(15, 3) and "6 blocks, or a multiple" in balance(15, 3)
    assert balance(12, 3) == "Every ordered pair of 3 machines carries baseline and arm 2 times."
    assert "use 2 of 3 machines: 6 blocks or more" in balance(4, 3)
    assert "Not balanced" in balance(16, 3)
    assert "cannot be told apart" in balance(1, 2)
    assert balance(15, 1) == ""


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

"""Statistics against independent truth: published examples, values worked by hand, scipy's own distributions."""

from __future__ import annotations

import math
import statistics
from typing import Any

import pytest
from scipy import stats as scipy_stats

from rtlab.model import Estimate, Metric, Observation, Outcome, Trial, Verdict
from rtlab.stats import analyse, values
from rtlab.stats.describe import order_statistics, summarize
from rtlab.stats.ratio import Pair, ratio
from rtlab.stats.verdict import sentence, verdict
from tests.conftest import make_spec, make_trial

TIME = Metric(name="t_s", title="time", unit="s", better="lower", primary=True)
RATE = Metric(name="r", title="rate", unit="B/s", better="higher", primary=True)


@pytest.mark.parametrize(
    ("n", "rank"),
    # Conover, Practical Nonparametric Statistics, 3rd ed., table of the sign test's bounds at 95 %.
    [(1, 0), (5, 0), (6, 1), (8, 1), (9, 2), (15, 4), (16, 4), (17, 5), (20, 6), (25, 8)],
)
def test_the_median_lies_between_order_statistics_that_n_can_carry(n: int, rank: int) -> None:
    found, coverage = order_statistics(n)

    assert found == rank
    if rank:
        assert coverage == pytest.approx(1 - 2 * scipy_stats.binom.cdf(rank - 1, n, 0.5), abs=1e-12)
        assert coverage >= 0.95 > 1 - 2 * scipy_stats.binom.cdf(rank, n, 0.5)


def test_fifteen_runs_give_the_fourth_and_twelfth_value_at_96_5_percent() -> None:
    summary = summarize("boot", "t_s", "runc", "s", [float(v) for v in range(15, 0, -1)])

    assert summary.median is not None
    assert (summary.median.point, summary.median.low, summary.median.high) == (8.0, 4.0, 12.0)
    assert "96.5%" in summary.median.method


def test_description_by_hand() -> None:
    # 2, 4, 4, 4, 5, 5, 7, 9: mean 5, sum of squares 32, so SD (n-1) = sqrt(32/7).
    summary = summarize("boot", "t_s", "runc", "s", [2, 4, 4, 4, 5, 5, 7, 9], n_failed=2, n_censored=1)

    assert summary.mean == 5
    assert summary.sd == pytest.approx(math.sqrt(32 / 7))
    assert summary.cov == pytest.approx(math.sqrt(32 / 7) / 5)
    assert (summary.minimum, summary.maximum, summary.n_failed, summary.n_censored) == (2, 9, 2, 1)


def test_what_n_cannot_carry_is_none_and_never_zero() -> None:
    nothing = summarize("boot", "t_s", "runc", "s", [])
    one = summarize("boot", "t_s", "runc", "s", [3.0])

    assert (nothing.median, nothing.mean, nothing.sd, nothing.minimum) == (None, None, None, None)
    assert (one.mean, one.sd, one.cov) == (3.0, None, None)
    assert one.median is not None
    assert (one.median.point, one.median.low, one.median.high) == (3.0, None, None)


def test_on_one_machine_the_interval_is_students_paired_one() -> None:
    arm, baseline = [3.7, 3.9, 3.6, 3.8, 4.1], [0.63, 0.66, 0.61, 0.64, 0.65]
    d = [math.log(a / b) for a, b in zip(arm, baseline, strict=True)]
    truth = scipy_stats.ttest_1samp(d, 0.0).confidence_interval(0.95)

    found = ratio([Pair(block=i, arm=a, baseline=b) for i, (a, b) in enumerate(zip(arm, baseline, strict=True))])

    assert found.ratio is not None and found.machine is None
    assert found.ratio.point == pytest.approx(math.exp(statistics.mean(d)))
    assert found.ratio.low == pytest.approx(math.exp(truth.low))
    assert found.ratio.high == pytest.approx(math.exp(truth.high))


def test_on_two_machines_the_machines_effect_is_regressed_out() -> None:
    # Truth by scipy.stats.linregress: intercept and slope with their standard errors, t with n - 2.
    sides = [1, -1, -1, 1, 1, -1, 0]
    noise = [0.01, -0.02, 0.005, 0.0, -0.01, 0.015, 0.0]
    pairs = [
        Pair(block=i, arm=math.exp(0.4 + 0.1 * s + e), baseline=1.0, side=s)
        for i, (s, e) in enumerate(zip(sides, noise, strict=True))
    ]
    truth = scipy_stats.linregress(sides, [p.log_ratio for p in pairs])
    t = scipy_stats.t.ppf(0.975, len(pairs) - 2)

    found = ratio(pairs)

    assert found.ratio is not None and found.machine is not None
    assert math.log(found.ratio.point) == pytest.approx(truth.intercept)
    assert found.ratio.high is not None
    assert math.log(found.ratio.high) == pytest.approx(truth.intercept + t * truth.intercept_stderr)
    assert math.log(found.machine.point) == pytest.approx(-truth.slope)
    assert found.machine.low is not None
    assert math.log(found.machine.low) == pytest.approx(-truth.slope - t * truth.stderr)


def test_one_pair_gives_no_ratio() -> None:
    assert ratio([]).ratio is None
    assert ratio([Pair(block=1, arm=2.0, baseline=1.0)]).ratio is None


def interval(low: float, high: float) -> Estimate:
    return Estimate(point=math.sqrt(low * high), low=low, high=high, confidence=0.95, method="", estimand="")


@pytest.mark.parametrize(
    ("low", "high", "metric", "expected", "word"),
    [
        (1.06, 1.20, TIME, Verdict.SLOWER, "slower by between 6.0 % and 20 %"),
        (0.70, 0.90, TIME, Verdict.FASTER, "faster by between 10 % and 30 %"),
        (5.0, 6.0, TIME, Verdict.SLOWER, "slower at 5.00 to 6.00 times the baseline"),
        (1.06, 1.20, RATE, Verdict.FASTER, "higher by between"),
        (0.70, 0.90, RATE, Verdict.SLOWER, "lower by between"),
        (0.96, 1.05, TIME, Verdict.NO_DIFFERENCE, "no practical difference"),
        (0.951, 1.049, TIME, Verdict.INCONCLUSIVE, "inconclusive"),  # 1/1.05 = 0.9524 is the lower bound
        (1.04, 1.20, TIME, Verdict.INCONCLUSIVE, "inconclusive"),
    ],
)
def test_a_verdict_needs_the_whole_interval_on_one_side(
    low: float, high: float, metric: Metric, expected: Verdict, word: str
) -> None:
    estimate = interval(low, high)

    found = verdict(estimate, metric, 0.05)

    assert found is expected
    if low != 0.951:
        assert word in sentence(found, estimate, metric, "Kata", "runC", 0.05, 15)


def observations(trial: Trial, *numbers: float | None, metric: str = "t_s", note: str = "") -> list[Observation]:
    return [
        Observation(trial=trial, metric=metric, value=v, unit="s", index=i, note=note) for i, v in enumerate(numbers)
    ]


def test_several_starts_of_one_trial_are_one_value() -> None:
    (value,) = values(observations(make_trial(), 1.0, 9.0, 2.0))

    assert (value.value, value.observations) == (2.0, 3)


def test_censored_and_not_taken_are_different_things() -> None:
    (value,) = values(observations(make_trial(), None, note="too fast to tell"))

    assert value.value is None
    assert values(observations(make_trial(), None, note="not taken")) == ()


def campaign(blocks: int, **changes: Any) -> tuple[list[Trial], list[Observation]]:
    plan = [
        make_trial(2 * b - 1 + i, block=b, arm=arm, runtime=arm)
        for b in range(1, blocks + 1)
        for i, arm in enumerate(("runc", "gvisor"))
    ]
    found = [o for t in plan for o in observations(t, {"runc": 1.0, "gvisor": 2.0}[t.arm] * (1 + 0.001 * t.block))]
    return plan, found


def run(plan: list[Trial], found: list[Observation], outcomes: dict[int, Outcome]) -> Any:
    titles = {"runc": "runC", "gvisor": "gVisor"}
    return analyse(make_spec(runs=5), plan, outcomes, found, {"boot": [TIME]}, titles)


def test_a_replaced_block_is_left_out_of_the_pairs_and_its_failure_counted() -> None:
    plan, found = campaign(4)
    outcomes = {t.number: Outcome.OK for t in plan}
    outcomes[4] = Outcome.FAILED  # gvisor in block 2
    found = [o for o in found if o.trial.number != 4]
    plan = [*plan[:-2], *[make_trial(t.number, block=4, arm=t.arm, runtime=t.runtime, repeats=2) for t in plan[-2:]]]

    analysis = run(plan, found, outcomes)

    (comparison,) = analysis.comparisons
    assert comparison.blocks == (1, 3, 4)
    assert comparison.ratio.point == pytest.approx(2.0)
    assert comparison.verdict is Verdict.SLOWER
    assert analysis.summary("boot", "t_s", "gvisor").n_failed == 1
    assert analysis.summary("boot", "t_s", "gvisor").n == 3
    assert {c.kind for c in analysis.caveats} >= {"failed", "repeated"}


def test_an_arm_that_failed_entirely_is_described_by_its_failures() -> None:
    plan, found = campaign(3)
    outcomes = {t.number: Outcome.OK if t.arm == "runc" else Outcome.FAILED for t in plan}

    analysis = run(plan, [o for o in found if o.trial.arm == "runc"], outcomes)

    summary = analysis.summary("boot", "t_s", "gvisor")
    assert (summary.n, summary.n_failed, summary.mean) == (0, 3, None)
    assert analysis.comparisons == ()

"""Each method against an independent truth, which the test names; then the awkward campaigns."""

from __future__ import annotations

import dataclasses
import json
import math
import random
from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats as reference

from rtlab.model import CampaignSpec, Metric, Observation, Outcome, Record, Trial, Verdict
from rtlab.stats import Analysis, Until, analyse, blocks_for, half_width, stop_reason
from rtlab.stats.adaptive import scatter
from rtlab.stats.analysis import shared
from rtlab.stats.change import compare_campaigns
from rtlab.stats.describe import extreme, median_interval, modified_z
from rtlab.stats.drift import drift, spearman
from rtlab.stats.ratio import Fit, Pair, fieller, fit_log_ratios, regress, welch
from rtlab.stats.series import Series, Value
from rtlab.stats.student import f_quantile, found_shift
from rtlab.stats.verdict import blocks_needed, decide, forecast, holm
from tests.conftest import make_record, make_spec, make_trial

TIME = Metric(name="first_page_s", title="first page", unit="s", better="lower", primary=True)
RATE = Metric(name="rate", title="output", unit="B/s", better="higher", primary=True)
# Student's sleep data (Biometrika 1908), as R's `sleep`: extra hours under two drugs, ten patients.
SLEEP = [
    (0.7, 1.9),
    (-1.6, 0.8),
    (-0.2, 1.1),
    (-1.2, 0.1),
    (-0.1, -0.1),
    (3.4, 4.4),
    (3.7, 5.5),
    (0.8, 1.6),
    (0.0, 4.6),
    (2.0, 3.4),
]


def pair(block: int, arm: float, baseline: float, arm_machine: str = "node1", baseline_machine: str = "node1") -> Pair:
    return Pair(block=block, arm=arm, baseline=baseline, arm_machine=arm_machine, baseline_machine=baseline_machine)


def no_columns(n: int) -> np.ndarray:
    return np.zeros((n, 0))


# --------------------------------------------------------------------------- worked examples


@pytest.mark.parametrize(
    ("n", "ranks", "coverage"),
    # Conover, Practical Nonparametric Statistics, exact intervals for the median; also R's qbinom(0.025, n, 0.5).
    [
        (6, (1, 6), 0.96875),
        (10, (2, 9), 0.97852),
        (15, (4, 12), 0.96484),
        (16, (4, 13), 0.97873),
        (20, (6, 15), 0.95861),
    ],
)
def test_the_median_stands_between_the_tabulated_order_statistics(
    n: int, ranks: tuple[int, int], coverage: float
) -> None:
    values = list(range(1, n + 1))
    random.Random(1).shuffle(values)
    found = median_interval(values)
    assert (found.low, found.high) == ranks
    assert found.confidence == pytest.approx(coverage, abs=1e-5)


@pytest.mark.parametrize("n", [1, 2, 5])
def test_few_values_carry_no_interval(n: int) -> None:
    found = median_interval([3.0] * n)
    assert (found.point, found.low, found.high) == (3.0, None, None)


def test_one_machine_is_the_paired_t_test_of_students_sleep_data() -> None:
    # R: t.test(extra ~ group, data = sleep, paired = TRUE): 95 percent confidence interval 0.7001142 2.4598858, df 9.
    fit = regress([pair(i, math.exp(b), math.exp(a)) for i, (a, b) in enumerate(SLEEP)])
    assert fit is not None
    assert fit.log_ratio == pytest.approx(1.58)
    assert fit.interval() == pytest.approx((0.7001142, 2.4598858), abs=1e-6)
    assert fit.df == 9
    # One-sided p against 0 is half of R's 0.002833.
    assert fit.beyond(0.0) == pytest.approx(0.002833 / 2, abs=1e-6)


def test_two_machines_are_scipys_regression_on_which_machine_carried_the_arm() -> None:
    random_ = np.random.default_rng(3)
    s = np.array([1, -1, 0, 0, 1, -1, 0, 1, -1, -1])
    d = 0.3 + 0.05 * s + random_.normal(0, 0.04, len(s))
    places = {1: ("node2", "node1"), -1: ("node1", "node2"), 0: ("node1", "node1")}
    fit = regress(
        [pair(i, math.exp(x), 1.0, *places[int(which)]) for i, (x, which) in enumerate(zip(d, s, strict=True))]
    )
    truth = reference.linregress(s, d)
    assert fit is not None
    assert (fit.log_ratio, fit.se) == pytest.approx((truth.intercept, truth.intercept_stderr))
    assert (fit.machine, fit.machine_se) == pytest.approx((truth.slope, truth.stderr))
    assert fit.df == len(s) - 2


def test_three_machines_lose_one_degree_of_freedom_each() -> None:
    names = ["a", "b", "c"]
    effect = {"a": 0.0, "b": 0.1, "c": -0.2}
    blocks = []
    for i in range(12):
        arm, base = names[i % 3], names[(i + 1 + i // 3) % 3]
        blocks.append(pair(i, math.exp(0.5 + effect[arm]), math.exp(effect[base]), arm, base))
    fit = regress(blocks)
    assert fit is not None
    assert fit.log_ratio == pytest.approx(0.5)
    assert fit.df == 9


def test_arms_that_never_swapped_machines_are_confounded() -> None:
    fit = regress([pair(i, 1.1 + 0.01 * i, 1.0, "node2", "node1") for i in range(5)])
    assert fit is not None
    assert fit.confounded
    assert fit.machine is None


def test_fiellers_limits_are_where_scipys_paired_t_test_just_rejects() -> None:
    # Fieller's definition (1954): ratio r is inside iff the paired t test of arm - r * baseline does not reject.
    random_ = np.random.default_rng(5)
    baseline = random_.normal(10, 1, 15)
    arm = 2 * baseline + random_.normal(0, 1.5, 15)
    found = fieller([pair(i, a, b) for i, (a, b) in enumerate(zip(arm, baseline, strict=True))])
    assert found is not None and found.low is not None and found.high is not None
    for limit in (found.low, found.high):
        assert reference.ttest_rel(arm, limit * baseline).pvalue == pytest.approx(0.05)
    assert reference.ttest_rel(arm, found.point * baseline).pvalue == pytest.approx(1)


def test_fieller_is_silent_where_its_interval_would_be_unbounded() -> None:
    assert fieller([pair(0, 1.0, -1.0), pair(1, 1.2, 1.1), pair(2, 0.9, 0.2)]) is None


def test_welch_is_scipys() -> None:
    random_ = np.random.default_rng(7)
    a, b = random_.normal(0.2, 0.05, 15), random_.normal(0.1, 0.15, 9)
    fit = welch(fit_log_ratios(a, no_columns(15)), fit_log_ratios(b, no_columns(9)))
    truth = reference.ttest_ind(a, b, equal_var=False)
    assert fit.interval() == pytest.approx(tuple(truth.confidence_interval()))
    assert fit.df == pytest.approx(truth.df)


def test_holm_is_rs_p_adjust() -> None:
    # R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm") is 0.03 0.06 0.06 0.02.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


def test_modified_z_is_iglewicz_and_hoaglins() -> None:
    # NIST/SEMATECH e-Handbook 1.3.5.17 defines M = 0.6745 (x - median) / MAD. Here median 3, MAD 1.
    assert modified_z([1, 2, 3, 4, 103]) == pytest.approx([-1.349, -0.6745, 0, 0.6745, 67.45])
    # MAD 0: 1.253314 times the mean absolute deviation (10 / 5 = 2), as IBM's modified z score.
    assert modified_z([5, 5, 5, 5, 15])[-1] == pytest.approx(10 / (1.253314 * 2))
    assert modified_z([5, 5, 5]) == [0, 0, 0]


def test_spearman_is_scipys_with_ties() -> None:
    x, y = np.array([1.0, 2, 3, 4, 5, 6]), np.array([2.0, 2, 1, 5, 5, 9])
    assert spearman(x, y) == pytest.approx(float(reference.spearmanr(x, y).statistic))


def test_equivalence_is_scipys_two_one_sided_tests() -> None:
    d = np.random.default_rng(11).normal(0.01, 0.03, 16)
    fit = fit_log_ratios(d, no_columns(16))
    edge = math.log(1.05)
    above = reference.ttest_1samp(d, edge, alternative="less").pvalue
    below = reference.ttest_1samp(d, -edge, alternative="greater").pvalue
    assert fit.within(edge) == pytest.approx(max(above, below))


def test_planned_blocks_are_the_fewest_that_reach_the_width() -> None:
    n = blocks_for(0.04, 0.02, machines=1)
    assert n is not None
    widths = [reference.t.ppf(0.975, k - 1) * 0.04 / math.sqrt(k) for k in (n - 1, n)]
    assert widths[0] > math.log(1.02) >= widths[1]
    assert blocks_for(50.0, 0.001) is None


# --------------------------------------------------------------------------- verdicts


def fit_of(low: float, high: float, n: int = 16) -> Fit:
    """A fit whose 95 % interval is that, in ratios."""
    middle, half = (math.log(low) + math.log(high)) / 2, (math.log(high) - math.log(low)) / 2
    se = half / float(reference.t.ppf(0.975, n - 1))
    return Fit(n=n, log_ratio=middle, se=se, df=n - 1, method="test")


@pytest.mark.parametrize(
    ("interval", "metric", "expected"),
    [
        ((1.06, 1.20), TIME, Verdict.SLOWER),
        ((0.80, 0.90), TIME, Verdict.FASTER),
        ((0.80, 0.90), RATE, Verdict.SLOWER),
        ((1.06, 1.20), RATE, Verdict.FASTER),
        ((0.97, 1.03), TIME, Verdict.NO_DIFFERENCE),
        ((1.01, 1.04), TIME, Verdict.NO_DIFFERENCE),
        ((1.04, 1.20), TIME, Verdict.INCONCLUSIVE),
        ((0.90, 1.10), TIME, Verdict.INCONCLUSIVE),
        ((1.04, 1.06), TIME, Verdict.INCONCLUSIVE),
    ],
)
def test_the_verdict_follows_the_interval_and_the_margin(
    interval: tuple[float, float], metric: Metric, expected: Verdict
) -> None:
    from rtlab.stats.verdict import p_value

    fit = fit_of(*interval)
    assert decide(fit, metric, 0.05, None, p_value(fit, 0.05)) is expected


def test_slower_must_exceed_the_noise_floor_and_no_difference_need_not() -> None:
    from rtlab.stats.verdict import p_value

    floor = math.log(1.10)
    slow, same = fit_of(1.06, 1.09), fit_of(0.97, 1.03)
    assert decide(slow, TIME, 0.05, floor, p_value(slow, 0.05, floor)) is Verdict.INCONCLUSIVE
    assert decide(same, TIME, 0.05, floor, p_value(same, 0.05, floor)) is Verdict.NO_DIFFERENCE


def test_the_blocks_it_says_would_settle_it() -> None:
    fit = fit_of(1.02, 1.22)
    further = blocks_needed(fit, 0.05)
    assert further is not None and fit.se is not None
    sd = fit.se * 4

    def low(n: int) -> float:
        return fit.log_ratio - float(reference.t.ppf(0.975, n - 1)) * sd / math.sqrt(n)

    assert low(16 + further) > math.log(1.05) >= low(15 + further)
    assert blocks_needed(Fit(n=1, log_ratio=0.1, se=None, df=0, method=""), 0.05) is None


# --------------------------------------------------------------------------- whole campaigns

Draw = Callable[[Trial], float | None]


def campaign(
    draw: Draw,
    *,
    runs: int = 16,
    aa: bool = False,
    metric: Metric = TIME,
    fails: Callable[[Trial], bool] = lambda _t: False,
    machines: tuple[str, ...] = ("node1", "node2"),
    design: str = "default",
    extra: tuple[Trial, ...] = (),
) -> Analysis:
    spec = make_spec(runs=runs, aa=aa, experiments=("boot",), design=design)
    trials = (*planned(spec, machines), *extra)
    records, observations = [], []
    for trial in trials:
        failed = fails(trial)
        records.append(make_record(trial, outcome=Outcome.FAILED if failed else Outcome.OK))
        if not failed:
            value = draw(trial)
            note = "" if value is not None else "too fast to tell"
            observations.append(Observation(trial=trial, metric=metric.name, value=value, unit=metric.unit, note=note))
    return analyse(spec, observations, records, {"boot": (metric,)})


def planned(spec: CampaignSpec, machines: tuple[str, ...]) -> tuple[Trial, ...]:
    from rtlab.campaign.plan import plan

    return plan(spec, machines, spec.seed)


def noisy(ratio: float, sd: float = 0.04, machine: float = 0.0, seed: int = 1) -> Callable[[Trial], float]:
    random_ = random.Random(seed)

    def draw(trial: Trial) -> float:
        value = random_.gauss(0, sd) + (machine if trial.machine == "node2" else 0)
        return math.exp(value) * (ratio if trial.arm == "gvisor" else 1.0)

    return draw


def assert_no_nan(found: Analysis) -> None:
    plain = dataclasses.asdict(dataclasses.replace(found, fits={}))
    json.dumps(plain, allow_nan=False)  # raises on NaN and infinity


def test_a_crossover_finds_ratio_and_machine_effect() -> None:
    found = campaign(noisy(1.5, machine=math.log(1.2)))
    one = found.comparison("boot", TIME.name, "gvisor")
    assert one is not None and one.ratio and one.machine_effect and one.mean_ratio
    assert one.verdict is Verdict.SLOWER
    assert one.ratio.point == pytest.approx(1.5, rel=0.05)
    assert one.machine_effect.point == pytest.approx(1.2, rel=0.05)
    assert one.ratio.estimand != one.mean_ratio.estimand
    assert "takes 1.5" in one.sentence and "times as long (95 %: 1.4" in one.sentence
    assert_no_nan(found)


def test_the_median_of_a_trials_values_counts_once() -> None:
    spec = make_spec(runs=1, experiments=("boot",))
    trials = planned(spec, ("node1",))
    observations = [
        Observation(trial=t, metric=TIME.name, value=v, unit="s", index=i)
        for t in trials
        for i, v in enumerate((1.0, 2.0, 30.0))
    ]
    found = analyse(spec, observations, [make_record(t) for t in trials], {"boot": (TIME,)})
    summary = found.summary("boot", TIME.name, "runc")
    assert summary is not None
    assert (summary.n, summary.mean, summary.sd) == (1, 2.0, None)
    assert_no_nan(found)


@pytest.mark.parametrize(
    ("draw", "runs", "fails", "said"),
    [
        (lambda t: 1.0, 16, lambda t: False, "no practical difference"),
        (lambda t: 2.0 if t.arm == "gvisor" else 1.0, 16, lambda t: False, "takes 2.00 times as long"),
        (noisy(1.2), 1, lambda t: False, "one more block in which they swap machines would tell them apart"),
        (noisy(1.2), 2, lambda t: False, "because an interval takes more blocks"),
        (noisy(1.2), 3, lambda t: False, "3 blocks"),
        (lambda t: 0.0, 16, lambda t: False, "0 or negative"),
        (noisy(1.2), 16, lambda t: t.arm == "gvisor", "all 16 trials of gvisor failed"),
        (noisy(1.2), 16, lambda t: t.arm == "runc", "all 16 trials of runc failed"),
        (noisy(1.2), 16, lambda t: True, "failed"),
        (noisy(1.2), 16, lambda t: (t.block % 2 == 0) == (t.arm == "runc"), "no block has a value of both"),
        (lambda t: None if t.arm == "gvisor" else 1.0, 16, lambda t: False, "too fast to tell in all 16 trials"),
    ],
)
def test_awkward_campaigns_end_in_a_plain_sentence(
    draw: Draw, runs: int, fails: Callable[[Trial], bool], said: str
) -> None:
    found = campaign(draw, runs=runs, fails=fails)
    one = found.comparison("boot", TIME.name, "gvisor")
    assert one is not None
    assert said in one.sentence
    assert_no_nan(found)


def test_failed_trials_are_counted_and_their_blocks_left_out() -> None:
    found = campaign(noisy(1.2), fails=lambda t: t.arm == "gvisor" and t.block in (3, 5))
    one, summary = found.comparison("boot", TIME.name, "gvisor"), found.summary("boot", TIME.name, "gvisor")
    assert one is not None and summary is not None
    assert not {3, 5} & set(one.blocks)
    assert (summary.n, summary.n_failed) == (14, 2)
    assert any(c.kind == "failed" and "2 of 16" in c.message for c in found.caveats)


def test_a_repeated_block_takes_the_place_of_the_first() -> None:
    from rtlab.campaign.plan import repeat_block

    spec = make_spec(runs=16, experiments=("boot",))
    extra = repeat_block(planned(spec, ("node1", "node2")), 3)
    found = campaign(noisy(1.2), extra=extra)
    one = found.comparison("boot", TIME.name, "gvisor")
    assert one is not None
    assert 3 not in one.blocks and 17 in one.blocks and len(one.blocks) == 16


def test_equal_copies_of_the_baseline_give_a_floor_and_unequal_ones_withhold() -> None:
    found = campaign(noisy(1.5), aa=True)
    (floor,) = found.noise
    assert floor.ratio.low is not None
    assert not floor.broken
    random_ = random.Random(2)

    def uneven(trial: Trial) -> float:
        return (2.0 if trial.arm == "runc#2" else 1.0) * math.exp(random_.gauss(0, 1e-4))

    found = campaign(uneven, aa=True)
    one = found.comparison("boot", TIME.name, "gvisor")
    assert found.broken and one is not None
    assert one.verdict is Verdict.WITHHELD
    assert "testbed is broken" in one.sentence


def test_drift_and_outliers_are_warned_about_and_kept() -> None:
    def drifting(trial: Trial) -> float:
        return noisy(1.2, seed=trial.number)(trial) * (1 + 0.02 * trial.block)

    assert any(c.kind == "drift" for c in campaign(drifting).caveats)
    steady = campaign(noisy(1.2))
    assert not any(c.kind == "drift" for c in steady.caveats)

    def spiky(trial: Trial) -> float:
        return noisy(1.2, seed=trial.number)(trial) * (3 if trial.block == 7 and trial.arm == "gvisor" else 1)

    found = campaign(spiky)
    (outlier,) = [o for o in found.outliers if o.arm == "gvisor"]
    one = found.comparison("boot", TIME.name, "gvisor")
    assert one is not None
    assert outlier.block == 7 and 7 in one.blocks
    caveat = next(c for c in found.caveats if c.kind == "outliers")
    assert "with them" in caveat.message and "without" in caveat.message
    assert one.limiting_arm == "gvisor"


def test_the_papers_design_is_said_to_confound() -> None:
    found = campaign(noisy(6.0), design="paper")
    one = found.comparison("boot", TIME.name, "gvisor")
    assert one is not None and one.ratio
    assert "Welch" in one.ratio.method
    assert any(c.kind == "design" for c in found.caveats)


def test_a_metric_without_direction_gets_no_slower() -> None:
    neutral = dataclasses.replace(TIME, better=None, primary=False)
    one = campaign(noisy(2.0), metric=neutral).comparison("boot", TIME.name, "gvisor")
    assert one is not None
    assert one.verdict is Verdict.INCONCLUSIVE
    assert "of which neither direction is better" in one.sentence and "exploratory" in one.sentence


def test_holm_decides_over_the_primaries_only() -> None:
    one = campaign(noisy(1.2)).comparison("boot", TIME.name, "gvisor")
    assert one is not None
    assert one.p_adjusted == one.p_value
    assert not one.exploratory


# --------------------------------------------------------------------------- adaptive and two campaigns


def test_until_looks_at_full_blocks_after_fifteen_and_at_precision_only() -> None:
    done = campaign(noisy(1.2, sd=0.02)).comparisons
    until = Until(target=0.05, max_blocks=40, max_hours=6)
    width = half_width(done[0].ratio)
    assert width is not None and width < 0.05
    assert "every primary" in (stop_reason(until, done, blocks=16, hours=1, mid_block=False) or "")
    assert stop_reason(until, done, blocks=16, hours=1, mid_block=True) is None
    assert stop_reason(until, done, blocks=14, hours=1, mid_block=False) is None
    assert stop_reason(Until(target=0.001), done, blocks=20, hours=1, mid_block=False) is None
    assert "40 blocks" in (stop_reason(until, (), blocks=40, hours=1, mid_block=False) or "")
    assert "6 hours" in (stop_reason(until, (), blocks=3, hours=6.5, mid_block=False) or "")


def test_scatter_is_what_was_put_in() -> None:
    d = np.random.default_rng(1).normal(0, 0.04, 16)
    fit = fit_log_ratios(d, no_columns(16))
    from rtlab.stats.ratio import estimate

    assert scatter(estimate(fit), 16, machines=1) == pytest.approx(float(d.std(ddof=1)))


def test_two_campaigns_are_compared_by_their_ratios() -> None:
    """Both arms of the second campaign are 1.5 times slower: the host changed, the runtime did not."""
    first = campaign(noisy(1.2, sd=0.01))

    def elsewhere(trial: Trial) -> float:
        return 1.5 * noisy(1.2, sd=0.01, seed=100 + trial.number)(trial)

    metrics = {"boot": (TIME,)}
    (same,) = compare_campaigns(shared(first, campaign(elsewhere), metrics, "runc"), 0.05)
    assert same.verdict is Verdict.NO_DIFFERENCE
    assert same.absolute == pytest.approx(1.5, rel=0.05)
    (worse,) = compare_campaigns(shared(first, campaign(noisy(1.5, sd=0.01, seed=9)), metrics, "runc"), 0.05)
    assert worse.verdict is Verdict.SLOWER
    assert worse.change.point == pytest.approx(1.25, rel=0.02)
    assert "became slower" in worse.sentence
    broken = dataclasses.replace(first, broken=True)
    (withheld,) = compare_campaigns(shared(broken, first, metrics, "runc"), 0.05)
    assert withheld.verdict is Verdict.WITHHELD


def test_exploratory_changes_are_worded_apart_from_verdicts() -> None:
    first, second = campaign(noisy(1.2, sd=0.01)), campaign(noisy(1.5, sd=0.01, seed=9))
    for other, plain, apart in (
        (second, "became slower", "seems to have become slower"),
        (first, "did not change", "seems not to have changed"),
    ):
        for metric in (TIME, dataclasses.replace(TIME, primary=False)):
            (change,) = compare_campaigns(shared(first, other, {"boot": (metric,)}, "runc"), 0.05)
            assert change.exploratory is not metric.primary
            assert (plain in change.sentence) == metric.primary
            assert (apart in change.sentence and "; exploratory)" in change.sentence) is not metric.primary


# --------------------------------------------------------------------------- coverage, in small


@pytest.mark.parametrize("machine", [0.0, 0.05])
def test_the_primary_interval_covers_as_often_as_it_says(machine: float) -> None:
    """600 campaigns: 95 % nominal; 92.3 % is three binomial standard errors below (the large run: benchmarks/)."""
    random_ = np.random.default_rng(17)
    s = np.tile([1.0, -1.0, 1.0, -1.0], 4)[:15]
    covered = 0
    for _ in range(600):
        d = math.log(1.2) + machine * s + random_.normal(0, 0.19, 15) - random_.normal(0, 0.04, 15)
        interval = fit_log_ratios(d, s[:, None]).interval()
        assert interval is not None
        covered += interval[0] <= math.log(1.2) <= interval[1]
    assert 0.923 <= covered / 600 <= 0.977


def test_records_without_observations_count_as_failed() -> None:
    spec = make_spec(runs=1, experiments=("boot",))
    record: Record = make_record(make_trial())
    found = analyse(spec, [], [record], {"boot": (TIME,)})
    summary = found.summary("boot", TIME.name, "runc")
    assert summary is not None
    assert (summary.n, summary.n_failed, summary.mean) == (0, 1, None)


# --------------------------------------------------------------------------- edges

# Rosner (1983) by NIST/SEMATECH, e-Handbook of Statistical Methods 1.3.5.17.3: 54 values, three outliers at 5 %.
ROSNER = """-0.25 0.68 0.94 1.15 1.20 1.26 1.26 1.34 1.38 1.43 1.49 1.49 1.55 1.56 1.58 1.65 1.69 1.70 1.76 1.77 1.81
1.91 1.94 1.96 1.99 2.06 2.09 2.10 2.14 2.15 2.23 2.24 2.26 2.35 2.37 2.40 2.47 2.54 2.62 2.64 2.90 2.92 2.92 2.93 3.21
3.26 3.30 3.59 3.68 4.30 4.64 5.34 5.42 6.01"""


def test_several_outliers_are_those_of_the_handbook() -> None:
    values = np.array([float(x) for x in ROSNER.split()])
    assert [values[i] for i in extreme(values, 0.05)] == [5.34, 5.42, 6.01]


def test_the_first_outlier_is_that_of_scipys_studentized_residuals() -> None:
    """Each machine has its mean, so a value is one where its residual of the two-group regression, studentized by the
    other values alone, has a two-sided p below the level over n (Cook and Weisberg 1982, 2.2.2)."""
    random_ = np.random.default_rng(8)
    told = 0
    for shift in (0.0, 3.5, 5.0, 7.0):
        x = random_.normal(0, 1, 14)
        groups = np.array([0, 1] * 7)
        x[groups == 1] += 5
        x[3] += shift
        p = []
        for i in range(14):
            kept = np.arange(14) != i
            mine = x[kept & (groups == groups[i])]
            other = x[kept & (groups != groups[i])]
            s = math.sqrt((mine.var() * len(mine) + other.var() * len(other)) / 11)
            p.append(2 * float(reference.t.sf(abs(x[i] - mine.mean()) / (s * math.sqrt(1 + 1 / len(mine))), 11)))
        limit = 14 * min(p)  # two-sided p of each against the level over n
        if limit < 0.5:
            assert extreme(x, 0.9 * limit, groups) == []
            assert int(np.argmin(p)) in extreme(x, 1.1 * limit, groups)
            told += 1
    assert told >= 2


def test_drift_is_the_t_of_scipys_regression_within_machines() -> None:
    """On one machine: halves compared are scipy's pooled two-sample t test, the rank correlation scipy's Spearman."""
    random_ = np.random.default_rng(4)
    x = random_.normal(0, 0.05, 14) + np.linspace(0, 0.1, 14)
    values = {i: Value(block=i, machine="node1", order=i, value=math.exp(v)) for i, v in enumerate(x.tolist(), start=1)}
    found = drift(Series(experiment="boot", metric="m", arm="runc", unit="s", values=values))
    assert found is not None
    assert found.halves_p == pytest.approx(float(reference.ttest_ind(x[7:], x[:7]).pvalue))
    assert found.p_value == pytest.approx(float(reference.spearmanr(np.arange(14), x).pvalue))
    assert found.halves == pytest.approx(math.exp(x[7:].mean() - x[:7].mean()))


def test_f_and_noncentral_t_are_scipys() -> None:
    assert f_quantile(0.995, 7, 9) == pytest.approx(float(reference.f.ppf(0.995, 7, 9)))
    shift = found_shift(2, 0.001, 0.8)
    assert float(reference.nct.sf(reference.t.ppf(0.9995, 2), 2, shift)) == pytest.approx(0.8, abs=1e-4)


def test_values_without_scatter_are_as_uncertain_as_their_steps() -> None:
    """By hand: 0.11 and 0.10 s in ticks of 10 ms are 0.105-0.115 over 0.095-0.105 s: about 0.96 to 1.27, not 1.10."""
    ticks = dataclasses.replace(TIME, resolution=0.01)
    one = campaign(lambda t: 0.11 if t.arm == "gvisor" else 0.10, runs=3, metric=ticks).comparison(
        "boot", TIME.name, "gvisor"
    )
    assert one is not None and one.ratio is not None and one.ratio.low is not None and one.ratio.high is not None
    assert one.verdict is Verdict.INCONCLUSIVE and one.blocks_needed is None
    assert one.ratio.low == pytest.approx(1.1 / (0.115 / 0.11 * 0.105 / 0.10))
    assert one.ratio.high == pytest.approx(1.1 * (0.115 / 0.11 * 0.105 / 0.10))


def test_copies_of_the_baseline_without_scatter_break_no_testbed() -> None:
    found = campaign(
        lambda t: math.exp(0.1 * (t.machine == "node2")) * (3.0 if t.arm == "gvisor" else 1.0),
        aa=True,
        fails=lambda t: t.kind == "aa" and t.block == 17,
    )
    assert not found.broken
    assert all(n.finds is None for n in found.noise)


def test_a_single_chance_ratio_is_no_noise_floor() -> None:
    """The floor is how far the A/A interval stays from 1: none where it holds 1."""
    (floor,) = campaign(noisy(1.5, sd=0.1), aa=True).noise
    assert floor.ratio.low is not None and floor.ratio.high is not None
    assert floor.ratio.low < 1 < floor.ratio.high
    assert floor.floor == 0.0
    assert floor.finds is not None and floor.finds > 2  # four blocks at 10 %: measurement.md §4.12


def test_runtime_and_machine_in_one_get_no_verdict() -> None:
    def fails(trial: Trial) -> bool:
        return trial.arm == "gvisor" and trial.machine == "node1"

    one = campaign(noisy(6.0), fails=fails).comparison("boot", TIME.name, "gvisor")
    assert one is not None
    assert one.verdict is Verdict.WITHHELD
    assert one.p_value is None
    assert "gvisor ran on node2 and runc on node1 in every block that is left; one more block" in one.sentence


@pytest.mark.parametrize("machines", [3, 5])
def test_machine_effects_are_no_difference_between_runtimes(machines: int) -> None:
    """Issue 13: effects of 1, 1.15, 1.32 without a difference were called slower by 14 to 17 %."""
    effect = {f"node{n}": math.log(1.15) * (n - 1) for n in range(1, machines + 1)}
    covered = 0
    for seed in range(40):
        random_ = random.Random(seed)

        def draw(trial: Trial, random_: random.Random = random_) -> float:
            return math.exp(effect[trial.machine] + random_.gauss(0, 0.04))

        one = campaign(draw, machines=tuple(effect)).comparison("boot", TIME.name, "gvisor")
        assert one is not None and one.ratio and one.ratio.low is not None and one.ratio.high is not None
        covered += one.ratio.low <= 1 <= one.ratio.high
    assert covered >= 33  # P(B(40, 0.95) <= 32) is 0.02 %


def test_holm_is_in_the_forecast_and_few_blocks_have_none() -> None:
    fit = fit_of(1.02, 1.22)
    alone, among = blocks_needed(fit, 0.05), blocks_needed(fit, 0.05, among=5)
    assert alone is not None and among is not None and fit.se is not None
    n, sd = 15 + among, fit.se * 4

    def low(n: int) -> float:
        return fit.log_ratio - float(reference.t.ppf(1 - 0.025 / 5, n - 1)) * sd / math.sqrt(n)

    assert among > alone and low(n + 1) > math.log(1.05)
    assert blocks_needed(dataclasses.replace(fit, n=4, df=3), 0.05) is None


def test_a_metric_with_a_zero_has_a_difference_with_interval() -> None:
    """On one machine the interval is scipy's of the paired t test."""
    random_ = random.Random(3)
    seen: dict[tuple[int, str], float] = {}

    def draw(trial: Trial) -> float:
        value = max(0.0, random_.gauss(0.3 if trial.arm == "gvisor" else 0.1, 0.1))
        seen[trial.block, trial.arm] = value
        return value

    iowait = dataclasses.replace(TIME, positive=False, primary=False)
    one = campaign(draw, metric=iowait, machines=("node1",)).comparison("boot", TIME.name, "gvisor")
    assert one is not None and one.ratio is None and one.difference is not None
    truth = reference.ttest_1samp([seen[b, "gvisor"] - seen[b, "runc"] for b in range(1, 17)], 0).confidence_interval()
    assert (one.difference.low, one.difference.high) == pytest.approx((truth.low, truth.high))
    assert "Difference +" in one.sentence


@pytest.mark.parametrize(("runs", "machines"), [(5, 2), (15, 2), (16, 3)])
def test_quiet_campaigns_are_seldom_told_of_outliers_or_drift(runs: int, machines: int) -> None:
    """At most 5 % each, so of 120: P(B(120, 0.05) > 14) = 0.1 %."""
    names = tuple(f"node{n}" for n in range(1, machines + 1))
    kinds = [{c.kind for c in campaign(noisy(1.2, seed=s), runs=runs, machines=names).caveats} for s in range(120)]
    assert sum("outliers" in k for k in kinds) <= 14
    assert sum("drift" in k for k in kinds) <= 14


def test_failures_that_go_with_slowness_are_put_at_their_bound() -> None:
    """By hand, without noise: one block of ratio 2 and 11 of 1, and 4 failures put at 2: log ratio 5 ln 2 / 16."""

    def draw(trial: Trial) -> float:
        return 2.0 if trial.arm == "gvisor" and trial.block == 5 else 1.0

    found = campaign(draw, machines=("node1",), fails=lambda t: t.arm == "gvisor" and t.block in (1, 2, 3, 4))
    (said,) = [c.message for c in found.caveats if c.kind == "failures"]
    assert "4 trials of gvisor failed. If they failed because they were slow" in said
    assert "makes gvisor look better against runc than it is: the true ratio is higher" in said
    assert f"the ratio is {2 ** (5 / 16):.3g} (" in said
    assert f"without them {2 ** (1 / 12):.3g} (" in said
    one = found.comparison("boot", TIME.name, "gvisor")
    assert one is not None and one.at_bound is not None and one.failures == said
    assert one.at_bound.point == pytest.approx(2 ** (5 / 16))


@pytest.mark.parametrize(
    ("metric", "failing", "direction"),
    [
        (TIME, ("gvisor",), "the true ratio is higher"),
        (TIME, ("runc",), "the true ratio is lower"),
        (RATE, ("gvisor",), "the true ratio is lower"),
        (RATE, ("runc",), "the true ratio is higher"),
        (TIME, ("gvisor", "runc"), "the ratio may err either way"),
    ],
)
def test_failures_are_told_with_their_direction(metric: Metric, failing: tuple[str, ...], direction: str) -> None:
    """A slow trial has a long time, or a low throughput; without it its runtime looks better."""

    def fails(trial: Trial) -> bool:
        return trial.arm in failing and trial.block in ((3, 5) if trial.arm == "gvisor" else (8, 9))

    drawn = noisy(1.2)
    # The other arm is steady, so that only what was put in moves the ratio.
    found = campaign(lambda t: drawn(t) if t.arm in failing else 1.1, metric=metric, fails=fails)
    one = found.comparison("boot", metric.name, "gvisor")
    assert one is not None and one.ratio is not None and one.at_bound is not None
    assert direction in one.failures
    if len(failing) == 1:
        assert (one.at_bound.point > one.ratio.point) == ("higher" in direction)


def test_where_it_stays_open_the_report_says_what_so_many_blocks_can_decide() -> None:
    """measurement.md §4.14: four blocks hardly ever show that there is no difference."""
    few = campaign(noisy(1.0, sd=0.1), runs=4)
    (said,) = [c.message for c in few.caveats if c.kind == "what these blocks can decide"]
    assert said.startswith("With 4 blocks, 1 primary ratio and") and "unclear then means too few blocks" in said
    told = campaign(noisy(2.0), runs=16)
    assert not [c for c in told.caveats if c.kind == "what these blocks can decide"]


def test_without_failures_or_a_worse_direction_there_is_no_bound() -> None:
    quiet = campaign(noisy(1.2)).comparison("boot", TIME.name, "gvisor")
    neither = dataclasses.replace(TIME, better=None)
    undirected = campaign(noisy(1.2), metric=neither, fails=lambda t: t.block == 3 and t.arm == "gvisor")
    for one in (quiet, undirected.comparison("boot", TIME.name, "gvisor")):
        assert one is not None and one.at_bound is None and one.failures == ""


@pytest.mark.parametrize(
    ("further", "where", "expected"),
    [
        (None, "", ""),
        (1, "", "; about 1 more block would tell"),
        (100, "in each campaign", "; about 100 more blocks in each campaign would tell"),
        (101, "", "; it would take more blocks than are practical (over 100)"),
        (514, "in each campaign", "; it would take more blocks in each campaign than are practical (over 100)"),
    ],
)
def test_a_forecast_that_nobody_would_wait_for_gives_no_number(further: int | None, where: str, expected: str) -> None:
    assert forecast(further, where) == expected

"""Outcomes, tails, curves and series of campaigns: each against a worked example that its test names."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats as reference

from rtlab.model import Verdict
from rtlab.stats import curves, history, outcomes, tails
from rtlab.stats.change import Both, compare_campaigns
from rtlab.stats.outcomes import Paired
from rtlab.stats.ratio import Fit
from tests.test_stats import SLEEP, TIME

# --------------------------------------------------------------------------- outcomes


@pytest.mark.parametrize(
    ("arm_only", "baseline_only", "p"),
    # measurement.md §4.15: five to none is 0.063, six to none 0.031. The last: Agresti, Categorical Data Analysis
    # (2013), 11.1.2, the environment opinions of 1144 people, 132 to 107.
    [(5, 0, 0.0625), (0, 6, 0.03125), (0, 0, 1.0), (1, 1, 1.0), (132, 107, None)],
)
def test_mcnemar_is_the_exact_binomial(arm_only: int, baseline_only: int, p: float | None) -> None:
    found = outcomes.mcnemar(Paired(both=10, arm_only=arm_only, baseline_only=baseline_only, neither=3))
    truth = reference.binomtest(arm_only, arm_only + baseline_only).pvalue if p is None else p
    assert found == pytest.approx(float(truth))


@pytest.mark.parametrize(
    ("pairs", "confidence", "interval"),
    [
        # Fagerland, Lydersen and Laake, Stat. Med. 33 (2014): airway hyper-responsiveness before and after stem cell
        # transplantation (Bentur et al. 2009), 1, 1, 7, 12: Tango's interval is -0.517 to -0.026.
        (Paired(both=1, arm_only=1, baseline_only=7, neither=12), 0.95, (-0.517, -0.026)),
        # R's PropCIs::scoreci.mp(25, 28, 618, 0.90), which estimates (28 - 25) / 618: -0.0148 to 0.0247.
        (Paired(both=300, arm_only=28, baseline_only=25, neither=265), 0.90, (-0.0148, 0.0247)),
    ],
)
def test_the_difference_of_shares_has_tangos_interval(
    pairs: Paired, confidence: float, interval: tuple[float, float]
) -> None:
    found = outcomes.difference(pairs, confidence)
    assert found is not None
    digits = 4 if confidence == 0.90 else 3
    assert (round(found.low or 0, digits), round(found.high or 0, digits)) == interval
    assert found.point == pytest.approx((pairs.arm_only - pairs.baseline_only) / pairs.n)


def test_outcomes_at_their_ends() -> None:
    assert outcomes.difference(Paired(both=0, arm_only=0, baseline_only=0, neither=0)) is None
    all_pass = outcomes.difference(Paired(both=20, arm_only=0, baseline_only=0, neither=0))
    assert all_pass is not None and all_pass.low is not None and all_pass.high is not None
    # Tango (1998): with no pair that differs the interval is ± z² / (n + z²).
    z2 = float(reference.norm.ppf(0.975)) ** 2
    assert (all_pass.low, all_pass.high) == pytest.approx((-z2 / (20 + z2), z2 / (20 + z2)))
    only_arm = outcomes.difference(Paired(both=0, arm_only=9, baseline_only=0, neither=0))
    assert only_arm is not None and only_arm.point == only_arm.high == 1.0


def test_pairs_are_counted_and_a_second_run_tells_flaky_from_broken() -> None:
    found = outcomes.count([(True, True), (True, False), (False, True), (False, False), (True, True)])
    assert (found.both, found.arm_only, found.baseline_only, found.neither, found.n) == (2, 1, 1, 1, 5)
    told = [outcomes.verdict_of(*ended) for ended in ((True, None), (False, True), (False, False), (False, None))]
    assert told == ["passes", "flaky", "broken", "failed"]


# --------------------------------------------------------------------------- tails

# Conover, Practical Nonparametric Statistics (1999), 3.2 example 3: life of sixteen transistors.
TRANSISTORS = (46.9, 47.2, 49.1, 56.5, 56.8, 59.2, 59.9, 63.2, 63.3, 63.4, 63.7, 64.1, 67.1, 67.7, 73.3, 78.5)


def test_the_upper_quartile_of_conovers_transistors() -> None:
    """Conover: the 9th and the 15th value, 63.3 to 73.3, with probability 0.9094; each tail is at most 0.065."""
    found = tails.quantile_interval(random.Random(1).sample(TRANSISTORS, 16), 0.75, 0.87)
    assert found is not None
    assert (found.low, found.high) == (63.3, 73.3)
    assert found.confidence == pytest.approx(0.9094, abs=5e-5)


@pytest.mark.parametrize(("share", "n"), [(0.95, 72), (0.99, 368), (0.5, 6)])
def test_a_quantile_has_an_interval_only_from_so_many_values(share: float, n: int) -> None:
    """measurement.md §4.16: 72 and 368; of a median 6, as ``median_interval`` has it."""
    assert tails.fewest(share) == n
    assert tails.quantile_interval(range(n), share) is not None
    assert tails.quantile_interval(range(n - 1), share) is None


@pytest.mark.parametrize("share", [0.05, 0.25, 0.5, 0.95])
def test_harrell_and_davis_are_scipys(share: float) -> None:
    values = np.random.default_rng(2).lognormal(size=23)
    truth = reference.mstats.hdquantiles(values, [share])[0]
    assert tails.harrell_davis(values, share) == pytest.approx(float(truth))


def test_the_shift_function_of_one_value_a_block_is_the_paired_t_test() -> None:
    """R: t.test(extra ~ group, data = sleep, paired = TRUE): 0.7001142 to 2.4598858, at every quantile alike."""
    samples = [tails.Sample(block=i, arm=(math.exp(b),), baseline=(math.exp(a),)) for i, (a, b) in enumerate(SLEEP)]
    found = tails.shift(samples)
    assert [s.share for s in found] == list(tails.DECILES)
    for one in found:
        assert (math.log(one.ratio.low or 1), math.log(one.ratio.high or 1)) == pytest.approx((0.7001142, 2.4598858))


def test_the_shift_function_sees_a_slow_tail_that_the_median_does_not() -> None:
    """One start of ten is twice as slow under the arm: by construction only the upper quantiles move."""
    plain = tuple(1 + 0.01 * k for k in range(20))
    slow = (*plain[:18], 2 * plain[18], 2 * plain[19])
    low, high = tails.shift([tails.Sample(block=i, arm=slow, baseline=plain) for i in range(4)], (0.5, 0.95))
    assert low.ratio.point == pytest.approx(1, abs=0.01)
    assert high.ratio.point > 1.7


# --------------------------------------------------------------------------- curves

# R's `cars` (Ezekiel 1930): stopping distance by speed.
SPEED = (
    "4 4 7 7 8 9 10 10 10 11 11 12 12 12 12 13 13 13 13 14 14 14 14 15 15 15 16 16 17 17 17 18 18 18 18 19 19 19 20 \
20 20 20 20 22 23 24 24 24 24 25"
)
DISTANCE = "2 10 4 22 16 10 18 26 34 17 28 14 20 24 28 26 34 34 46 26 36 60 80 20 26 54 32 40 32 40 50 42 56 76 84 36 \
46 68 32 48 52 56 64 66 54 70 92 93 120 85"


def test_a_slope_is_that_of_rs_cars() -> None:
    """R: summary(lm(dist ~ speed, cars)): -17.5791, 3.9324, multiple R-squared 0.6511."""
    found = curves.line(list(zip(map(float, SPEED.split()), map(float, DISTANCE.split()), strict=True)))
    assert found is not None
    assert (found.intercept, found.slope, found.r_squared) == pytest.approx((-17.5791, 3.9324, 0.6511), abs=5e-5)


def test_a_curve_needs_two_loads_and_a_break_five_blocks() -> None:
    assert curves.line([(5, 1.0), (5, 2.0)]) is None
    assert curves.breaking_point([(10, True), (40, False), (20, True), (80, True)]) == 20
    assert curves.breaking_point([(10, False)]) is None
    assert curves.breaks([20, 20, 40, 20]) is None
    found = curves.breaks([20, 20, 40, 20, 10, 40])
    assert found is not None and (found.point, found.low, found.high) == (20, 10, 40)


# --------------------------------------------------------------------------- series of campaigns

# R's `Nile` (Cobb 1978): flow at Aswan, 1871 to 1970. It fell when the dam was begun, after 1898.
NILE = """1120 1160 963 1210 1160 1160 813 1230 1370 1140 995 935 1110 994 1020 960 1180 799 958 1140 1100 1210 1150
1250 1260 1220 1030 1100 774 840 874 694 940 833 701 916 692 1020 1050 969 831 726 456 824 702 1120 1100 832
764 821 768 845 864 862 698 845 744 796 1040 759 781 865 845 944 984 897 822 1010 771 676 649 846 812 742
801 1040 860 874 848 890 744 749 838 1050 918 986 797 923 975 815 1020 906 901 1170 912 746 919 718 714 740"""


def test_the_nile_changed_after_1898() -> None:
    (found,) = history.change_points([float(x) for x in NILE.split()])
    assert 1871 + found.at == 1899
    assert found.p_value <= 0.01
    # Cobb (Biometrika 65, 1978): means 1097.75 before and 849.97 after.
    assert (found.before, found.after) == pytest.approx((1097.75, 849.97), abs=0.005)


def test_the_energy_distance_is_the_sum_over_all_pairs() -> None:
    """By its definition (Székely and Rizzo 2013), written out."""
    random_ = np.random.default_rng(6)
    x, y = random_.normal(size=7), random_.normal(1, 2, size=5)
    across = np.mean([abs(a - b) for a in x for b in y])
    within = [np.mean([abs(s[i] - s[j]) for i in range(len(s)) for j in range(len(s)) if i != j]) for s in (x, y)]
    assert history.energy(x, y) == pytest.approx(7 * 5 / 12 * (2 * across - within[0] - within[1]))


def test_three_states_are_found_and_noise_is_none() -> None:
    """As the tests of MongoDB's signal-processing-algorithms have it: steps of certain places are found there."""
    random_ = np.random.default_rng(3)
    steps = np.concatenate([random_.normal(m, 0.01, 12) for m in (1.0, 1.2, 0.9)])
    assert [c.at for c in history.change_points(steps)] == [12, 24]
    false = sum(bool(history.change_points(np.random.default_rng(s).normal(size=16))) for s in range(60))
    assert false <= 9  # 5 % of 60; P(B(60, 0.05) > 9) = 0.1 %
    assert history.change_points([1.0] * 20) == ()
    assert history.change_points([1.0, 2.0]) == ()


def test_campaigns_differ_by_more_than_their_own_errors() -> None:
    fit = Fit(n=15, log_ratio=0.0, se=0.01, df=13, method="")
    logs = np.random.default_rng(9).normal(0.2, 0.03, 40)
    found = history.between_campaigns([replace(fit, log_ratio=float(x)) for x in logs])
    # With equal errors REML leaves the sample variance less the error's.
    assert found == pytest.approx(math.sqrt(float(logs.var(ddof=1)) - 0.01**2), rel=1e-4)
    assert history.between_campaigns([fit, fit]) is None


def test_a_change_must_exceed_what_campaigns_differ_by_anyway() -> None:
    first = Fit(n=15, log_ratio=0.0, se=0.005, df=13, method="")
    both = Both(
        experiment="boot",
        metric=TIME,
        arm="kata",
        baseline="runc",
        first=first,
        second=replace(first, log_ratio=math.log(1.1)),
    )
    (plain,), (widened,) = compare_campaigns([both], 0.05), compare_campaigns([both], 0.05, between=0.03)
    assert plain.verdict is Verdict.SLOWER and widened.verdict is Verdict.INCONCLUSIVE
    assert widened.change.high is not None and plain.change.high is not None
    # Two draws of 3 % beside the campaigns' own 0.5 %.
    half = float(reference.t.ppf(0.975, 26)) * math.sqrt(2 * (0.005**2 + 0.03**2))
    assert math.log(widened.change.high / 1.1) == pytest.approx(half)

"""What a campaign can decide, against the figures that the method took by simulation, and against scipy's power."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from rtlab.stats import power


def test_holm_over_five_as_simulated_for_the_method() -> None:
    """measurement.md §4.14: ratio 2, CoV 10 %, two machines: 88 % with 4 blocks instead of 10 % with 3."""
    four, three = (power.difference(2.0, 0.10, n, margin=0.05, family=5, machines=2) for n in (4, 3))
    assert four.each == pytest.approx(0.88, abs=0.01)
    assert three.each == pytest.approx(0.10, abs=0.015)


def test_no_practical_difference_as_simulated_for_the_method() -> None:
    """measurement.md §4.14: 5 %, CoV 4 %: n = 15: 45 % for each of five, 12 % for all; n = 25: 96, 85."""
    fifteen, more = (power.no_difference(0.04, n, margin=0.05, family=5, machines=2) for n in (15, 25))
    assert (fifteen.each, fifteen.all) == (pytest.approx(0.45, abs=0.01), pytest.approx(0.12, abs=0.01))
    assert (more.each, more.all) == (pytest.approx(0.96, abs=0.01), pytest.approx(0.85, abs=0.01))


def test_one_ratio_is_the_noncentral_t() -> None:
    found = power.difference(1.2, 0.1, 6, margin=0.05, family=1)
    se = math.sqrt(2 / 6 * math.log(1.01))
    shift = (math.log(1.2) - math.log(1.05)) / se
    assert found.each == pytest.approx(scipy_stats.nct.sf(scipy_stats.t.ppf(0.975, 5), 5, shift), abs=1e-9)
    assert found.each == found.all


def test_holm_by_simulation_of_the_procedure_itself() -> None:
    """p values that are uniform to the tenth power, 20 000 families of four, Holm by its definition."""
    rng = np.random.default_rng(7)
    p = np.sort(rng.random((20000, 4)) ** 10, axis=1)
    passed = np.cumprod(p <= 0.025 / np.array([4, 3, 2, 1]), axis=1)
    found = power.holm(lambda level: level**0.1, 4)
    assert found.each == pytest.approx(passed.mean(), abs=0.01)
    assert found.all == pytest.approx(passed[:, -1].mean(), abs=0.01)


def test_what_is_said_before_a_campaign() -> None:
    first, second = power.sentences(4, margin=0.05, family=5, machines=2)
    assert "a ratio of 2.00 or more" in first and "88 %" in first
    assert "comes out in 1 % of campaigns" in second and "too few blocks" in second
    assert power.sentences(15, margin=0.05, family=5, machines=2)[1].count("45 %") == 1
    assert len(power.sentences(40, margin=0.05, family=5, machines=2)) == 1
    assert power.sentences(2, margin=0.05, family=5, machines=2) == (
        "2 blocks give no interval, so no verdict: values only.",
    )
    assert power.sentences(1, margin=0.05, family=1)[0].startswith("1 block gives no interval")
    assert power.sentences(4, margin=0.05, family=0) == ()
    assert "even a ratio of 5.00" in power.sentences(3, margin=0.05, family=200, machines=2)[0]

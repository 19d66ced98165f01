"""Whatever campaigns hold (no block, no value, zeros, equal or absurd values), the analysis says nothing false."""

from __future__ import annotations

import dataclasses
import json
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtlab.model import Metric, Observation, Outcome, Trial, Verdict
from rtlab.stats import Analysis, analyse
from rtlab.stats.hosts import over_hosts
from rtlab.stats.ratio import Pair, difference, fieller, regress
from tests.conftest import make_record, make_spec
from tests.test_stats import RATE, TIME, planned

MARGIN = math.log(1.05)
IOWAIT = dataclasses.replace(TIME, name="iowait_s", positive=False)
TICKS = dataclasses.replace(TIME, name="ticks_s", resolution=0.01)
VALUES = st.one_of(
    st.sampled_from((0.0, -1.0, 1.0, 1.0, 2.0, 5e-324, 1e-300, 1e300, 1.7e308, math.nan, math.inf, -math.inf)),
    st.floats(0.5, 2.0),
)
ENDED = st.sampled_from((Outcome.OK, Outcome.OK, Outcome.OK, Outcome.FAILED, Outcome.TIMED_OUT, Outcome.INVALID))


def plain(found: Analysis) -> str:
    """As JSON, which has no NaN and no infinity."""
    return json.dumps(dataclasses.asdict(dataclasses.replace(found, fits={})), allow_nan=False)


def check(found: Analysis, *, paper: bool = False) -> None:
    """What must hold of every analysis; the paper's design has no pairs."""
    plain(found)
    for c in found.comparisons:
        for e in (c.ratio, c.mean_ratio, c.machine_effect, c.difference, c.at_bound):
            if e is not None and e.low is not None and e.high is not None:
                assert e.low <= e.point <= e.high
        assert c.sentence.endswith(".") and "nan" not in c.sentence.split() and "inf" not in c.sentence.split()
        if c.verdict in (Verdict.INCONCLUSIVE, Verdict.WITHHELD):
            continue
        assert c.ratio is not None and c.ratio.low is not None and c.ratio.high is not None
        assert paper or len(c.blocks) >= 2
        low, high = math.log(c.ratio.low), math.log(c.ratio.high)
        if c.verdict is Verdict.NO_DIFFERENCE:
            assert low >= -MARGIN and high <= MARGIN
        else:
            assert low > MARGIN or high < -MARGIN
    for s in found.summaries:
        assert s.n == len(s.trials) >= 0


@settings(max_examples=40, deadline=None)
@given(data=st.data(), runs=st.integers(0, 6), machines=st.integers(1, 3), aa=st.booleans())
@pytest.mark.parametrize("metric", [TIME, RATE, IOWAIT, TICKS], ids=lambda m: m.name)
@pytest.mark.parametrize("design", ["default", "paper"])
def test_no_campaign_crashes_the_analysis_or_gets_a_verdict_that_its_interval_does_not_carry(
    data: st.DataObject, runs: int, machines: int, aa: bool, metric: Metric, design: str
) -> None:
    spec = make_spec(runs=runs, aa=aa and design == "default", experiments=("boot",), design=design)
    trials = planned(spec, tuple(f"node{n}" for n in range(1, machines + 1)))
    ended = [data.draw(ENDED) for _ in trials]
    observations = [
        Observation(trial=trial, metric=metric.name, value=data.draw(VALUES), unit=metric.unit)
        for trial, outcome in zip(trials, ended, strict=True)
        if outcome is Outcome.OK
    ]
    records = [make_record(trial, outcome=outcome) for trial, outcome in zip(trials, ended, strict=True)]
    check(analyse(spec, observations, records, {"boot": (metric,)}), paper=design == "paper")


@pytest.mark.parametrize("metric", [TIME, RATE, IOWAIT, TICKS], ids=lambda m: m.name)
@pytest.mark.parametrize("value", [0.0, 1e-300, 0.1, 1.0, 1e300])
@pytest.mark.parametrize("runs", [1, 2, 3, 16])
def test_equal_values_never_look_certain_of_a_difference(metric: Metric, value: float, runs: int) -> None:
    found = everywhere(lambda _: value, runs=runs, metric=metric)
    (one,) = found.comparisons
    assert one.verdict in (Verdict.INCONCLUSIVE, Verdict.NO_DIFFERENCE, Verdict.WITHHELD)
    assert not found.broken
    assert not [c for c in found.caveats if c.kind in ("outliers", "drift", "testbed broken")]
    check(found)


def everywhere(draw, *, runs: int = 16, metric: Metric = TIME, aa: bool = True) -> Analysis:  # type: ignore[no-untyped-def]
    spec = make_spec(runs=runs, aa=aa, experiments=("boot",))
    trials = planned(spec, ("node1", "node2"))
    seen = [Observation(trial=t, metric=metric.name, value=draw(t), unit=metric.unit) for t in trials]
    return analyse(spec, seen, [make_record(t) for t in trials], {"boot": (metric,)})


def noise(trial: Trial) -> float:
    drawn = random.Random(trial.number)
    return math.exp(drawn.gauss(0, 0.04)) * (1.3 if trial.arm == "gvisor" else 1.0)


@pytest.mark.parametrize("scale", [1e-300, 1e-9, 1e9, 1e300])
def test_the_unit_changes_no_ratio_and_no_verdict(scale: float) -> None:
    unitless = dataclasses.replace(TIME, unit="x")
    (one,) = everywhere(noise, metric=unitless).comparisons
    found = everywhere(lambda t: scale * noise(t), metric=unitless)
    (other,) = found.comparisons
    check(found)
    assert one.ratio is not None and other.ratio is not None
    assert (other.ratio.point, other.ratio.low, other.ratio.high) == pytest.approx(
        (one.ratio.point, one.ratio.low, one.ratio.high)
    )
    assert (other.verdict, other.sentence) == (one.verdict, one.sentence)


def test_a_value_that_is_no_number_counts_as_failed() -> None:
    found = everywhere(lambda t: math.nan if t.block == 3 and t.arm == "gvisor" else noise(t))
    summary, (one,) = found.summary("boot", TIME.name, "gvisor"), found.comparisons
    assert summary is not None and (summary.n, summary.n_failed) == (15, 1)
    assert 3 not in one.blocks
    check(found)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_estimator_takes_what_is_no_number(value: float) -> None:
    good = [
        Pair(block=i, arm=1.0 + 0.1 * i, baseline=1.0, arm_machine=f"n{i % 3}", baseline_machine=f"n{(i + 1) % 3}")
        for i in range(9)
    ]
    for bad in (dataclasses.replace(good[0], arm=value), dataclasses.replace(good[0], baseline=value)):
        paired = [bad, *good[1:]]
        assert regress(paired) is None
        assert fieller(paired) is None
        assert difference(paired) is None
        assert over_hosts(paired, "boot", TIME.name, "kata", "runc") is None


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**6), runs=st.integers(2, 8))
def test_the_other_way_round_the_ratio_is_its_inverse(seed: int, runs: int) -> None:
    random_ = random.Random(seed)
    pairs = [
        Pair(
            block=i,
            arm=math.exp(random_.gauss(0, 1)),
            baseline=math.exp(random_.gauss(0, 1)),
            arm_machine=random_.choice("ab"),
            baseline_machine=random_.choice("ab"),
        )
        for i in range(runs)
    ]
    turned = [
        Pair(
            block=p.block,
            arm=p.baseline,
            baseline=p.arm,
            arm_machine=p.baseline_machine,
            baseline_machine=p.arm_machine,
        )
        for p in pairs
    ]
    one, other = regress(pairs), regress(turned)
    assert one is not None and other is not None
    assert other.log_ratio == pytest.approx(-one.log_ratio, abs=1e-9)
    assert (other.se is None) == (one.se is None)
    if one.se is not None:
        assert other.se == pytest.approx(one.se)

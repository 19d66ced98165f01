"""Many hosts: the random-effects mean against published analyses, and a testbed of three machines to its report."""

from __future__ import annotations

import json
import math
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rtlab import config, report, testbed
from rtlab.model import Trial, ignore_events
from rtlab.state import StateFolder
from rtlab.stats.hosts import Hosts, over_hosts, pooled
from rtlab.stats.ratio import Pair
from tests.conftest import make_spec
from tests.test_simulation import full_spec, run
from tests.test_stats import TIME, campaign, planned

# Colditz et al. (JAMA 1994), BCG vaccine, 13 trials: metafor's dat.bcg. Vaccinated with and without tuberculosis, then
# those not vaccinated.
BCG = (
    (4, 119, 11, 128),
    (6, 300, 29, 274),
    (3, 228, 11, 209),
    (62, 13536, 248, 12619),
    (33, 5036, 47, 5761),
    (180, 1361, 372, 1079),
    (8, 2537, 10, 619),
    (505, 87886, 499, 87892),
    (29, 7470, 45, 7232),
    (17, 1699, 65, 1600),
    (186, 50448, 141, 27197),
    (5, 2493, 3, 2338),
    (27, 16886, 29, 17825),
)


def log_risk_ratios() -> tuple[list[float], list[float]]:
    effects = [math.log(a / (a + b) / (c / (c + d))) for a, b, c, d in BCG]
    return effects, [1 / a - 1 / (a + b) + 1 / c - 1 / (c + d) for a, b, c, d in BCG]


def test_the_bcg_trials_give_metafors_mean_and_variance() -> None:
    """Viechtbauer (J. Stat. Softw. 36, 2010): ``rma(yi, vi, data = dat)`` gives tau^2 0.3132, estimate -0.7145; with
    ``test = "knha"`` se 0.1808 and interval -1.1084 to -0.3206."""
    found = pooled(*log_risk_ratios())
    assert found is not None
    assert (found.variance, found.mean, found.se) == pytest.approx((0.3132, -0.7145, 0.1808), abs=5e-5)
    assert found.interval() == pytest.approx((-1.1084, -0.3206), abs=5e-5)


def test_three_public_hosts_predict_what_measurement_md_says() -> None:
    """measurement.md §4.18: 1.02, 0.56, 0.64, within a host ±0.6 %: between hosts 31 %, prediction 0.15 to 3.4."""
    found = pooled([math.log(r) for r in (1.02, 0.56, 0.64)], [(0.006 / 4.3) ** 2] * 3)
    assert found is not None
    assert math.sqrt(found.variance) == pytest.approx(0.31, abs=0.005)
    assert [math.exp(x) for x in found.prediction()] == pytest.approx([0.15, 3.4], rel=0.02)


def test_equal_errors_give_the_plain_t_interval_of_the_effects() -> None:
    """By hand: REML leaves the sample variance less the error, and the mean's se is the SD over root n."""
    y = [0.1, 0.3, 0.35, 0.2]
    found = pooled(y, [0.001] * 4)
    assert found is not None
    assert found.variance == pytest.approx(np.var(y, ddof=1) - 0.001, rel=1e-5)
    assert found.se == pytest.approx(np.std(y, ddof=1) / 2)


def test_fewer_than_three_hosts_or_none_that_vary_tell_nothing() -> None:
    assert pooled([0.1, 0.2], [0.01, 0.01]) is None
    assert pooled([0.1, 0.1, 0.1], [0.0, 0.0, 0.0]) is None
    assert pooled([0.1, 0.1, 0.1], [0.01, 0.01, 0.01]) is not None


RATIOS = {"node1": 1.2, "node2": 1.5, "node3": 2.0}
SPEED = {"node1": 1.0, "node2": 1.3, "node3": 0.7}


def test_each_host_has_its_own_ratio_whatever_its_speed() -> None:
    """With hardly any noise every host's ratio is the one put in."""
    noise = random.Random(1)
    blocks: dict[int, dict[str, Trial]] = {}
    for trial in planned(make_spec(runs=12, experiments=("boot",)), tuple(RATIOS)):
        blocks.setdefault(trial.block, {})[trial.arm] = trial
    paired = []
    for block, of in blocks.items():
        arm, base = of["gvisor"].machine, of["runc"].machine
        paired.append(
            Pair(
                block=block,
                arm=SPEED[arm] * RATIOS[arm] * math.exp(noise.gauss(0, 1e-6)),
                baseline=SPEED[base],
                arm_machine=arm,
                baseline_machine=base,
            )
        )
    found = over_hosts(paired, "boot", TIME.name, "gvisor", "runc")
    assert found is not None
    assert {h.name: h.ratio.point for h in found.hosts} == pytest.approx(RATIOS, rel=1e-5)
    assert {(h.arm_blocks, h.baseline_blocks) for h in found.hosts} == {(4, 4)}
    logs = np.log(list(RATIOS.values()))
    assert found.mean.point == pytest.approx(float(np.exp(logs.mean())), rel=1e-5)
    assert found.between == pytest.approx(float(logs.std(ddof=1)), rel=1e-4)
    assert found.new.low is not None and found.mean.low is not None and found.new.low < found.mean.low


def differing(trial: Trial) -> float:
    drawn = random.Random(trial.number)
    ratio = RATIOS[trial.machine] if trial.arm == "gvisor" else 1.0
    return SPEED[trial.machine] * ratio * math.exp(drawn.gauss(0, 0.01))


def test_a_campaign_on_three_machines_says_what_another_host_may_show() -> None:
    found = campaign(differing, runs=12, machines=tuple(RATIOS))
    (hosts,) = found.hosts
    said = hosts.sentence("gVisor", "runC")
    assert "over 3 hosts the mean ratio is 1.5" in said and "95 % prediction interval" in said
    assert "from host to host it differs by 2" in said  # SD of ln 1.2, ln 1.5, ln 2: 26 %, so × 1.29
    assert campaign(differing, runs=12, machines=("node1", "node2")).hosts == ()


def test_hosts_that_differ_by_their_scatter_alone_are_said_to() -> None:
    alike = replace(campaign(differing, runs=12, machines=tuple(RATIOS)).hosts[0], between=0.0)
    assert "by no more than the blocks' own scatter explains; on another host" in alike.sentence("gVisor", "runC")


def test_a_machine_that_lost_its_blocks_is_named_and_left_out() -> None:
    four = {**RATIOS, "node4": 1.7}
    paired = [
        Pair(block=i, arm=four[a] * (1 + 0.001 * (i % 3)), baseline=1.0, arm_machine=a, baseline_machine=b)
        for i, (a, b) in enumerate((a, b) for a in four for b in list(four)[:3] if a != b)
    ]
    found = over_hosts(paired, "boot", TIME.name, "gvisor", "runc")
    assert isinstance(found, Hosts)
    assert found.left_out == ("node4",)
    assert [h.name for h in found.hosts] == list(RATIOS)


def test_a_report_of_three_simulated_machines_shows_the_hosts(tmp_path: Path) -> None:
    state = StateFolder(tmp_path / ".rtlab")
    settings = replace(
        config.Config().testbed, provider="simulated", profile="debian-12", scenario="machine-effect", machines=3
    )
    bed = testbed.up(settings, state, ignore_events).testbed
    spec = full_spec(experiments=("boot",), runs=9)
    kept = run(tmp_path, bed, state, replace(spec, parameters={"boot": spec.parameters["boot"]}))
    built = report.build(kept)
    (hosts,) = built.analysis.hosts
    assert [h.name for h in hosts.hosts] == ["node1", "node2", "node3"]
    assert any("prediction interval" in line for line in built.beside())
    files = {path.name: path for path in report.write(built, tmp_path / "out")}
    assert f"hosts-{hosts.experiment}-{hosts.arm}.svg" in files
    document = json.loads(files["estimates.json"].read_text())
    assert document["hosts"][0]["new"]["low"] == pytest.approx(hosts.new.low)
    assert "another host (prediction)" in files["index.html"].read_text()


def test_values_whose_quotient_is_no_number_still_have_a_ratio() -> None:
    """5e-324 / 2 is 0 and 1e300 / 5e-324 infinite, where no value is: found by chance under Python 3.13."""
    ring = (("a", "b"), ("b", "c"), ("c", "a")) * 2
    values = (5e-324, 2.0), (1e300, 5e-324), (1.0, 1.0), (2.0, 1.0), (1.0, 3.0), (1.5, 1.0)
    paired = [
        Pair(block=n, arm=arm, baseline=base, arm_machine=one, baseline_machine=other)
        for n, ((arm, base), (one, other)) in enumerate(zip(values, ring, strict=True), 1)
    ]
    over_hosts(paired, "boot", TIME.name, "gvisor", "runc")  # a warning of numpy's is an error here

"""Whole campaigns of five experiments through ``analyse``: how often a verdict is false, and a quiet campaign noted."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from benchmarks.layouts import spec_of
from rtlab.campaign.plan import plan
from rtlab.model import Metric, Observation, Outcome, Record, Trial, Verdict
from rtlab.stats import analyse

EXPERIMENTS = ("boot", "cpu", "io", "memory", "network")
MARGIN = 0.05
PRIMARY = Metric(name="time_s", title="time", unit="s", better="lower", primary=True)
METRICS = dict.fromkeys(EXPERIMENTS, (PRIMARY,))


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """One line: five true ratios, noise of both arms, machines that differ by 5 %."""

    name: str
    ratios: tuple[float, ...]
    blocks: int = 15
    noise: float = 0.04
    machines: int = 2
    quiet: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Shares of campaigns: with any false verdict, with an outlier note, with a drift note; and of verdicts given."""

    false: float
    outliers: float
    drift: float
    decided: float


WHOLE = (
    Whole(name="no difference", ratios=(1.0,) * 5, quiet=True),
    Whole(name="no difference, noise 2 %", ratios=(1.0,) * 5, noise=0.02, quiet=True),
    Whole(name="all at the margin, 1.05", ratios=(1.05,) * 5),
    Whole(name="one at the margin, four at 6", ratios=(1.05, 6.0, 6.0, 6.0, 6.0)),
    Whole(name="one just within, four at 1, noise 1 %", ratios=(1.0499, 1.0, 1.0, 1.0, 1.0), noise=0.01),
    Whole(name="all at the margin, 5 blocks", ratios=(1.05,) * 5, blocks=5),
    Whole(name="all at the margin, 3 machines", ratios=(1.05,) * 5, machines=3),
    Whole(name="all at 1.2, 16 blocks", ratios=(1.2,) * 5, blocks=16, quiet=True),
)


def run(whole: Whole, campaigns: int) -> Told:
    """All campaigns of one line."""
    rng = np.random.default_rng([7, *whole.name.encode()])
    names = [f"node{n}" for n in range(1, whole.machines + 1)]
    specs = [spec_of(whole.blocks, seed, EXPERIMENTS, MARGIN) for seed in range(16)]
    plans = [plan(spec, names, spec.seed) for spec in specs]
    records = [[_record(trial) for trial in trials] for trials in plans]
    truth = dict(zip(EXPERIMENTS, whole.ratios, strict=True))
    count = dict.fromkeys(("false", "outliers", "drift", "decided"), 0)
    for number in range(campaigns):
        which = number % len(plans)
        noise = rng.standard_normal(len(plans[which])).tolist()
        observations = [
            Observation(trial=trial, metric=PRIMARY.name, value=_value(whole, truth, trial, z), unit="s")
            for trial, z in zip(plans[which], noise, strict=True)
        ]
        found = analyse(specs[which], observations, records[which], METRICS)
        count["false"] += any(_false(c.verdict, truth[c.experiment]) for c in found.comparisons)
        count["decided"] += sum(c.verdict is not Verdict.INCONCLUSIVE for c in found.comparisons)
        kinds = {c.kind for c in found.caveats}
        count["outliers"] += "outliers" in kinds
        count["drift"] += "drift" in kinds
    return Told(
        false=count["false"] / campaigns,
        outliers=count["outliers"] / campaigns,
        drift=count["drift"] / campaigns,
        decided=count["decided"] / campaigns / len(EXPERIMENTS),
    )


def _value(whole: Whole, truth: dict[str, float], trial: Trial, z: float) -> float:
    machine = 0.05 * (int(trial.machine.removeprefix("node")) - 1)
    return math.exp(whole.noise * z + machine) * (truth[trial.experiment] if trial.arm == "kata" else 1.0)


def _false(verdict: Verdict, ratio: float) -> bool:
    """Whether a verdict is not true; at the very margin neither slower nor faster is."""
    inside = abs(math.log(ratio)) <= math.log1p(MARGIN)
    if verdict is Verdict.SLOWER:
        return inside or ratio < 1
    if verdict is Verdict.FASTER:
        return inside or ratio > 1
    return verdict is Verdict.NO_DIFFERENCE and abs(math.log(ratio)) >= math.log1p(MARGIN)


def _record(trial: Trial) -> Record:
    return Record(
        trial=trial,
        attempt=1,
        outcome=Outcome.OK,
        reason="",
        started_at="2026-01-01T00:00:00Z",
        ended_at="2026-01-01T00:00:01Z",
        boot_id=None,
        rebooted=False,
        waited_s=None,
        exit_status=0,
        files={},
        overhead_s=None,
    )

"""Campaigns on several hosts whose ratios differ: whether the mean over hosts and a new host lie where it is said."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from benchmarks.layouts import blocks_of, planned
from rtlab.stats.hosts import over_hosts
from rtlab.stats.ratio import Pair

TRUE = math.log(1.3)
NOISE = 0.04
MACHINE_SD = 0.10
LAYOUTS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosted:
    """One line: so many hosts, in so many blocks; the SD of the log ratio between hosts."""

    machines: int
    blocks: int
    between: float

    @property
    def name(self) -> str:
        return f"{self.machines} hosts, {self.blocks} blocks, SD between hosts {100 * self.between:g} %"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Shares of campaigns: the mean's interval holds the true mean, the prediction interval the ratio of a new host."""

    mean: float
    new: float


HOSTED = tuple(
    Hosted(machines=machines, blocks=blocks, between=between)
    for machines, blocks in ((3, 12), (5, 20))
    for between in (0.0, 0.1, 0.3)
)


def run(hosted: Hosted, campaigns: int) -> Told:
    """All campaigns of one line."""
    rng = np.random.default_rng([11, hosted.machines, hosted.blocks, round(1000 * hosted.between)])
    names = [f"node{n}" for n in range(1, hosted.machines + 1)]
    layouts = [
        [(base.machine, arm.machine) for base, arm in blocks_of(planned(hosted.blocks, names, seed))]
        for seed in range(LAYOUTS)
    ]
    mean = new = 0
    for number in range(campaigns):
        ratio = dict(zip(names, TRUE + hosted.between * rng.standard_normal(len(names)), strict=True))
        speed = dict(zip(names, MACHINE_SD * rng.standard_normal(len(names)), strict=True))
        noise = (NOISE * rng.standard_normal((hosted.blocks, 2))).tolist()
        found = over_hosts(
            [
                Pair(
                    block=block,
                    arm=math.exp(ratio[arm_on] + speed[arm_on] + arm),
                    baseline=math.exp(speed[base_on] + base),
                    arm_machine=arm_on,
                    baseline_machine=base_on,
                )
                for block, ((base_on, arm_on), (arm, base)) in enumerate(
                    zip(layouts[number % LAYOUTS], noise, strict=True)
                )
            ],
            "boot",
            "time_s",
            "kata",
            "runc",
        )
        another = TRUE + hosted.between * float(rng.standard_normal())
        if found is None:
            continue
        ends = [e for estimate in (found.mean, found.new) for e in (estimate.low, estimate.high)]
        low, high, new_low, new_high = (math.log(e) if e else math.nan for e in ends)
        mean += low <= TRUE <= high
        new += new_low <= another <= new_high
    return Told(mean=mean / campaigns, new=new / campaigns)

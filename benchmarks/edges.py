"""How often the primary covers at the edges: more machines, few blocks, uneven modes, quantized values, failures.

    nice python benchmarks/edges.py [--campaigns 4000]

Beside ``coverage.py``, whose scenarios are steady and have 15 blocks on two machines. Each line draws campaigns with a
true ratio of 1.03, laid out by ``rtlab.campaign.plan``, and sends them through ``rtlab.stats``. Prints Markdown.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass

import numpy as np

from rtlab.campaign.plan import plan
from rtlab.model import CampaignSpec
from rtlab.stats.ratio import Pair, regress

TRUE = math.log(1.03)
MACHINE_SD = 0.10


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """One line.

    Attributes:
        uneven: Share of the arm's values that lie in a second mode, 6 SD away; 0 for none.
        tick: Step in which values (about 0.1) are read, rounded to the nearest; 0 for none.
        slow_fail: Share of the arm's trials, the slowest ones, that fail.
    """

    name: str
    machines: int = 2
    blocks: int = 15
    noise: float = 0.05
    uneven: float = 0.0
    tick: float = 0.0
    slow_fail: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Share of campaigns whose interval covers, and by how much the mean log ratio is off."""

    covers: float
    bias: float


EDGES = (
    *(Edge(name=f"{n} blocks", blocks=n) for n in (3, 4, 5)),
    *(Edge(name=f"{m} machines, {n} blocks", machines=m, blocks=n) for m in (3, 5) for n in (5, 15, 20)),
    *(Edge(name=f"uneven modes, {n} blocks", blocks=n, uneven=0.15) for n in (5, 15)),
    *(
        Edge(name=f"10 ms ticks at 0.1 s, noise {100 * sd:g} %, {n} blocks", blocks=n, noise=sd, tick=0.01)
        for n in (3, 5, 15)
        for sd in (0.01, 0.05)
    ),
    *(Edge(name=f"slowest tenth fails, noise {100 * sd:g} %", noise=sd, slow_fail=0.1) for sd in (0.05, 0.5)),
)


def run(edge: Edge, campaigns: int, seed: int = 1) -> Found:
    """All campaigns of one line."""
    rng = np.random.default_rng(seed)
    names = [f"node{n}" for n in range(1, edge.machines + 1)]
    layouts = [_layout(edge.blocks, names, s) for s in range(32)]
    covered, off = 0, 0.0
    for number in range(campaigns):
        layout = layouts[number % len(layouts)]
        effect = dict(zip(names, MACHINE_SD * rng.standard_normal(len(names)), strict=True))
        noise = edge.noise * rng.standard_normal((edge.blocks, 2))
        if edge.uneven:
            # Of the arm alone: in both, the difference would be even again.
            noise[:, 0] += 6 * edge.noise * ((rng.random(edge.blocks) < edge.uneven) - edge.uneven)
        worst = math.inf if not edge.slow_fail else float(1.2816 * edge.noise)  # the normal's 90th percentile
        found = []
        for block, ((base_on, arm_on), (arm, base)) in enumerate(zip(layout, noise.tolist(), strict=True)):
            if arm > worst:
                continue
            values = [0.1 * math.exp(x) for x in (TRUE + arm + effect[arm_on], base + effect[base_on])]
            if edge.tick:
                values = [max(edge.tick, round(v / edge.tick) * edge.tick) for v in values]
            found.append(
                Pair(block=block, arm=values[0], baseline=values[1], arm_machine=arm_on, baseline_machine=base_on)
            )
        fit = regress(found, edge.tick)
        interval = fit.interval() if fit else None
        if fit is None:
            continue
        off += fit.log_ratio - TRUE
        # No interval claims nothing that is false.
        covered += interval is None or interval[0] <= TRUE <= interval[1]
    return Found(covers=covered / campaigns, bias=off / campaigns)


def _layout(blocks: int, names: list[str], seed: int) -> list[tuple[str, str]]:
    spec = CampaignSpec(
        name="edges",
        design="default",
        runs=blocks,
        experiments=("boot",),
        runtimes=("runc", "kata"),
        baseline="runc",
        reboot="never",
        seed=seed,
        aa=False,
        margin=0.05,
        parameters={},
        images={},
        trial_timeout_s=1,
        ready_timeout_s=1,
    )
    where: dict[int, dict[str, str]] = {}
    for trial in plan(spec, names, seed):
        where.setdefault(trial.block, {})[trial.arm] = trial.machine
    return [(b["runc"], b["kata"]) for b in where.values()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--campaigns", type=int, default=4000)
    options = parser.parse_args()
    print("| edge | primary covers | mean error of the ratio |")
    print("|---|---|---|")
    for edge in EDGES:
        found = run(edge, options.campaigns)
        print(f"| {edge.name} | {100 * found.covers:.1f} % | {100 * math.expm1(found.bias):+.1f} % |", flush=True)


if __name__ == "__main__":
    main()

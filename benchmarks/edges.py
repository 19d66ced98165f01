"""Campaigns at the edges: few blocks, more machines, uneven modes, coarse readings, failures that go with slowness.

Each line draws campaigns with a true ratio of 1.03 and machines that differ by 10 % (SD), laid out by rtlab's plan.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from benchmarks.layouts import blocks_of, planned
from rtlab.stats.ratio import Pair, regress

TRUE = math.log(1.03)
MACHINE_SD = 0.10
LAYOUTS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """One line.

    Attributes:
        uneven: Share of the arm's values that lie in a second mode; 0 for none.
        apart: How far that mode lies, in SD.
        tick: Step in which values (about 0.1) are read, rounded to the nearest; 0 for none.
        slow_fail: Share of the arm's trials, the slowest ones, that fail.
        least, most: What the share of covering intervals must lie between; None where it is only printed.
    """

    name: str
    machines: int = 2
    blocks: int = 15
    noise: float = 0.05
    uneven: float = 0.0
    apart: float = 6.0
    tick: float = 0.0
    slow_fail: float = 0.0
    least: float | None = None
    most: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """Of all campaigns.

    Attributes:
        covers: Share whose 95 % interval holds the true ratio; one without interval claims nothing false and counts.
        bias: Mean error of the log ratio.
        silent: Share without an interval.
        bound: Mean error of the log ratio with failed trials at the worst value of their arm; None without failures.
    """

    covers: float
    bias: float
    silent: float
    bound: float | None = None


LIGHT = {"least": 0.935, "most": 0.965}
EDGES = (
    *(
        Edge(name=f"{n} blocks on {m} machine{'s' * (m > 1)}", machines=m, blocks=n, **LIGHT)
        for m, n in (
            (1, 3),
            (1, 4),
            (1, 5),
            (2, 3),
            (2, 4),
            (2, 5),
            (2, 15),
            (3, 5),
            (3, 6),
            (3, 15),
            (5, 10),
            (5, 15),
            (5, 20),
        )
    ),
    *(
        Edge(
            name=f"{100 * share:g} % of the arm {far:g} SD away, {n} blocks",
            blocks=n,
            uneven=share,
            apart=far,
            least=low,
        )
        for share, far in ((0.15, 6.0), (0.2, 10.0))
        for n, low in ((5, None), (15, 0.91))
    ),
    Edge(name="10 % of the arm 20 SD away, 15 blocks", uneven=0.1, apart=20.0),
    *(
        Edge(name=f"10 ms ticks at 0.1 s, noise {100 * sd:g} %, {n} blocks", blocks=n, noise=sd, tick=0.01, least=0.935)
        for n in (3, 4, 5, 15)
        for sd in (0.01, 0.05, 0.1)
    ),
    *(Edge(name=f"slowest tenth fails, noise {100 * sd:g} %", noise=sd, slow_fail=0.1) for sd in (0.05, 0.2, 0.5)),
)


def run(edge: Edge, campaigns: int, seed: int = 1) -> Found:
    """All campaigns of one line."""
    rng = np.random.default_rng([seed, *edge.name.encode()])
    names = [f"node{n}" for n in range(1, edge.machines + 1)]
    layouts = [
        [(base.machine, arm.machine) for base, arm in blocks_of(planned(edge.blocks, names, s))] for s in range(LAYOUTS)
    ]
    covered, off, bounds, silent, fitted = 0, 0.0, 0.0, 0, 0
    for number in range(campaigns):
        drawn, worst = _pairs(edge, layouts[number % LAYOUTS], names, rng)
        fit = regress([p for p, failed in drawn if not failed], edge.tick)
        if fit is None:
            silent += 1
            covered += 1
            continue
        fitted += 1
        off += fit.log_ratio - TRUE
        interval = fit.interval()
        silent += interval is None
        covered += interval is None or interval[0] <= TRUE <= interval[1]
        if edge.slow_fail:
            bound = regress([_at(p, worst) if failed else p for p, failed in drawn])
            bounds += bound.log_ratio - TRUE if bound else 0.0
    return Found(
        covers=covered / campaigns,
        bias=off / max(1, fitted),
        silent=silent / campaigns,
        bound=bounds / max(1, fitted) if edge.slow_fail else None,
    )


def _pairs(
    edge: Edge, layout: list[tuple[str, str]], names: list[str], rng: np.random.Generator
) -> tuple[list[tuple[Pair, bool]], float]:
    """One campaign's blocks, each with whether its arm failed; and the worst value of the arm that did not fail."""
    effect = dict(zip(names, MACHINE_SD * rng.standard_normal(len(names)), strict=True))
    noise = edge.noise * rng.standard_normal((edge.blocks, 2))
    if edge.uneven:
        # Of the arm alone: in both, the difference would be even again.
        noise[:, 0] += edge.apart * edge.noise * ((rng.random(edge.blocks) < edge.uneven) - edge.uneven)
    limit = math.inf if not edge.slow_fail else float(1.2816 * edge.noise)  # the normal's 90th percentile
    found = []
    for block, ((base_on, arm_on), (arm, base)) in enumerate(zip(layout, noise.tolist(), strict=True)):
        values = [0.1 * math.exp(x) for x in (TRUE + arm + effect[arm_on], base + effect[base_on])]
        if edge.tick:
            values = [max(edge.tick, round(v / edge.tick) * edge.tick) for v in values]
        pair = Pair(block=block, arm=values[0], baseline=values[1], arm_machine=arm_on, baseline_machine=base_on)
        found.append((pair, arm > limit))
    return found, max((p.arm for p, failed in found if not failed), default=math.nan)


def _at(pair: Pair, value: float) -> Pair:
    return Pair(
        block=pair.block,
        arm=value,
        baseline=pair.baseline,
        arm_machine=pair.arm_machine,
        baseline_machine=pair.baseline_machine,
    )

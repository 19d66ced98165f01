"""Campaigns of 15 blocks on two machines with known truth: six scenarios, two noises, four ratios.

A step falls at a random moment of the campaign; a drift slows the host evenly by 5 % from first to last trial. The
paper's design (all of the baseline on one machine, then all of the arm on the other) is analysed as a report does it,
on the same scenarios.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.layouts import blocks_of, planned
from rtlab.model import Metric, Verdict
from rtlab.stats.ratio import Pair, fieller, fit_log_ratios, regress, welch
from rtlab.stats.verdict import decide, p_value

SCENARIOS = ("steady", "5 % step", "5 % drift", "heavy tails", "two modes", "5 % machine effect")
RATIOS = (1.0, 1.05, 1.2, 6.0)
NOISES = ((0.04, 0.04), (0.19, 0.04))  # SD of the arm, of the baseline
MARGIN = 0.05
BLOCKS = 15
STEP = math.log(1.05)
RESAMPLES = 1000
TIME = Metric(name="first_page_s", title="first page", unit="s", better="lower", primary=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    scenario: str
    noise: tuple[float, float]
    ratio: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Shares of campaigns; ``bootstrap`` is None where it was not run."""

    primary: float
    fieller: float
    excludes_one: float
    slower: float
    faster: float
    paper: float
    paper_excludes_one: float
    bootstrap: float | None


def layouts(blocks: int, how_many: int) -> list[list[tuple[int, int, int, int]]]:
    """Per layout and block: (machine of the arm, of the baseline, place in time of the arm, of the baseline)."""
    machines = ("node1", "node2")
    return [
        [
            (machines.index(arm.machine), machines.index(baseline.machine), arm.number, baseline.number)
            for baseline, arm in blocks_of(planned(blocks, machines, seed))
        ]
        for seed in range(how_many)
    ]


def standard(rng: np.random.Generator, scenario: str, n: int) -> np.ndarray:
    """Noise with mean 0 and SD 1."""
    if scenario == "heavy tails":
        return rng.standard_t(3, n) / math.sqrt(3)
    if scenario == "two modes":
        return np.where(rng.random(n) < 0.5, 0.9, -0.9) + math.sqrt(0.19) * rng.standard_normal(n)
    return rng.standard_normal(n)


def host(scenario: str, at: np.ndarray, length: int, step_at: float) -> np.ndarray:
    """Log slowness of the host at these places in time."""
    if scenario == "5 % step":
        return STEP * (at > step_at * length)
    if scenario == "5 % drift":
        return STEP * at / length
    return np.zeros(len(at))


def arithmetic_truth(cell: Cell, rng: np.random.Generator) -> float:
    """The ratio of arithmetic means: Fieller's own estimand. By 4 million draws where there is no formula."""
    arm, base = cell.noise
    if cell.scenario == "two modes":

        def mean(sd: float) -> float:
            return math.cosh(0.9 * sd) * math.exp(0.19 * sd * sd / 2)

        return cell.ratio * mean(arm) / mean(base)
    if cell.scenario == "heavy tails":
        # exp of a t variable has no mean; the campaigns' values are within these draws' range, so their mean stands in.
        z = np.clip(rng.standard_t(3, 4_000_000) / math.sqrt(3), -20, 20)
        return cell.ratio * float(np.exp(arm * z).mean() / np.exp(base * z).mean())
    return cell.ratio * math.exp((arm**2 - base**2) / 2)


def run(cell: Cell, campaigns: int, blocks: int = BLOCKS) -> Counts:
    """All campaigns of one cell."""
    rng = np.random.default_rng([SCENARIOS.index(cell.scenario), NOISES.index(cell.noise), RATIOS.index(cell.ratio)])
    log_ratio = math.log(cell.ratio)
    arithmetic = arithmetic_truth(cell, rng)
    places = layouts(blocks, 64)
    length = 2 * blocks
    machine = STEP if cell.scenario == "5 % machine effect" else 0.0
    hits = dict.fromkeys(("primary", "fieller", "one", "slower", "faster", "paper", "paper_one", "bootstrap"), 0)
    bootstrap = cell.ratio == 1.0
    for number in range(campaigns):
        layout = np.array(places[number % len(places)])
        step_at = rng.random()
        arm, base = (
            cell.noise[i] * standard(rng, cell.scenario, blocks)
            + machine * layout[:, i]
            + host(cell.scenario, layout[:, 2 + i], length, step_at)
            for i in (0, 1)
        )
        names = ("node1", "node2")
        pairs = [
            Pair(block=k, arm=a, baseline=b, arm_machine=names[m], baseline_machine=names[n])
            for k, (a, b, (m, n, _, _)) in enumerate(
                zip(np.exp(arm + log_ratio).tolist(), np.exp(base).tolist(), layout.tolist(), strict=True)
            )
        ]
        fit = regress(pairs)
        assert fit is not None
        low, high = fit.interval() or (0.0, 0.0)
        hits["primary"] += low <= log_ratio <= high
        hits["one"] += not low <= 0 <= high
        verdict = decide(fit, TIME, MARGIN, None, p_value(fit, MARGIN))
        hits["slower"] += verdict is Verdict.SLOWER
        hits["faster"] += verdict is Verdict.FASTER
        means = fieller(pairs)
        if means is not None and means.low is not None and means.high is not None:
            hits["fieller"] += means.low <= arithmetic <= means.high
        low, high = paper(cell, rng, blocks, log_ratio, machine, step_at)
        hits["paper"] += low <= log_ratio <= high
        hits["paper_one"] += not low <= 0 <= high
        if bootstrap:
            d = arm - base
            resampled = d[rng.integers(0, blocks, (RESAMPLES, blocks))].mean(axis=1)
            low, high = np.quantile(resampled, (0.025, 0.975))
            hits["bootstrap"] += low <= 0 <= high
    share = {key: count / campaigns for key, count in hits.items()}
    return Counts(
        primary=share["primary"],
        fieller=share["fieller"],
        excludes_one=share["one"],
        slower=share["slower"],
        faster=share["faster"],
        paper=share["paper"],
        paper_excludes_one=share["paper_one"],
        bootstrap=share["bootstrap"] if bootstrap else None,
    )


def paper(
    cell: Cell, rng: np.random.Generator, blocks: int, log_ratio: float, machine: float, step_at: float
) -> tuple[float, float]:
    """The interval of the paper's design: baseline first on the first machine, then the arm on the second."""
    base_at, arm_at = np.arange(blocks), np.arange(blocks, 2 * blocks)
    base = cell.noise[1] * standard(rng, cell.scenario, blocks) + host(cell.scenario, base_at, 2 * blocks, step_at)
    arm = cell.noise[0] * standard(rng, cell.scenario, blocks) + host(cell.scenario, arm_at, 2 * blocks, step_at)
    none = np.zeros((blocks, 0))
    fit = welch(fit_log_ratios(arm + log_ratio + machine, none), fit_log_ratios(base, none))
    return fit.interval() or (0.0, 0.0)


def cells() -> Iterator[Cell]:
    for scenario in SCENARIOS:
        for noise in NOISES:
            for ratio in RATIOS:
                yield Cell(scenario=scenario, noise=noise, ratio=ratio)

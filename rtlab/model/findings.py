"""What the observations amount to: estimates, comparisons, verdicts, caveats."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A point estimate with its interval.

    Attributes:
        point, low, high: In the metric's unit (or a pure ratio); low <= point <= high.
            low or high is None where n cannot carry an interval.
        confidence: Nominal coverage, 0.95.
        method: How it was computed, enough to repeat it.
        estimand: What it estimates (``ratio of geometric means`` …).
    """

    point: float
    low: float | None
    high: float | None
    confidence: float
    method: str
    estimand: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """One arm's values of one metric, described. ``n`` counts values, one per block.

    ``n_failed`` counts trials that failed, timed out or were invalid; ``n_censored`` values withheld by the tool.
    Statistics that n cannot carry are None.
    """

    experiment: str
    metric: str
    arm: str
    unit: str
    n: int
    n_failed: int
    n_censored: int
    median: Estimate | None
    mean: float | None
    sd: float | None
    cov: float | None
    minimum: float | None
    maximum: float | None
    trials: tuple[int, ...]


class Verdict(str, Enum):
    SLOWER = "slower"  # the CLI and report use each metric's own words (higher/lower …)
    FASTER = "faster"
    NO_DIFFERENCE = "no practical difference"
    INCONCLUSIVE = "inconclusive"
    WITHHELD = "withheld"  # the A/A blocks say that the testbed is broken, or runtime and machine never swapped


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One arm against the baseline on one metric.

    Attributes:
        ratio: Primary: ratio of geometric means from per-block log ratios.
        mean_ratio: Ratio of arithmetic means (Fieller), its own estimand; None where undefined.
        machine_effect: Ratio of the second machine to the first, or None on one machine.
        p_value: One-sided against the margin; None without a verdict.
        p_adjusted: After Holm over the primary metrics.
        blocks_needed: Further blocks until a verdict, when inconclusive; None if not computable.
        sentence: The verdict in plain words, with the metric's direction.
        blocks: Which blocks entered.
        exploratory: True for every metric that is not the experiment's primary one.
        difference: Arm minus baseline in the metric's unit, where values may be 0 or negative and there is no ratio.
        at_bound: The ratio with failed trials at the worst value of their runtime; None where none failed that bears on
            it. What was put in does not scatter: no verdict rests on it.
        failures: What the failed trials may hide, in which direction; empty with ``at_bound`` None.
        why_not: Why there is no ratio, or why the verdict is withheld; empty otherwise.
    """

    experiment: str
    metric: str
    arm: str
    baseline: str
    ratio: Estimate | None
    mean_ratio: Estimate | None
    machine_effect: Estimate | None
    verdict: Verdict
    p_value: float | None
    p_adjusted: float | None
    blocks_needed: int | None
    sentence: str
    blocks: tuple[int, ...]
    exploratory: bool
    limiting_arm: str | None = None
    difference: Estimate | None = None
    at_bound: Estimate | None = None
    failures: str = ""
    why_not: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Caveat:
    """Something a reader must know beside the numbers (drift, outliers, unequal machines …).

    Attributes:
        where: What it is about, ``experiment/metric``; empty for the campaign as a whole.
        short: What it names, in a few words, for the line above the answer; empty where it stands below it.
    """

    kind: str
    message: str
    where: str = ""
    short: str = ""

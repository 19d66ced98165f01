"""Many hosts: the ratio on each, their mean, how much hosts differ, and what a new host may show. Pure.

A reader has another machine than those that were measured. What is asked is then not how well the mean over these hosts
is known, but between which ratios a new host's lies (measurement.md §4.18). The host is a random effect: restricted
maximum likelihood for the variance between hosts, Hartung and Knapp's (2001) interval for the mean, and from both the
prediction interval (Higgins, Thompson and Spiegelhalter 2009; t with one degree of freedom less than there are hosts).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rtlab.model import Estimate
from rtlab.stats.ratio import GEOMETRIC, Pair
from rtlab.stats.sentences import ratio
from rtlab.stats.student import quantile
from rtlab.units import percent, ratio_text

# From fewer hosts a variance between them says nothing.
FEWEST_HOSTS = 3
MEAN = "mean over hosts of the ratio of geometric means"
NEW = "ratio of geometric means on a host that was not measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pooled:
    """Effects on several hosts put together, on their own scale (here logarithms of ratios).

    Attributes:
        variance: Between hosts (REML).
        mean, se: Over hosts; the standard error is Hartung and Knapp's.
        df: Degrees of freedom, hosts minus one.
    """

    mean: float
    se: float
    variance: float
    df: int

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Of the mean over hosts."""
        half = quantile(0.5 + confidence / 2, self.df) * self.se
        return self.mean - half, self.mean + half

    def prediction(self, confidence: float = 0.95) -> tuple[float, float]:
        """Of the effect on a new host."""
        half = quantile(0.5 + confidence / 2, self.df) * math.sqrt(self.se**2 + self.variance)
        return self.mean - half, self.mean + half


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """One host: how many blocks have the arm on it, how many the baseline, and the ratio there."""

    name: str
    arm_blocks: int
    baseline_blocks: int
    ratio: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosts:
    """One comparison over three or more hosts.

    Attributes:
        mean: Ratio over hosts.
        between: SD between hosts of the logarithm of the ratio.
        new: Point and prediction interval of the ratio on another host of this kind.
        left_out: Machines whose own ratio cannot be told in the blocks that are left.
    """

    experiment: str
    metric: str
    arm: str
    baseline: str
    hosts: tuple[Host, ...]
    mean: Estimate
    between: float
    new: Estimate
    left_out: tuple[str, ...] = ()

    def sentence(self, arm: str, baseline: str) -> str:
        """In plain words."""
        assert self.mean.low is not None and self.mean.high is not None
        assert self.new.low is not None and self.new.high is not None
        new = ratio_text(self.new.point, self.new.low, self.new.high)
        apart = f"from host to host it differs by {percent(math.expm1(self.between))} (SD)"
        if self.between < 1e-6:
            apart = "from host to host it differs by no more than the blocks' own scatter explains"
        without = f" Without {', '.join(self.left_out)}, whose own ratio these blocks do not tell." * bool(
            self.left_out
        )
        return (
            f"Hosts, {self.experiment}, {arm} against {baseline}: over {len(self.hosts)} hosts the mean ratio is "
            f"{ratio(self.mean)}; {apart}; on another host like these it lies between {new.low} and {new.high} (95 % "
            f"prediction interval).{without}"
        )


def pooled(effects: Sequence[float], variances: Sequence[float]) -> Pooled | None:
    """The random-effects mean; None for fewer than FEWEST_HOSTS, or where nothing varies at all.

    Args:
        variances: Of each effect's own error; the errors are independent.
    """
    y, v = np.asarray(effects, dtype=float), np.asarray(variances, dtype=float)
    if len(y) < FEWEST_HOSTS:
        return None
    scale = max(float(y.var(ddof=1)), float(v.mean()))
    if scale <= 1e-24 * max(1.0, float(y @ y)):
        return None  # equal without any error: a limit of what was read, not certainty
    between = _reml(y / math.sqrt(scale), v / scale) * scale
    weights = 1 / np.maximum(v + between, 1e-300)
    total = float(weights.sum())
    mean = float(weights @ y) / total
    df = len(y) - 1
    return Pooled(mean=mean, se=math.sqrt(float(weights @ (y - mean) ** 2) / df / total), variance=between, df=df)


def _reml(y: np.ndarray, v: np.ndarray) -> float:
    """The variance between hosts that maximizes the restricted likelihood; 0 where none is larger."""
    from scipy.optimize import minimize_scalar  # takes half a second, and few campaigns have so many hosts

    def loss(variance: float) -> float:
        sigma = v + variance
        if float(np.min(sigma)) <= 0:
            return math.inf
        weights = 1 / sigma
        total = float(weights.sum())
        rest = y - float(weights @ y) / total
        return float(np.log(sigma).sum()) + math.log(total) + float(weights @ rest**2)

    # Coarse first, on a grid even in logarithms, so that the search begins beside the greatest of several peaks.
    grid = (10 * float(((y - y.mean()) ** 2).sum()) + 1e-12) * np.geomspace(1e-8, 1, 60)
    best = int(np.argmin([loss(float(g)) for g in grid]))
    low, high = float(grid[max(0, best - 1)]), float(grid[min(len(grid) - 1, best + 1)])
    found = minimize_scalar(loss, bounds=(0.0 if best == 0 else low, high), method="bounded", options={"xatol": 1e-10})
    variance = float(found.x)
    return 0.0 if loss(0.0) <= loss(variance) else variance


def over_hosts(
    paired: Sequence[Pair], experiment: str, metric: str, arm: str, baseline: str, confidence: float = 0.95
) -> Hosts | None:
    """The ratio on each host and over all; None with fewer than three hosts that tell their own, or no scatter to judge
    by.

    Arm and baseline of a block run on different machines. A block's log ratio is what the arm does on its machine less
    what the baseline does on the other: two unknowns for each machine, all known but for one shift, which falls out of
    each machine's own difference.
    """
    if not all(0 < p.arm < math.inf and 0 < p.baseline < math.inf for p in paired):
        return None
    machines = sorted({p.arm_machine for p in paired} | {p.baseline_machine for p in paired})
    if len(machines) < FEWEST_HOSTS:
        return None
    design = np.array(
        [
            [float(p.arm_machine == m) for m in machines] + [-float(p.baseline_machine == m) for m in machines]
            for p in paired
        ]
    )
    # Not the logarithm of the quotient, which can be 0 or infinite where neither value is.
    d = np.array([math.log(p.arm) - math.log(p.baseline) for p in paired])
    rank = int(np.linalg.matrix_rank(design))
    df = len(paired) - rank
    if df < 1:
        return None
    inverse = np.linalg.pinv(design.T @ design)
    coefficients = inverse @ design.T @ d
    rest = d - design @ coefficients
    variance = float(rest @ rest) / df
    contrasts = np.hstack([np.eye(len(machines)), -np.eye(len(machines))])
    # A difference is told by these blocks only if it is a combination of them.
    told = np.abs(contrasts - contrasts @ np.linalg.pinv(design) @ design).max(axis=1) < 1e-8
    if int(told.sum()) < FEWEST_HOSTS or variance <= 1e-24 * max(1.0, float(d @ d)):
        return None
    kept = contrasts[told]
    effects, own = kept @ coefficients, variance * np.diag(kept @ inverse @ kept.T)
    # One host's error in a block is another's with the opposite sign: taken as independent, the mean's interval is
    # rather too wide than too narrow.
    found = pooled(effects.tolist(), own.tolist())
    if found is None:
        return None
    t = quantile(0.5 + confidence / 2, df)
    hosts = []
    for name, effect, error in zip(np.array(machines)[told].tolist(), effects.tolist(), own.tolist(), strict=True):
        half = t * math.sqrt(error)
        hosts.append(
            Host(
                name=name,
                arm_blocks=sum(p.arm_machine == name for p in paired),
                baseline_blocks=sum(p.baseline_machine == name for p in paired),
                ratio=_ratio(
                    effect, (effect - half, effect + half), confidence, f"t, {df} degrees of freedom", GEOMETRIC
                ),
            )
        )
    method = f"REML over {len(hosts)} hosts, Hartung and Knapp; t, {found.df} degrees of freedom"
    return Hosts(
        experiment=experiment,
        metric=metric,
        arm=arm,
        baseline=baseline,
        hosts=tuple(hosts),
        mean=_ratio(found.mean, found.interval(confidence), confidence, method, MEAN),
        between=math.sqrt(found.variance),
        new=_ratio(found.mean, found.prediction(confidence), confidence, f"prediction; {method}", NEW),
        left_out=tuple(m for m, known in zip(machines, told.tolist(), strict=True) if not known),
    )


def _ratio(point: float, interval: tuple[float, float], confidence: float, method: str, estimand: str) -> Estimate:
    low, high = (math.exp(min(max(x, -700.0), 700.0)) for x in interval)
    return Estimate(point=math.exp(point), low=low, high=high, confidence=confidence, method=method, estimand=estimand)

"""What a campaign of so many blocks can decide, said before it runs: the power of its verdicts. Pure.

The log ratios of the blocks are taken to be normal, with independent noise in both arms, and every primary ratio to be
alike. Each one's power at a level comes from the noncentral t for "slower or faster", and for "no practical difference"
(TOST) from the normal with the scatter's own chi-squared; Holm's steps over all of them are followed exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special

from rtlab.stats.student import quantile
from rtlab.stats.verdict import ALPHA
from rtlab.units import band, ratio_text

# Trials of one arm scatter by about so much where nothing is known: from a quiet machine to a busy one.
QUIET, BUSY = 0.04, 0.10
GOOD = 0.8


def freedom(blocks: int, machines: int) -> int:
    """Residual degrees of freedom: two or more machines take one for each but the first."""
    return blocks - max(1, machines)


@dataclass(frozen=True, slots=True)
class Power:
    """Of Holm's procedure over alike, independent primary ratios.

    Attributes:
        each: Expected share of them that is decided.
        all: Probability that every one is.
    """

    each: float
    all: float


def holm(at_level: Callable[[float], float], family: int) -> Power:
    """Holm's power, from the probability that one p value is at most a level.

    Its step i asks for at least i p values of at most alpha / (family - i + 1): the number of them below each level is
    followed as a Markov chain of binomials.
    """
    below = [at_level(ALPHA / (family - i)) for i in range(family)]
    alive = {0: 1.0}  # number of p values below the step's level -> probability, while no step has failed
    expected, last = 0.0, 0.0
    for step, probability in enumerate(below, 1):
        more = (probability - last) / (1 - last) if last < 1 else 0.0
        reached: dict[int, float] = {}
        for count, weight in alive.items():
            rest = family - count
            for extra in range(rest + 1):
                share = math.comb(rest, extra) * more**extra * (1 - more) ** (rest - extra)
                reached[count + extra] = reached.get(count + extra, 0.0) + weight * share
        expected += (step - 1) * sum(w for count, w in reached.items() if count < step)
        alive = {count: w for count, w in reached.items() if count >= step}
        last = probability
    every = sum(alive.values())
    return Power(each=(expected + family * every) / family, all=every)


def difference(ratio: float, cov: float, blocks: int, *, margin: float, family: int, machines: int = 1) -> Power:
    """That true ratios of this size are found to be beyond the margin.

    Args:
        cov: Coefficient of variation of one trial's value within its arm.
        family: Primary ratios together.
    """
    df = freedom(blocks, machines)
    if df < 1:
        return Power(0.0, 0.0)
    shift = (abs(math.log(ratio)) - math.log1p(margin)) / (math.sqrt(2 / blocks) * _log_sd(cov))
    return holm(lambda level: 1 - float(special.nctdtr(df, shift, quantile(1 - level, df))), family)


def no_difference(cov: float, blocks: int, *, margin: float, family: int, machines: int = 1) -> Power:
    """That true ratios of 1 are found to lie within the margin."""
    df = freedom(blocks, machines)
    if df < 1:
        return Power(0.0, 0.0)
    se = math.sqrt(2 / blocks) * _log_sd(cov)
    # Over the scatter's distribution, at the midpoints of its quantiles: |estimate| + critical * (seen se) < margin.
    quantiles = np.asarray(special.chdtri(df, 1 - (np.arange(4000) + 0.5) / 4000), dtype=np.float64)
    seen = se * np.sqrt(quantiles / df)

    def at_level(level: float) -> float:
        room = np.maximum(math.log1p(margin) - quantile(1 - level, df) * seen, 0.0)
        return float(np.mean(2 * special.ndtr(room / se) - 1))

    return holm(at_level, family)


def _log_sd(cov: float) -> float:
    """SD of the logarithm of a lognormal value."""
    return math.sqrt(math.log1p(cov * cov))


def sentences(blocks: int, *, margin: float, family: int, machines: int = 1) -> tuple[str, ...]:
    """What so many blocks can and cannot decide, in words; empty where nothing is compared."""
    if family < 1:
        return ()
    if freedom(blocks, machines) < 1:
        return (f"{blocks} block{'s give' if blocks != 1 else ' gives'} no interval, so no verdict: values only.",)
    found = []
    smallest = next(
        (
            r
            for r in (1.1, 1.15, 1.2, 1.3, 1.5, 2.0, 3.0, 5.0)
            if difference(r, BUSY, blocks, margin=margin, family=family, machines=machines).each >= GOOD
        ),
        None,
    )
    twice = difference(2.0, BUSY, blocks, margin=margin, family=family, machines=machines).each
    ratios = f"{family} primary ratio{'s' * (family != 1)}"
    known = f"With {blocks} blocks, {ratios} and trials that scatter by {_percent(BUSY)}"
    if smallest is None:
        found.append(f"{known}, even a ratio of 5.00 is recognized in fewer than {_percent(GOOD)} of campaigns.")
    else:
        found.append(
            f"{known}, a ratio of {ratio_text(smallest).point} or more is recognized in {_percent(GOOD)} of campaigns "
            f"or more (2.00: {_percent(twice)})."
        )
    equal = no_difference(QUIET, blocks, margin=margin, family=family, machines=machines).each
    if equal < GOOD:
        found.append(
            f"Where there is no difference, “no practical difference” within {band(margin)} comes out in "
            f"{_percent(equal)} of campaigns, even if trials scatter by only {_percent(QUIET)}: unclear then means too "
            "few blocks."
        )
    return tuple(found)


def _percent(share: float) -> str:
    """Never rounded to certainty."""
    return "over 99 %" if share >= 0.995 else "under 1 %" if share < 0.005 else f"{100 * share:.0f} %"

"""Student's t and the binomial, from scipy's special functions (importing scipy.stats takes four times as long)."""

from __future__ import annotations

from functools import cache

from scipy import special


@cache
def quantile(probability: float, df: float) -> float:
    """The t quantile: ``quantile(0.975, 13)`` is 2.1604."""
    return float(special.stdtrit(df, probability))


def upper_tail(t: float, df: float) -> float:
    """P(T > t)."""
    return float(special.stdtr(df, -t))


@cache
def binomial_half_tail(k: int, n: int) -> float:
    """P(B <= k) for B binomial with n and probability 1/2."""
    return float(special.bdtr(k, n, 0.5)) if k >= 0 else 0.0

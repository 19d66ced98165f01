"""Student's t, chi-squared and the binomial, by scipy.special (importing scipy.stats takes four times as long)."""

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


def chi_squared(probability: float, df: float) -> float:
    """The chi-squared quantile: ``chi_squared(0.95, 10)`` is 18.307."""
    return float(special.chdtri(df, 1 - probability))


@cache
def binomial_half_tail(k: int, n: int) -> float:
    """P(B <= k) for B binomial with n and probability 1/2."""
    return float(special.bdtr(k, n, 0.5)) if k >= 0 else 0.0

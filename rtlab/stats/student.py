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


def normal_quantile(probability: float) -> float:
    """The normal quantile: ``normal_quantile(0.975)`` is 1.95996."""
    return float(special.ndtri(probability))


@cache
def f_quantile(probability: float, first: float, second: float) -> float:
    """The quantile of Fisher's F: ``f_quantile(0.95, 3, 10)`` is 3.708."""
    return float(special.fdtri(first, second, probability))


def found_shift(df: float, level: float, power: float) -> float:
    """How many standard errors a shift must be for a two-sided t test at ``level`` to find it with this probability.

    By the noncentral t; what the test would find in the wrong direction is nothing here.
    """
    return float(special.nctdtrinc(df, 1 - power, quantile(1 - level / 2, df)))


@cache
def binomial_half_tail(k: int, n: int) -> float:
    """P(B <= k) for B binomial with n and probability 1/2."""
    return float(special.bdtr(k, n, 0.5)) if k >= 0 else 0.0

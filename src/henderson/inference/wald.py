"""One test of several linear combinations of the coefficients: F, with the denominator degrees of freedom of the fit.

    F = (L b - h)' (L Var(b) L')^-1 (L b - h) / k,     k = rank of L

The combinations are turned into k uncorrelated ones (the eigenvectors of L Var(b) L'), each with a t statistic; F is the mean
of their squares. Where the degrees of freedom of the k differ (Satterthwaite), those of F are Fai & Cornelius's (1996), as
lmerTest combines them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc, fdtrc

from .protocol import LinearEstimates

_SMALLEST = 1e-10
"""Eigenvalue of the correlation of the combinations, relative to the largest, below which they are dependent."""


@dataclass(frozen=True)
class Wald:
    """k, the denominator degrees of freedom (infinite for a chi-squared test), F and its tail probability."""

    df: int
    den_df: float
    statistic: float
    p_value: float


NOTHING = Wald(0, float("nan"), float("nan"), float("nan"))


def wald(
    fit: LinearEstimates, rows: np.ndarray, rhs: np.ndarray | None = None, method: str | None = None
) -> Wald:
    """F of the hypothesis rows b = rhs.

    Parameters
    ----------
    rows : (k, rank), over the kept coefficients.
    rhs : (k,), 0 where not given.
    method : denominator degrees of freedom; None takes the fit's own.
    """
    if not len(rows):
        return NOTHING
    effect = rows @ fit.coefficients - (0.0 if rhs is None else rhs)
    variance = rows @ fit.vcov @ rows.T
    size = np.sqrt(np.maximum(np.diagonal(variance), 0.0))
    used = size > 0
    if not used.any():
        return NOTHING
    unit = rows[used] / size[used, None]
    values, vectors = np.linalg.eigh(variance[np.ix_(used, used)] / np.outer(size[used], size[used]))
    good = values > _SMALLEST * values[-1]
    statistics = (vectors[:, good].T @ (effect[used] / size[used])) / np.sqrt(values[good])
    k = int(good.sum())
    f = float(np.mean(statistics**2))
    df = combined_df(fit.denominator_df(vectors[:, good].T @ unit, method))
    p = float(fdtrc(k, df, f)) if np.isfinite(df) else float(chdtrc(k, k * f))
    return Wald(k, df, f, p)


def combined_df(each: np.ndarray) -> float:
    """Denominator degrees of freedom of an F test from those of its uncorrelated t tests."""
    if np.ptp(each) <= 1e-8 * np.max(each) if np.isfinite(each).all() else np.isinf(each).all():
        return float(np.mean(each))
    if np.any(each <= 2.0):
        return 2.0
    expected = float(np.sum(np.where(np.isinf(each), 1.0, each / (each - 2.0))))
    return 2.0 * expected / (expected - len(each)) if expected > len(each) else float("inf")

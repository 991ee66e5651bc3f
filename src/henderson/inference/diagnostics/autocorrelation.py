"""Do neighbouring rows have similar errors? Durbin and Watson's test, with its exact p-value."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from ...errors import ModelError
from ..whitened import LeastSquares, Whitened, whitened
from .outcome import Outcome, verdict
from .quadratic_forms import probability_negative

EXACT_LIMIT = 500
"""Rows up to which the p-value is exact where nothing else is asked for."""
ALTERNATIVES = ("greater", "less", "two-sided")


def durbin_watson(fit: LeastSquares, alternative: str = "greater", exact: bool | None = None) -> Outcome:
    """Durbin and Watson's d = sum (e_i - e_(i-1))^2 / sum e_i^2 of the rows in the order of the table.

    Its exact distribution under normal errors is that of a ratio of quadratic forms, sum nu_j z_j^2 / sum z_j^2 with nu
    the eigenvalues of M A M, M = I - QQ', A the matrix of squared first differences (Durbin & Watson 1950, 1971); it is
    integrated numerically (Imhof 1961). For many rows the normal with d's exact mean and variance takes its place, as
    in R's lmtest::dwtest. Rows left out for missing values are closed up. Of `hd.gls`, the whitened rows are
    tested and their p-value takes the covariance as known.

    See `Checks.durbin_watson`.
    """
    if alternative not in ALTERNATIVES:
        raise ModelError(
            f"durbin_watson: alternative is {', '.join(map(repr, ALTERNATIVES))}, not {alternative!r}."
        )
    rows = whitened(fit)
    if rows.df < 1 or not rows.rss:
        raise ModelError("durbin_watson: the fit is exact, there are no residuals to test.")
    d = float(np.sum(np.diff(rows.residuals) ** 2)) / rows.rss
    exact = rows.n <= EXACT_LIMIT if exact is None else exact
    below = _exact_below(rows, d) if exact else _normal_below(rows, d)
    p = {"greater": below, "less": 1.0 - below, "two-sided": 2.0 * min(below, 1.0 - below)}[alternative]
    kind = {"greater": "positive", "less": "negative", "two-sided": "some"}[alternative]
    says = verdict(
        p,
        f"{kind} autocorrelation of the errors in the order of the rows",
        f"no sign of {kind if kind != 'some' else 'any'} autocorrelation in the order of the rows",
    )
    name = "Durbin-Watson autocorrelation (DW)" + ("" if exact else ", normal approximation")
    return Outcome(name, d, np.nan, np.nan, p, says)


def _exact_below(rows: Whitened, d: float) -> float:
    """P(DW < d) for this X."""
    differences = np.diff(np.eye(rows.n), axis=0)
    projected = rows.project(differences.T)
    # The rank smallest are the zeros that M has of Q; a further zero is of the form itself.
    values = np.linalg.eigvalsh(projected @ projected.T)[rows.rank :]
    return probability_negative(values - d)


def _normal_below(rows: Whitened, d: float) -> float:
    mean, variance = moments(rows)
    return float(ndtr((d - mean) / np.sqrt(variance))) if variance > 0 else float(d >= mean)


def moments(rows: Whitened) -> tuple[float, float]:
    """Mean and variance of d under independent normal errors, by traces of (MA) and (MA)^2, O(n rank^2)."""
    n, q, df = rows.n, rows.basis, rows.df
    steps = np.diff(q, axis=0)
    inner = steps.T @ steps
    applied = np.zeros_like(q)
    applied[:-1] -= steps
    applied[1:] += steps
    first = 2.0 * (n - 1) - float(np.trace(inner))
    second = 2.0 * (3 * n - 4) - 2.0 * float(np.sum(applied**2)) + float(np.sum(inner**2))
    mean = first / df
    return mean, 2.0 * (second - first * mean) / (df * (df + 2.0))

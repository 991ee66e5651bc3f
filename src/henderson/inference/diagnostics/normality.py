"""Are the errors normal? Shapiro-Wilk, and Anderson-Darling where there are more rows than its approximation holds for."""

from __future__ import annotations

import numpy as np

from ...errors import ModelError
from ..whitened import LeastSquares, whitened
from .outcome import Outcome, verdict

SHAPIRO_LIMIT = 5_000
"""Rows up to which Royston's approximation of W holds."""
METHODS = ("shapiro-wilk", "anderson-darling")


def normality(fit: LeastSquares, method: str | None = None) -> Outcome:
    """Test of normality of the (whitened) residuals. See `Checks.normality`."""
    e = whitened(fit).residuals
    n = len(e)
    method = method or ("shapiro-wilk" if n <= SHAPIRO_LIMIT else "anderson-darling")
    if method not in METHODS:
        raise ModelError(f"normality: method is {' or '.join(map(repr, METHODS))}, not {method!r}.")
    if not e.any():
        raise ModelError("normality: the fit is exact, there are no residuals to test.")
    if method == "shapiro-wilk":
        if not 3 <= n <= SHAPIRO_LIMIT:
            raise ModelError(f"normality: Shapiro-Wilk is for 3 to {SHAPIRO_LIMIT:,} rows, not {n:,}.")
        from scipy.stats import shapiro

        statistic, p = shapiro(e)
        name = "Shapiro-Wilk normality (W)"
    else:
        statistic, p = anderson_darling(e)
        name = "Anderson-Darling normality (A2)"
    says = verdict(float(p), "the residuals are not normal", "no sign that the residuals are not normal")
    return Outcome(name, float(statistic), np.nan, np.nan, float(p), says)


def anderson_darling(values: np.ndarray) -> tuple[float, float]:
    """A2 and its p-value against the normal with the mean and variance of the values.

    Raises
    ------
    ModelError : fewer than 8 values.
    """
    from scipy.special import log_ndtr

    n = len(values)
    if n < 8:
        raise ModelError(f"normality: Anderson-Darling needs 8 rows, there are {n}.")
    z = np.sort((values - values.mean()) / values.std(ddof=1))
    weights = 2.0 * np.arange(1, n + 1) - 1.0
    statistic = float(-n - np.mean(weights * (log_ndtr(z) + log_ndtr(-z[::-1]))))
    a = statistic * (1.0 + 0.75 / n + 2.25 / n**2)
    if a < 0.2:
        p = 1.0 - np.exp(-13.436 + 101.14 * a - 223.73 * a**2)
    elif a < 0.34:
        p = 1.0 - np.exp(-8.318 + 42.796 * a - 59.938 * a**2)
    elif a < 0.6:
        p = np.exp(0.9177 - 4.279 * a - 1.38 * a**2)
    else:
        # The parabola turns up again beyond a = 153, where p has long been 0.
        p = np.exp(1.2937 - 5.709 * min(a, 150.0) + 0.0186 * min(a, 150.0) ** 2)
    return statistic, float(p)

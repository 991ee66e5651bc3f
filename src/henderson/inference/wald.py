"""One test of several linear combinations of the coefficients: F, with the denominator degrees of freedom of the fit.

    F = (L b - h)' (L Var(b) L')^-1 (L b - h) / k,     k = rank of L

With Var(b) = C C' no product is formed: M = L C is decomposed, rows at unit length. Where the degrees of freedom of
uncorrelated combinations (the eigenvectors of L Var(b) L') differ, those of F are Fai & Cornelius's (1996), as lmerTest combines
them; they depend a little on which L says the hypothesis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from ..errors import ModelError, closest
from . import fisher
from .protocol import DF_METHODS, LinearEstimates

_DEPENDENT = 1e-10
"""Singular value of rows of unit length, relative to the largest, at which they are dependent."""
_SINGULAR = 1e-12


@dataclass(frozen=True)
class Wald:
    """k, the denominator degrees of freedom (infinite for a chi-squared test), F and its tail probability.

    `squares` is k F times the residual variance: the sum of squares of the hypothesis in least squares. `singular`: Var(b) is
    singular along the combinations (a sandwich of few clusters), and there is no test.
    """

    df: int
    den_df: float
    statistic: float
    p_value: float
    squares: float = float("nan")
    singular: bool = False


NOTHING = Wald(0, float("nan"), float("nan"), float("nan"))


def wald(
    fit: LinearEstimates, rows: np.ndarray, rhs: np.ndarray | None = None, method: str | float | None = None
) -> Wald:
    """F of the hypothesis rows b = rhs.

    Parameters
    ----------
    rows : (k, rank), over the kept coefficients.
    rhs : (k,), 0 where not given.
    method : denominator degrees of freedom, one of `protocol.DF_METHODS` or a number; None takes the fit's own.

    Raises
    ------
    ModelError : right sides that contradict each other; another method.
    """
    require_df(method)
    values = np.zeros(len(rows)) if rhs is None else np.asarray(rhs, dtype=np.float64)
    some = np.abs(rows).max(axis=1, initial=0.0) > 0
    if values[~some].any():
        raise ModelError("a hypothesis says that 0, which names no coefficient, is another number.")
    rows, values = rows[some], values[some]
    if not len(rows):
        return NOTHING
    whole, scale2 = _whole(fit, rows)
    size = np.linalg.norm(whole, axis=1)
    if not np.isfinite(size).all() or not (size > 0).all():
        return _untested(_rank(rows))
    left, single, _ = np.linalg.svd(whole / size[:, None], full_matrices=False)
    found = int(np.sum(single > _DEPENDENT * single[0]))
    k = max(found, _rank(rows))
    if k < len(rows):
        _require_consistent(left[:, :k], values / size)
    if single[k - 1] <= _SINGULAR * single[0]:
        return _untested(k)
    scores = (left[:, :k].T @ ((rows @ fit.coefficients - values) / size)) / single[:k]
    squares = float(scores @ scores)
    den_df = _combined(fit, rows, whole, k, method)
    with np.errstate(divide="ignore", invalid="ignore"):
        f = float(np.float64(squares) / (k * scale2))
    p = float(fisher.tail(f, k, den_df))
    return Wald(k, den_df, f, p, squares)


def _untested(k: int) -> Wald:
    return Wald(k, float("nan"), float("nan"), float("nan"), singular=True)


def each_df(fit: LinearEstimates, rows: np.ndarray, method: str | float | None) -> np.ndarray:
    """Degrees of freedom (k,) of the combinations `rows` of the kept coefficients, one by one."""
    require_df(method)
    if method is None or isinstance(method, str):
        return fit.denominator_df(rows, method)
    return np.full(len(rows), float(method))


def require_df(method: object) -> None:
    """Refuse what is no method for denominator degrees of freedom, and no positive number.

    Raises
    ------
    ModelError : names the closest method.
    """
    if method is None or (isinstance(method, str) and method in DF_METHODS):
        return
    if isinstance(method, int | float | np.number) and not isinstance(method, bool) and method > 0:
        return
    near = closest(str(method), DF_METHODS)
    raise ModelError(
        f"df is one of {', '.join(map(repr, DF_METHODS))}, or a positive number, not {method!r}."
        + (f" The closest is {near!r}." if near else "")
    )


def combined_df(each: np.ndarray) -> float:
    """Denominator degrees of freedom of an F test from those of its uncorrelated t tests."""
    if np.ptp(each) <= 1e-8 * np.max(each) if np.isfinite(each).all() else np.isinf(each).all():
        return float(np.mean(each))
    if np.any(each <= 2.0):
        return 2.0
    expected = float(np.sum(np.where(np.isinf(each), 1.0, each / (each - 2.0))))
    return 2.0 * expected / (expected - len(each)) if expected > len(each) else float("inf")


def _whole(fit: LinearEstimates, rows: np.ndarray) -> tuple[np.ndarray, float]:
    """M with M M' = L Var(b) L' / scale2, and scale2."""
    if getattr(fit, "has_sums_of_squares", False):
        return solve_triangular(fit.sequential_root, rows.T, trans="T").T, fit.sigma**2
    return rows @ fit.vcov_root, 1.0


def _rank(rows: np.ndarray) -> int:
    single = np.linalg.svd(rows / np.linalg.norm(rows, axis=1, keepdims=True), compute_uv=False)
    return int(np.sum(single > _DEPENDENT * single[0]))


def _require_consistent(basis: np.ndarray, values: np.ndarray) -> None:
    if np.linalg.norm(values - basis @ (basis.T @ values)) > 1e-8 * np.linalg.norm(values):
        raise ModelError(
            "the hypotheses contradict each other: one follows from the others with another right side."
        )


def _combined(
    fit: LinearEstimates, rows: np.ndarray, whole: np.ndarray, k: int, method: str | float | None
) -> float:
    if k > 1 and len(rows) > 1:
        left = np.linalg.svd(whole, full_matrices=False)[0]
        rows = left[:, :k].T @ rows
    return combined_df(each_df(fit, rows[:k], method))

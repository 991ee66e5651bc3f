"""The coordinates in which variances are estimated, linear and mixed models alike, and the way back to the user's units.

X becomes an orthonormal basis of its columns and y its least-squares residual, of mean square 1 (docs/theory.md section 2).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from ..errors import ModelError
from .qr import Basis, orthonormal_basis

LARGEST = 1e70
"""Size of a response, or its inverse, beyond which squares of its variances cannot be held."""
PERFECT_FIT = 1e-11
"""Residual over response (both as root sums of squares) below which nothing is left to give to variances."""


@dataclass(frozen=True)
class Coordinates:
    """The way back: constants that take results in standard coordinates to the user's. No rows."""

    n: int
    r: np.ndarray
    """(rank, rank): X[:, kept] = q r, rows weighted."""
    kept: np.ndarray
    dropped: np.ndarray
    """Columns of the user's X that are linear combinations of those before them."""
    projection: np.ndarray
    """(rank,): q'y before y was made the residual."""
    y_scale: float
    log_weights: float
    """Sum of log precision weights."""
    back: tuple[np.ndarray, ...]
    """For each term B (m, m): the user's effects are y_scale * B @ ours."""

    @property
    def rank(self) -> int:
        return len(self.kept)

    def deviance_shift(self, reml: bool) -> float:
        """What is added to the criterion in standard coordinates to give it in the user's."""
        shift = 2.0 * (self.n - (self.rank if reml else 0)) * np.log(self.y_scale) - self.log_weights
        if reml:
            shift += 2.0 * np.sum(np.log(np.abs(np.diagonal(self.r))))
        return float(shift)

    def coefficients(self, beta: np.ndarray) -> np.ndarray:
        """Coefficients of the kept columns of the user's X from those of q."""
        return self.coefficient_rows(self.projection + self.y_scale * beta)

    def coefficient_rows(self, rows: np.ndarray) -> np.ndarray:
        """r^-1 rows, for covariances of the coefficients: (rank, ...) -> (rank, ...)."""
        return solve_triangular(self.r, rows) if self.rank else rows


def basis_with_rows_left(x: np.ndarray) -> Basis:
    """An orthonormal basis of the columns of x (n, columns), which leaves rows for a variance.

    Raises
    ------
    ModelError : n is not above the rank.
    """
    basis = orthonormal_basis(x)
    n, rank = basis.q.shape
    if n <= rank:
        raise ModelError(
            f"There are {n} rows and {rank} fixed coefficients: no row is left to estimate a variance from. "
            "Drop fixed terms or give more rows."
        )
    return basis


def require_size(y: np.ndarray) -> None:
    """Refuse a response (n,) whose squares of squares leave the range of double precision.

    Raises
    ------
    ModelError : with its size.
    """
    require_peak(float(max(y.max(initial=0.0), -y.min(initial=0.0))))


def require_peak(peak: float) -> None:
    """`require_size` of a response whose largest absolute value is known."""
    if peak > 0 and not 1.0 / LARGEST < peak < LARGEST:
        raise ModelError(
            f"The response is of size {peak:.1g}: squares of its variances cannot be held in double precision. "
            "Divide it by a power of ten near its size."
        )


def standard_response(
    q: np.ndarray, response: np.ndarray, offset: np.ndarray | None, root: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, float]:
    """The response in standard coordinates (n,), its projection q'y (rank,) and the scale it was divided by.

    Parameters
    ----------
    q : (n, rank), of the rows multiplied by `root` (n,), the square roots of their weights, or None.

    Raises
    ------
    ModelError : a response that X fits exactly, or too large or small for double precision.
    """
    y = response if offset is None else response - offset
    y = y if root is None else y * root
    require_size(y)
    projection = q.T @ y
    residual = y - q @ projection
    correction = q.T @ residual
    residual -= q @ correction
    left = float(np.sqrt(residual @ residual))
    if not left > PERFECT_FIT * np.sqrt(y @ y):
        raise ModelError(_nothing_left(response, q.shape[1]))
    scale = left / np.sqrt(len(y))
    return residual / scale, projection + correction, scale


def _nothing_left(response: np.ndarray, rank: int) -> str:
    if np.ptp(response) == 0:
        return (
            f"The response is constant (every one of {len(response)} rows is {response[0]:g}): "
            "it has no variance to estimate."
        )
    return (
        f"The {rank} fixed coefficients fit the response exactly: no variance is left to estimate. "
        "Is the response, or a copy of it, among the fixed terms?"
    )

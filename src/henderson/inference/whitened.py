"""The rows of a linear fit as ordinary least squares sees them: y* = X*b + e*, errors independent with one variance.

For OLS the rows themselves; for WLS each times the root of its weight; for GLS times W with W V W' = I at the estimated
V, so that a row is no longer one observation of the table but that observation given those it is correlated with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
from scipy.linalg import cholesky, solve_triangular

from ..design import Design
from ..design.estimability import ColumnSpace
from ..frame import Frame

BLOCK = 65_536
"""Rows worked on at a time where the work needs room of its own."""
NO_LEVERAGE_LEFT = 1e-10
"""1 - leverage below which it is rounding alone: the row is fitted exactly whatever its response."""
_ORTHOGONAL = 1e-13
_EXACT = 1e-13
"""Residuals smaller than this share of the response are rounding alone."""


class LeastSquares(Protocol):
    """What diagnostics ask of a linear fit (`hd.lm`, `hd.gls`)."""

    @property
    def formula(self) -> str: ...
    @property
    def library(self) -> str: ...
    @property
    def spec(self) -> Mapping[str, Any]: ...
    @property
    def columns(self) -> ColumnSpace: ...
    @property
    def coefficients(self) -> np.ndarray: ...
    @property
    def sequential_root(self) -> np.ndarray: ...
    @property
    def sigma(self) -> float: ...
    @property
    def generalised(self) -> bool: ...
    @property
    def design(self) -> Design: ...
    @property
    def frame(self) -> Frame | None: ...
    @property
    def fitted(self) -> np.ndarray: ...
    def whiten(self, columns: np.ndarray) -> np.ndarray: ...


@dataclass(frozen=True, eq=False)
class Whitened:
    """X* = Q R and the residuals of y*, over the n rows used.

    Attributes
    ----------
    basis : Q (n, rank), orthonormal columns.
    root : R (rank, rank), upper triangular.
    response : y* less its offset, (n,).
    residuals : e* (n,), in the units of the response where weights are 1.
    """

    basis: np.ndarray
    root: np.ndarray
    response: np.ndarray
    residuals: np.ndarray

    @property
    def n(self) -> int:
        return self.basis.shape[0]

    @property
    def rank(self) -> int:
        return self.basis.shape[1]

    @property
    def df(self) -> int:
        return self.n - self.rank

    @cached_property
    def rss(self) -> float:
        """e*'e*."""
        return float(self.residuals @ self.residuals)

    @property
    def variance(self) -> float:
        """e*'e* / (n - rank); NaN without residual degrees of freedom."""
        return self.rss / self.df if self.df else np.nan

    @cached_property
    def leverage(self) -> np.ndarray:
        """Diagonal of Q Q', (n,); exactly 1 for a row that is fitted exactly whatever its response."""
        hat = np.einsum("ij,ij->i", self.basis, self.basis)
        return np.where(1.0 - hat > NO_LEVERAGE_LEFT, hat, 1.0)

    @property
    def unleveraged(self) -> np.ndarray:
        """1 - leverage, NaN where nothing is left."""
        left = 1.0 - self.leverage
        return np.where(left > 0.0, left, np.nan)

    def project(self, columns: np.ndarray) -> np.ndarray:
        """What X* does not explain of the columns (n,) or (n, k)."""
        left = columns - self.basis @ (self.basis.T @ columns)
        return left - self.basis @ (self.basis.T @ left)


def whitened(fit: LeastSquares) -> Whitened:
    """The fit's rows, whitened. Q is made of R by X R^-1, and once more (Cholesky QR) where rounding shows."""
    design, root = fit.design, fit.sequential_root
    assert design.y is not None
    y = design.y if design.offset is None else design.y - design.offset
    x = design.X[:, fit.columns.kept]
    residuals = fit.whiten((y - x @ fit.coefficients)[:, None])[:, 0]
    response = fit.whiten(y[:, None])[:, 0]
    basis = fit.whiten(x)
    if basis.shape[1]:
        basis = solve_triangular(root, basis.T, trans="T").T
        gram = basis.T @ basis
        if np.abs(gram - np.eye(len(gram))).max() > _ORTHOGONAL:
            again = cholesky(gram)
            basis, root = solve_triangular(again, basis.T, trans="T").T, again @ root
    residuals = residuals - basis @ (basis.T @ residuals)
    if np.linalg.norm(residuals) <= _EXACT * np.linalg.norm(response):
        residuals = np.zeros_like(residuals)
    return Whitened(basis, root, response, residuals)


def used(fit: Any, values: np.ndarray) -> np.ndarray:
    """Values of all rows of the table, at the rows the fit used."""
    rows = fit.design.rows
    return values if rows is None else values[rows]


def row_numbers(fit: Any) -> np.ndarray:
    """Numbers in the caller's table of the rows used; the first row is 0."""
    rows = fit.design.rows
    return np.arange(fit.design.n) if rows is None else np.asarray(rows)

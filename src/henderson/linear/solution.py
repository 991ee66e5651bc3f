"""What least squares gives: coefficients, their variance, the residual variance, the likelihood. No rows, no names.

    b = (X'V^-1X)^-1 X'V^-1 y,     Var(b) = s2 (X'V^-1X)^-1,     s2 = (y - Xb)'V^-1(y - Xb) / (n - r)

with V = I (OLS), diag(1 / weights) (WLS) or the structured relative covariance of the residuals (GLS, `residual`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np


class ResidualModel(Protocol):
    """A fitted covariance of the residuals: Var(e) = s2 V(phi). What a generalised fit knows beyond least squares."""

    @property
    def n_parameters(self) -> int:
        """Estimated parameters of V (s2 not counted)."""
        ...

    def whiten(self, columns: np.ndarray) -> np.ndarray:
        """W columns (n, k) in the row order of the design, where W V W' = I."""
        ...

    @property
    def standard_deviations(self) -> np.ndarray:
        """Square roots of the diagonal of V, (n,)."""
        ...

    @property
    def vcov_slopes(self) -> np.ndarray:
        """(r, rank, rank): derivatives of Var(b) in the variance parameters, s2 among them."""
        ...

    @property
    def parameter_covariance(self) -> np.ndarray:
        """(r, r): covariance of the estimates of those parameters, in the same order."""
        ...

    def components(self) -> dict[str, list]:
        """term, estimate, std_error, bound of each parameter on its natural scale, the residual variance last."""
        ...


@dataclass(frozen=True)
class Coordinates:
    """Which columns of X have a coefficient."""

    n: int
    kept: np.ndarray
    dropped: np.ndarray

    @property
    def rank(self) -> int:
        return len(self.kept)


@dataclass(frozen=True)
class LinearSolution:
    """A fitted linear model y = Xb + e, Var(e) = s2 V. It answers what prediction asks of a mixed solution too."""

    coordinates: Coordinates
    beta: np.ndarray
    """(rank,): coefficients of the kept columns."""
    root: np.ndarray
    """R (rank, rank), upper triangular with positive diagonal: R'R = X'V^-1X over the kept columns."""
    rss: float
    """(y - Xb)'V^-1(y - Xb)."""
    scale2: float
    """s2: rss / (n - rank), or what it is held at or estimated as."""
    deviance: float
    """-2 log likelihood; under REML the REML criterion."""
    reml: bool = False
    total: float = float("nan")
    """Sum of squares of y about its mean (about 0 without an intercept), weighted."""
    scale_known: bool = False
    residual: ResidualModel | None = None
    robust: np.ndarray | None = None
    """(rank, rank): a sandwich covariance of b that takes the place of s2 (X'V^-1X)^-1."""
    robust_df: float | None = None
    """Degrees of freedom that go with `robust`; None: those of the residuals."""
    u: tuple[np.ndarray, ...] = field(default=())
    covariances: tuple[np.ndarray, ...] = field(default=())

    @property
    def df_residual(self) -> int:
        return self.coordinates.n - self.coordinates.rank

    @cached_property
    def _root_inverse(self) -> np.ndarray:
        """R^-1 (rank, rank): X'V^-1X has the inverse R^-1 R'^-1."""
        from scipy.linalg import solve_triangular

        rank = len(self.beta)
        return np.asarray(solve_triangular(self.root, np.eye(rank))) if rank else np.zeros((0, 0))

    @property
    def unscaled(self) -> np.ndarray:
        """(X'V^-1X)^-1 over the kept columns, (rank, rank)."""
        return self._root_inverse @ self._root_inverse.T

    @cached_property
    def vcov(self) -> np.ndarray:
        """Var(b), (rank, rank)."""
        return self.scale2 * self.unscaled if self.robust is None else self.robust

    @cached_property
    def vcov_root(self) -> np.ndarray:
        """C (rank, rank) with C C' = Var(b): R^-1 at the size of sigma, or of a sandwich its eigenvectors."""
        if self.robust is None or not len(self.beta):
            return np.asarray(np.sqrt(self.scale2) * self._root_inverse)
        # A sandwich of few clusters is singular: what is rounding alone among its eigenvalues is made 0.
        size = np.sqrt(np.maximum(np.diagonal(self.robust), 0.0))
        size = np.where(size > 0, size, 1.0)
        values, vectors = np.linalg.eigh(self.robust / np.outer(size, size))
        values = np.where(values > 1e-12 * values[-1], values, 0.0)
        return size[:, None] * vectors * np.sqrt(values)

    def prediction_variance(self, x: np.ndarray, z: tuple = (), levels: tuple = ()) -> np.ndarray:
        """Var(x'b) of each row of x (n, rank), (n,)."""
        return np.einsum("ij,jk,ik->i", x, self.vcov, x)

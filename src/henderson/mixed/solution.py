"""A fitted model as numbers in the user's units; everything here follows from the cross-products and the parameters.

No rows are kept: a solution can be rebuilt from a saved file. Symbols as in docs/theory.md: u = y_scale B T b, Var(e) = s2 y_scale^2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..linear.coordinates import Coordinates
from ..sparse.threads import one_blas_thread
from .criterion import Point, Problem, evaluate_surely
from .crossproducts import CrossProducts
from .information import Information, information
from .once import once
from .prediction import prediction_variance


@dataclass
class Solution:
    """Estimates at the parameters `theta` of `problem`, whose system was built from `products`."""

    problem: Problem
    products: CrossProducts
    coordinates: Coordinates
    theta: np.ndarray
    average_information: np.ndarray | None = None
    """The optimiser's last one, where there was an optimiser."""

    @once
    def point(self) -> Point:
        """The criterion at theta."""
        return evaluate_surely(self.problem, self.theta)

    def factorised(self) -> Point:
        """The point, with the system factorised at it (another fit may have moved the system since)."""
        return evaluate_surely(self.problem, self.theta)

    # -- criterion ---------------------------------------------------------------------------------------------------

    @once
    def deviance(self) -> float:
        """-2 log (restricted) likelihood in the user's units."""
        return self.point.deviance + self.coordinates.deviance_shift(self.problem.reml)

    @property
    def scale2(self) -> float:
        """Residual variance in the user's units."""
        return self.point.s2 * self.coordinates.y_scale**2

    # -- estimates ---------------------------------------------------------------------------------------------------

    @once
    def _estimates(self) -> tuple[np.ndarray, np.ndarray]:
        self.factorised()
        return self.problem.system.solution()

    @once
    def beta(self) -> np.ndarray:
        """BLUE of the kept columns of X, (rank,)."""
        return self.coordinates.coefficients(self._estimates[1])

    @once
    def u(self) -> list[np.ndarray]:
        """BLUP of each term's effects, (q_k, m_k)."""
        b = self._estimates[0]
        offsets = self.products.offsets
        out = []
        for lo, hi, t, back in zip(
            offsets[:-1], offsets[1:], self.point.factors, self.coordinates.back, strict=True
        ):
            out.append(b[lo:hi].reshape(-1, t.shape[0]) @ (self.coordinates.y_scale * back @ t).T)
        return out

    @once
    def covariances(self) -> list[np.ndarray]:
        """Sigma_k in the user's units, (m_k, m_k)."""
        scale = np.sqrt(self.scale2)
        out = []
        for t, back in zip(self.point.factors, self.coordinates.back, strict=True):
            factor = scale * back @ t
            out.append(factor @ factor.T)
        return out

    # -- variances of the estimates ----------------------------------------------------------------------------------

    @once
    def fixed_columns(self) -> np.ndarray:
        """C^-1 [0; I]: the columns of the inverse that belong to X, (q + p, p), standard coordinates."""
        system = self.problem.system
        rhs = np.zeros((system.q + system.p, system.p))
        if not system.p:
            return rhs
        self.factorised()
        rhs[system.q :] = np.eye(system.p)
        return system.solve(rhs)

    @once
    def vcov(self) -> np.ndarray:
        """Var(beta^), (rank, rank)."""
        phi = self.fixed_columns[self.problem.system.q :]
        return self.to_coefficients(0.5 * (phi + phi.T)) * self.scale2

    def to_coefficients(self, phi: np.ndarray) -> np.ndarray:
        """r^-1 phi r^-T."""
        half = self.coordinates.coefficient_rows(phi)
        return self.coordinates.coefficient_rows(half.T).T

    @once
    def prediction_error(self) -> list[np.ndarray]:
        """Var(u^ - u) of each level of each term, (q_k, m_k, m_k): the uncertainty of beta^ included (PEV)."""
        return self._blocks(with_fixed=True)

    @once
    def conditional_variance(self) -> list[np.ndarray]:
        """Var(u | y) at beta = beta^, (q_k, m_k, m_k): what lme4 calls condVar."""
        return self._blocks(with_fixed=False)

    def _blocks(self, with_fixed: bool) -> list[np.ndarray]:
        self.factorised()
        self.problem.system.invert(with_fixed)
        out = []
        for block, t, back in zip(
            self.problem.system.diagonal_blocks(), self.point.factors, self.coordinates.back, strict=True
        ):
            factor = np.sqrt(self.scale2) * back @ t
            out.append(factor @ block @ factor.T)
        return out

    def prediction_variance(
        self, x: np.ndarray, z: Sequence[np.ndarray | None], levels: Sequence[np.ndarray]
    ) -> np.ndarray:
        """Var(x'beta^ + sum z_k'u^_k - x'beta - sum z_k'u_k) for each row: the joint variance of beta^ and u^ - u.

        Parameters
        ----------
        x : (n, rank), kept columns.
        z : for each term (n, m_k), or None to leave the term out.
        levels : for each term (n,), the level of each row; -1 for a level that was not fitted: its prior variance
            z' Sigma z is added, independent of everything else (rows are treated one by one).
        """
        with self.problem.system.lock, one_blas_thread():
            return prediction_variance(self, x, z, levels)

    @once
    def information(self) -> Information:
        """Covariance of the variance parameters and how Var(beta^) moves with them."""
        return information(self)

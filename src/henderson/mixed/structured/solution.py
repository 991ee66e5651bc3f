"""A fitted structured model as numbers in the user's units. The same names as `mixed.solution.Solution`, which inference asks.

Symbols as in docs/theory.md: u = y_scale (lift (x) B) T b, Var(e) = s2 y_scale^2 R.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

from ...linear.coordinates import Coordinates
from ...sparse.threads import one_blas_thread
from ..once import once
from .criterion import Point, Problem, evaluate_surely
from .information import Information, information
from .model import Term

_CHUNK = 4_000_000


@dataclass
class Solution:
    """Estimates at the parameters `theta` of `problem`."""

    problem: Problem
    theta: np.ndarray
    average_information: np.ndarray | None = None

    @property
    def coordinates(self) -> Coordinates:
        return self.problem.model.coordinates

    @property
    def terms(self) -> tuple[Term, ...]:
        return self.problem.model.random

    @once
    def point(self) -> Point:
        """The criterion at theta."""
        return evaluate_surely(self.problem, self.theta)

    def factorised(self) -> Point:
        """The point, with the system factorised at it."""
        return evaluate_surely(self.problem, self.theta)

    @once
    def deviance(self) -> float:
        """-2 log (restricted) likelihood in the user's units."""
        return self.point.deviance + self.coordinates.deviance_shift(self.problem.reml)

    @property
    def scale2(self) -> float:
        """s2 in the user's units: the residual variance, or what R is relative to."""
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
        """BLUP of each term's effects, (levels, m)."""
        out = []
        for k, term in enumerate(self.terms):
            b = self._b(k) @ self._to_user(k).T
            out.append(b if term.lift is None else term.lift @ b)
        return out

    @once
    def factor_scores(self) -> list[np.ndarray]:
        """b^ of each term: the effects before T, (q, r), of variance K."""
        return [self._b(k) / np.sqrt(self.point.s2) for k in range(len(self.terms))]

    def _b(self, k: int) -> np.ndarray:
        offsets = self.problem.system.offsets
        return self._estimates[0][offsets[k] : offsets[k + 1]].reshape(-1, self.terms[k].r)

    def _to_user(self, k: int) -> np.ndarray:
        """y_scale B T, (m, r)."""
        return self.coordinates.y_scale * self.terms[k].back @ self.point.factors[k]

    @once
    def covariances(self) -> list[np.ndarray]:
        """Sigma_k in the user's units, (m, m)."""
        out = []
        for k in range(len(self.terms)):
            factor = np.sqrt(self.point.s2) * self._to_user(k)
            out.append(factor @ factor.T)
        return out

    @once
    def prior_diagonals(self) -> list[np.ndarray]:
        """K_ii of each level of each term, (levels,): ones for independent levels."""
        out = []
        for k, term in enumerate(self.terms):
            if term.lift is not None:
                known = np.einsum("ij,ij->i", term.lift, term.lift)
                out.append(known if term.alone is None else known + term.alone)
            elif term.precision is None:
                out.append(np.ones(term.q))
            else:
                out.append(term.precision.diagonal(self.precision_parameters(k)))
        return out

    def precision_parameters(self, k: int) -> np.ndarray:
        """Coordinates of K_k (k = -1: of R) at the estimates."""
        kind = "R" if k == -1 else "K"
        part = next((p for p in self.problem.layout.parts if p.kind == kind and p.term == k), None)
        return np.zeros(0) if part is None else self.point.phi[part.at]

    @once
    def residual_diagonal(self) -> np.ndarray | None:
        """R_ii of each row of the data, None where R = I."""
        model = self.problem.model
        if model.residual is None:
            return None
        diagonal = model.residual.diagonal(self.precision_parameters(-1))
        diagonal = diagonal if model.places is None else diagonal[model.places]
        return diagonal if model.row_scale is None else diagonal * model.row_scale**2

    @once
    def fitted(self) -> np.ndarray:
        """X beta^ + Z u^ of each row of the data in the user's units, without the offset."""
        model, system = self.problem.model, self.problem.system
        b, beta = self._estimates
        self.factorised()
        b = b.copy()
        b[system.offsets[len(self.terms)] :] = 0.0
        rows = system.fitted(b, beta)
        basis = model.x
        if model.rotation is not None:
            rows, basis = model.rotation.backward(rows), model.rotation.backward(basis)
        if model.places is not None:
            rows = rows[model.places]
            basis = basis[model.places]
        rows = self.coordinates.y_scale * rows + basis @ self.coordinates.projection
        return rows if model.root_weights is None else rows / model.root_weights

    # -- variances of the estimates ----------------------------------------------------------------------------------

    @once
    def fixed_columns(self) -> np.ndarray:
        """C^-1 [0; I], (q + p, p), standard coordinates."""
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
        """Var(u^ - u) of each level of each term, (levels, m, m): the uncertainty of beta^ included (PEV). Variances are exact, and
        covariances that are given; those that a sparse factor does not hold, as of effects with specific variances (fa) that no
        record couples directly, are left at zero."""
        return self._blocks(True)

    @once
    def conditional_variance(self) -> list[np.ndarray]:
        """Var(u | y) at beta = beta^."""
        return self._blocks(False)

    def _blocks(self, with_fixed: bool) -> list[np.ndarray]:
        self.factorised()
        system = self.problem.system
        system.invert(with_fixed)
        out = []
        for k, term in enumerate(self.terms):
            factor = np.sqrt(self.point.s2) * self._to_user(k)
            if term.lift is None:
                block = system.diagonal_blocks(k)
                known = factor @ block @ factor.T
                used = (factor != 0).astype(float)
                known[:, used @ ~system.coupled(k) @ used.T > 0] = 0.0
                out.append(known)
                continue
            lifted = self._lifted(k, term, factor, with_fixed)
            if term.alone is not None:
                lifted = lifted + term.alone[:, None, None] * (factor @ factor.T)
            out.append(lifted)
        return out

    def _lifted(self, k: int, term: Term, factor: np.ndarray, with_fixed: bool) -> np.ndarray:
        """Var(u^ - u) for u = lift b: the whole inverse among the term's effects is needed, by solves."""
        system = self.problem.system
        lo, q, r = int(system.offsets[k]), term.q, term.r
        assert term.lift is not None
        out = np.empty((len(term.lift), term.m, term.m))
        step = max(1, _CHUNK // max(system.q + system.p, 1))
        for a in range(0, len(term.lift), step):
            rows = term.lift[a : a + step]
            w = np.zeros((system.q + system.p, len(rows) * r))
            for s in range(r):
                w[lo + s : lo + q * r : r, s::r] = rows.T
            if not with_fixed:
                w = self._without_fixed(w)
            half = system.half_solve(w).reshape(-1, len(rows), r)
            block = np.einsum("kir,kis->irs", half, half)
            out[a : a + len(rows)] = factor @ block @ factor.T
        return out

    def _without_fixed(self, w: np.ndarray) -> np.ndarray:
        """w moved so that w' C^-1 w is of C_zz^-1: the part that C^-1 adds for X is taken off by a projection."""
        g = self.fixed_columns
        q = self.problem.system.q
        out = w.copy()
        out[q:] -= np.linalg.solve(g[q:], g[:q].T @ w[:q])
        return out

    def rows_to_effects(self, x: np.ndarray, z: Sequence[object]) -> np.ndarray:
        """w (q + p, n) for rows x (n, rank, kept columns) and z: for each term (n, levels m) sparse in the user's units, or None."""
        system = self.problem.system
        out = np.zeros((system.q + system.p, len(x)))
        if x.shape[1]:
            out[system.q :] = solve_triangular(self.coordinates.r, x.T, trans=1)
        for k, (zk, term) in enumerate(zip(z, self.terms, strict=True)):
            if zk is None:
                continue
            lo = system.offsets[k]
            factor = term.back @ self.point.factors[k]
            dense = np.asarray(zk.toarray()).reshape(len(x), -1, term.m)  # type: ignore[attr-defined]
            if term.lift is not None:
                dense = np.tensordot(dense, term.lift, axes=([1], [0])).transpose(0, 2, 1)
            out[lo : lo + term.q * term.r] = (dense @ factor).reshape(len(x), -1).T
        return out

    def prediction_variance_of(self, x: np.ndarray, z: Sequence[object]) -> np.ndarray:
        """Var(x'beta^ + z'u^ - x'beta - z'u) for each row (n,); z as in `rows_to_effects`."""
        system = self.problem.system
        with system.lock, one_blas_thread():
            self.factorised()
            out = np.empty(len(x))
            step = max(1, _CHUNK // max(system.q + system.p, sum(t.q * t.m for t in self.terms), 1))
            for a in range(0, len(x), step):
                part = [None if zk is None else zk[a : a + step] for zk in z]  # type: ignore[index]
                half = system.half_solve(self.rows_to_effects(x[a : a + step], part))
                out[a : a + step] = np.einsum("ij,ij->j", half, half)
        return self.scale2 * out + self._untold(z)

    def _untold(self, z: Sequence[object]) -> np.ndarray | float:
        """Variance that levels without records have beside what the others tell of them."""
        total: np.ndarray | float = 0.0
        for k, (zk, term) in enumerate(zip(z, self.terms, strict=True)):
            if zk is not None and term.alone is not None:
                assert term.between is not None
                unseen = np.flatnonzero(term.alone)
                total = total + _quadratic(zk, unseen, term.between, self.covariances[k])
        return total

    def prediction_variance(
        self, x: np.ndarray, z: Sequence[np.ndarray | None], levels: Sequence[np.ndarray]
    ) -> np.ndarray:
        """The same for rows with one level in each term: z (n, m) and its level (n,); -1 is a level that was not fitted, whose
        prior variance is added."""
        import scipy.sparse as sp

        n = len(x)
        matrices: list[object] = []
        new = np.zeros(n)
        for k, (zk, level) in enumerate(zip(z, levels, strict=True)):
            if zk is None:
                matrices.append(None)
                continue
            term = self.terms[k]
            count = term.q if term.lift is None else len(term.lift)
            unseen = level < 0
            new[unseen] += np.einsum("ij,jk,ik->i", zk[unseen], self.covariances[k], zk[unseen])
            seen = np.flatnonzero(~unseen)
            rows = np.repeat(seen, term.m)
            cols = (level[seen][:, None] * term.m + np.arange(term.m)).ravel()
            matrices.append(sp.csr_matrix((zk[seen].ravel(), (rows, cols)), shape=(n, count * term.m)))
        return self.prediction_variance_of(x, matrices) + new

    @once
    def information(self) -> Information:
        """Covariance of the parameters and how Var(beta^) moves with them."""
        return information(self)


def _quadratic(z: object, unseen: np.ndarray, between: np.ndarray, sigma: np.ndarray) -> np.ndarray:
    """z' (between (x) Sigma) z of each row of z (n, levels m), for the levels `unseen`."""
    m = len(sigma)
    parts = [z[:, j::m][:, unseen] for j in range(m)]  # type: ignore[index]
    out = np.zeros(z.shape[0])  # type: ignore[attr-defined]
    touched = np.flatnonzero(sum(np.diff(part.tocsr().indptr) for part in parts))
    step = max(1, _CHUNK // max(m * len(unseen), 1))
    for a in range(0, len(touched), step):
        rows = touched[a : a + step]
        here = np.stack([part[rows].toarray() for part in parts])
        out[rows] = np.einsum("inu,ij,jnu->n", here, sigma, here @ between)
    return out

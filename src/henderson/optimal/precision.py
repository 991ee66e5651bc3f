"""The information of a design, X'V^-1X, as a triangular root R: R'R = X'V^-1X over the columns that can be estimated.

V = I or diagonal:      X is divided by standard deviations, and R is that of its QR factorisation.
V given:                V = LL', and R is that of L^-1 X (sparse V: its supernodal factor; L^-1 X is all that is formed).
V = Z G Z' + R:         the mixed-model equations at G and R. With X = q r (rows weighted),
                        Var(beta^) = r^-1 Phi r^-T, Phi = s2 (C^-1)_xx = LL', and R is that of L^-1 r. V is never formed.

R is triangular in the order of the columns: with nuisance columns (fixed blocks) first, its last rows and columns are the
root of the information on the others that is left when the nuisance has been estimated (the Schur complement).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from scipy.linalg import lapack, qr, solve_triangular

from ..design import Design
from ..design.estimability import ColumnSpace
from ..errors import ModelError
from ..linear.qr import RANK_TOLERANCE, orthonormal_basis
from ..mixed.criterion import Problem
from ..mixed.crossproducts import cross_products
from ..mixed.solution import Solution
from ..mixed.solver import build_system
from ..mixed.standardise import Standardised, standardise
from ..mixed.start import held_factor
from ..models.covariance_input import read_covariances
from ..models.labels import Labels, TermLabels
from ..sparse.threads import one_blas_thread


@dataclass(frozen=True, eq=False)
class Precision:
    """What the data will say of the coefficients.

    Attributes
    ----------
    space : the columns of X, and which can be estimated.
    root : R (rank, rank), upper triangular, R'R = X'V^-1X of the kept columns.
    run_variance : of the independent runs that efficiencies compare with: the mean residual variance of a mixed model,
        the mean of the diagonal of a given V.
    independent : whether V is a multiple of I.
    n : runs.
    """

    space: ColumnSpace
    root: np.ndarray
    run_variance: float
    independent: bool
    n: int

    @cached_property
    def inverse_root(self) -> np.ndarray:
        """R^-1."""
        return solve_triangular(self.root, np.eye(len(self.root))) if len(self.root) else self.root

    @cached_property
    def vcov(self) -> np.ndarray:
        """(X'V^-1X)^-1 of the kept columns."""
        return self.inverse_root @ self.inverse_root.T

    def variances(self, rows: np.ndarray) -> np.ndarray:
        """Var(l'beta^) of combinations of all columns of X (k, p); infinite where one cannot be estimated."""
        half = rows[:, self.space.kept] @ self.inverse_root
        out = np.einsum("ij,ij->i", half, half)
        return np.where(self.space.estimable(rows), out, np.inf)


def labels_of(design: Design, text: str) -> Labels:
    """Names of the random terms, as `read_covariances` asks them."""
    terms = (TermLabels(b.group, tuple(b.effects), b.levels, b.structure, b.text) for b in design.blocks)
    return Labels(text, design.response, design.x_names, (), tuple(terms))


def variances_of(
    design: Design, theta: Mapping[str, Any] | None, text: str
) -> tuple[list[np.ndarray], float]:
    """Sigma of every random term and the residual variance (1 where it is not given).

    Raises
    ------
    ModelError : a random term without its variance, or a group that the model does not have.
    """
    labels = labels_of(design, text)
    sigmas, residual = read_covariances(theta, labels, "theta")
    out = []
    for term, sigma in zip(labels.terms, sigmas, strict=True):
        if sigma is None:
            m = len(term.effects)
            example = "1.0" if m == 1 else "[" + ", ".join(["1.0"] * m) + "]"
            raise ModelError(
                f"theta: the variance of {term.text} is not given; a design is judged at variances that are known or "
                f'guessed. Give theta={{"{term.group}": {example}, "Residual": 1.0}}.'
            )
        out.append(sigma)
    return out, 1.0 if residual is None else residual


def precision(design: Design, text: str, theta: Mapping[str, Any] | None = None, V: Any = None) -> Precision:
    """The information of a design under independent errors, a given V, or the random terms it has."""
    if V is not None:
        if design.blocks or theta is not None or design.weights is not None:
            other = "random terms" if design.blocks else "theta" if theta is not None else "weights"
            raise ModelError(f"V is the whole covariance of the rows: give V or {other}, not both.")
        return _given(design, V)
    sigmas, residual = variances_of(design, theta, text)
    if not design.blocks:
        variances = np.full(design.n, residual) if design.weights is None else residual / design.weights
        return _independent(design, variances)
    if design.n <= min(design.p, 200):
        found = _given_dense(design, _dense_v(design, sigmas, residual))
        mean = residual * (1.0 if design.weights is None else float(np.mean(1.0 / design.weights)))
        return replace(found, run_variance=mean, independent=False)
    return mixed_precision(design, residual, *held_solution(design, sigmas, residual))


def _independent(design: Design, variances: np.ndarray) -> Precision:
    mean, equal = float(variances.mean()), bool(np.ptp(variances) == 0)
    return whitened(design.x_names, design.X / np.sqrt(variances)[:, None], mean, equal)


def whitened(names: tuple[str, ...], x: np.ndarray, run_variance: float, independent: bool) -> Precision:
    """The information x'x of whitened columns (n, p)."""
    with one_blas_thread():
        basis = orthonormal_basis(x)
    sign = np.where(np.diagonal(basis.r) < 0, -1.0, 1.0)
    root = basis.r * sign[:, None]
    aliases = _aliases(root, (basis.q * sign).T @ x[:, basis.dropped], x, basis.kept, basis.dropped)
    space = ColumnSpace(names, basis.kept, basis.dropped, aliases)
    return Precision(space, root, run_variance, independent, len(x))


def _aliases(
    root: np.ndarray, projection: np.ndarray, x: np.ndarray, kept: np.ndarray, dropped: np.ndarray
) -> np.ndarray:
    if not len(dropped) or not len(kept):
        return np.zeros((len(kept), len(dropped)))
    combination = solve_triangular(root, projection)
    share = np.abs(combination) * np.linalg.norm(x[:, kept], axis=0)[:, None]
    return np.where(share > 1e-11 * np.linalg.norm(x[:, dropped], axis=0), combination, 0.0)


# -- a given V -----------------------------------------------------------------------------------------------------------


def _given(design: Design, V: Any) -> Precision:
    n = design.n_read
    sparse = hasattr(V, "tocsc")
    if not sparse:
        try:
            V = np.asarray(V, dtype=np.float64)
        except (TypeError, ValueError):
            raise ModelError(f"V is made of numbers, not {type(V).__name__}.") from None
    if V.shape not in ((n,), (n, n)):
        raise ModelError(
            f"V: the table has {n} rows, so V is {n} variances or a {n} x {n} covariance matrix; its shape is {V.shape}."
        )
    rows = design.rows
    if sparse:
        V = V.tocsc().astype(np.float64)
        return _given_sparse(design, V if rows is None else V[rows][:, rows])
    if V.ndim == 1:
        V = V if rows is None else V[rows]
        bad = np.flatnonzero(~(np.isfinite(V) & (V > 0)))
        if len(bad):
            row = int(bad[0]) if rows is None else int(rows[bad[0]])
            raise ModelError(f"V: a variance is positive; row {row} (the first row is 0) has {V[bad[0]]:g}.")
        return _independent(design, V)
    return _given_dense(design, V if rows is None else V[np.ix_(rows, rows)])


def _given_dense(design: Design, V: np.ndarray) -> Precision:
    if not np.isfinite(V).all():
        raise ModelError("V has values that are not finite.")
    _require_symmetric(float(np.abs(V - V.T).max(initial=0.0)), float(np.abs(V).max(initial=0.0)))
    factor, info = lapack.dpotrf(V, lower=1)
    size = np.sqrt(np.maximum(np.diagonal(V), 0.0))
    if info != 0 or np.any(np.diagonal(factor) <= 1e-7 * size):
        lowest = float(np.linalg.eigvalsh(V)[0])
        raise ModelError(f"V is not positive definite: its smallest eigenvalue is {lowest:.3g}.")
    mean = float(np.mean(np.diagonal(V)))
    diagonal = np.diagonal(V)
    plain = bool(np.count_nonzero(V) == len(V) and np.ptp(diagonal) == 0)
    return whitened(design.x_names, solve_triangular(np.tril(factor), design.X, lower=True), mean, plain)


def _given_sparse(design: Design, V: Any) -> Precision:
    from .. import sparse

    if not np.isfinite(V.data).all():
        raise ModelError("V has values that are not finite.")
    _require_symmetric(float(abs(V - V.T).max()), float(abs(V).max()))
    lower = V.tocoo()
    below = lower.row >= lower.col
    rows, cols, values = lower.row[below], lower.col[below], lower.data[below]
    symbolic = sparse.analyze(V.shape[0], rows, cols)
    panels = np.zeros(symbolic.stored)
    panels[symbolic.positions(rows, cols)] = values
    failed = sparse.factor(symbolic, panels)
    if failed >= 0:
        row = int(symbolic.perm[failed])
        row = row if design.rows is None else int(design.rows[row])
        raise ModelError(
            f"V is not positive definite: the variance of row {row} (the first row is 0), given rows it is correlated "
            "with, is not positive."
        )
    half = sparse.forward(symbolic, panels, np.ascontiguousarray(design.X), drop=0)
    diagonal = V.diagonal()
    plain = bool(V.count_nonzero() == V.shape[0] and np.ptp(diagonal) == 0)
    return whitened(design.x_names, half, float(diagonal.mean()), plain)


def _require_symmetric(difference: float, size: float) -> None:
    if difference > 1e-8 * size:
        raise ModelError(f"V is not symmetric: entries across its diagonal differ by {difference:.3g}.")


def _dense_v(design: Design, sigmas: list[np.ndarray], residual: float) -> np.ndarray:
    """V of a design with no more rows than coefficients."""
    V = np.diag(np.full(design.n, residual) if design.weights is None else residual / design.weights)
    for block, sigma in zip(design.blocks, sigmas, strict=True):
        values = np.ones((design.n, 1)) if block.values is None else block.values
        same = block.codes[:, None] == block.codes[None, :]
        V += same * (values @ sigma @ values.T)
    return V


# -- random terms --------------------------------------------------------------------------------------------------------


def held_solution(design: Design, sigmas: list[np.ndarray], residual: float) -> tuple[Solution, Standardised]:
    """The mixed-model equations at known variances, and the standardised model: a fit with nothing to estimate.

    The response is noise: nothing that is asked of the solution here depends on it.
    """
    noise = np.random.default_rng(20).standard_normal(design.n)
    with one_blas_thread():
        model = standardise(replace(design, y=noise, offset=None))
        products = cross_products(model)
    scale = model.coordinates.y_scale
    problem = Problem(
        build_system(products),
        tuple(t.structure for t in model.terms),
        products.n,
        True,
        tuple(held_factor(s, back, scale) for s, back in zip(sigmas, model.coordinates.back, strict=True)),
        float(np.log(residual / scale**2)),
    )
    return Solution(problem, products, model.coordinates, np.zeros(0)), model


def mixed_precision(design: Design, residual: float, solution: Solution, model: Standardised) -> Precision:
    """The information at the variances that a solution is held at."""
    coordinates, system = solution.coordinates, solution.problem.system
    with one_blas_thread():
        phi = solution.fixed_columns[system.q :]
        lower = np.linalg.cholesky(0.5 * (phi + phi.T) * solution.scale2)
        half = solve_triangular(lower, coordinates.r, lower=True)
        root = qr(half, mode="r")[0][: half.shape[1]]
    root = root * np.where(np.diagonal(root) < 0, -1.0, 1.0)[:, None]
    x = design.X if model.root_weights is None else design.X * model.root_weights[:, None]
    projection = model.q.T @ x[:, coordinates.dropped]
    aliases = _aliases(coordinates.r, projection, x, coordinates.kept, coordinates.dropped)
    space = ColumnSpace(design.x_names, coordinates.kept, coordinates.dropped, aliases)
    mean = residual * (1.0 if design.weights is None else float(np.mean(1.0 / design.weights)))
    return Precision(space, root, mean, False, design.n)


def without_nuisance(found: Precision, nuisance: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Root of the information on the columns after the first `nuisance` ones, which of all columns those are that are
    kept, and dropped columns as combinations of them.
    """
    first = int(np.count_nonzero(found.space.kept < nuisance))
    later = found.space.dropped >= nuisance
    root = found.root[first:, first:]
    aliases = found.space.aliases[first:, later]
    size = np.abs(found.space.aliases[:, later]).max(axis=0, initial=RANK_TOLERANCE)
    return root, found.space.kept[first:], np.where(np.abs(aliases) > 1e-10 * size, aliases, 0.0)

"""The model in coordinates that do not depend on the user's units: what is fitted, and the way back.

Rows are multiplied by the square root of their precision weight; X is replaced by an orthonormal basis of its columns,
y by its least-squares residual divided by its root mean square, and the effects of each random term by combinations of
unit mean square (orthogonal ones where the covariance structure allows it). The criterion is the same function of other
arguments, so y * 1e8, a covariate in other units or with its origin moved, take the same steps (ENGINE section 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import solve_triangular

from ..errors import ModelError
from ..linear.qr import Basis, orthonormal_basis
from ..structures import Structure, make

if TYPE_CHECKING:
    from ..design import Design, RandomBlock

PERFECT_FIT = 1e-11
"""Residual over response (both as root sums of squares) below which nothing is left to give to variances."""


@dataclass(frozen=True)
class Term:
    """One random term in standard coordinates: Z has m columns per level, values (n, m), or None for all ones."""

    codes: np.ndarray
    values: np.ndarray | None
    q: int
    structure: Structure
    back: np.ndarray
    """B (m, m): user's values @ B = values, so that user's effects are y_scale * B @ ours."""

    @property
    def m(self) -> int:
        return self.structure.m


@dataclass(frozen=True)
class Standardised:
    """What the equations are formed from, and the constants that take results back."""

    q: np.ndarray
    y: np.ndarray
    terms: tuple[Term, ...]
    basis: Basis
    projection: np.ndarray
    """q'y before y was made the residual."""
    y_scale: float
    log_weights: float
    """Sum of log precision weights."""

    @property
    def n(self) -> int:
        return len(self.y)

    @property
    def rank(self) -> int:
        return self.q.shape[1]

    def deviance_shift(self, reml: bool) -> float:
        """What is added to the criterion in standard coordinates to give it in the user's."""
        shift = 2.0 * (self.n - (self.rank if reml else 0)) * np.log(self.y_scale) - self.log_weights
        if reml:
            shift += 2.0 * np.sum(np.log(np.abs(np.diagonal(self.basis.r))))
        return float(shift)

    def coefficients(self, beta: np.ndarray) -> np.ndarray:
        """Coefficients of the kept columns of the user's X from those of q."""
        return solve_triangular(self.basis.r, self.projection + self.y_scale * beta)

    def coefficient_rows(self, rows: np.ndarray) -> np.ndarray:
        """R^-1 rows, for covariances of the coefficients: (rank, k) -> (rank, k)."""
        return solve_triangular(self.basis.r, rows)


def standardise(design: Design) -> Standardised:
    """Change of coordinates for a design (arrays as `design.build` gives them)."""
    root = None if design.weights is None else np.sqrt(design.weights)
    x = design.X if root is None else design.X * root[:, None]
    basis = orthonormal_basis(x)
    y = design.y if design.offset is None else design.y - design.offset
    y = y if root is None else y * root
    projection = basis.q.T @ y
    residual = y - basis.q @ projection
    correction = basis.q.T @ residual
    residual -= basis.q @ correction
    projection = projection + correction
    n, rank = len(y), basis.q.shape[1]
    size, left = np.linalg.norm(y), np.linalg.norm(residual)
    if left <= PERFECT_FIT * size or left == 0.0:
        raise ModelError(_nothing_left(design, rank))
    if n <= rank:
        raise ModelError(
            f"There are {n} rows and {rank} fixed coefficients: no row is left to estimate a variance from. "
            "Drop fixed terms or give more rows."
        )
    y_scale = left / np.sqrt(n)
    terms = tuple(_standard_term(block, root) for block in design.blocks)
    log_weights = 0.0 if design.weights is None else float(np.sum(np.log(design.weights)))
    return Standardised(basis.q, residual / y_scale, terms, basis, projection, float(y_scale), log_weights)


def _nothing_left(design: Design, rank: int) -> str:
    if np.ptp(design.y) == 0:
        return (
            f"The response is constant (every one of {len(design.y)} rows is {design.y[0]:g}): "
            "it has no variance to divide among the terms."
        )
    return (
        f"The {rank} fixed coefficients fit the response exactly: no variance is left for the random terms. "
        "Is the response, or a copy of it, among the fixed terms?"
    )


def _standard_term(block: RandomBlock, root: np.ndarray | None) -> Term:
    structure = make(block.structure, len(block.effects))
    values = block.values
    if values is None:
        values = None if root is None else root[:, None]
    elif root is not None:
        values = values * root[:, None]
    if values is None:
        return Term(block.codes, None, len(block.levels), structure, np.eye(1))
    back = _back(values, structure.basis, block)
    return Term(block.codes, np.ascontiguousarray(values @ back), len(block.levels), structure, back)


def _back(values: np.ndarray, basis: str, block: RandomBlock) -> np.ndarray:
    n, m = values.shape
    mean_square = np.einsum("ij,ij->j", values, values) / n
    if not np.all(mean_square > 0):
        effect = block.effects[int(np.argmin(mean_square))]
        raise ModelError(f"The effect '{effect}' of {block.text} is zero in every row: its variance cannot be estimated.")
    scale = np.sqrt(mean_square)
    if basis == "scalar":
        return np.eye(m) / np.sqrt(np.mean(mean_square))
    if basis == "any" and m > 1:
        found = orthonormal_basis(values)
        if len(found.kept) == m:
            return np.linalg.inv(found.r) * np.sqrt(n)
    return np.diag(1.0 / scale)

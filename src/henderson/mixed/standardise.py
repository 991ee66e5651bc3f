"""The model in coordinates that do not depend on the user's units: what is fitted, and the way back.

Rows are multiplied by the square root of their precision weight; X is replaced by an orthonormal basis of its columns,
y by its least-squares residual divided by its root mean square, and the effects of each random term by combinations of
unit mean square (orthogonal ones where the covariance structure allows it). The criterion is the same function of other
arguments, so y * 1e8, a covariate in other units or with its origin moved, take the same steps (docs/theory.md section 2).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import lapack, solve_triangular

from ..errors import ModelError
from ..linear.qr import orthonormal_basis
from ..structures import Structure, make

if TYPE_CHECKING:
    from ..design import Design, RandomBlock

LARGEST = 1e70
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


@dataclass(frozen=True)
class Standardised:
    """The rows the equations are formed from, and the way back."""

    q: np.ndarray
    """(n, rank), orthonormal."""
    y: np.ndarray
    """(n,), orthogonal to q, mean square 1."""
    terms: tuple[Term, ...]
    coordinates: Coordinates
    root_weights: np.ndarray | None


def standardise(design: Design) -> Standardised:
    """Change of coordinates for a design (arrays as `design.build` gives them)."""
    root = None if design.weights is None else np.sqrt(design.weights)
    x = design.X if root is None else design.X * root[:, None]
    basis = orthonormal_basis(x)
    n, rank = basis.q.shape
    if n <= rank:
        raise ModelError(
            f"There are {n} rows and {rank} fixed coefficients: no row is left to estimate a variance from. "
            "Drop fixed terms or give more rows."
        )
    assert design.y is not None  # only a design rebuilt for new data has no response
    y, projection, y_scale = standard_response(basis.q, design.y, design.offset, root)
    terms = tuple(_standard_term(block, root) for block in design.blocks)
    log_weights = 0.0 if design.weights is None else float(np.sum(np.log(design.weights)))
    back = tuple(t.back for t in terms)
    coordinates = Coordinates(n, basis.r, basis.kept, basis.dropped, projection, y_scale, log_weights, back)
    return Standardised(basis.q, y, terms, coordinates, root)


def standard_response(
    q: np.ndarray, response: np.ndarray, offset: np.ndarray | None, root: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, float]:
    """The response in standard coordinates (n,), its projection q'y (rank,) and the scale it was divided by."""
    y = response if offset is None else response - offset
    y = y if root is None else y * root
    peak = float(np.abs(y).max(initial=0.0))
    if peak > 0 and not 1.0 / LARGEST < peak < LARGEST:
        raise ModelError(
            f"The response is of size {peak:.1g}: squares of its variances cannot be held in double precision. "
            "Divide it by a power of ten near its size."
        )
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
        raise ModelError(
            f"The effect '{effect}' of {block.text} is zero in every row: its variance cannot be estimated."
        )
    scale = np.sqrt(mean_square)
    if basis == "scalar":
        return np.eye(m) / np.sqrt(np.mean(mean_square))
    if basis == "any" and m > 1:
        # The cross-product is accurate enough to choose coordinates by, unless the effects are nearly dependent.
        triangle, info = lapack.dpotrf((values.T @ values) / (n * np.outer(scale, scale)), lower=0)
        if info == 0 and np.min(np.diagonal(triangle)) > 1e-4:
            return np.linalg.inv(np.triu(triangle) * scale)
        found = orthonormal_basis(values)
        if len(found.kept) == m:
            return np.linalg.inv(found.r) * np.sqrt(n)
    return np.diag(1.0 / scale)

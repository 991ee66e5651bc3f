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
from scipy.linalg import lapack

from ..errors import ModelError
from ..linear.coordinates import Coordinates, basis_with_rows_left, standard_response
from ..linear.qr import orthonormal_basis
from ..structures import Structure, make

if TYPE_CHECKING:
    from ..design import Design, RandomBlock


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
    basis = basis_with_rows_left(x)
    assert design.y is not None  # only a design rebuilt for new data has no response
    y, projection, y_scale = standard_response(basis.q, design.y, design.offset, root)
    terms = tuple(_standard_term(block, root) for block in design.blocks)
    log_weights = 0.0 if design.weights is None else float(np.sum(np.log(design.weights)))
    back = tuple(t.back for t in terms)
    coordinates = Coordinates(
        len(x), basis.r, basis.kept, basis.dropped, projection, y_scale, log_weights, back
    )
    return Standardised(basis.q, y, terms, coordinates, root)


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

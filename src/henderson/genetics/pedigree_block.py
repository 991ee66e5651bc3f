"""The block of A among some individuals, and its inverse.

A pedigree gives A_22 itself, by its own recursions; any other relationship gives it by the sparse inverse of the whole:

    A^-1 = [A^11 A^12; A^21 A^22],   A_22^-1 = A^22 - A^21 (A^11)^-1 A^12

With the individuals of block 2 eliminated last, A_22^-1 = L_22 L_22', L_22 being what the factor L of A^-1 has in their rows and
columns: no A is made, and log|A_22| comes with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError
from . import positive
from .ids import match
from .relationship import as_relationship

if TYPE_CHECKING:
    import scipy.sparse as sp

Array = np.ndarray
_PLAIN = 400
"""Order up to which the whole inverse is factored as a dense matrix, without compiled code."""


@dataclass(frozen=True, eq=False)
class Block:
    """A_22 of some individuals.

    Attributes
    ----------
    positions : (n2,) their rows in the whole.
    covariance, inverse : A_22 and A_22^-1, (n2, n2) dense.
    log_determinant : log|A_22|.
    """

    positions: Array
    covariance: Array
    inverse: Array
    log_determinant: float


def block_among(whole: Any, ids: Array, name: str = "the pedigree") -> Block:
    """The block of a pedigree, or of any relationship, among `ids`, in their order.

    Raises
    ------
    DataError : ids that are not in it; A is singular.
    """
    relationship = as_relationship(whole, name)
    positions = match(relationship.ids, ids, name, "the genotyped individuals")
    if hasattr(whole, "relationship_matrix") and getattr(whole, "group_variance", None) is None:
        return _of_dense(whole.relationship_matrix(ids), positions, name)
    precision = relationship.precision
    if precision is None:
        return _of_dense(relationship.dense()[np.ix_(positions, positions)], positions, name)
    trailing = _dense_trailing if relationship.q <= _PLAIN else _sparse_trailing
    return _of_factor(trailing(precision, positions), positions)


def _of_dense(block: Array, positions: Array, name: str) -> Block:
    found = positive.dense_inverse(block)
    if found is None:
        raise DataError(
            f"{name}: the relationships among the genotyped individuals are singular: they have no inverse."
        )
    return Block(positions, block, *found)


def _of_factor(lower: Array, positions: Array) -> Block:
    """From L_22 with L_22 L_22' = A_22^-1."""
    import scipy.linalg as sl

    covariance = sl.lapack.dpotri(lower, lower=1)[0]
    covariance = np.tril(covariance) + np.tril(covariance, -1).T
    return Block(positions, covariance, lower @ lower.T, float(-2 * np.log(np.diag(lower)).sum()))


def _dense_trailing(precision: sp.csc_matrix, at: Array) -> Array:
    n = precision.shape[0]
    order = np.concatenate([np.setdiff1d(np.arange(n), at), at])
    return np.linalg.cholesky(precision.toarray()[np.ix_(order, order)])[n - len(at) :, n - len(at) :]


def _sparse_trailing(precision: sp.csc_matrix, at: Array) -> Array:
    """L_22, in the order of `at`."""
    from .. import sparse
    from ..sparse import graph, ordering

    n, n2 = precision.shape[0], len(at)
    others = np.setdiff1d(np.arange(n), at)
    place = np.empty(n, np.int64)
    place[np.concatenate([others, at])] = np.arange(n)
    entries = precision.tocoo()
    below = entries.row >= entries.col
    rows, cols, values = place[entries.row[below]], place[entries.col[below]], entries.data[below]
    if n > n2:
        # Minimum degree among the others alone; the given order then keeps the block at the end.
        order = np.arange(n)
        order[: n - n2] = ordering.amd(n - n2, *graph.adjacency(n, rows, cols))
        moved = np.empty(n, np.int64)
        moved[order] = np.arange(n)
        rows, cols = moved[rows], moved[cols]
    symbolic = sparse.analyze(n, rows, cols, method="natural")
    panels = np.zeros(symbolic.stored)
    panels[symbolic.positions(rows, cols)] = values
    if sparse.factor(symbolic, panels) >= 0:
        raise DataError("the inverse relationships are not positive definite.")
    return _in_given_order(_trailing(symbolic, panels, n - n2), n2)


def _trailing(symbolic: Any, panels: Array, first: int) -> tuple[Array, Array]:
    """Rows and columns of L that stand for variables `first` ... n - 1, and which these are, as (L, variables).

    The tree is postordered, which may move them, and nothing else about L.
    """
    wanted = np.flatnonzero(symbolic.perm >= first)
    number = np.full(symbolic.n, -1)
    number[wanted] = np.arange(len(wanted))
    out = np.zeros((len(wanted), len(wanted)))
    for s in np.unique(symbolic.sn_of[wanted]):
        begin, end = symbolic.start[s], symbolic.start[s + 1]
        below = symbolic.rows[symbolic.row_ptr[s] : symbolic.row_ptr[s + 1]]
        height = end - begin + len(below)
        panel = panels[symbolic.panel_ptr[s] : symbolic.panel_ptr[s + 1]].reshape(end - begin, height).T
        rows = np.concatenate([np.arange(begin, end), below])
        mine, here = number[rows] >= 0, number[begin:end] >= 0
        out[np.ix_(number[rows[mine]], number[np.arange(begin, end)[here]])] = np.tril(panel)[
            np.ix_(mine, here)
        ]
    return out, symbolic.perm[wanted] - first


def _in_given_order(found: tuple[Array, Array], n2: int) -> Array:
    lower, variables = found
    if np.array_equal(variables, np.arange(n2)):
        return lower
    back = np.empty(n2, np.int64)
    back[variables] = np.arange(n2)
    mixed = lower[back]
    return np.linalg.cholesky(mixed @ mixed.T)

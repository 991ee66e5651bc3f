"""A = Z'R^-1 Z on its pattern, as a linear map of the numbers of R^-1: formed once, applied at every R.

For a pair of rows (i, j) that R^-1 couples, every entry of row i of Z meets every entry of row j. `Mapped` keeps where
those products go, so that a new R costs one sparse product, and its transpose gives the derivatives:

    tr(G dA) = sum over pairs of rows of (Z G Z')_ij d(R^-1)_ij

Where rows of Z are long (splines, roots of relationships) and R couples many of them there are too many products to keep, and
`Multiplied` makes them again at every R.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ...memory import machine_memory
from .row_matrix import RowMatrix

if TYPE_CHECKING:
    import scipy.sparse as sp

    from ...precisions.base import Precision


_BYTES, _SHARE = 120.0, 0.15
"""Memory that one kept product takes while it is sorted, and the share of the machine's that all may take."""
_CHUNK = 4_000_000


class Weighted(ABC):
    """The lower triangle of A = Z'R^-1 Z: A[rows[e], cols[e]]."""

    rows: np.ndarray
    cols: np.ndarray

    @property
    def kept(self) -> int:
        """Products of entries of Z that are held."""
        return 0

    @abstractmethod
    def values(self, precision: np.ndarray | None) -> np.ndarray:
        """A on its pattern, from R^-1 on its own (None where R = I)."""

    @abstractmethod
    def pull_back(self, g: np.ndarray) -> np.ndarray:
        """(Z G Z')_ij for the pairs of R^-1's pattern, times 2 off the diagonal, from G on A's pattern."""


@dataclass(frozen=True, eq=False)
class Plain(Weighted):
    """R = I: A is `fixed`."""

    rows: np.ndarray
    cols: np.ndarray
    fixed: np.ndarray

    def values(self, precision: np.ndarray | None) -> np.ndarray:
        return self.fixed

    def pull_back(self, g: np.ndarray) -> np.ndarray:
        raise NotImplementedError("R = I has no entries to move")


@dataclass(frozen=True, eq=False)
class Mapped(Weighted):
    """`map` (entries, pairs of rows in R^-1) takes the lower triangle of R^-1 to the lower triangle of A."""

    rows: np.ndarray
    cols: np.ndarray
    map: sp.csr_matrix

    @property
    def kept(self) -> int:
        return int(self.map.nnz)

    def values(self, precision: np.ndarray | None) -> np.ndarray:
        return np.asarray(self.map @ precision)

    def pull_back(self, g: np.ndarray) -> np.ndarray:
        twice = np.where(self.rows == self.cols, 1.0, 2.0)
        return np.asarray(self.map.T @ (twice * g))


class Multiplied(Weighted):
    """A by products of sparse matrices at every R."""

    def __init__(self, z: sp.csr_matrix, residual: Precision):
        self.z, self.residual, self._matrix = z, residual, RowMatrix(residual)
        ones, there = self._matrix.of(np.ones(len(residual.rows))), abs(z)
        self.rows, self.cols, _ = _lower(there.T @ (ones @ there))

    def values(self, precision: np.ndarray | None) -> np.ndarray:
        assert precision is not None
        a = (self.z.T @ (self._matrix.of(precision) @ self.z)).tocsr()
        return np.asarray(a[self.rows, self.cols], dtype=np.float64).ravel()

    def pull_back(self, g: np.ndarray) -> np.ndarray:
        import scipy.sparse as sp

        off, q = self.rows != self.cols, self.z.shape[1]
        both = np.append(self.rows, self.cols[off]), np.append(self.cols, self.rows[off])
        spread = sp.csr_matrix(self.z @ sp.csr_matrix((np.append(g, g[off]), both), shape=(q, q)))
        i, j = self.residual.rows, self.residual.cols
        out = np.empty(len(i))
        step = max(1, _CHUNK // max(int(np.diff(spread.indptr).max(initial=1)), 1))
        for a in range(0, len(i), step):
            at = slice(a, a + step)
            out[at] = np.asarray(spread[i[at]].multiply(self.z[j[at]]).sum(axis=1)).ravel()
        return np.where(i == j, 1.0, 2.0) * out


def weighted(z: sp.csr_matrix, residual: Precision | None, most: float | None = None) -> Weighted:
    """A's pattern, and how it follows from R^-1.

    Parameters
    ----------
    most : products of entries of Z up to which they are kept; None: as the machine's memory allows.
    """
    if residual is None:
        return Plain(*_lower(z.T @ z))
    counts = np.diff(z.indptr).astype(np.float64)
    products = float(counts[residual.rows] @ counts[residual.cols])
    if products > (_SHARE * machine_memory() / _BYTES if most is None else most):
        return Multiplied(z, residual)
    return _mapped(z, residual.rows, residual.cols)


def _lower(a: sp.spmatrix) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows, columns and numbers of the lower triangle of a."""
    import scipy.sparse as sp

    lower = sp.tril(a, format="csc")
    lower.sort_indices()
    cols = np.repeat(np.arange(lower.shape[1], dtype=np.int64), np.diff(lower.indptr))
    return lower.indices.astype(np.int64), cols, lower.data


def _mapped(z: sp.csr_matrix, rows: np.ndarray, cols: np.ndarray) -> Mapped:
    import scipy.sparse as sp

    counts = np.diff(z.indptr).astype(np.int64)
    pairs = counts[rows] * counts[cols]
    which = np.repeat(np.arange(len(rows)), pairs)
    within = np.arange(pairs.sum()) - np.repeat(np.cumsum(pairs) - pairs, pairs)
    width = counts[cols][which]
    a = z.indptr[rows][which] + within // np.maximum(width, 1)
    b = z.indptr[cols][which] + within % np.maximum(width, 1)
    left, right = z.indices[a].astype(np.int64), z.indices[b].astype(np.int64)
    same_row = (rows == cols)[which]
    keep = ~same_row | (left >= right)
    which, a, b, left, right = which[keep], a[keep], b[keep], left[keep], right[keep]
    value = z.data[a] * z.data[b]
    value[(left == right) & ~same_row[keep]] *= 2.0
    high, low = np.maximum(left, right), np.minimum(left, right)
    key, index = np.unique(low * z.shape[1] + high, return_inverse=True)
    matrix = sp.csr_matrix((value, (index, which)), shape=(len(key), len(rows)))
    return Mapped(key % z.shape[1], key // z.shape[1], matrix)

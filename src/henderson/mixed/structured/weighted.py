"""A = Z'R^-1 Z on its pattern, as a linear map of the numbers of R^-1: formed once, applied at every R.

For a pair of rows (i, j) that R^-1 couples, every entry of row i of Z meets every entry of row j. `Weighted` keeps where
those products go, so that a new R costs one sparse product, and its transpose gives the derivatives:

    tr(G dA) = sum over pairs of rows of (Z G Z')_ij d(R^-1)_ij
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import scipy.sparse as sp

    from ...precisions.base import Precision


@dataclass(frozen=True, eq=False)
class Weighted:
    """The lower triangle of A = Z'R^-1 Z: A[rows[e], cols[e]].

    `map` (entries, pairs of rows in R^-1) takes the lower triangle of R^-1 to the lower triangle of A; None where R = I, and
    then `fixed` holds A.
    """

    rows: np.ndarray
    cols: np.ndarray
    map: sp.csr_matrix | None
    fixed: np.ndarray | None

    def values(self, precision: np.ndarray | None) -> np.ndarray:
        """A on its pattern."""
        if self.map is None:
            assert self.fixed is not None
            return self.fixed
        return np.asarray(self.map @ precision)

    def pull_back(self, g: np.ndarray) -> np.ndarray:
        """(Z G Z')_ij for the pairs of R^-1's pattern, times 2 off the diagonal, from G on A's pattern."""
        assert self.map is not None
        twice = np.where(self.rows == self.cols, 1.0, 2.0)
        return np.asarray(self.map.T @ (twice * g))


def weighted(z: sp.csr_matrix, residual: Precision | None) -> Weighted:
    """A's pattern, and how it follows from R^-1."""
    if residual is None:
        a = (z.T @ z).tocsc()
        import scipy.sparse as sp

        a = sp.tril(a, format="csc")
        a.sort_indices()
        cols = np.repeat(np.arange(a.shape[1], dtype=np.int64), np.diff(a.indptr))
        return Weighted(a.indices.astype(np.int64), cols, None, a.data)
    return _mapped(z, residual.rows, residual.cols)


def _mapped(z: sp.csr_matrix, rows: np.ndarray, cols: np.ndarray) -> Weighted:
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
    return Weighted(key % z.shape[1], key // z.shape[1], matrix, None)

"""Symmetric matrices among the rows on the pattern of R^-1, as sparse matrices, the symbolic work done once."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import scipy.sparse as sp

    from ...precisions.base import Precision


class RowMatrix:
    """What `precision.rows, precision.cols` (lower triangle) hold, with both triangles."""

    def __init__(self, precision: Precision):
        self.precision = precision

    @cached_property
    def _csr(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Indices, row pointer, and which entry of the lower triangle each number is."""
        import scipy.sparse as sp

        rows, cols, n = self.precision.rows, self.precision.cols, self.precision.n
        off = np.flatnonzero(rows != cols)
        number = np.concatenate([np.arange(len(rows)), off])
        both = np.concatenate([rows, cols[off]]), np.concatenate([cols, rows[off]])
        # Numbers from 1: a stored zero would be dropped by some operations.
        matrix = sp.csr_matrix((1.0 + np.arange(len(number)), both), shape=(n, n))
        matrix.sort_indices()
        return matrix.indices, matrix.indptr, number[matrix.data.astype(np.int64) - 1]

    def of(self, values: np.ndarray) -> sp.csr_matrix:
        """The matrix with these numbers (nnz,) in its lower triangle."""
        import scipy.sparse as sp

        indices, pointer, number = self._csr
        return sp.csr_matrix((values[number], indices, pointer), shape=(self.precision.n, self.precision.n))

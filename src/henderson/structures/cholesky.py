"""Cholesky factors of matrices that may be singular, and of correlation matrices near 11', with their derivatives.

Forward differentiation of the factorisation, column by column (Smith 1995; Murray 2016, arXiv:1602.07527, section 3): with
c = A[j:, j] - L[j:, :j] L[j, :j]' the column is c / sqrt(c_1), and its derivative follows by the product rule. A pivot that is
zero gives a column of zeros, and one whose derivatives are zeros: the part of the matrix that has no variance.
"""

from __future__ import annotations

import numpy as np

_ROUNDING = 1e-14
"""Pivots below this part of their diagonal entry are zero: rounding, not variance."""


def cholesky_with_slopes(matrix: np.ndarray, slopes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """L (m, m) with L L' = matrix (m, m), positive semi-definite, and dL (p, m, m) of its derivatives `slopes` (p, m, m)."""
    m = len(matrix)
    factor, change = np.zeros((m, m)), np.zeros((len(slopes), m, m))
    for j in range(m):
        row, row_change = factor[j, :j], change[:, j, :j]
        column = matrix[j:, j] - factor[j:, :j] @ row
        if column[0] <= _ROUNDING * abs(matrix[j, j]):
            continue
        root = np.sqrt(column[0])
        factor[j:, j] = column / root
        if len(slopes):
            column_change = slopes[:, j:, j] - change[:, j:, :j] @ row - row_change @ factor[j:, :j].T
            root_change = column_change[:, :1] / (2.0 * root)
            change[:, j:, j] = (column_change - root_change * factor[j:, j]) / root
    return factor, change


def correlation_with_slopes(gaps: np.ndarray, slopes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """L and dL of R = 11' - gaps, gaps (m, m) with zero diagonal and derivatives `slopes` (p, m, m).

    Where every correlation is near 1 the digits are in 1 - r: with the first column taken out, what is left is

        r_ij - r_i1 r_j1 = g_i1 + g_j1 - g_ij - g_i1 g_j1,     g = 1 - r.
    """
    m, p = len(gaps), len(slopes)
    first, first_change = gaps[1:, 0], slopes[:, 1:, 0]
    left = first[:, None] + first - gaps[1:, 1:] - np.outer(first, first)
    left_change = first_change[:, :, None] * (1.0 - first) + first_change[:, None, :] * (1.0 - first)[:, None]
    factor, change = np.zeros((m, m)), np.zeros((p, m, m))
    factor[:, 0], change[:, :, 0] = 1.0 - gaps[:, 0], -slopes[:, :, 0]
    factor[1:, 1:], change[:, 1:, 1:] = cholesky_with_slopes(left, left_change - slopes[:, 1:, 1:])
    return factor, change

"""First-order Markov correlations along a line: ar1, ou, ante1.

Neighbours k and k + 1 have the correlation r_k, others the product of those between them. The Cholesky factor, rows and columns in
the order of the line, is L_ij = s_j r_j ... r_{i-1}, s_0 = 1 and s_j = sqrt(1 - r_{j-1}^2): row i is r_{i-1} times the row before,
and s_i on the diagonal.
"""

from __future__ import annotations

import numpy as np

Array = np.ndarray


def chain(r: Array, s: Array) -> Array:
    """L (m, m) of r (m - 1,) and s (m - 1,), the roots of 1 - r^2 (either sign)."""
    m = len(r) + 1
    out = np.zeros((m, m))
    out[0, 0] = 1.0
    for i in range(1, m):
        out[i, :i] = r[i - 1] * out[i - 1, :i]
        out[i, i] = s[i - 1]
    return out


def chain_slopes(r: Array, dr: Array, ds: Array, factor: Array) -> Array:
    """dL (p, m, m) of dr and ds (p, m - 1), factor being L."""
    m = len(r) + 1
    out = np.zeros((len(dr), m, m))
    for i in range(1, m):
        out[:, i, :i] = dr[:, i - 1 : i] * factor[i - 1, :i] + r[i - 1] * out[:, i - 1, :i]
        out[:, i, i] = ds[:, i - 1]
    return out

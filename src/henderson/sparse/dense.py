"""method="dense" for a few hundred equations: one front in the order given, LAPACK through SciPy; no Numba."""

from __future__ import annotations

import numpy as np

from .threads import blas_threads


def factor(n: int, panels: np.ndarray) -> int:
    """Cholesky factor in place of the (n, n) column-major lower triangle in `panels`; -1 or the bad column."""
    from scipy.linalg.lapack import dpotrf

    a = panels.reshape(n, n, order="F")
    with blas_threads(1):
        _, info = dpotrf(a, lower=1, clean=0, overwrite_a=1)
    if info > 0:
        return int(info) - 1
    good = a.diagonal() > 0.0
    return -1 if good.all() else int(np.argmin(good))


def selected_inverse(n: int, panels: np.ndarray, out: np.ndarray, drop: int) -> None:
    """Inverse of the leading block of order n - drop, lower triangle; all else 0."""
    from scipy.linalg.lapack import dpotri

    k = n - drop
    z = out.reshape(n, n, order="F")
    z[:] = 0.0
    if k == 0:
        return
    a = panels.reshape(n, n, order="F")
    with blas_threads(1):
        inverse, _ = dpotri(np.array(a[:k, :k], order="F"), lower=1, overwrite_c=1)
    z[:k, :k] = np.tril(inverse)


def triangular_solve(n: int, panels: np.ndarray, y: np.ndarray, transposed: bool) -> np.ndarray:
    """L^-1 y, or L^-T y, with the leading block of L of the height of y (rows, k)."""
    from scipy.linalg.lapack import dtrtrs

    k = y.shape[0]
    if k == 0:
        return y
    a = panels.reshape(n, n, order="F")[:k, :k]
    with blas_threads(1):
        x, _ = dtrtrs(np.asfortranarray(a), y, lower=1, trans=1 if transposed else 0)
    return x

"""Stacks of dense symmetric positive definite matrices (P, m, m): factors, solves and traces.

Few or large matrices go to LAPACK one by one, many small ones to NumPy's stacked routines.
"""

from __future__ import annotations

import numpy as np

from .base import NotPositiveDefinite

Array = np.ndarray
_LARGE = 48


def filled(values: Array, m: int, diagonal: float = 1.0) -> Array:
    """(P, m, m) with one number on the diagonal and, off it, values (P, m (m - 1) / 2) of the pairs i < j."""
    return _symmetric(values, m, diagonal)


def hollow(values: Array, m: int) -> Array:
    """The same with zeros on the diagonal."""
    return _symmetric(values, m, 0.0)


def _symmetric(values: Array, m: int, diagonal: float) -> Array:
    out = np.empty((len(values), m, m))
    if len(values) <= 8 or m > _LARGE:
        from scipy.spatial.distance import squareform

        for each, pairs in zip(out, values, strict=True):
            each[:] = squareform(pairs, checks=False) if m > 1 else 0.0
    else:
        i, j = np.triu_indices(m, 1)
        out[:, i, j] = values
        out[:, j, i] = values
    out[:, range(m), range(m)] = diagonal
    return out


def cholesky(c: Array) -> Array:
    """Lower factors of a stack, which is overwritten. Raises NotPositiveDefinite."""
    if _one_by_one(c):
        from scipy.linalg.lapack import dpotrf

        for each in c:
            # each.T is the same matrix in Fortran's order, so that no copy is made.
            _, info = dpotrf(each.T, lower=0, clean=1, overwrite_a=1)
            if info:
                raise NotPositiveDefinite
        return c
    try:
        return np.linalg.cholesky(c)
    except np.linalg.LinAlgError:
        raise NotPositiveDefinite from None


def log_det(l: Array) -> Array:
    """log|C| of each matrix, (P,)."""
    return 2.0 * np.log(np.diagonal(l, axis1=1, axis2=2)).sum(axis=1)


def solve_lower(l: Array, b: Array, transposed: bool = False) -> Array:
    """L^-1 b or L^-T b for a stack: b (P, m, c)."""
    if _one_by_one(l):
        from scipy.linalg.lapack import dtrtrs

        # The upper triangle of l.T in Fortran's order is L'.
        return np.stack(
            [
                dtrtrs(each.T, rhs, lower=0, trans=0 if transposed else 1)[0]
                for each, rhs in zip(l, b, strict=True)
            ]
        )
    return np.linalg.solve(np.swapaxes(l, 1, 2) if transposed else l, b)


def inverse_pairs(l: Array) -> Array:
    """Entries of C^-1 at the pairs i < j, (P, m (m - 1) / 2): what the trace of C^-1 dC needs."""
    m = l.shape[1]
    i, j = np.triu_indices(m, 1)
    if _one_by_one(l):
        from scipy.linalg.lapack import dpotri

        return np.stack([dpotri(each.T, lower=0)[0][i, j] for each in l])
    half = np.linalg.solve(l, np.broadcast_to(np.eye(m), l.shape))
    return (np.swapaxes(half, 1, 2) @ half)[:, i, j]


def _one_by_one(c: Array) -> bool:
    return len(c) <= 4 or c.shape[1] > _LARGE

"""An orthonormal basis of the columns of X, with R's rule for columns that add nothing to those before them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import lapack

RANK_TOLERANCE = 1e-7
"""A column is dropped when what is left of it beside the columns before it is below this share of its length (R's lm)."""

_GRAM_MIN_SIZE = 200_000
_GRAM_MIN_PIVOT = 1e-5


@dataclass(frozen=True)
class Basis:
    """X[:, kept] = q @ r with q'q = I; `dropped` are the linearly dependent columns, in order."""

    q: np.ndarray
    """(n, rank), Fortran order."""
    r: np.ndarray
    """(rank, rank), upper triangular."""
    kept: np.ndarray
    dropped: np.ndarray


def orthonormal_basis(x: np.ndarray) -> Basis:
    """Basis of the columns of x (n, p), taken in order, as R's limited pivoting does.

    Large x is factorised by Cholesky of the cross-product of its scaled columns, done twice (Yamamoto et al. 2015),
    which is as orthogonal as Householder's where the condition of the scaled x is below about 1e5; anything worse, and
    every small x, goes through LAPACK's Householder QR.
    """
    n, p = x.shape
    length = np.sqrt(np.einsum("ij,ij->j", x, x)) if p else np.zeros(0)
    if not np.all((length > 1e-150) & (length < 1e150)):
        peak = np.abs(x).max(axis=0, initial=0.0)
        size = np.where(peak > 0, peak, 1.0)
        length = size * np.sqrt(np.einsum("ij,ij->j", x / size, x / size))
    usable = length > 0
    kept = np.flatnonzero(usable)
    if n * p >= _GRAM_MIN_SIZE and n > 4 * p:
        found = _by_gram(x, length, kept)
        if found is not None:
            return found
    while True:
        q, r = _householder(x[:, kept] / length[kept])
        small = np.flatnonzero(np.abs(np.diagonal(r)) < RANK_TOLERANCE)
        if len(kept) <= n and len(small) == 0:
            break
        # Only the first small pivot is sure: the ones after it were taken beside a column that was noise.
        first = small[0] if len(small) else n
        kept = np.delete(kept, first)
    dropped = np.setdiff1d(np.arange(p), kept)
    return Basis(q, r * length[kept], kept, dropped)


def _householder(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    n, p = x.shape
    if p == 0:
        return np.zeros((n, 0), order="F"), np.zeros((0, 0))
    k = min(n, p)
    packed, tau, _, _ = lapack.dgeqrf(np.asfortranarray(x), lwork=64 * p)
    r = np.triu(packed[:k])
    q, _, _ = lapack.dorgqr(packed[:, :k], tau, lwork=64 * p)
    return q, r


def _by_gram(x: np.ndarray, length: np.ndarray, kept: np.ndarray) -> Basis | None:
    if len(kept) == 0 or len(kept) != x.shape[1]:
        return None
    scaled = x / length
    triangle = np.eye(len(kept))
    for _ in range(2):
        r, info = lapack.dpotrf(scaled.T @ scaled, lower=0)
        if info != 0 or np.min(np.diagonal(r)) < _GRAM_MIN_PIVOT:
            return None
        r_inverse, _ = lapack.dtrtri(r, lower=0)
        scaled = np.asfortranarray(scaled @ np.triu(r_inverse))
        triangle = np.triu(r) @ triangle
    return Basis(scaled, triangle * length, kept, np.zeros(0, dtype=np.int64))

"""Dependence among the columns of X, from its triangular factor: exact, as combinations, or how near it is.

For nearness columns are scaled to length 1, as the sizes that units give them mean nothing (Belsley, Kuh & Welsch 1980, ch. 3).
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_triangular

HARMFUL = 30.0
"""Condition index from which a near-dependency is worth a word."""


_CANCELLED = 1e-11
"""Share of a column below which its part in a combination is rounding."""


def combinations(root: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Dropped columns of X as combinations of the kept ones, (rank, dropped).

    Parameters
    ----------
    root : R (rank, rank) of the kept columns; inside : (rank, dropped) the dropped ones on the basis of which R is.
    """
    return cleaned(solve_triangular(root, inside), root) if inside.size else np.zeros(inside.shape)


def cleaned(aliases: np.ndarray, root: np.ndarray) -> np.ndarray:
    """Combinations (rank, dropped) without what is left of cancelled coefficients: that would count as all there is in a row where
    the others are 0."""
    share = np.abs(aliases) * np.linalg.norm(root, axis=0)[:, None]
    return np.where(share > _CANCELLED * np.linalg.norm(root @ aliases, axis=0), aliases, 0.0)


def eigenvalues(root: np.ndarray, aliases: np.ndarray) -> np.ndarray:
    """Eigenvalues (p,) of X'X over all columns, scaled to length 1, largest first: squared singular values.

    Parameters
    ----------
    root : R (rank, rank) of the kept columns; aliases (rank, dropped).
    """
    full = np.hstack([root, root @ aliases])
    length = np.linalg.norm(full, axis=0)
    found = np.linalg.svd(full / np.where(length > 0, length, 1.0), compute_uv=False) ** 2
    return np.concatenate([found, np.zeros(full.shape[1] - len(found))])


def near_dependencies(root: np.ndarray) -> list[tuple[float, np.ndarray]]:
    """Condition indices of HARMFUL or more, each with the columns that have more than half of the variance of their
    coefficient from it (two or more).
    """
    if not len(root):
        return []
    _, d, vt = np.linalg.svd(root / np.linalg.norm(root, axis=0))
    parts = (vt / d[:, None]) ** 2
    shares = parts / parts.sum(axis=0)
    found = [(float(d[0] / d[k]), np.flatnonzero(shares[k] > 0.5)) for k in range(len(d) - 1, -1, -1)]
    return [(index, columns) for index, columns in found if index >= HARMFUL and len(columns) > 1]

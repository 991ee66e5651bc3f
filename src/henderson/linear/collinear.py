"""How near the columns of X are to dependence, from its triangular factor alone.

Columns are scaled to length 1, as the sizes that units give them mean nothing (Belsley, Kuh & Welsch 1980, ch. 3).
"""

from __future__ import annotations

import numpy as np

HARMFUL = 30.0
"""Condition index from which a near-dependency is worth a word."""


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

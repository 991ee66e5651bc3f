"""The five criteria of an information matrix, all from its root."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import solve_triangular

NAMES = ("A", "D", "E", "G", "I")
LARGER_IS_BETTER = frozenset("DE")


@dataclass(frozen=True)
class Criteria:
    """Per run: of M = X'V^-1X / N. A design that cannot estimate every coefficient has D = E = 0 and A infinite."""

    D: float
    A: float
    E: float
    I: float
    G: float
    eigenvalues: np.ndarray
    """Of X'V^-1X (p,), increasing; zeros for what cannot be estimated."""


def criteria(root: np.ndarray, aliases: np.ndarray, n: int, prediction: np.ndarray) -> Criteria:
    """Criteria of R'R = information on the kept columns (rank, rank).

    Parameters
    ----------
    aliases : (rank, p - rank), dropped columns as combinations of the kept ones.
    n : runs.
    prediction : variances x'(X'V^-1X)^-1x over the region (k,).
    """
    rank, lost = aliases.shape
    p = rank + lost
    whole = np.hstack([root, root @ aliases])
    singular = np.linalg.svd(whole, compute_uv=False) if rank else np.zeros(0)
    eigenvalues = np.concatenate([np.zeros(p - rank), singular[::-1] ** 2])
    worst, mean = float(n * prediction.max()), float(n * prediction.mean())
    if lost:
        return Criteria(0.0, np.inf, 0.0, mean, worst, eigenvalues)
    log_root = np.log(np.abs(np.diagonal(root)))
    inverse = solve_triangular(root, np.eye(p))
    return Criteria(
        D=float(np.exp(2.0 * log_root.mean()) / n),
        A=float(n * np.vdot(inverse, inverse) / p),
        E=float(eigenvalues[0] / n),
        I=mean,
        G=worst,
        eigenvalues=eigenvalues,
    )

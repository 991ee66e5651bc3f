"""Whether several linear functions of the coefficients are zero together, tested as far as they can be estimated.

Functions L of the p coefficients, where X has null space N: the combinations c'L with c'L N = 0 can be estimated, and the F test
(`inference.wald`) is of those.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .protocol import LinearEstimates
from .wald import wald

_RANK = 1e-9
_MOVES = 1e-7


@dataclass(frozen=True)
class JointTest:
    """df1, df2, F and its p-value; `reduced` where some of the functions could not be estimated."""

    df1: int
    df2: float
    statistic: float
    p_value: float
    reduced: bool


def zero_together(fit: LinearEstimates, rows: np.ndarray, offset: np.ndarray, df: Any = None) -> JointTest:
    """Test that rows b + offset = 0.

    Parameters
    ----------
    rows : (k, p), over all columns of X; a row that is not finite is left out. offset : (k,).
    df : denominator degrees of freedom: the name of a method, a number, or None for the fit's own.
    """
    there = np.isfinite(rows).all(axis=1)
    mix = _estimable(rows[there], fit.columns.null_space)
    functions = mix @ rows[there]
    found = wald(fit, functions[:, fit.columns.kept], -(mix @ offset[there]), df)
    reduced = not there.all() or _rank(functions) < _rank(rows)
    return JointTest(found.df, found.den_df, found.statistic, found.p_value, reduced)


def _rank(rows: np.ndarray) -> int:
    if not len(rows):
        return 0
    size = np.linalg.svd(rows, compute_uv=False)
    return int(np.sum(size > _RANK * size.max(initial=0.0)))


def _estimable(rows: np.ndarray, null_space: np.ndarray) -> np.ndarray:
    """Orthonormal combinations (j, k) of rows (k, p) that can be estimated."""
    if not null_space.shape[1] or not len(rows):
        return np.eye(len(rows))
    moves = rows @ (null_space / np.linalg.norm(null_space, axis=0))
    left, size, _ = np.linalg.svd(moves, full_matrices=True)
    rank = int(np.sum(size > _MOVES * np.abs(rows).max(initial=0.0)))
    return left[:, rank:].T

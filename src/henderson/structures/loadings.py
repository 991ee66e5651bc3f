"""Loadings Lambda (m, k), known up to a rotation: the one that is estimated, and those that are reported."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..errors import ModelError, closest

Array = np.ndarray
_VARIMAX = 500


class Rotation(NamedTuple):
    """Lambda and the orthogonal matrix that gave it: loadings = Lambda_before @ matrix, scores = scores_before @ matrix."""

    loadings: Array
    matrix: Array
    shares: Array
    """(k,): each factor's part of the variance that all factors explain."""


def lower_trapezoidal(loadings: Array) -> Array:
    """Lambda (m, k) rotated so that its first k rows are lower triangular, with diagonal entries that are not negative.

    Lambda = (L Q)': k (k - 1) / 2 entries are zero, as many as a rotation has angles, so that what is left is identified.
    """
    k = loadings.shape[1]
    q = np.linalg.qr(loadings[:k].T)[0]
    out = loadings @ q
    out[:k] = np.tril(out[:k])
    return out * np.where(np.diagonal(out[:k]) < 0, -1.0, 1.0)


def rotate(loadings: Array, method: str = "principal") -> Rotation:
    """Lambda (m, k) turned to be read.

    "principal": orthogonal columns, largest first (Lambda = U D V' by singular values, U D). "varimax": columns with few large
    entries (Kaiser 1958), from there. Every column is given the sign that makes its sum positive.
    """
    u, d, vt = np.linalg.svd(loadings, full_matrices=False)
    out, matrix = u * d, vt.T
    if method == "varimax":
        turn = _varimax(out)
        out, matrix = out @ turn, matrix @ turn
        order = np.argsort(-np.sum(out**2, axis=0), kind="stable")
        out, matrix = out[:, order], matrix[:, order]
    elif method != "principal":
        near = closest(method, ("principal", "varimax"))
        raise ModelError(f"there is no rotation '{method}': write '{near or 'principal'}'.")
    sign = np.where(out.sum(axis=0) < 0, -1.0, 1.0)
    size = np.sum(out**2, axis=0)
    return Rotation(out * sign, matrix * sign, size / max(float(size.sum()), 1e-300))


def _varimax(loadings: Array) -> Array:
    """The rotation (k, k) that maximises the variance of the squared loadings of each column, by singular values."""
    turn, before = np.eye(loadings.shape[1]), 0.0
    for _ in range(_VARIMAX):
        turned = loadings @ turn
        slope = loadings.T @ (turned**3 - turned * np.mean(turned**2, axis=0))
        u, d, vt = np.linalg.svd(slope)
        turn = u @ vt
        if d.sum() <= before * (1.0 + 1e-12):
            break
        before = float(d.sum())
    return turn

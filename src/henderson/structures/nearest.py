"""Least squares in a few unknowns in a box, for starting values: the theta whose covariance is nearest to a given one."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

_ITERATIONS = 100
_ENOUGH = 1e-13


def least_squares(
    function: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]],
    start: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
) -> tuple[np.ndarray, float]:
    """Local minimum of |r(t)|^2 over the box, by Levenberg and Marquardt's steps: t and |r|^2 there.

    function(t) -> r (n,) and dr/dt (n, len(t)).
    """
    t = np.clip(start, lower, upper)
    residual, jacobian = function(t)
    size, damping = float(residual @ residual), 1e-3
    for _ in range(_ITERATIONS):
        normal, gradient = jacobian.T @ jacobian, jacobian.T @ residual
        diagonal = np.diagonal(normal) + 1e-12 * max(float(np.max(np.diagonal(normal), initial=0.0)), 1e-300)
        while damping < 1e12:
            step = np.linalg.lstsq(normal + damping * np.diag(diagonal), -gradient, rcond=None)[0]
            new = np.clip(t + step, lower, upper)
            new_residual, new_jacobian = function(new)
            new_size = float(new_residual @ new_residual)
            if new_size < size:
                break
            damping *= 10.0
        else:
            break
        gain, t = size - new_size, new
        residual, jacobian, size, damping = new_residual, new_jacobian, new_size, 0.1 * damping
        if gain <= _ENOUGH * size or size < 1e-28:
            break
    return t, size


def lower_triangle(matrices: np.ndarray) -> np.ndarray:
    """Entries i >= j of symmetric matrices (..., m, m), those off the diagonal times sqrt(2): the Frobenius norm is kept."""
    rows, columns = np.tril_indices(matrices.shape[-1])
    return matrices[..., rows, columns] * np.where(rows == columns, 1.0, np.sqrt(2.0))


def as_correlation(sigma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Standard deviations (m,) and correlations (m, m) of a covariance; effects without variance are uncorrelated."""
    sd = np.sqrt(np.maximum(np.diagonal(sigma), 0.0))
    size = np.where(sd > 0, sd, 1.0)
    r = np.where(np.outer(sd, sd) > 0, sigma / np.outer(size, size), 0.0)
    np.fill_diagonal(r, 1.0)
    return sd, r

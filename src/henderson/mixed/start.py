"""Starting values, and covariances the user starts from or holds, in standard coordinates."""

from __future__ import annotations

import numpy as np

from ..linear.coordinates import Coordinates
from ..structures import psd_cholesky
from .criterion import Problem
from .crossproducts import CrossProducts
from .optimise import restart

_LEAST_RESIDUAL = 1e-8
_RIDGE = 1e-9
_LOOPED = 5000


def default_start(problem: Problem, products: CrossProducts) -> np.ndarray:
    """Moment estimates, each effect by itself: in standard coordinates y has variance 1 and is orthogonal to X, so

        E sum_i (z_i'y)^2 / z_i'z_i  is about  q s2 + n sigma^2,     z_i an effect's column for level i,

    and s2 is no more than what is left of y within the levels of any one term. Terms that overlap are each given the
    variance they share; the steps that follow sort that out. With few levels the estimates are rough, and a start that is
    too large costs fewer steps than one too small: they are inflated.
    """
    total = products.corner[-1, -1] / products.n
    residual, shares = 1.0, []
    for (q, m), own, border in zip(products.sizes, products.own, products.border, strict=True):
        size = np.diagonal(own, axis1=1, axis2=2)
        found = size > 1e-12 * size.max()
        between = np.where(found, border[:, :, -1] ** 2 / np.where(found, size, 1.0), 0.0).sum(axis=0) / total
        shares.append((between, found.sum(axis=0), q))
        free = products.n - q * m
        if free > 0.05 * products.n:
            within = 1.0 - _explained(own, border[:, :, -1]) / (total * products.n)
            residual = min(residual, within * products.n / free)
    residual = max(residual, _LEAST_RESIDUAL)
    # Terms that do not overlap leave 1 - their sum: less than what is left within any one of them.
    apart = 1.0 - sum(float(np.maximum(b - residual * c, 0.0).sum()) for b, c, _ in shares) / products.n
    residual = max(min(residual, apart), 0.5 * residual)
    parts = []
    for s, at, (between, count, q) in zip(problem.structures, problem.slices(), shares, strict=True):
        if at is not None:
            share = np.maximum((between - residual * count) / products.n, 0.04 * residual / np.sqrt(q))
            parts.append(s.parameters(np.diag((1.0 + 4.0 / np.sqrt(q)) * share / residual)))
    tail = [np.full(1, np.log(residual))] if problem.estimates_scale else []
    return np.concatenate([*parts, *tail, np.zeros(0)])


def _explained(own: np.ndarray, sums: np.ndarray) -> float:
    """Sum of squares of y explained by a regression within each level: sum of b_i' D_i^-1 b_i, lightly ridged."""
    q, m, _ = own.shape
    if m == 1:
        found = own[:, 0, 0] > 0
        return float(np.sum(sums[found, 0] ** 2 / own[found, 0, 0]))
    ridged = own + _RIDGE * np.trace(own.sum(axis=0)) / q * np.eye(m)
    if q * m <= _LOOPED:
        return float(np.vdot(sums, np.linalg.solve(ridged, sums[:, :, None])[:, :, 0]))
    from ..sparse.leading import eliminate

    halves = sums[:, :, None].copy()
    eliminate(ridged, np.zeros(q + 1, dtype=np.int64), np.zeros((0, m)), halves, 0, q)
    return float(np.vdot(halves, halves))


def standard_covariance(sigma: np.ndarray, back: np.ndarray, y_scale: float) -> np.ndarray:
    """The user's Sigma (m, m), absolute, in standard coordinates: B^-1 Sigma B^-T / y_scale^2."""
    half = np.linalg.solve(back, sigma)
    return np.linalg.solve(back, half.T).T / y_scale**2


def held_factor(sigma: np.ndarray, back: np.ndarray, y_scale: float) -> np.ndarray:
    """Lower factor of a covariance held at the user's absolute value, in standard coordinates."""
    return psd_cholesky(standard_covariance(sigma, back, y_scale))


def user_start(
    problem: Problem,
    products: CrossProducts,
    coordinates: Coordinates,
    covariances: list[np.ndarray | None],
    residual_variance: float | None,
) -> np.ndarray:
    """Parameters at the user's covariances (None: the default for that term), relative to the residual variance given."""
    theta = default_start(problem, products)
    s2 = None if residual_variance is None else residual_variance / coordinates.y_scale**2
    if problem.log_s2 is not None:
        s2 = float(np.exp(problem.log_s2))
    for structure, at, back, sigma in zip(
        problem.structures, problem.slices(), coordinates.back, covariances, strict=True
    ):
        if at is not None and sigma is not None:
            absolute = standard_covariance(sigma, back, coordinates.y_scale)
            # Without a residual variance to go by, half of y's variance is as good a guess as any.
            theta[at] = structure.parameters(absolute / (0.5 if s2 is None else s2))
    if problem.estimates_scale:
        if s2 is not None:
            theta[-1] = np.log(s2)
        return np.concatenate([restart(problem, theta[:-1]), theta[-1:]])
    return restart(problem, theta)

"""Starting values, and covariances the user starts from or holds, in standard coordinates."""

from __future__ import annotations

import numpy as np

from ..structures import psd_cholesky
from .criterion import Problem
from .standardise import Coordinates


def default_start(problem: Problem) -> np.ndarray:
    """Every free Sigma_k = I: in standard coordinates the variance each effect adds to y equals the residual variance."""
    parts = [
        s.parameters(np.eye(s.m)) for s, at in zip(problem.structures, problem.slices(), strict=True) if at is not None
    ]
    tail = [np.zeros(1)] if problem.estimates_scale else []
    return np.concatenate([*parts, *tail, np.zeros(0)])


def standard_covariance(sigma: np.ndarray, back: np.ndarray, y_scale: float) -> np.ndarray:
    """The user's Sigma (m, m), absolute, in standard coordinates: B^-1 Sigma B^-T / y_scale^2."""
    half = np.linalg.solve(back, sigma)
    return np.linalg.solve(back, half.T).T / y_scale**2


def held_factor(sigma: np.ndarray, back: np.ndarray, y_scale: float) -> np.ndarray:
    """Lower factor of a covariance held at the user's absolute value, in standard coordinates."""
    return psd_cholesky(standard_covariance(sigma, back, y_scale))


def user_start(
    problem: Problem,
    coordinates: Coordinates,
    covariances: list[np.ndarray | None],
    residual_variance: float | None,
) -> np.ndarray:
    """Parameters at the user's covariances (None: the default for that term), relative to the residual variance given."""
    theta = default_start(problem)
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
    if problem.estimates_scale and s2 is not None:
        theta[-1] = np.log(s2)
    return theta

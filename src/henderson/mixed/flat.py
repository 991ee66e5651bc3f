"""Directions in which the parameters move without moving V: what these data cannot tell apart."""

from __future__ import annotations

import numpy as np

FLAT = 1e-9
"""Information of a direction over the largest one, parameters scaled alike, below which the data do not see it."""


def flat_directions(average_information: np.ndarray) -> np.ndarray:
    """Directions that do not move V, and so not the criterion: rows (k', k), orthonormal in scaled parameters.

    Along such a direction every q_t of the average information vanishes, at any value of the parameters.
    """
    if not len(average_information):
        return np.zeros((0, 0))
    scale = _scale(average_information)
    values, vectors = np.linalg.eigh(average_information / np.outer(scale, scale))
    return vectors[:, np.abs(values) < FLAT * np.abs(values).max()].T


def without_flat(direction: np.ndarray, average_information: np.ndarray) -> np.ndarray:
    """A step (k,) without its part along flat directions: it would go far, gain nothing and cost digits."""
    flat = flat_directions(average_information)
    if not len(flat):
        return direction
    scale = _scale(average_information)
    scaled = scale * direction
    return (scaled - flat.T @ (flat @ scaled)) / scale


def _scale(average_information: np.ndarray) -> np.ndarray:
    return np.sqrt(np.maximum(np.abs(np.diag(average_information)), 1e-300))

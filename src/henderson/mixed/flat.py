"""Directions in which the parameters move without moving V: what these data cannot tell apart."""

from __future__ import annotations

import numpy as np

FLAT = 1e-9
"""Information of a direction, parameters scaled to 1, below which the data do not see it."""


def flat_directions(average_information: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Directions that do not move the criterion: rows (k', k), orthonormal in scaled parameters.

    Along such a direction V moves only as s2 would move it: every q_t of the average information vanishes there, or is
    that of s2, at any value of the parameters.

    Parameters
    ----------
    average_information : (k, k), s2 profiled out where it is.
    scale : (k,), square roots of the information of each parameter by itself, s2 known.
    """
    if not len(average_information):
        return np.zeros((0, 0))
    values, vectors = np.linalg.eigh(average_information / np.outer(scale, scale))
    return vectors[:, np.abs(values) < FLAT].T


def without_flat(direction: np.ndarray, average_information: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """A step (k,) without its part along flat directions: it would go far, gain nothing and cost digits."""
    flat = flat_directions(average_information, scale)
    if not len(flat):
        return direction
    scaled = scale * direction
    return (scaled - flat.T @ (flat @ scaled)) / scale

"""diag: independent effects, each with a variance of its own; what `(x || g)` means, for factors too."""

from __future__ import annotations

import numpy as np


class Diagonal:
    """Sigma = diag(theta_1^2, ..., theta_m^2)."""

    name = "diag"
    basis = "diagonal"

    def __init__(self, m: int):
        self.m = self.n_parameters = m
        self._derivatives = np.zeros((m, m, m))
        self._derivatives[np.arange(m), np.arange(m), np.arange(m)] = 1.0

    def factor(self, theta: np.ndarray) -> np.ndarray:
        return np.diag(theta)

    def derivatives(self, theta: np.ndarray) -> np.ndarray:
        return self._derivatives

    def parameters(self, sigma: np.ndarray) -> np.ndarray:
        return np.sqrt(np.maximum(np.diag(sigma), 0.0))

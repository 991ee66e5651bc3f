"""id: independent effects that share one variance."""

from __future__ import annotations

import numpy as np


class Identity:
    """Sigma = theta^2 I."""

    name = "id"
    basis = "scalar"
    n_parameters = 1

    def __init__(self, m: int):
        self.m = m
        self._derivatives = np.eye(m)[None]

    def factor(self, theta: np.ndarray) -> np.ndarray:
        return theta[0] * np.eye(self.m)

    def derivatives(self, theta: np.ndarray) -> np.ndarray:
        return self._derivatives

    def parameters(self, sigma: np.ndarray) -> np.ndarray:
        return np.array([np.sqrt(max(float(np.mean(np.diag(sigma))), 0.0))])

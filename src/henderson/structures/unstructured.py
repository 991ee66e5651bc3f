"""us: any positive semi-definite covariance; the parameters are the entries of its lower Cholesky factor, by columns."""

from __future__ import annotations

import numpy as np

from .base import psd_cholesky


class Unstructured:
    """Sigma = T T', T lower triangular with free entries: m (m + 1) / 2 parameters (Bates et al. 2015, eq. 4)."""

    name = "us"
    basis = "any"

    def __init__(self, m: int):
        self.m = m
        self.columns, self.rows = np.triu_indices(m)
        self.n_parameters = len(self.rows)
        self._derivatives = np.zeros((self.n_parameters, m, m))
        self._derivatives[np.arange(self.n_parameters), self.rows, self.columns] = 1.0

    def factor(self, theta: np.ndarray) -> np.ndarray:
        t = np.zeros((self.m, self.m))
        t[self.rows, self.columns] = theta
        return t

    def derivatives(self, theta: np.ndarray) -> np.ndarray:
        return self._derivatives

    def parameters(self, sigma: np.ndarray) -> np.ndarray:
        return psd_cholesky(sigma)[self.rows, self.columns]

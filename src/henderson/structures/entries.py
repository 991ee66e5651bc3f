"""Structures whose parameters are entries of T themselves: us, diag, fa, rr. T is linear in theta."""

from __future__ import annotations

import numpy as np

ZERO = 1e-12
"""A variance (relative to the residual's) below which it is reported as estimated as 0."""


class Entries:
    """T (m, r) with theta at (rows, columns) and zeros elsewhere. All parameters carry the size of T; none is bounded."""

    m: int

    def __init__(self, m: int, rows: np.ndarray, columns: np.ndarray, width: int):
        self.m, self.rows, self.columns = m, rows, columns
        self.n_parameters = len(rows)
        self.pattern = np.zeros((m, width), dtype=bool)
        self.pattern[rows, columns] = True
        self.scaling = np.ones(self.n_parameters, dtype=bool)
        self.lower = np.full(self.n_parameters, -np.inf)
        self.upper = np.full(self.n_parameters, np.inf)
        self._derivatives = np.zeros((self.n_parameters, m, width))
        self._derivatives[np.arange(self.n_parameters), rows, columns] = 1.0

    def factor(self, theta: np.ndarray) -> np.ndarray:
        t = np.zeros(self.pattern.shape)
        t[self.rows, self.columns] = theta
        return t

    def derivatives(self, theta: np.ndarray) -> np.ndarray:
        return self._derivatives

    def second(self, theta: np.ndarray, slope: np.ndarray) -> np.ndarray:
        return np.zeros((self.n_parameters, self.n_parameters))

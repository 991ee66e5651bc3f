"""id: independent levels, as a factor of a product."""

from __future__ import annotations

import numpy as np

from .base import At, Precision


class Identity(Precision):
    """K = I of order n."""

    name = "id"

    def __init__(self, n: int):
        self.n = n
        self.rows = self.cols = np.arange(n, dtype=np.int64)
        self.lower = self.upper = np.zeros(0)
        self._values = np.ones(n)

    def at(self, t: np.ndarray, slopes: bool = False) -> At:
        if not slopes:
            return At(self._values, 0.0)
        return At(self._values, 0.0, np.zeros((0, self.n)), np.zeros(0))

    def times(self, t: np.ndarray, v: np.ndarray) -> np.ndarray:
        return np.array(v, dtype=np.float64)

    def diagonal(self, t: np.ndarray) -> np.ndarray:
        return np.ones(self.n)

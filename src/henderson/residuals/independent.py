"""Independent residuals: C = I."""

from __future__ import annotations

import numpy as np

from .base import Bound, CrossProducts, Structure

_NONE = np.zeros(0)


class Independent(Structure):
    """C = I, for a variance function alone."""

    name = "independent"
    parameters = ()

    def __init__(self, n: int):
        self._n_rows = n
        self.lower = self.upper = _NONE

    def starts(self, residual: np.ndarray) -> list[np.ndarray]:
        return [_NONE]

    def natural(self, t: np.ndarray) -> np.ndarray:
        return _NONE

    def coordinates(self, natural: np.ndarray) -> np.ndarray:
        return _NONE

    def whiten(self, t: np.ndarray, m: np.ndarray) -> tuple[np.ndarray, float]:
        return m, 0.0

    def cross_products(self, t: np.ndarray, m: np.ndarray, slopes: bool) -> CrossProducts:
        k = m.shape[1]
        return CrossProducts(m.T @ m, 0.0, np.zeros((0, k, k)), _NONE)

    def bind(self, m: np.ndarray) -> Bound:
        return _Known(self.cross_products(_NONE, m, True))


class _Known(Bound):
    def __init__(self, products: CrossProducts):
        self.products = products

    def at(self, t: np.ndarray, slopes: bool) -> CrossProducts:
        return self.products

"""The factor of dense correlation matrices, also where all correlations are near 1."""

from __future__ import annotations

import numpy as np

from . import dense
from .base import NotPositiveDefinite

Array = np.ndarray
NEAR_ONE = 0.05
"""Largest 1 - C below which it is 1 - C whose digits are kept, and"""
_FEW = 4.0
"""how many times it h is."""


class Factored:
    """C of the shapes of a batch, factorised, C = K + c 11'.

    Where all correlations are near 1 (the range is much longer than the distances), their digits are in 1 - C: K = h - (1 - C) with h a
    few times the largest 1 - C is factorised in place of C, and c = 1 - h put back by the formula for a change of rank one,

        W = (I - g v v') L^-1,   K = L L',   v = L^-1 1,   g = (1 - 1 / sqrt(1 + c v'v)) / v'v.
    """

    def __init__(self, values: Array, gaps: Array | None, m: int):
        self.c = 0.0
        if gaps is not None and m > 1:
            largest = float(gaps.max())
            h = _FEW * largest
            try:
                self.l = dense.cholesky(dense.filled(h - gaps, m, h))
                self.c = 1.0 - h
            except NotPositiveDefinite:
                pass
        if self.c == 0.0:
            self.l = dense.cholesky(dense.filled(values, m))
        self.log_dets = dense.log_det(self.l)
        """log|C| of each shape."""
        if self.c:
            self.v = dense.solve_lower(self.l, np.ones((len(self.l), m, 1)))
            self.size = np.einsum("pic,pic->p", self.v, self.v)[:, None, None]
            self.g = (1.0 - 1.0 / np.sqrt(1.0 + self.c * self.size)) / self.size
            self.log_dets = self.log_dets + np.log1p(self.c * self.size)[:, 0, 0]
        self.log_det = float(self.log_dets.sum())

    def _shrink(self, z: Array) -> Array:
        return z - self.g * self.v * (np.swapaxes(self.v, 1, 2) @ z) if self.c else z

    def whiten(self, b: Array) -> Array:
        """W b for a stack b (P, m, k)."""
        return self._shrink(dense.solve_lower(self.l, b))

    def whiten_back(self, z: Array) -> Array:
        """W' z, so that whiten_back(whiten(b)) is C^-1 b."""
        return dense.solve_lower(self.l, self._shrink(z), transposed=True)

    def inverse_pairs(self) -> Array:
        """C^-1 at the pairs i < j. Overwrites the factor."""
        if not self.c:
            return dense.inverse_pairs(self.l)
        k = dense.solve_lower(self.l, self.v, transposed=True)[:, :, 0]
        i, j = np.triu_indices(k.shape[1], 1)
        weight = (self.c / (1.0 + self.c * self.size))[:, :, 0]
        return dense.inverse_pairs(self.l) - weight * k[:, i] * k[:, j]

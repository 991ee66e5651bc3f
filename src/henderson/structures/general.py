"""cor: any correlations, one variance.

Row i of the Cholesky factor of R is a point of the unit sphere by its angles (Pinheiro & Bates 1996, section 2.3):
sin t_i1, cos t_i1 sin t_i2, ..., the last entry the product of the cosines. Every t is valid, singular R included.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import ModelError
from .base import Parameter, Structure, psd_cholesky
from .correlated import Correlated
from .correlation import Analytic

Array = np.ndarray
_SINGULAR = 1e-8


class General(Analytic):
    """cor(2, 1), cor(3, 1), cor(3, 2) ... by rows."""

    def __init__(self, m: int):
        self.m = m
        self.rows, self.columns = np.tril_indices(m, -1)
        n = len(self.rows)
        self.lower, self.upper = np.full(n, -np.inf), np.full(n, np.inf)
        self.parameters = self.named(tuple(str(i + 1) for i in range(m)))

    def named(self, effects: tuple[str, ...]) -> tuple[Parameter, ...]:
        pairs = zip(self.rows, self.columns, strict=True)
        return tuple(Parameter(f"cor({effects[j]}, {effects[i]})") for i, j in pairs)

    def factors(self, t: Array) -> Array:
        s = np.broadcast_to(np.eye(self.m, dtype=t.dtype), (len(t), self.m, self.m)).copy()
        c = np.ones_like(s)
        s[:, self.rows, self.columns] = np.sin(t)
        c[:, self.rows, self.columns] = np.cos(t)
        before = np.cumprod(np.concatenate([np.ones_like(c[:, :, :1]), c[:, :, :-1]], axis=2), axis=2)
        return np.tril(s * before)

    def natural(self, t: Array) -> Array:
        return self.matrix(t)[self.rows, self.columns]

    def natural_slopes(self, t: Array) -> Array:
        factor = self.factor(t)
        half = self.factor_slopes(t) @ factor.T
        return (half + half.transpose(0, 2, 1))[:, self.rows, self.columns].T

    def from_natural(self, values: Array) -> Array:
        r = np.eye(self.m)
        r[self.rows, self.columns] = r[self.columns, self.rows] = values
        lowest = float(np.linalg.eigvalsh(r)[0])
        if lowest < -1e-9:
            raise ModelError(
                f"the correlations given are not those of any effects: the smallest eigenvalue of their matrix is {lowest:.3g}."
            )
        return self.start(r)

    def start(self, correlation: Array) -> Array:
        factor = psd_cholesky(correlation)
        left = np.sqrt(np.cumsum(factor[:, ::-1] ** 2, axis=1))[:, ::-1]
        sine = np.clip(factor / np.where(left > 0, left, 1.0), -1.0, 1.0)
        return np.arcsin(sine[self.rows, self.columns])

    def edges(self, t: Array) -> list[tuple[int, str]]:
        r = self.matrix(t)
        values = np.linalg.eigvalsh(r)
        if values[0] > _SINGULAR:
            return []
        found = self.natural(t)
        sharp = [(int(k), f"estimated as {found[k]:.0f}") for k in np.flatnonzero(np.abs(found) > 1 - 1e-7)]
        rank = int(np.sum(values > _SINGULAR))
        return sharp or [(k, f"estimated in a correlation of rank {rank} of {self.m}") for k in range(len(t))]


def build(name: str, m: int, options: Mapping[str, Any], coordinates: Array | None) -> Structure:
    """cor."""
    return Correlated(name, General(m))

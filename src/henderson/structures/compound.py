"""cs, csh: every two effects have the same correlation, with one variance or one each.

R = (1 - rho) I + rho 11',  -1 / (m - 1) <= rho <= 1. With rho = low + (1 - low) sin^2 t, low = -1 / (m - 1), what is under the
roots of its Cholesky factor, 1 - rho = m cos^2 t / (m - 1) and 1 + (m - 1) rho = m sin^2 t, are squares: L is smooth in t through
both ends, where R is singular. With w_j = 1 + j rho,

    L_jj = sqrt((1 - rho) w_j / w_{j-1}),     L_ij = rho sqrt((1 - rho) / (w_{j-1} w_j)),  i > j  (columns j = 0, 1, ...).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import ModelError
from .base import Parameter, Structure
from .correlated import Correlated
from .correlation import Analytic

Array = np.ndarray
_EDGE = 1e-5


class Equal(Analytic):
    """One correlation for all pairs."""

    parameters = (Parameter("rho"),)

    def __init__(self, m: int):
        self.m, self.lowest = m, -1.0 / (m - 1)
        self.lower, self.upper = np.full(1, -np.inf), np.full(1, np.inf)

    def factors(self, t: Array) -> Array:
        m, low = self.m, self.lowest
        s, c = np.sin(t[:, 0]), np.cos(t[:, 0])
        rho = low + (1.0 - low) * s * s
        out = np.zeros((len(t), m, m), dtype=t.dtype)
        root = np.sqrt(m / (m - 1.0)) * c
        out[:, 0, 0], out[:, 1:, 0] = 1.0, rho[:, None]
        # w_{j-1}, w_j and w_{m-1} = m sin^2 t, whose root is taken by hand.
        before = np.ones_like(rho)
        for j in range(1, m):
            now = 1.0 + j * rho
            top = np.sqrt(float(m)) * s if j == m - 1 else np.sqrt(now)
            out[:, j, j] = root * top / np.sqrt(before)
            if j < m - 1:
                out[:, j + 1 :, j] = (rho * root / np.sqrt(before * now))[:, None]
            before = now
        return out

    def natural(self, t: Array) -> Array:
        return self.lowest + (1.0 - self.lowest) * np.sin(t) ** 2

    def natural_slopes(self, t: Array) -> Array:
        return np.diag((1.0 - self.lowest) * np.sin(2.0 * t))

    def from_natural(self, values: Array) -> Array:
        rho = float(values[0])
        if not self.lowest - 1e-12 <= rho <= 1.0:
            raise ModelError(
                f"rho of {self.m} effects is between -1/{self.m - 1} = {self.lowest:.4g} and 1, not {rho:g}."
            )
        return np.array([np.arcsin(np.sqrt(max((rho - self.lowest) / (1.0 - self.lowest), 0.0)))])

    def start(self, correlation: Array) -> Array:
        mean = (correlation.sum() - np.trace(correlation)) / (self.m * (self.m - 1))
        return self.from_natural(np.array([min(max(float(mean), self.lowest), 1.0)]))

    def edges(self, t: Array) -> list[tuple[int, str]]:
        if abs(np.cos(t[0])) < _EDGE:
            return [(0, "estimated as 1")]
        if abs(np.sin(t[0])) < _EDGE:
            return [(0, f"estimated as {self.lowest:.4g}, its least value for {self.m} effects")]
        return []


def build(name: str, m: int, options: Mapping[str, Any], coordinates: Array | None) -> Structure:
    """cs or csh."""
    return Correlated(name, Equal(m), own=name == "csh")

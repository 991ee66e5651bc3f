"""ante1: first-order antedependence, a variance for each effect and a correlation for each two neighbours.

Effects further apart have the product of the correlations between them (Gabriel 1962; Zimmerman & Nunez-Anton 2010).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import ModelError
from .base import Parameter, Structure
from .chain import chain, chain_slopes
from .correlated import Correlated
from .correlation import Correlation

Array = np.ndarray
_EDGE = 1e-5


class Neighbours(Correlation):
    """r_k = sin t_k, k = 1 ... m - 1."""

    def __init__(self, m: int):
        self.m = m
        self.lower, self.upper = np.full(m - 1, -np.inf), np.full(m - 1, np.inf)
        self.parameters = tuple(Parameter(f"cor{k}") for k in range(1, m))

    def named(self, effects: tuple[str, ...]) -> tuple[Parameter, ...]:
        return tuple(Parameter(f"cor({effects[i]}, {effects[i + 1]})") for i in range(self.m - 1))

    def matrix(self, t: Array) -> Array:
        factor = self.factor(t)
        return factor @ factor.T

    def factor(self, t: Array) -> Array:
        return chain(np.sin(t), np.cos(t))

    def factor_slopes(self, t: Array) -> Array:
        return chain_slopes(np.sin(t), np.diag(np.cos(t)), -np.diag(np.sin(t)), self.factor(t))

    def natural(self, t: Array) -> Array:
        return np.sin(t)

    def natural_slopes(self, t: Array) -> Array:
        return np.diag(np.cos(t))

    def from_natural(self, values: Array) -> Array:
        wrong = np.flatnonzero(~(np.abs(values) <= 1))
        if len(wrong):
            k = int(wrong[0])
            raise ModelError(
                f"the correlation of effects {k + 1} and {k + 2} is between -1 and 1, not {values[k]:g}."
            )
        return np.arcsin(values)

    def start(self, correlation: Array) -> Array:
        return np.arcsin(np.clip(np.diagonal(correlation, 1), -1.0, 1.0))

    def edges(self, t: Array) -> list[tuple[int, str]]:
        at = np.flatnonzero(np.abs(np.cos(t)) < _EDGE)
        return [(int(k), f"estimated as {np.sin(t[k]):.0f}") for k in at]


class Antedependence(Correlated):
    """Here a standard deviation may have either sign: it changes the sign of the correlations with the effect's two neighbours,
    which stays in the structure. What is reported are the correlations as they then are."""

    def __init__(self, m: int):
        super().__init__("ante1", Neighbours(m), own=True)
        self.lower[: self.m] = -np.inf

    def _signs(self, theta: Array) -> Array:
        sign = np.where(theta[: self.m] < 0, -1.0, 1.0)
        return sign[1:] * sign[:-1]

    def natural(self, theta: Array) -> Array:
        out = super().natural(theta)
        out[self.m :] *= self._signs(theta)
        return out

    def natural_slopes(self, theta: Array) -> Array:
        out = super().natural_slopes(theta)
        out[self.m :] *= self._signs(theta)[:, None]
        return out

    def edges(self, theta: Array) -> list[tuple[int, str]]:
        values = self.natural(theta)
        found = super().edges(theta)
        return [(i, said if i < self.m else f"estimated as {values[i]:.0f}") for i, said in found]


def build(name: str, m: int, options: Mapping[str, Any], coordinates: Array | None) -> Structure:
    """ante1; the effects are taken in their order."""
    return Antedependence(m)

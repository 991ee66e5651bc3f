"""ar1, ar1h: correlation phi^lag, whole lags, with one variance or one for each effect.

phi = sin t: the Cholesky factor has powers of sin t and, on its diagonal, cos t sqrt(1 + phi^2 + ... + phi^(2 lag - 2)) for neighbours
`lag` steps apart, smooth through phi = 1 and -1.
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
from .line import Line, whole_places

Array = np.ndarray
_EDGE = 1e-5


class Powers(Correlation):
    """phi^|lag| of whole places (m,), in any order."""

    parameters = (Parameter("phi"),)

    def __init__(self, places: Array):
        self.line = Line(places)
        self.m = len(places)
        self.lower, self.upper = np.full(1, -np.inf), np.full(1, np.inf)
        self.gaps, self.gap_of = np.unique(self.line.gaps.astype(np.int64), return_inverse=True)
        self.even = bool(np.all(self.gaps % 2 == 0))
        """phi and -phi are then the same model."""

    @property
    def pattern(self) -> Array:
        return self.line.in_order(np.tri(self.m, dtype=bool))

    def _roots(self, phi: float) -> tuple[Array, Array]:
        """sqrt(1 + phi^2 + ... + phi^(2 gap - 2)) of each distinct gap, and its derivative in phi."""
        j = np.arange(int(self.gaps.max()))
        sums = np.cumsum(phi ** (2.0 * j))[self.gaps - 1]
        slopes = np.cumsum(np.where(j > 0, 2.0 * j * phi ** np.maximum(2.0 * j - 1.0, 0.0), 0.0))[
            self.gaps - 1
        ]
        root = np.sqrt(sums)
        return root, slopes / (2.0 * root)

    def _steps(self, t: Array) -> tuple[Array, Array, Array, Array]:
        """r, s and their derivatives, (m - 1,)."""
        phi, left = float(np.sin(t[0])), float(np.cos(t[0]))
        root, root_slope = self._roots(phi)
        r, dr = phi**self.gaps, self.gaps * phi ** (self.gaps - 1) * left
        s, ds = left * root, -phi * root + left * left * root_slope
        return tuple(each[self.gap_of] for each in (r, s, dr, ds))  # type: ignore[return-value]

    def matrix(self, t: Array) -> Array:
        return np.sin(t[0]) ** self.line.lags

    def factor(self, t: Array) -> Array:
        r, s, _, _ = self._steps(t)
        return self.line.in_order(chain(r, s))

    def factor_slopes(self, t: Array) -> Array:
        r, s, dr, ds = self._steps(t)
        return self.line.in_order(chain_slopes(r, dr[None], ds[None], chain(r, s)))

    def natural(self, t: Array) -> Array:
        return np.abs(np.sin(t)) if self.even else np.sin(t)

    def natural_slopes(self, t: Array) -> Array:
        return np.diag(np.cos(t) * np.where(self.even & (np.sin(t) < 0), -1.0, 1.0))

    def from_natural(self, values: Array) -> Array:
        phi = float(values[0])
        if not (0.0 if self.even else -1.0) <= phi <= 1.0:
            why = "0 (all lags are even: its sign is not to be had)" if self.even else "-1"
            raise ModelError(f"phi is between {why} and 1, not {phi:g}.")
        return np.arcsin([phi])

    def start(self, correlation: Array) -> Array:
        shortest = self.line.gaps.min()
        r = float(np.mean(correlation[self.line.lags == shortest]))
        size = min(abs(r), 1.0) ** (1.0 / shortest)
        signs = (1.0,) if self.even else (1.0, -1.0)
        found = [np.arcsin([sign * size]) for sign in signs]
        return min(found, key=lambda t: float(np.sum((self.matrix(t) - correlation) ** 2)))

    def edges(self, t: Array) -> list[tuple[int, str]]:
        if abs(np.cos(t[0])) < _EDGE:
            return [(0, f"estimated as {self.natural(t)[0]:.0f}")]
        return []


def build(name: str, m: int, options: Mapping[str, Any], coordinates: Array | None) -> Structure:
    """ar1 or ar1h; coordinates (m,) or (m, 1) whole numbers, or None for 0, 1, 2 ..."""
    return Correlated(name, Powers(whole_places(name, m, coordinates)), own=name == "ar1h")

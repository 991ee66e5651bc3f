"""toep, toeph: one correlation for each lag, with one variance or one for each effect.

t holds arcsines of the partial autocorrelations: every t gives a valid correlation. With a_k = sin t_k, c_k = cos t_k the rows of
the Cholesky factor come out of the normalised lattice filter: x_i is built from its innovation e_i by rotations, k = i ... 1,

    f^(k-1)_i = c_k f^(k)_i + a_k b^(k-1)_{i-1},     b^(k)_i = c_k b^(k-1)_{i-1} - a_k f^(k)_i,     f^(i)_i = e_i,  x_i = f^(0)_i = b^(0)_i,

f and b being the forward and backward errors of prediction, each of unit variance (Gray & Markel 1975; Brockwell & Davis 1991,
section 5.2). Nothing is divided, so that L is smooth through singular R, where some c_k is 0.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import ModelError
from ..residuals.families import autocorrelations, partial_autocorrelations
from .base import Parameter, Structure
from .correlated import Correlated
from .correlation import Analytic

Array = np.ndarray
_EDGE = 1e-5
_IMAGINARY = 1e-30


class Banded(Analytic):
    """Correlations rho_1 ... rho_{m-1} of effects 1 ... m - 1 steps apart."""

    def __init__(self, m: int):
        self.m = m
        self.lower, self.upper = np.full(m - 1, -np.inf), np.full(m - 1, np.inf)
        self.parameters = tuple(Parameter(f"rho{k}") for k in range(1, m))
        self.lags = np.abs(np.arange(m)[:, None] - np.arange(m))

    def factors(self, t: Array) -> Array:
        a, c = np.sin(t)[:, :, None], np.cos(t)[:, :, None]
        out = np.zeros((len(t), self.m, self.m), dtype=t.dtype)
        out[:, 0, 0] = 1.0
        backward = [out[:, 0].copy()]
        for i in range(1, self.m):
            forward = np.zeros((len(t), self.m), dtype=t.dtype)
            forward[:, i] = 1.0
            after: list[Array] = []
            for k in range(i - 1, -1, -1):
                after.append(c[:, k] * backward[k] - a[:, k] * forward)
                forward = c[:, k] * forward + a[:, k] * backward[k]
            out[:, i] = forward
            backward = [forward, *reversed(after)]
        return out

    def natural(self, t: Array) -> Array:
        return autocorrelations(np.sin(t)[None])[0]

    def natural_slopes(self, t: Array) -> Array:
        moved = np.sin(t + 1j * _IMAGINARY * np.eye(len(t)))
        return (autocorrelations(moved).imag / _IMAGINARY).T

    def from_natural(self, values: Array) -> Array:
        return np.arcsin(partial_autocorrelations(values))

    def start(self, correlation: Array) -> Array:
        """The mean correlation at each lag, drawn towards 0 where those are not correlations of anything."""
        rho = np.array([np.mean(correlation[self.lags == k]) for k in range(1, self.m)])
        for shrink in (1.0, 0.95, 0.8, 0.5, 0.2):
            try:
                return self.from_natural(shrink * rho)
            except ModelError:
                continue
        return np.zeros(self.m - 1)

    def edges(self, t: Array) -> list[tuple[int, str]]:
        if np.all(np.abs(np.cos(t)) > _EDGE):
            return []
        return [(k, "estimated in a singular correlation matrix") for k in range(len(t))]


def build(name: str, m: int, options: Mapping[str, Any], coordinates: Array | None) -> Structure:
    """toep or toeph; the effects are taken in their order, one step apart."""
    return Correlated(name, Banded(m), own=name == "toeph")

"""The distribution of M = max |Z_i| over a standard deviation s, from the density 2 phi(x) Q(x) of M: one integral over x.

    P(max |t_i| > c) = int_0^inf 2 phi(x) Q(x) G(x / c) dx,       G the distribution function of s (`multivariate_t` has Q)

by Gauss-Legendre quadrature on panels; Q is interpolated on them, so that it is asked for few times.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import gammainc, log_ndtr, ndtri, stdtr, stdtrit

Array = np.ndarray

_ORDER = 16
_WIDTH = 0.5
NODES, WEIGHTS = np.polynomial.legendre.leggauss(_ORDER)
"""Of Gauss-Legendre quadrature on [-1, 1]."""
_FARTHEST = 39.0
"""x beyond which phi(x) is 0 in float64."""


class Maximum:
    """max |Z_i| over a standard deviation.

    Parameters
    ----------
    inner : x (k,) -> Q(x) (k,).
    size : m, the number of comparisons Bonferroni's bound counts.
    spread : x -> standard error of Q(x) where Q is an estimate; None where it is exact.
    """

    def __init__(
        self,
        inner: Callable[[Array], Array],
        size: float,
        spread: Callable[[Array], Array] | None = None,
    ):
        self.size = size
        self._inner = _Interpolated(inner)
        self._spread = None if spread is None else _Interpolated(spread)

    def tail(self, c: Any, df: Any) -> Array:
        """P(max |t_i| > c), of the shape that c and df broadcast to; NaN where either is."""
        return _each(lambda a, b: _integral(self._inner, a, b), c, df)

    def tail_error(self, c: Any, df: Any) -> Array:
        """Standard error of `tail`; 0 where it is exact."""
        spread = self._spread
        if spread is None:
            return np.zeros(np.broadcast_shapes(np.shape(c), np.shape(df)))
        return _each(lambda a, b: _integral(spread, a, b), c, df)

    def quantile(self, level: float, df: Any) -> Array:
        """The c with P(max |t_i| <= c) = level."""
        return _each(lambda a, b: self._quantile(a, b), level, df)

    def _quantile(self, level: float, df: float) -> float:
        from scipy.optimize import brentq

        alpha = 1.0 - level
        low, high = _t_upper(alpha, df), _t_upper(alpha / max(self.size, 1.0), df)
        if not high > low * (1.0 + 1e-12):
            return low

        def excess(c: float) -> float:
            return float(np.log(_integral(self._inner, c, df) / alpha))

        while excess(high) > 0.0:
            high *= 1.01
        while excess(low) < 0.0:
            low *= 0.99
        return float(brentq(excess, low, high, xtol=1e-13, rtol=1e-13))


class _Interpolated:
    """A smooth function of x >= 0, known by its values at the Gauss points of panels, made as far as it is asked for."""

    def __init__(self, function: Callable[[Array], Array]):
        self.function = function
        near = _WIDTH * 2.0 ** -np.arange(10.0, -1.0, -1.0)
        self.edges = np.concatenate([[0.0], near])
        self.values = self._at(self.edges)
        points = np.polynomial.legendre.legvander(NODES, _ORDER - 1)
        # Discrete orthogonality at the Gauss points: values -> Legendre coefficients.
        self._to_legendre = (points * WEIGHTS[:, None]) * (np.arange(_ORDER) + 0.5)
        self.coefficients = self.values @ self._to_legendre

    def _at(self, edges: Array) -> Array:
        half = np.diff(edges)[:, None] / 2.0
        x = edges[:-1, None] + half * (1.0 + NODES)
        return self.function(x.ravel()).reshape(x.shape)

    def __call__(self, x: Array) -> Array:
        last = float(x.max(initial=0.0))
        if last > self.edges[-1]:
            count = int(np.ceil((last - self.edges[-1]) / _WIDTH)) + 2
            more = self.edges[-1] + _WIDTH * np.arange(count + 1)
            self.edges = np.concatenate([self.edges, more[1:]])
            self.coefficients = np.concatenate([self.coefficients, self._at(more) @ self._to_legendre])
        panel = np.clip(np.searchsorted(self.edges, x, side="right") - 1, 0, len(self.edges) - 2)
        low, high = self.edges[panel], self.edges[panel + 1]
        z = (2.0 * x - low - high) / (high - low)
        basis = np.polynomial.legendre.legvander(z, _ORDER - 1)
        return np.maximum(np.einsum("ij,ij->i", basis, self.coefficients[panel]), 0.0)


def _integral(inner: Callable[[Array], Array], c: float, df: float) -> float:
    if np.isnan(c) or np.isnan(df):
        return np.nan
    if c <= 0.0:
        return 1.0
    infinite = np.isinf(df)
    if infinite and c >= _FARTHEST:
        return 0.0
    single = float(2.0 * log_ndtr(-c)) if infinite else float(np.log(max(stdtr(df, -c), 1e-300)))
    far = min(np.sqrt(2.0 * (42.0 - single)), _FARTHEST)
    edges = _edges(c, df, far)
    half = np.diff(edges)[:, None] / 2.0
    x = edges[:-1, None] + half * (1.0 + NODES)
    flat = x.ravel()
    values = np.exp(-0.5 * flat**2) * inner(flat)
    if not infinite:
        values *= gammainc(0.5 * df, 0.5 * df * (flat / c) ** 2)
    total = np.sqrt(2.0 / np.pi) * float(np.sum(values.reshape(x.shape) * half * WEIGHTS))
    return min(total, 1.0)


def _edges(c: float, df: float, far: float) -> Array:
    """Panels of [0, far]: as wide as the normal density allows, narrower where G(x / c) rises."""
    if np.isinf(df):
        return np.arange(c, max(far, c + 2.0) + _WIDTH, _WIDTH)
    near = _WIDTH * 2.0 ** -np.arange(10.0, 0.0, -1.0)
    wide = np.concatenate([[0.0], near, np.arange(_WIDTH, far + _WIDTH, _WIDTH)])
    sd = 1.0 / np.sqrt(2.0 * df)
    if c * sd > 2.0 * _WIDTH:
        return wide
    peak = 0.5 * np.log(df / (df + c * c))
    steps = np.arange(np.floor(peak / sd) - 14.0, 15.0)
    fine = (
        c * np.exp(sd * steps) if len(steps) < 400 else c * np.exp(np.linspace(sd * steps[0], sd * 14.0, 400))
    )
    return np.unique(np.concatenate([wide, fine[fine < wide[-1]]]))


def _t_upper(alpha: float, df: float) -> float:
    return float(-ndtri(alpha / 2.0)) if np.isinf(df) else float(-stdtrit(df, alpha / 2.0))


def _each(function: Callable[[float, float], float], first: Any, second: Any) -> Array:
    """A function of two numbers at arrays of them, each different pair once."""
    a, b = np.broadcast_arrays(np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64))
    known: dict[tuple[float, float], float] = {}
    out = np.empty(a.shape)
    for index in np.ndindex(a.shape):
        key = (float(a[index]), float(b[index]))
        if key not in known:
            known[key] = function(*key)
        out[index] = known[key]
    return out

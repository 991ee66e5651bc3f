"""A costly smooth function of very many arguments: by polynomials of degree 9 on pieces of log x, to rounding.

Interpolation at the Chebyshev points of 24 pieces for each factor e of x: the functions tabulated (a Matern correlation and its
derivatives) are analytic in log x, and pieces of width 1/24 leave an interpolation error below 1e-14 of their size.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Array = np.ndarray
_DEGREE = 9
_PIECES = 24
_MANY = 12
"""Arguments for each point of the table from which on the table pays."""


def tabulated(function: Callable[[Array], Array], x: Array) -> Array:
    """function(x) (k, n) of x >= 0 (n,), through a table where n is large."""
    positive = x[x > 0]
    if positive.size < 20_000:
        return function(x)
    low, high = float(np.log(positive.min())), float(np.log(positive.max()))
    pieces = int(np.ceil((high - low) * _PIECES)) + 1
    nodes = pieces * (_DEGREE + 1)
    if positive.size < _MANY * nodes:
        return function(x)
    out = np.empty((len(function(positive[:1])), x.size))
    out[:, x > 0] = _interpolated(function, np.log(positive), low, pieces)
    if positive.size < x.size:
        out[:, x <= 0] = function(np.zeros(1))
    return out


def _interpolated(function: Callable[[Array], Array], s: Array, low: float, pieces: int) -> Array:
    points = np.cos(np.pi * (np.arange(_DEGREE + 1) + 0.5) / (_DEGREE + 1))
    centers = low + (np.arange(pieces) + 0.5) / _PIECES
    at_nodes = function(np.exp(centers[:, None] + points / (2.0 * _PIECES)).ravel())
    powers = np.linalg.inv(np.vander(points, increasing=True))
    coefficients = at_nodes.reshape(len(at_nodes), pieces, -1) @ powers.T
    piece = np.minimum(((s - low) * _PIECES).astype(np.int64), pieces - 1)
    u = (s - centers[piece]) * (2.0 * _PIECES)
    out = np.empty((len(at_nodes), s.size))
    for row, c in zip(out, coefficients, strict=True):
        row[:] = c[piece, _DEGREE]
        for power in range(_DEGREE - 1, -1, -1):
            row *= u
            row += c[piece, power]
    return out

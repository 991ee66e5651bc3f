"""A costly smooth function of very many arguments: by polynomials of degree 9 on pieces of log x, to rounding.

Interpolation at the Chebyshev points of 24 pieces for each factor e of x: the functions tabulated (a Matern correlation and its
derivatives) are analytic in log x, and pieces of width 1/24 leave an interpolation error below 1e-14 of their size.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

Array = np.ndarray
_DEGREE = 9
_PIECES = 24
_FEWEST = 20_000
_MANY = 12
"""Arguments for each point of the table from which on the table pays."""


def tabulated(function: Callable[[Array], Array], x: Array) -> Array:
    """function(x) (k, n) of x >= 0 (n,), through a table where n is large."""
    if x.size < _FEWEST:
        return function(x)
    some_zero = bool(x.min() <= 0)
    positive = x[x > 0] if some_zero else x
    if positive.size < _FEWEST:
        return function(x)
    low, high = float(np.log(positive.min())), float(np.log(positive.max()))
    pieces = int(np.ceil((high - low) * _PIECES)) + 1
    if positive.size < _MANY * pieces * (_DEGREE + 1):
        return function(x)
    found = _interpolated(function, np.log(positive), low, pieces)
    if not some_zero:
        return found
    out = np.empty((len(found), x.size))
    out[:, x > 0] = found
    out[:, x <= 0] = function(np.zeros(1))
    return out


def _interpolated(function: Callable[[Array], Array], s: Array, low: float, pieces: int) -> Array:
    points = np.cos(np.pi * (np.arange(_DEGREE + 1) + 0.5) / (_DEGREE + 1))
    centers = low + (np.arange(pieces) + 0.5) / _PIECES
    at_nodes = function(np.exp(centers[:, None] + points / (2.0 * _PIECES)).ravel())
    by_node = at_nodes.reshape(-1, _DEGREE + 1).T
    coefficients = np.linalg.solve(np.vander(points, increasing=True), by_node).T
    coefficients = coefficients.reshape(len(at_nodes), pieces, _DEGREE + 1)
    piece = np.minimum(((s - low) * _PIECES).astype(np.int64), pieces - 1)
    u = (s - centers[piece]) * (2.0 * _PIECES)
    if (np.diff(piece) >= 0).all():
        return _by_slices(coefficients, piece, u)
    out = np.empty((len(at_nodes), s.size))
    for row, c in zip(out, coefficients, strict=True):
        row[:] = c[piece, _DEGREE]
        for power in range(_DEGREE - 1, -1, -1):
            row *= u
            row += c[piece, power]
    return out


def _by_slices(coefficients: Array, piece: Array, u: Array) -> Array:
    """The polynomials of arguments in ascending order: a matrix product for each piece."""
    powers = np.empty((_DEGREE + 1, u.size))
    powers[0] = 1.0
    for k in range(1, _DEGREE + 1):
        np.multiply(powers[k - 1], u, out=powers[k])
    out = np.empty((len(coefficients), u.size))
    ends = np.searchsorted(piece, np.arange(coefficients.shape[1] + 1))
    for p, (a, b) in enumerate(pairwise(ends)):
        if b > a:
            out[:, a:b] = coefficients[:, p] @ powers[:, a:b]
    return out

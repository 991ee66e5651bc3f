"""Refinement of a small, ill-conditioned least-squares problem with residuals in twice the working precision.

Bjorck (1967): the augmented system  e + X b = y,  X'e = 0  is solved again for what is left of its two equations, which are
worked out in doubled precision (Dekker 1971); the factorisation may stay in the working one. Each turn gains the digits that
the factorisation has, until b is right to the last.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

_SPLITTER = 134217729.0
"""2^27 + 1."""
_TURNS = 12


def refined(
    x: np.ndarray,
    y: np.ndarray,
    beta: np.ndarray,
    solve: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]],
) -> tuple[np.ndarray, float]:
    """b and the residual sum of squares.

    Parameters
    ----------
    x, y : (n, p) of full rank, (n,): taken as exact.
    beta : (p,) to start from.
    solve : (f (n,), g (p,)) -> (de, db) with de + x db = f, x'de = g, in working precision.
    """
    b, b_low = beta.copy(), np.zeros_like(beta)
    e, e_low = y - x @ beta, np.zeros_like(y)
    before = np.inf
    for _ in range(_TURNS):
        f = _first(x, y, b, b_low, e, e_low)
        g = -_second(x, e, e_low)
        de, db = solve(f, g)
        size = float(np.max(np.abs(db) / np.maximum(np.abs(b), 1e-300), initial=0.0))
        if not size < 0.5 * before:
            break
        b, b_low = _add(b, b_low, db)
        e, e_low = _add(e, e_low, de)
        before = size
        if size < 1e-18:
            break
    return b, math.fsum(np.concatenate([*_product(e, e), 2.0 * e * e_low]))


def _first(
    x: np.ndarray, y: np.ndarray, b: np.ndarray, b_low: np.ndarray, e: np.ndarray, e_low: np.ndarray
) -> np.ndarray:
    """y - e - x b."""
    high, low = y.copy(), np.zeros_like(y)
    high, low = _add(high, low, -e)
    low = low - e_low
    for j in range(x.shape[1]):
        product, error = _product(x[:, j], np.broadcast_to(b[j], y.shape))
        high, low = _add(high, low, -product)
        low = low - (error + x[:, j] * b_low[j])
    return high + low


def _second(x: np.ndarray, e: np.ndarray, e_low: np.ndarray) -> np.ndarray:
    """x'e, each sum exact."""
    out = np.empty(x.shape[1])
    for j in range(x.shape[1]):
        out[j] = math.fsum(np.concatenate([*_product(x[:, j], e), x[:, j] * e_low]))
    return out


def _add(high: np.ndarray, low: np.ndarray, more: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(high + low) + more as a sum of two numbers."""
    total = high + more
    part = total - high
    error = (high - (total - part)) + (more - part) + low
    out = total + error
    return out, error - (out - total)


def _product(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """a b as a sum of two numbers."""
    product = a * b
    a_high, b_high = _high(a), _high(b)
    a_low, b_low = a - a_high, b - b_high
    return product, a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)


def _high(a: np.ndarray) -> np.ndarray:
    carried = _SPLITTER * a
    return carried - (carried - a)

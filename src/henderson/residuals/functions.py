"""Correlation as a function of distance: f(x), x = d / range, and what of it a fit asks.

    exp     exp(-x)                          gau     exp(-x^2)                ratio   1 / (1 + x^2)
    sph     1 - 3x/2 + x^3/2  (x < 1)        lin     1 - x  (x < 1)           0 beyond

Sources: Pinheiro & Bates (2000), Mixed-Effects Models in S and S-PLUS, section 5.3.2 (the parametrisation of nlme's corExp,
corGaus, corRatio, corSpher, corLin); Cressie (1993), Statistics for Spatial Data, section 2.5. `matern` has a file of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

Array = np.ndarray


class RangeFunction(NamedTuple):
    """One family f(d / range)."""

    value: Callable[[Array], Array]
    fall: Callable[[Array], Array]
    """-x f'(x): the derivative of f(d / range) in log range."""
    complement: Callable[[Array], Array]
    """1 - f(x), with its digits where x is small."""
    far: float
    """x at and beyond which f is nothing (1e-8 or less)."""
    power: float
    """p of 1 - f ~ x^p at 0."""
    half: float
    """x at which f is 1/2."""


def _inside(x: Array) -> Array:
    return np.minimum(x, 1.0)


FUNCTIONS = {
    "exp": RangeFunction(
        lambda x: np.exp(-x),
        lambda x: x * np.exp(-x),
        lambda x: -np.expm1(-x),
        18.5,
        1.0,
        0.693,
    ),
    "gau": RangeFunction(
        lambda x: np.exp(-x * x),
        lambda x: 2.0 * x * x * np.exp(-x * x),
        lambda x: -np.expm1(-x * x),
        4.3,
        2.0,
        0.833,
    ),
    "ratio": RangeFunction(
        lambda x: 1.0 / (1.0 + x * x),
        lambda x: 2.0 * x * x / (1.0 + x * x) ** 2,
        lambda x: x * x / (1.0 + x * x),
        1e4,
        2.0,
        1.0,
    ),
    "sph": RangeFunction(
        lambda x: (1.0 - _inside(x)) ** 2 * (1.0 + 0.5 * _inside(x)),
        lambda x: 1.5 * _inside(x) * (1.0 - _inside(x) ** 2),
        lambda x: _inside(x) * (1.5 - 0.5 * _inside(x) ** 2),
        1.0,
        1.0,
        0.347,
    ),
    "lin": RangeFunction(
        lambda x: 1.0 - _inside(x),
        lambda x: np.where(x < 1.0, x, 0.0),
        lambda x: _inside(x) + 0.0,
        1.0,
        1.0,
        0.5,
    ),
}

"""The exact probability that a combination of independent chi-squares is negative."""

from __future__ import annotations

import numpy as np

_LOW, _HIGH = -45.0, 90.0
"""Logarithms between which the integrand is not 0 to rounding, with the largest coefficient 1."""
_ENOUGH = 1e-13


def probability_negative(coefficients: np.ndarray) -> float:
    """P(sum_j c_j X_j < 0), X_j independent chi-square with 1 degree of freedom.

    Imhof (1961): it is 1/2 - (1/pi) int_0^inf sin(theta(u)) / (u rho(u)) du with theta = 1/2 sum arctan(c_j u) and
    rho = prod (1 + c_j^2 u^2)^(1/4). In s = log u the integrand is analytic in the strip |Im s| < pi/2 and falls off at
    both ends, so the trapezoid rule doubles its digits each time its step is halved.
    """
    c = np.asarray(coefficients, dtype=np.float64)
    size = np.abs(c).max(initial=0.0)
    if not size:
        return 0.0
    c = c / size
    step, before = 0.25, np.inf
    nodes = np.arange(_LOW, _HIGH, step)
    total = _integrand(nodes, c).sum()
    while True:
        nodes = np.arange(_LOW + 0.5 * step, _HIGH, step)
        total += _integrand(nodes, c).sum()
        step *= 0.5
        integral = total * step
        if abs(integral - before) < _ENOUGH or step < 1e-3:
            return float(np.clip(0.5 - integral / np.pi, 0.0, 1.0))
        before = integral


def _integrand(s: np.ndarray, c: np.ndarray) -> np.ndarray:
    out = np.zeros_like(s)
    for start in range(0, len(s), 64):
        part = slice(start, start + 64)
        scaled = np.exp(s[part])[:, None] * c
        angle = 0.5 * np.arctan(scaled).sum(axis=1)
        out[part] = np.sin(angle) * np.exp(-0.25 * np.log1p(scaled * scaled).sum(axis=1))
    return out

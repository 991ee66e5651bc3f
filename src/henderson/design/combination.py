"""A linear combination of named columns as text: coefficients near a small fraction are printed as that fraction."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from henderson.design.columns import INTERCEPT

NEAR = 1e-6
"""Share of the largest coefficient within which one is taken for 0, or for a small fraction."""
_DENOMINATORS = 12


def cleaned(coefficients: np.ndarray) -> np.ndarray:
    """Rounding taken off: (k,) with what is near 0 made 0, and what is near a small fraction made that fraction."""
    out = np.array(coefficients, dtype=np.float64)
    out[np.abs(out) <= NEAR * max(1.0, np.abs(out).max(initial=0.0))] = 0.0
    for i in np.flatnonzero(out):
        near = Fraction(out[i]).limit_denominator(_DENOMINATORS)
        if near and abs(float(near) - out[i]) <= NEAR * abs(out[i]):
            out[i] = float(near)
    return out


def number(value: float) -> str:
    """A coefficient: 2, 1/3, 0.7142."""
    near = Fraction(value).limit_denominator(_DENOMINATORS)
    if near and abs(float(near) - value) <= 1e-12 * abs(value) and abs(value) < 1e6:
        decimal = f"{value:.10g}"
        return decimal if len(decimal) <= 5 else str(near)
    return f"{value:.4g}"


def written(names: Sequence[str], coefficients: np.ndarray) -> str:
    """ "3 - a + 2 * b"; the intercept is its coefficient alone. "0" where there is nothing."""
    out = ""
    for name, value in zip(names, coefficients, strict=True):
        if value == 0.0:
            continue
        size = number(abs(value))
        if name == INTERCEPT:
            piece = size
        else:
            piece = name if size == "1" else f"{size} * {name}"
        sign = "-" if value < 0 else "+"
        out += f" {sign} {piece}" if out else (f"-{piece}" if value < 0 else piece)
    return out or "0"


def listed(items: Sequence[str], most: int = 6, last: str = "and") -> str:
    """ "a, b and c"; more than `most` end with how many more there are."""
    items = [str(item) for item in items]
    if len(items) > most:
        return f"{', '.join(items[: most - 1])} {last} {len(items) - most + 1} more"
    if len(items) < 2:
        return "".join(items)
    return f"{', '.join(items[:-1])} {last} {items[-1]}"

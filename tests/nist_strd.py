"""The linear data sets of NIST's StRD (reference/nist/strd.json): columns, certified values, and the log relative error.

The certified values follow from the data: `derived` computes them again without rounding, from the printed decimals or
from the float64 columns a program is really given (the powers of x are rounded too). The second says how many digits
of the certified value exact arithmetic on those columns reaches.
"""

from __future__ import annotations

import json
import math
import re
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

PRINTED = 15
"""Digits of the certified values."""
STATISTICS = ("coefficients", "standard_errors", "sigma", "r_squared", "rss", "f")
_FILE = Path(__file__).resolve().parent / "reference" / "nist" / "strd.json"


@cache
def sets() -> dict[str, dict[str, Any]]:
    """Every set, its numbers as the decimals that are printed."""
    return json.loads(_FILE.read_text(), parse_float=Decimal)["sets"]


def columns(name: str) -> dict[str, list[float]]:
    """The data in float64."""
    return {column: [float(v) for v in values] for column, values in sets()[name]["columns"].items()}


def powers(name: str) -> list[tuple[str, int]]:
    """The columns of X by (column, power), without the intercept."""
    terms = (t.strip() for t in sets()[name]["formula"].split("~")[1].split(" + "))
    found = (re.fullmatch(r"I\((\w+)\*\*(\d+)\)", t) or re.fullmatch(r"(\w+)()", t) for t in terms)
    return [(m[1], int(m[2] or 1)) for m in found if m and m[1] != "0"]


def intercept(name: str) -> bool:
    """Whether the model has an intercept."""
    return "~ 0 +" not in sets()[name]["formula"]


def certified(name: str, statistic: str) -> list[float]:
    """The certified values of one statistic; [] where infinite (F of the exact fits)."""
    value = sets()[name][statistic]
    values = value if isinstance(value, list) else [value]
    return [float(v) for v in values if v is not None]


def lre(value: float, certified: float) -> float:
    """Correct digits of value, at most 15: -log10 of the relative error, or of the absolute one where certified is 0."""
    if not math.isfinite(value):
        return 0.0
    error = abs(value - certified) / (abs(certified) or 1.0)
    return PRINTED if error == 0 else min(max(-math.log10(error), 0.0), PRINTED)


def worst(name: str, statistic: str, values: Any) -> float:
    """The lowest log relative error among the values of one statistic; 15 where it is infinite."""
    expected = certified(name, statistic)
    got = [float(v) for v in (values if hasattr(values, "__len__") else [values])]
    if not expected:
        return PRINTED
    if len(got) != len(expected):
        return 0.0
    return min(lre(g, e) for g, e in zip(got, expected, strict=True))


def derived(name: str, *, float64: bool = False) -> dict[str, Any]:
    """The certified statistics by rational arithmetic: from the printed decimals, or from the float64 columns."""
    data = {
        c: [Fraction(float(v) if float64 else v) for v in values]
        for c, values in sets()[name]["columns"].items()
    }
    y = data["y"]
    n = len(y)
    x = [[Fraction(1)] * n] if intercept(name) else []
    for column, power in powers(name):
        raised = [v**power for v in data[column]]
        x.append([Fraction(float(v)) for v in raised] if float64 else raised)
    moments = [[_dot(a, b) for b in x] + [_dot(a, y)] for a in x]
    p = len(x)
    inverse = _solve([row[:p] + [Fraction(int(i == j)) for j in range(p)] for i, row in enumerate(moments)])
    beta = [_dot(row, [m[p] for m in moments]) for row in inverse]
    rss = _dot(y, y) - _dot(beta, [m[p] for m in moments])
    mean = sum(y, Fraction(0)) / n if intercept(name) else Fraction(0)
    total = sum(((v - mean) ** 2 for v in y), Fraction(0))
    s2 = rss / (n - p)
    numerator = p - intercept(name)
    return {
        "coefficients": [_decimal(b) for b in beta],
        "standard_errors": [_decimal(s2 * inverse[j][j], root=True) for j in range(p)],
        "sigma": _decimal(s2, root=True),
        "r_squared": _decimal(1 - rss / total),
        "rss": _decimal(rss),
        "regression_ss": _decimal(total - rss),
        "f": _decimal((total - rss) / numerator / s2) if rss else None,
        "df": [numerator, n - p],
    }


def _dot(a: list[Fraction], b: list[Fraction]) -> Fraction:
    return sum((u * v for u, v in zip(a, b, strict=True)), Fraction(0))


def _solve(augmented: list[list[Fraction]]) -> list[list[Fraction]]:
    """The right half of [A | B] after A is turned into the identity."""
    n = len(augmented)
    for k in range(n):
        pivot = augmented[k][k]
        augmented[k] = [v / pivot for v in augmented[k]]
        for i in range(n):
            factor = augmented[i][k]
            if i != k and factor:
                augmented[i] = [u - factor * v for u, v in zip(augmented[i], augmented[k], strict=True)]
    return [row[n:] for row in augmented]


def _decimal(value: Fraction, *, root: bool = False) -> Decimal:
    with localcontext() as context:
        context.prec = 50
        quotient = Decimal(value.numerator) / Decimal(value.denominator)
        return quotient.sqrt() if root else quotient

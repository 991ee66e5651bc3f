"""How a dosage enters a relationship: K = sum of z z' over the markers, over what that sum is expected to be.

z of a marker, from dosages x, frequency p of the counted allele, q = 1 - p, ploidy v; size, its expected mean square

vanraden1   z = x - v p                                  size v p q           VanRaden (2008), method 1
vanraden2   the same, each marker over its own size, divided by the number of markers          method 2
centred     z = x - v p                                  size 1               GEMMA's -gk 1 (Zhou & Stephens 2012)
vitezica    z = -2 C(v, 2) p^2 + 2 (v - 1) p x - x (x - 1)   size 4 C(v, 2) p^2 q^2
            for v = 2: -2 q^2, 2 p q, -2 p^2 for x = 2, 1, 0     Vitezica, Varona & Legarra (2013); any ploidy: Endelman et al. (2018)
su          z = x (2 - x) - 2 p q                        size 2 p q (1 - 2 p q)      Su et al. (2012)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import comb

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Coding:
    """One row of the table above.

    Attributes
    ----------
    label : for messages.
    columns : (x (n, b), p (b,), v) -> z (n, b); NaN stays NaN.
    size : (p, v) -> (b,).
    each : each marker over its own size.
    whole : x must be whole numbers.
    diploid : defined for v = 2 only.
    """

    label: str
    columns: Callable[[Array, Array, int], Array]
    size: Callable[[Array, int], Array]
    each: bool = False
    whole: bool = False
    diploid: bool = False


def _centred(x: Array, p: Array, v: int) -> Array:
    return x - v * p


def _binomial(p: Array, v: int) -> Array:
    return v * p * (1 - p)


def _digenic(x: Array, p: Array, v: int) -> Array:
    return -2 * comb(v, 2) * p**2 + 2 * (v - 1) * p * x - x * (x - 1)


def _digenic_size(p: Array, v: int) -> Array:
    return 4 * comb(v, 2) * (p * (1 - p)) ** 2


def _heterozygous(x: Array, p: Array, v: int) -> Array:
    return x * (2 - x) - 2 * p * (1 - p)


def _heterozygous_size(p: Array, v: int) -> Array:
    het = 2 * p * (1 - p)
    return het * (1 - het)


ADDITIVE = {
    "vanraden1": Coding("VanRaden's G (method 1)", _centred, _binomial),
    "vanraden2": Coding("VanRaden's G (method 2)", _centred, _binomial, each=True),
    "centred": Coding("centred relationships", _centred, lambda p, v: np.ones_like(p), each=True),
}
DOMINANCE = {
    "vitezica": Coding("dominance relationships (Vitezica)", _digenic, _digenic_size, whole=True),
    "su": Coding("dominance relationships (Su)", _heterozygous, _heterozygous_size, whole=True, diploid=True),
}

"""The named sets of contrasts among k means: their coefficients, what they are called, and the adjustment that suits them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from ..errors import ModelError, closest

NAMES = (
    "pairwise", "revpairwise", "trt.vs.ctrl", "trt.vs.ctrlk", "eff", "del.eff", "consec", "mean_chg", "poly", "helmert",
)  # fmt: skip
_DEGREES = ("linear", "quadratic", "cubic", "quartic", "quintic")
_HIGHEST = 6


@dataclass(frozen=True, eq=False)
class ContrastSet:
    """Contrasts of k means.

    Attributes
    ----------
    coefficients : (contrasts, k). names : of the contrasts; ratios : the same where differences are of logarithms.
    adjust : the adjustment by default. pairwise, control : whether they are all differences, or comparisons with a control.
    """

    coefficients: np.ndarray
    names: tuple[str, ...]
    ratios: tuple[str, ...]
    adjust: str
    pairwise: bool = False
    control: bool = False


def contrast_set(
    method: Any, levels: Sequence[str], reference: Any = None, reverse: bool = False
) -> ContrastSet:
    """The contrasts of a name, or those whose weights are given.

    Parameters
    ----------
    method : one of `NAMES`; or a dict of name -> k weights; or an array (contrasts, k), or (k,) for one.
    levels : what the k means are called.
    reference : the control of "trt.vs.ctrl": a level, or its number; the first by default.
    reverse : the other sign.

    Raises
    ------
    ModelError : an unknown name (the closest is given), weights that are not k numbers, a control that is not there.
    """
    if not isinstance(method, str):
        made = _custom(method, levels)
    else:
        name = {"tukey": "pairwise", "dunnett": "trt.vs.ctrl", "trt.vs.ctrl1": "trt.vs.ctrl"}.get(
            method, method
        )
        if name not in NAMES:
            near = closest(method, NAMES)
            hint = f"The closest is {near!r}." if near else f"There are {', '.join(map(repr, NAMES))}."
            raise ModelError(f"contrast: no contrasts are called {method!r}. {hint}")
        if reference is not None and name != "trt.vs.ctrl":
            raise ModelError(f"contrast: reference= is the control of 'trt.vs.ctrl'; {method!r} has none.")
        if len(levels) < 2:
            raise ModelError(f"contrast: {method!r} needs two means or more, here is {len(levels)}.")
        if name.startswith("trt"):
            place = len(levels) - 1 if name == "trt.vs.ctrlk" else _reference(reference, levels)
            made = _against(levels, place)
        else:
            made = _SETS[name](levels)
    if not reverse:
        return made
    swapped = tuple(_swapped(n, " - ") for n in made.names), tuple(_swapped(n, " / ") for n in made.ratios)
    return ContrastSet(-made.coefficients, *swapped, made.adjust, made.pairwise, made.control)


def label_of(values: Sequence[Any], before: Sequence[str]) -> str:
    """What a mean is called in a contrast: its levels, each with what stands before it (the name of a variable of numbers), in
    parentheses where a sign in it could be read as the contrast's."""
    words = []
    for name, value in zip(before, values, strict=True):
        number = not isinstance(value, (str, bool, np.bool_))
        words.append(f"{name}{value:g}" if number else f"{name}{value}")
    text = " ".join(words)
    return f"({text})" if re.search(r"[-+/*]", text) else text


def _swapped(name: str, sign: str) -> str:
    parts = name.split(sign)
    return sign.join(parts[::-1]) if len(parts) == 2 else f"-({name})"


def _set(rows: list[list[float]], pairs: list[tuple[str, str]], adjust: str, **kinds: bool) -> ContrastSet:
    names = tuple(f"{a} - {b}" if b else a for a, b in pairs)
    ratios = tuple(f"{a} / {b}" if b else a for a, b in pairs)
    return ContrastSet(np.array(rows, dtype=np.float64), names, ratios, adjust, **kinds)


def _difference(k: int, plus: int, minus: int) -> list[float]:
    row = [0.0] * k
    row[plus], row[minus] = 1.0, -1.0
    return row


def _pairwise(levels: Sequence[str]) -> ContrastSet:
    k = len(levels)
    pairs = [(i, j) for i in range(k) for j in range(i + 1, k)]
    rows = [_difference(k, i, j) for i, j in pairs]
    return _set(rows, [(levels[i], levels[j]) for i, j in pairs], "tukey", pairwise=True)


def _revpairwise(levels: Sequence[str]) -> ContrastSet:
    k = len(levels)
    pairs = [(i, j) for i in range(k) for j in range(i)]
    rows = [_difference(k, i, j) for i, j in pairs]
    return _set(rows, [(levels[i], levels[j]) for i, j in pairs], "tukey", pairwise=True)


def _against(levels: Sequence[str], control: int) -> ContrastSet:
    k = len(levels)
    others = [i for i in range(k) if i != control]
    rows = [_difference(k, i, control) for i in others]
    return _set(rows, [(levels[i], levels[control]) for i in others], "dunnettx", control=True)


def _consecutive(levels: Sequence[str]) -> ContrastSet:
    k = len(levels)
    rows = [_difference(k, i + 1, i) for i in range(k - 1)]
    return _set(rows, [(levels[i + 1], levels[i]) for i in range(k - 1)], "mvt")


def _effects(levels: Sequence[str]) -> ContrastSet:
    k = len(levels)
    rows = np.eye(k) - 1.0 / k
    return _set(rows.tolist(), [(f"{level} effect", "") for level in levels], "fdr")


def _deleted_effects(levels: Sequence[str]) -> ContrastSet:
    k = len(levels)
    rows = np.eye(k) * (1.0 + 1.0 / (k - 1)) - 1.0 / (k - 1)
    return _set(rows.tolist(), [(f"{level} effect", "") for level in levels], "fdr")


def _mean_change(levels: Sequence[str]) -> ContrastSet:
    k = len(levels)
    rows = [[-1.0 / i] * i + [1.0 / (k - i)] * (k - i) for i in range(1, k)]
    return _set(rows, [(f"{levels[i - 1]}|{levels[i]}", "") for i in range(1, k)], "mvt")


def _helmert(levels: Sequence[str]) -> ContrastSet:
    k = len(levels)
    rows = [[-1.0 / i] * i + [1.0] + [0.0] * (k - i - 1) for i in range(1, k)]
    before = [levels[0]] + [f"mean({', '.join(levels[:i])})" for i in range(2, k)]
    return _set(rows, [(levels[i], before[i - 1]) for i in range(1, k)], "mvt")


def _polynomial(levels: Sequence[str]) -> ContrastSet:
    """Orthogonal polynomials on 1 ... k in the smallest whole numbers, as tables print them (Fisher & Yates 1938)."""
    k = len(levels)
    degrees = range(1, min(k - 1, _HIGHEST) + 1)
    basis: list[list[Fraction]] = [[Fraction(1)] * k]
    for degree in degrees:
        row = [Fraction(x**degree) for x in range(1, k + 1)]
        for earlier in basis:
            share = sum((a * b for a, b in zip(row, earlier, strict=True)), Fraction(0)) / sum(
                a * a for a in earlier
            )
            row = [a - share * b for a, b in zip(row, earlier, strict=True)]
        basis.append(row)
    rows, names = [], []
    for degree, row in zip(degrees, basis[1:], strict=True):
        common = math.lcm(*(a.denominator for a in row))
        whole = [int(a * common) for a in row]
        divisor = math.gcd(*whole)
        rows.append([float(a // divisor) for a in whole])
        names.append(_DEGREES[degree - 1] if degree <= len(_DEGREES) else f"degree {degree}")
    return _set(rows, [(name, "") for name in names], "none")


_SETS = {
    "pairwise": _pairwise,
    "revpairwise": _revpairwise,
    "eff": _effects,
    "del.eff": _deleted_effects,
    "consec": _consecutive,
    "mean_chg": _mean_change,
    "poly": _polynomial,
    "helmert": _helmert,
}


def _reference(given: Any, levels: Sequence[str]) -> int:
    if given is None:
        return 0
    if isinstance(given, (int, np.integer)) and not isinstance(given, bool) and str(given) not in levels:
        if 0 <= given < len(levels):
            return int(given)
        raise ModelError(f"reference={given}: there are {len(levels)} means, numbered from 0.")
    if str(given) in levels:
        return list(levels).index(str(given))
    near = closest(str(given), levels)
    hint = f"The closest is {near!r}." if near else f"They are {', '.join(map(repr, levels))}."
    raise ModelError(f"reference: no mean is called {given!r}. {hint}")


def _custom(method: Any, levels: Sequence[str]) -> ContrastSet:
    k = len(levels)
    if isinstance(method, Mapping):
        named = {str(name): weights for name, weights in method.items()}
    else:
        try:
            array = np.atleast_2d(np.asarray(method, dtype=np.float64))
        except (TypeError, ValueError):
            raise ModelError(
                f"contrast: a name ({', '.join(NAMES)}), a dict of name -> weights or an array is wanted, not {method!r}."
            ) from None
        named = {f"contrast {i}": row for i, row in enumerate(array, 1)}
    if not named:
        raise ModelError("contrast: the dict names no contrast.")
    rows = []
    for name, weights in named.items():
        try:
            row = np.asarray(weights, dtype=np.float64)
        except (TypeError, ValueError):
            raise ModelError(f"contrast {name!r}: weights are numbers, not {weights!r}.") from None
        if row.shape != (k,):
            raise ModelError(
                f"contrast {name!r} has {row.size} weights; there are {k} means: {', '.join(levels)} (in this order)."
            )
        if not np.isfinite(row).all() or not row.any():
            raise ModelError(f"contrast {name!r}: weights are finite and not all 0, not {weights!r}.")
        rows.append(row)
    names = tuple(named)
    return ContrastSet(np.array(rows), names, names, "none")

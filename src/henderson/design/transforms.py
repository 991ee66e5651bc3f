"""The functions of `formula.functions`, and the state each keeps so that new data get the same columns.

A transform takes (x, constants, state) and fills `state` with plain numbers the first time; given a filled
state it uses that. Element by element ones keep none. `poly`, `bs`, `cr` and `cc` are formulaic's; `ns` is
R's natural spline basis (Hastie in Chambers & Hastie 1992, chapter 7), `leg` Legendre's polynomials.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from henderson.errors import DataError

State = dict[str, Any]
Array = NDArray[np.float64]

ELEMENTWISE: dict[str, Callable[[Array], Array]] = {
    "log": np.log,
    "log2": np.log2,
    "log10": np.log10,
    "log1p": np.log1p,
    "exp": np.exp,
    "expm1": np.expm1,
    "sqrt": np.sqrt,
    "abs": np.abs,
    "sin": np.sin,
    "cos": np.cos,
    "tan": np.tan,
    "I": lambda x: x,
}


def transform(
    function: str, x: Array, constants: dict[str, Any], state: State, label: str
) -> tuple[Array, tuple[str, ...] | None]:
    """Apply a function of the whitelist to x (n,).

    Parameters
    ----------
    function, constants : as `formula.functions.constants_of` gives them.
    state : filled on the first call, used afterwards.
    label : the call as the user wrote it, for errors.

    Returns
    -------
    (n,) and None, or (n, k) and the k names of its columns.

    Raises
    ------
    DataError : the basis cannot be made from these values.
    """
    if function in ELEMENTWISE:
        return ELEMENTWISE[function](x), None
    if function == "center":
        mean = state.setdefault("center", float(np.mean(x)))
        return x - mean, None
    if function == "scale":
        return _scale(x, constants, state, label), None
    basis = {"poly": _poly, "bs": _bs, "ns": _ns, "cr": _cubic, "cc": _cubic, "leg": _leg}[function]
    columns = basis(x, constants, state, label, function)
    first = 0 if function == "leg" and constants.get("include_intercept") else 1
    return columns, tuple(f"{i}" for i in range(first, columns.shape[1] + first))


def _scale(x: Array, constants: dict[str, Any], state: State, label: str) -> Array:
    if not state:
        mean = float(np.mean(x)) if constants.get("center", True) else 0.0
        state["center"] = mean
        state["scale"] = 1.0
        if constants.get("scale", True):
            state["scale"] = float(np.sqrt(np.sum((x - mean) ** 2) / max(1, x.size - 1)))
            if not state["scale"] > 0:
                raise DataError(f"{label}: every value is the same, so there is no scale.")
    return (x - state["center"]) / state["scale"]


def _poly(x: Array, constants: dict[str, Any], state: State, label: str, _: str) -> Array:
    degree = constants.get("degree", 1)
    if not 1 <= degree <= 20:
        raise DataError(f"{label}: the degree is from 1 to 20.")
    if constants.get("raw", False):
        return x[:, None] ** np.arange(1, degree + 1)
    if not state:
        different = np.unique(x).size
        if degree >= different:
            raise DataError(
                f"{label}: a polynomial of degree {degree} needs more than {different} different values."
            )
    from formulaic.transforms import poly

    memory: State = {}
    if state:
        memory = {"alpha": dict(enumerate(state["alpha"])), "norms2": dict(enumerate(state["norms2"]))}
    columns = np.asarray(poly(x, degree=degree, _state=memory))
    if not state:
        for key in ("alpha", "norms2"):
            state[key] = [float(memory[key][k]) for k in sorted(memory[key])]
    return columns


def _leg(x: Array, constants: dict[str, Any], state: State, label: str, _: str) -> Array:
    """Normalised Legendre polynomials of x on its range: sqrt((2j + 1) / 2) P_j(t) for j = 1 (0 with the intercept), ...,
    degree, t = 2 (x - low) / (high - low) - 1, as random regressions have them (Kirkpatrick, Lofsvold & Bulmer 1990).
    """
    degree = constants.get("degree", 1)
    if not 1 <= degree <= 20:
        raise DataError(f"{label}: the degree is from 1 to 20.")
    if not state:
        state["bounds"] = list(_bounds(x, constants, label))
    low, high = state["bounds"]
    columns = np.polynomial.legendre.legvander(2.0 * (x - low) / (high - low) - 1.0, degree)
    columns *= np.sqrt(np.arange(degree + 1) + 0.5)
    return columns if constants.get("include_intercept", False) else columns[:, 1:]


def _bounds(x: Array, constants: dict[str, Any], label: str) -> tuple[float, float]:
    """The bounds of a spline or of Legendre polynomials, by default the range of x.

    Raises
    ------
    DataError : bounds in the wrong order or beyond all values, a knot outside of them, or one value alone.
    """
    least, greatest = float(np.min(x)), float(np.max(x))
    if least == greatest:
        raise DataError(f"{label}: every value is the same, so there is nothing to bend.")
    low, high = float(constants.get("lower_bound", least)), float(constants.get("upper_bound", greatest))
    if not low < high:
        raise DataError(f"{label}: the lower bound {low:g} is not below the upper bound {high:g}.")
    if not ((x >= low) & (x <= high)).any():
        raise DataError(f"{label}: no value is between the bounds {low:g} and {high:g}.")
    for knot in constants.get("knots", ()):
        if not low < knot < high:
            raise DataError(f"{label}: the knot {knot:g} is not between the bounds {low:g} and {high:g}.")
    return low, high


def _formulaic_spline(function: Any, x: Array, keywords: dict[str, Any], state: State, label: str) -> Array:
    """A spline basis of formulaic, with its state as plain numbers."""
    memory = {
        key: (np.asarray(v) if isinstance(v, list) and key == "constraints" else v)
        for key, v in state.items()
    }
    try:
        basis = function(x, _state=memory, **keywords)
    except ValueError as error:
        raise DataError(f"{label}: {error}") from None
    if not state:
        state.update({key: _plain(value) for key, value in memory.items()})
    return np.column_stack(
        [np.asarray(v, dtype=np.float64) for k, v in basis.items() if not str(k).startswith("__")]
    )


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    return value.item() if isinstance(value, np.generic) else value


def _keywords(constants: dict[str, Any]) -> dict[str, Any]:
    keywords = dict(constants)
    if "knots" in keywords:
        keywords["knots"] = list(keywords["knots"])
    return keywords


def _bs(x: Array, constants: dict[str, Any], state: State, label: str, _: str) -> Array:
    from formulaic.transforms import basis_spline

    if not state:
        _bounds(x, constants, label)
        if "df" not in constants and "knots" not in constants:
            constants = {
                **constants,
                "df": constants.get("degree", 3) + bool(constants.get("include_intercept")),
            }
    return _formulaic_spline(
        basis_spline, x, {**_keywords(constants), "extrapolation": "extend"}, state, label
    )


def _cubic(x: Array, constants: dict[str, Any], state: State, label: str, function: str) -> Array:
    from formulaic.transforms import cyclic_cubic_spline, natural_cubic_spline

    if not state:
        _bounds(x, constants, label)
        if "df" not in constants and "knots" not in constants:
            raise DataError(f"{label}: df= or knots= is needed.")
    which = natural_cubic_spline if function == "cr" else cyclic_cubic_spline
    return _formulaic_spline(which, x, {**_keywords(constants), "extrapolation": "extend"}, state, label)


def _ns(x: Array, constants: dict[str, Any], state: State, label: str, _: str) -> Array:
    """R's `ns`: cubic B-splines whose second derivative is 0 at both bounds, straight lines beyond them."""
    from scipy.interpolate import BSpline
    from scipy.linalg import qr

    whole = bool(constants.get("include_intercept", False))
    if not state:
        low, high = _bounds(x, constants, label)
        knots = constants.get("knots")
        if knots is None:
            inner = constants.get("df", 1 + whole) - 1 - whole
            if inner < 0:
                raise DataError(f"{label}: df is at least {1 + whole}.")
            inside = x[(x >= low) & (x <= high)]
            knots = np.quantile(inside, np.linspace(0, 1, inner + 2)[1:-1])
        state["knots"] = [float(k) for k in sorted(knots)]
        state["bounds"] = [low, high]
    low, high = state["bounds"]
    full = np.concatenate([[low] * 4, state["knots"], [high] * 4])
    splines = BSpline(full, np.eye(full.size - 4), 3)
    inside = np.clip(x, low, high)
    basis = splines(inside) + splines(inside, 1) * (x - inside)[:, None]
    curvature = splines(np.array([low, high]), 2)
    if not whole:
        basis, curvature = basis[:, 1:], curvature[:, 1:]
    rotation = qr(curvature.T)[0]
    return basis @ rotation[:, 2:]

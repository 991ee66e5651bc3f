"""`variance=` and the columns of a table -> `VarianceFunction`s."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import DataError, ModelError
from ..formula.terms import VarianceTerm
from ..frame import Frame
from .layout import product_codes
from .variances import ConstPower, Ident, Linear, VarianceFunction

Rows = np.ndarray | None


def variance_functions(
    terms: Sequence[VarianceTerm], text: str, frame: Frame, rows: Rows, fitted: np.ndarray | None
) -> list[VarianceFunction]:
    """The functions of `variance=`, in the order written. `fitted` (n,) for power(fitted).

    Raises
    ------
    DataError : a covariate that is not numbers, or not positive where it must be.
    ModelError : two functions of one kind and column.
    """
    out = [_function(term, frame, rows, fitted) for term in terms]
    seen: set[str] = set()
    for term, function in zip(terms, out, strict=True):
        for parameter in function.parameters:
            if parameter.name in seen:
                raise ModelError(
                    f"variance: two functions have a parameter '{parameter.name}': they cannot be told apart in '{text}' "
                    f"({term.text})."
                )
            seen.add(parameter.name)
    return out


def _function(term: VarianceTerm, frame: Frame, rows: Rows, fitted: np.ndarray | None) -> VarianceFunction:
    n = frame.nrow if rows is None else len(rows)
    if term.kind == "ident":
        codes, labels = product_codes(term.columns, frame, rows, n)
        return Ident(term.text, codes, labels)
    column = "fitted" if term.fitted else term.columns[0]
    if term.fitted:
        assert fitted is not None
        x = np.abs(fitted) if term.kind != "exp" else fitted
    else:
        x = _numbers(term, frame, rows)
        _require_positive(term, x, rows)
    if term.kind == "const_power":
        if term.strata:
            raise ModelError(
                f"variance: {term.text}: const_power has one constant and one power for all rows; "
                "power(x | g) and exp(x | g) differ between strata."
            )
        return ConstPower(term.text, column, x)
    if term.kind == "power" and term.fitted and not (x > 0).all():
        raise ModelError(
            f"variance: {term.text}: a fitted value is 0, so that its variance would be 0 too: const_power(fitted) allows that."
        )
    codes, labels = product_codes(term.strata, frame, rows, n)
    name = {"power": "power", "exp": "expon"}[term.kind]
    names = [f"{name}({column} | {label})" for label in labels] if term.strata else [f"{name}({column})"]
    return Linear(term.text, names, np.log(x) if term.kind == "power" else x, codes)


def _numbers(term: VarianceTerm, frame: Frame, rows: Rows) -> np.ndarray:
    column = frame[term.columns[0]]
    if column.kind != "numeric":
        raise DataError(
            f"variance: {term.text} takes numbers, and column '{column.name}' holds labels: "
            f"ident({column.name}) has a variance for each of them."
        )
    return column.values if rows is None else column.values[rows]


def _require_positive(term: VarianceTerm, x: np.ndarray, rows: Rows) -> None:
    if term.kind == "exp":
        return
    bad = np.flatnonzero(x <= 0 if term.kind == "power" else x < 0)
    if bad.size:
        i = int(bad[0])
        row = i if rows is None else int(rows[i])
        wanted = "positive numbers" if term.kind == "power" else "numbers that are not negative"
        other = "const_power allows 0, exp any number." if x[i] == 0 else "exp takes any number."
        raise DataError(
            f"variance: {term.text} needs {wanted}, and {term.columns[0]} is {x[i]:g} in row {row} (the first row is 0)"
            + (f" and {bad.size - 1} more" if bad.size > 1 else "")
            + f". {other}"
        )

"""Which rows are used: those without a missing value. Infinite values and bad weights are refused by name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from henderson.errors import DataError
from henderson.frame import Column, Frame

Array = NDArray[np.float64]
_LARGEST = 1e70
"""Size of a weight, or its inverse, beyond which sums over squares of weighted rows cannot be held."""


def missing_in(column: Column) -> NDArray[np.bool_] | None:
    """(n,) True where the column has no value, or None when it has them all.

    Raises
    ------
    DataError : an infinite value.
    """
    if column.kind == "factor":
        missing = column.values < 0
        return missing if missing.any() else None
    if column.raw.dtype.kind in "iu":
        return None
    with np.errstate(all="ignore"):
        if np.isfinite(column.values.sum()):
            return None
    infinite = np.isinf(column.values)
    if infinite.any():
        row = int(np.argmax(infinite))
        raise DataError(
            f"column '{column.name}' is infinite in row {row} (the first row is 0)"
            + (f" and {int(infinite.sum()) - 1} more" if infinite.sum() > 1 else "")
            + ": correct it, or make it missing to leave the row out."
        )
    missing = np.isnan(column.values)
    return missing if missing.any() else None


def complete_rows(
    frame: Frame, names: Sequence[str], *, none_allowed: bool = False
) -> tuple[NDArray[np.intp] | None, str]:
    """Rows without a missing value in the named columns (None when all), and a sentence about the others
    ("" when none).

    Raises
    ------
    DataError : an infinite value, or no complete row (unless `none_allowed`).
    """
    some: NDArray[np.bool_] | None = None
    said = []
    for name in names:
        missing = missing_in(frame[name])
        if missing is not None:
            some = missing if some is None else some | missing
            said.append(f"{name} ({int(missing.sum())})")
    if some is None:
        return None, ""
    rows = np.flatnonzero(~some)
    if rows.size == 0 and not none_allowed:
        raise DataError(f"no row is complete: there are missing values in {', '.join(said)}.")
    dropped = frame.nrow - rows.size
    return rows, f"{dropped} of {frame.nrow} rows left out: missing values in {', '.join(said)}"


def given_numbers(what: str, given: Any, frame: Frame, rows: NDArray[np.intp] | None) -> Array:
    """`weights=` or `offset=`, a column name or an array of the table's length, on the rows used.

    Raises
    ------
    DataError : text, another length, NaN or infinite values.
    """
    if isinstance(given, str):
        column = frame[given]
        if column.kind != "numeric":
            raise DataError(f"{what}: column '{given}' holds labels where numbers are needed.")
        values, said = column.values, f"{what} ('{given}')"
    else:
        try:
            values = np.asarray(given, dtype=np.float64)
        except (TypeError, ValueError):
            raise DataError(f"{what}: a column name or an array of numbers is wanted.") from None
        said = what
        if values.shape != (frame.nrow,):
            raise DataError(
                f"{what}: {frame.nrow} numbers are needed, one for each row, not shape {values.shape}."
            )
    values = values if rows is None else values[rows]
    _first_bad(~np.isfinite(values), values, rows, said, "is not a finite number")
    return values


def positive_weights(given: Any, frame: Frame, rows: NDArray[np.intp] | None) -> Array:
    """Prior weights (precisions) of the rows used.

    Raises
    ------
    DataError : a weight that is missing, infinite, negative or zero (a row of weight 0 says nothing: leave
        it out).
    """
    values = given_numbers("weights", given, frame, rows)
    said = f"weights ('{given}')" if isinstance(given, str) else "weights"
    _first_bad(values < 0, values, rows, said, "is negative")
    _first_bad(values == 0, values, rows, said, "is zero: leave out rows that carry no information")
    far = (values > _LARGEST) | (values < 1.0 / _LARGEST)
    _first_bad(far, values, rows, said, "cannot be used: divide weights by a number near their size")
    return values


def _first_bad(
    bad: NDArray[np.bool_], values: Array, rows: NDArray[np.intp] | None, said: str, why: str
) -> None:
    if bad.any():
        at = int(np.argmax(bad))
        row = at if rows is None else int(rows[at])
        raise DataError(f"{said}: the value {values[at]:g} in row {row} (the first row is 0) {why}.")

"""A column of the user's table beside the rows of a fit."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from .. import frame as frames
from ..errors import DataError, ModelError, closest
from ..formula import parse
from ..formula.functions import arithmetic_names
from ..frame import Column


def column_beside(fit: Any, name: str, data: Any = None, asked: str = "against") -> Column:
    """A column at the rows the fit used.

    Parameters
    ----------
    name : a column of the model; with `data`, of that table, whose rows are those of the table of the fit.
    asked : the argument the name was given as, for errors.

    Raises
    ------
    ModelError : no such column in the model (the closest is named), or a fit without its data.
    FormulaError : no such column in `data`.
    DataError : `data` of another number of rows, or a missing value in a row of the fit.
    """
    design = fit.design
    if data is not None:
        frame = frames.read(data, [name])
        if frame.nrow != design.n_read:
            raise DataError(
                f"{asked}: data has {frame.nrow} rows, the table of the fit had {design.n_read}; they must be the same rows."
            )
    else:
        frame = fit.frame
        if frame is None:
            raise ModelError(f"{asked}: this fit has no data with it; give data= with the rows of the fit.")
        if name not in frame:
            raise ModelError(_not_there(name, list(frame.columns), asked))
    whole = frame[name]
    values = whole.values if design.rows is None else whole.values[design.rows]
    missing = values < 0 if whole.kind == "factor" else np.isnan(values)
    if missing.any():
        at = int(np.argmax(missing))
        row = at if design.rows is None else int(design.rows[at])
        raise DataError(
            f"{asked}: column '{name}' is missing in row {row} (the first row is 0), which the fit used."
        )
    return Column(name, whole.kind, values, whole.levels, whole.ordered)


def _not_there(name: str, known: list[str], asked: str) -> str:
    near = closest(name, known)
    shown = ", ".join(f"'{n}'" for n in known)
    hint = f"The closest is '{near}'." if near else f"Its columns are {shown}."
    return (
        f"{asked}: no column of the model is called {name!r}. {hint}\n"
        f"For a column that is not in the model give the table too: {asked}={name!r}, data=table."
    )


def fixed_names(spec: Mapping[str, Any]) -> list[str]:
    """Columns of the fixed part, in the order of the formula."""
    from ..design import needed_again

    return needed_again({**spec, "blocks": [], "offset": None}, random=False)


def terms_of(fit: Any) -> list[frozenset[str]]:
    """The columns that each fixed term is a function of."""
    formula = parse(fit.spec["formula"])
    return [
        frozenset(n.name for factor in term for n in arithmetic_names(formula.factors[factor]))
        for term in formula.terms
    ]


def factor_names(fit: Any) -> list[str]:
    """Columns of the right side that the model takes as factors, C(x) among them."""
    records = fit.spec["columns"]
    return [name for name in fixed_names(fit.spec) if name in records and "levels" in records[name]]


def numeric_names(fit: Any) -> list[str]:
    """Columns of the right side that the model calculates with."""
    records = fit.spec["columns"]
    return [name for name in fixed_names(fit.spec) if name in records and "levels" not in records[name]]


def groups_of(
    fit: Any, by: str | Sequence[str], data: Any = None, asked: str = "by"
) -> tuple[np.ndarray, list]:
    """Codes (n,) of the rows used by the observed combinations of columns, and the combinations' labels.

    A label is the level itself for one column, "a:b" for several.
    """
    if not isinstance(by, Iterable):
        raise ModelError(f"{asked}: a column or a list of columns is wanted, not {by!r}.")
    names = [by] if isinstance(by, str) else list(by)
    if not names:
        raise ModelError(f"{asked}: at least one column is wanted.")
    columns = [column_beside(fit, name, data, asked).factor for name in names]
    stacked = np.column_stack([column.values for column in columns])
    # np.unique sorts by the first column first: the last factor runs fastest.
    combinations, codes = np.unique(stacked, axis=0, return_inverse=True)
    if len(names) == 1:
        return codes.reshape(-1), [columns[0].levels[c[0]] for c in combinations]
    labels = [
        ":".join(str(column.levels[c]) for column, c in zip(columns, row, strict=True))
        for row in combinations
    ]
    return codes.reshape(-1), labels

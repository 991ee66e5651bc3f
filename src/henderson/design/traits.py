"""Several traits as one: cbind(y1, y2) ~ ... on the caller's table -> one response on a table with a row for each record."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from henderson.design.rows import missing_in
from henderson.design.values import Evaluator
from henderson.errors import DataError, FormulaError
from henderson.formula import Formula
from henderson.formula.assemble import RESERVED
from henderson.formula.expression import Name, render
from henderson.formula.functions import arithmetic_names
from henderson.frame import Column, Frame

TRAIT, UNITS = "trait", "units"


@dataclass(frozen=True)
class StackedFrame(Frame):
    """A table with one row for each record: unit by unit, and within a unit in the order in which the traits are written.

    Attributes
    ----------
    traits : their names, as written.
    unit : (nrow,) row of the caller's table of each record; `trait` (nrow,) which trait it is.
    n_units : rows of the caller's table.
    absent : for each trait, the rows of the caller's table without it.
    """

    traits: tuple[str, ...] = ()
    unit: NDArray[np.intp] = field(default_factory=lambda: np.zeros(0, np.intp))
    trait: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, np.int32))
    n_units: int = 0
    absent: tuple[int, ...] = ()

    def spread(self, values: Any) -> Any:
        """One value for each row of the caller's table -> one for each record; names of columns, None and what already has one
        value for each record are left as they are."""
        if values is None or isinstance(values, str):
            return values
        array = np.asarray(values)
        return array[self.unit] if array.shape[:1] == (self.n_units,) else values


def stack(frame: Frame, formula: Formula) -> tuple[StackedFrame, Formula]:
    """The long table and the formula of one response that says the same.

    The long table has the columns that the formula names, and `trait` (a factor, levels as written), `units` (the row of the
    caller's table) and the response, whose name is the left side as text. A row of the caller's table that misses a trait has
    no record of it, which `StackedFrame.absent` counts; missing covariates are left to `build`, which leaves out the records.
    What a fit has one value a row of (fitted values, residuals) is then one value a record, told by `unit` and `trait`.

    Parameters
    ----------
    frame : of the columns that `needed(formula)` names.

    Raises
    ------
    DataError : a column of the model is called `trait` or `units`; a trait without a record; two traits of one name.
    FormulaError : one response only.
    """
    responses = formula.responses
    if len(responses) < 2:
        raise FormulaError("several traits are cbind(y1, y2) ~ ...", formula.text, formula.response.span)
    for name in (TRAIT, UNITS):
        if name in frame:
            raise taken(name)
    traits = tuple(render(node) for node in responses)
    if len(set(traits)) < len(traits):
        raise DataError(f"{formula.response_name} names a trait twice.")
    values, there = _responses(frame, formula)
    units, which = np.nonzero(there)
    columns: dict[str, Column] = {name: _taken(column, units) for name, column in frame.columns.items()}
    columns[TRAIT] = Column(TRAIT, "factor", which.astype(np.int32), traits)
    columns[UNITS] = Column(UNITS, "numeric", units.astype(np.int64))
    stacked = stacked_formula(formula)
    columns[stacked.response_name] = Column(stacked.response_name, "numeric", values[units, which])
    return (
        StackedFrame(
            columns,
            len(units),
            frame.library,
            traits,
            units,
            which.astype(np.int32),
            frame.nrow,
            tuple(int(count) for count in frame.nrow - there.sum(axis=0)),
        ),
        stacked,
    )


def stacked_formula(formula: Formula) -> Formula:
    """The formula of the long table: the response is one column, named as the left side; places in the text stay."""
    name = render(formula.response)
    of_responses = {n.name for node in formula.responses for n in arithmetic_names(node)}
    names = {name: formula.response.span}
    names |= {n: s for n, s in formula.names.items() if n not in of_responses or n in formula.right}
    names |= {n: formula.response.span for n in (TRAIT, UNITS) if n in formula.right}
    return replace(formula, response=Name(name, formula.response.span, quoted=True), names=names)


def require_free_names(data: Any) -> None:
    """Refuse a caller's table that has a column called `trait` or `units` of its own, which a model of several traits makes.

    Raises
    ------
    DataError : names the column.
    """
    from henderson import frame as frames

    for name in sorted(RESERVED):
        try:
            frames.read(data, [name])
        except FormulaError:
            continue
        raise taken(name)


def taken(name: str) -> DataError:
    """The error for a column that cbind(...) makes."""
    what = "the names of the traits" if name == TRAIT else "the rows of the table"
    return DataError(
        f"the table has a column called '{name}', and cbind(...) makes one of that name, which holds {what}.\n"
        "Rename the column of the table."
    )


def _responses(frame: Frame, formula: Formula) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(rows, traits) values and whether they are there."""
    shape = (frame.nrow, len(formula.responses))
    values, there = np.full(shape, np.nan), np.ones(shape, dtype=bool)
    for j, node in enumerate(formula.responses):
        names = [n.name for n in arithmetic_names(node)]
        for name in names:
            missing = missing_in(frame[name])
            if missing is not None:
                there[:, j] &= ~missing
        rows = np.flatnonzero(there[:, j])
        if not rows.size:
            raise DataError(f"the trait {render(node)} is missing in every row.")
        values[rows, j] = _evaluated(node, names, frame, rows, formula)
    return values, there


def _evaluated(node: Any, names: list[str], frame: Frame, rows: NDArray[np.intp], formula: Formula) -> Any:
    from henderson.design.grouping import used_labels

    numbers = {n: frame[n].values[rows] for n in names if frame[n].kind == "numeric"}
    labels = {n: used_labels(frame[n], rows) for n in names if frame[n].kind != "numeric"}
    return Evaluator(formula.text, rows.size, numbers, labels, None, {}, rows).numeric(node)


def _taken(column: Column, rows: NDArray[np.intp]) -> Column:
    labels = None if column.labels is None else (column.labels[0][rows], column.labels[1])
    return Column(
        column.name, column.kind, column.raw[rows], column.levels, column.ordered, column.text, labels
    )

"""Where the plots of a field trial are, and what a mixed model says of each: response, spatial trend, residual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..errors import ModelError
from .columns import column_beside
from .components import is_structured
from .displacement import by_displacement

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class FieldGrid:
    """The places of the rows that a fit used.

    Attributes
    ----------
    row, col : names of the columns. rows, cols : their distinct values in order.
    i, j : (n,) which of them each record has. group : (n,) which trial; labels : its names, ("",) where there is one.
    """

    row: str
    col: str
    rows: Array
    cols: Array
    i: Array
    j: Array
    group: Array
    labels: tuple[str, ...]

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.rows), len(self.cols)

    def spread(self, values: Array, group: int) -> Array:
        """(rows, cols) of one trial, NaN where there is no plot."""
        out = np.full(self.shape, np.nan)
        here = self.group == group
        out[self.i[here], self.j[here]] = values[here]
        return out


def grid_of(
    fit: Any,
    row: str | None = None,
    col: str | None = None,
    by: str | None = None,
    data: Any = None,
    asked: str = "field",
) -> FieldGrid:
    """The grid of a fit.

    Parameters
    ----------
    row, col : columns; None: those of residual=, or of the spatial terms.
    by : a column of trials; None: the sections of residual="at(env):...", if there are.
    data : the table of the fit, where the columns are not in the model.

    Raises
    ------
    ModelError : no coordinates to be found, or two plots in one place.
    """
    if (row is None) != (col is None):
        raise ModelError(f"{asked}: give both row= and col=, or neither.")
    if row is None or col is None:
        row, col, found = _coordinates(fit, asked)
        by = by or found
    i, rows = _codes(fit, row, data, "row")
    j, cols = _codes(fit, col, data, "col")
    group: Array = np.zeros(len(i), dtype=np.int64)
    labels: tuple[str, ...] = ("",)
    if by is not None:
        group, levels = _codes(fit, by, data, "by")
        labels = tuple(str(v) for v in levels)
    grid = FieldGrid(row, col, rows, cols, i, j, group, labels)
    _require_apart(grid, asked)
    return grid


def _spoken(fit: Any) -> Any:
    """residual= as it was written, read; None where there was none."""
    from ..formula.residual import read_residual

    text = next((n[len("residual: ") :] for n in fit.model_notes if n.startswith("residual: ")), None)
    return None if text is None else read_residual(text)


def _names(spoken: Any) -> list[str]:
    return [c.name for factor in spoken.factors for c in factor.columns]


def _coordinates(fit: Any, asked: str) -> tuple[str, str, str | None]:
    """Row and column of the residual, else of the terms over two columns of numbers; and the column of the sections."""
    spoken = _spoken(fit)
    if spoken is not None and len(_names(spoken)) == 2:
        row, col = _names(spoken)
        return row, col, next(iter((*spoken.at, *spoken.groups)), None)
    for term in getattr(fit.design, "structured", None) or ():
        kinds = {f.kind for f in term.factors}
        mine = _columns(term)
        if len(mine) == 2 and (kinds - {"id", "vm", "car"} or term.block.group.startswith("spl2d(")):
            return mine[0], mine[1], None
    raise ModelError(
        f'{asked}: this model has no coordinates of plots, as residual="(1 | ar1(row):ar1(col))" or spl2d(row, col) would give. '
        "Name them: row='row', col='col' (and data=table, where the columns are not in the model)."
    )


def _columns(term: Any) -> tuple[str, ...]:
    """Columns that the levels of a structured term are made of."""
    return tuple(dict.fromkeys(name for f in term.factors for name in f.names))


def _codes(fit: Any, name: str, data: Any, asked: str) -> tuple[Array, Array]:
    """Which of the distinct values each row has, in order; labels that are numbers are ordered as numbers."""
    column = column_beside(fit, name, data, asked)
    if column.kind == "numeric":
        values = np.asarray(column.values, dtype=np.float64)
    else:
        labels = np.asarray([str(v) for v in column.levels], dtype=object)
        try:
            values = labels.astype(np.float64)[column.values]
        except ValueError:
            kept, codes = np.unique(column.values, return_inverse=True)
            return codes.astype(np.int64), labels[kept]
    levels, codes = np.unique(values, return_inverse=True)
    return codes.astype(np.int64), levels


def _require_apart(grid: FieldGrid, asked: str) -> None:
    key = (grid.group * grid.shape[0] + grid.i) * grid.shape[1] + grid.j
    values, first, counts = np.unique(key, return_index=True, return_counts=True)
    if len(values) < len(key):
        at = int(first[int(np.argmax(counts > 1))])
        where = f"{grid.row} {_text(grid.rows[grid.i[at]])}, {grid.col} {_text(grid.cols[grid.j[at]])}"
        raise ModelError(
            f"{asked}: several records are in one place ({where}"
            + (f" of {grid.labels[grid.group[at]]}" if len(grid.labels) > 1 else "")
            + "). If there are several trials, name the column that tells them apart: by=."
        )


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float | np.floating) else str(value)


# -- what is drawn -------------------------------------------------------------------------------------------------


def spatial_terms(fit: Any, grid: FieldGrid) -> list[int]:
    """Random terms that are functions of the place alone: spatial terms, splines, rows and columns; and the correlated part of a
    residual with a nugget."""
    if is_structured(fit):
        names = [_columns(term) for term in fit.design.structured]
    else:
        names = [tuple(block.factors) for block in fit.design.blocks]
    found = [k for k, mine in enumerate(names) if mine and set(mine) <= {grid.row, grid.col}]
    return found + list(range(len(names), len(fit.labels.terms)))


def contribution(fit: Any, terms: list[int]) -> Array:
    """sum of Z_k u^_k over terms, (n,), in the user's units."""
    solution = fit.solution
    out = np.zeros(fit.nobs)
    for k in terms:
        if is_structured(fit):
            out += _of_term(fit, k)
            continue
        block, u = fit.design.blocks[k], solution.u[k]
        values = np.ones((fit.nobs, block.m)) if block.values is None else block.values
        out += np.einsum("ij,ij->i", u[block.codes], values)
    return out


def _of_term(fit: Any, k: int) -> Array:
    """Z_k u^_k of a structured term; behind those of the formula stand the fields of a residual, in the equations alone."""
    solution = fit.solution
    if k < len(fit.design.structured):
        return np.asarray(fit.design.structured[k].z @ solution.u[k].ravel())
    model = solution.problem.model
    term = model.random[k]
    # In units of T and b, each row over the root of its weight.
    u = np.linalg.solve(term.back, solution.u[k].T).T if term.lift is None else None
    assert u is not None
    rows = term.z @ u.ravel()
    if model.places is not None:
        rows = rows[model.places]
    return np.asarray(rows if model.root_weights is None else rows / model.root_weights)


def field_variogram(
    fit: Any, grid: FieldGrid, kind: str = "pearson", max_lags: tuple[int, int] | None = None
) -> dict[str, Any]:
    """Semivariances of residuals by rows and columns apart, as plain columns (see `displacement`).

    Returns
    -------
    rows, cols (lags in steps), semivariance, n_pairs; model, where the residual's correlation is a function of both.
    """
    values = fit.residuals_as(kind)
    values = values if fit.design.rows is None else values[fit.design.rows]
    fields = [grid.spread(values, g) for g in range(len(grid.labels))]
    most = max_lags or tuple(max(1, (2 * size) // 3) for size in grid.shape)
    rows, cols, mean, count = by_displacement(fields, most)  # type: ignore[arg-type]
    out: dict[str, Any] = {
        "rows": np.array(rows),
        "cols": np.array(cols),
        "semivariance": np.array(mean),
        "n_pairs": np.array(count),
    }
    curve = _model(fit, grid, out) if kind == "pearson" else None
    return out if curve is None else {**out, "model": 1.0 - curve}


def _model(fit: Any, grid: FieldGrid, table: dict[str, Any]) -> Array | None:
    """The residual's correlation at the lags, where it is a product over evenly spaced rows and columns."""
    if not is_structured(fit):
        return None
    structure: Any = getattr(fit.solution.problem.model.residual, "structure", None)
    spoken = _spoken(fit)
    if spoken is None or not hasattr(structure, "correlation_at"):
        return None
    names = _names(spoken)
    even = all(
        v.dtype.kind == "f" and (len(v) < 3 or np.ptp(np.diff(v)) <= 1e-9 * np.ptp(v))
        for v in (grid.rows, grid.cols)
    )
    if set(names) != {grid.row, grid.col} or not even:
        return None
    steps = {
        grid.row: table["rows"] * (float(grid.rows[1] - grid.rows[0]) if len(grid.rows) > 1 else 1.0),
        grid.col: table["cols"] * (float(grid.cols[1] - grid.cols[0]) if len(grid.cols) > 1 else 1.0),
    }
    found: Array | None = structure.correlation_at(
        fit.solution.precision_parameters(-1), *(steps[n] for n in names)
    )
    return found

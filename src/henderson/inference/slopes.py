"""Slopes of marginal means in a covariate: the derivative of the grid's rows of X, averaged as the means are.

The mean is linear in the coefficients, so its slope is (dl/dx)'b with dl/dx the derivative of the columns: of x, of log(x),
poly(x, 3), ns(x, df=4), x:f and whatever else the formula makes of x. It is taken by differences of fourth order,
(8 (l(x + h) - l(x - h)) - (l(x + 2h) - l(x - 2h))) / 12h, exact for polynomials of degree 4, and from one side where a function
ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import DataError, ModelError
from .asked import read_options, read_specs, require_weights
from .columns import fixed_names
from .estimates import MarginalSlopes
from .functions import Functions
from .grid import Margins, ReferenceGrid, require_variable
from .nested_factors import with_nests
from .protocol import LinearEstimates
from .words import grid_notes, level_notes

_SHARE = 1e-3
"""The first h, as a share of the range of the covariate (of its size, where that is not known)."""
_SMALLEST = 7
"""Sizes of h that are tried, each an eighth of the one before."""
_SAME = 1e-11
"""Relative change of a derivative that is rounding."""
_CENTRAL = ((-2.0, 1.0 / 12.0), (-1.0, -2.0 / 3.0), (1.0, 2.0 / 3.0), (2.0, -1.0 / 12.0))
_FORWARD = ((0.0, -25.0 / 12.0), (1.0, 4.0), (2.0, -3.0), (3.0, 4.0 / 3.0), (4.0, -1.0 / 4.0))
_BACKWARD = tuple((-step, -weight) for step, weight in _FORWARD)


def slopes(
    fit: LinearEstimates,
    variable: str,
    *,
    by: str | Sequence[str] | None = None,
    at: Mapping[str, Any] | None = None,
    weights: str = "equal",
    level: float = 0.95,
    df: Any = None,
    adjust: str = "none",
    nesting: Any = None,
) -> MarginalSlopes:
    """Slopes of marginal means. See `Questions.slopes`."""
    options = read_options(fit, level, df, adjust, "link", False, None, "slopes")
    require_weights(weights)
    names, groups = ((), ()) if by is None else read_specs(by, None, "slopes")
    known = fixed_names(fit.spec)
    for name in (variable, *names, *groups):
        require_variable(fit, name, known, "slopes")
    if "levels" in fit.spec["columns"][variable]:
        raise ModelError(
            f"slopes: '{variable}' is a factor; its means are compared by fit.pairs('{variable}')."
        )
    place = {} if variable in (at or {}) else {variable: [_place(fit, variable)]}
    grid = ReferenceGrid(fit, {**place, **(at or {})}, nesting)
    names, groups = with_nests(names, groups, grid.nested)
    for name in (*names, *groups):
        if grid[name].reduced:
            raise ModelError(
                f"slopes: by='{name}' is a covariate. Say at which values, such as at={{'{name}': [0, 1]}}."
            )
    margins = derivative(grid, variable, (*names, *groups), weights, _step(fit, variable, grid))
    functions = Functions(margins.rows, margins.offset, margins.labels, names, groups, margins.empty)
    notes = [f"Slopes in {variable}.", *grid_notes(fit, grid, (*names, *groups), weights)]
    return MarginalSlopes(fit, functions, options, [*notes, *level_notes(fit, options)])


def derivative(grid: ReferenceGrid, variable: str, kept: Sequence[str], weights: str, step: float) -> Margins:
    """d/d variable of the rows of `grid.margins`: steps are made smaller until that changes nothing.

    Raises
    ------
    DataError : the columns of the model are not defined around the values of the grid.
    """
    problem: Exception | None = None
    for scheme in (_CENTRAL, _FORWARD, _BACKWARD):
        last, best, least = None, None, np.inf
        for halving in range(_SMALLEST):
            try:
                made = _difference(grid, variable, kept, weights, step / 8.0**halving, scheme)
            except DataError as error:
                problem = problem or error
                continue
            if last is not None:
                size = np.nanmax(np.abs(made.rows), initial=1e-300)
                change = float(np.nanmax(np.abs(made.rows - last.rows), initial=0.0)) / size
                if change < least:
                    best, least = made, change
                if change < _SAME:
                    break
            last = made
        if best is not None:
            return best
    assert problem is not None
    raise problem


def _difference(
    grid: ReferenceGrid,
    variable: str,
    kept: Sequence[str],
    weights: str,
    step: float,
    scheme: Sequence[tuple[float, float]],
) -> Margins:
    rows: Any = 0.0
    offset: Any = 0.0
    made = None
    for shift, weight in scheme:

        def moved(index: Any, shift: float = shift) -> dict[str, np.ndarray]:
            return {variable: grid.numbers(variable, index) + shift * step}

        made = grid.margins(kept, weights, moved)
        rows = rows + weight / step * made.rows
        offset = offset + weight / step * made.offset
    assert made is not None
    # Columns without the variable have slope 0, not the rounding of their differences.
    size = np.abs(made.rows) / step
    return Margins(np.where(np.abs(rows) <= 1e-14 * size, 0.0, rows), offset, made.labels, made.empty)


def _place(fit: LinearEstimates, variable: str) -> float:
    record = fit.spec["columns"][variable]
    if "mean" not in record:
        raise ModelError(
            f"the record of this fit does not know the mean of '{variable}' (an earlier version made it): give at=."
        )
    return float(record["mean"])


def _step(fit: LinearEstimates, variable: str, grid: ReferenceGrid) -> float:
    record = fit.spec["columns"][variable]
    if record.get("greatest", 0.0) > record.get("least", 0.0):
        return _SHARE * (record["greatest"] - record["least"])
    return _SHARE * max(1.0, float(np.abs(np.array(grid[variable].values)).max()))

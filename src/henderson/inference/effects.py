"""The mean along one column of the data, everything else held still, and the partial residuals around it.

Other numeric columns are held at their mean, other factors at the mix of levels that the rows have: the mean of
x'b over the observed combinations, each with its share of the rows. So every combination asked for is one that was
seen, and the curve goes through the middle of the partial residuals (Fox 1987; Larsen & McCleary 1972).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from .. import design as designs
from .. import frame as frames
from ..design.factors import names_of
from ..errors import ModelError, closest
from .columns import column_beside, factor_names, numeric_names
from .student import quantile, require_level
from .whitened import used

POINTS = 200
"""Of a curve."""
_CELLS = 2_000_000
"""Rows of X made at once."""


@dataclass(frozen=True)
class Effect:
    """One curve, or the means of one factor's levels, for each line.

    Attributes
    ----------
    variable : the column along the figure; `levels` its levels, or None where it is numbers.
    by : column that tells the lines apart, "" where there is one line; `lines` their names.
    at : (k,) values of the variable, level numbers for a factor.
    estimate, low, high : (lines, k); NaN where not estimable.
    x, line, partial : of each row used, its value, its line, and its partial residual: residual plus the curve there.
    held : what was held where, in words.
    """

    variable: str
    levels: tuple | None
    by: str
    lines: tuple[str, ...]
    at: np.ndarray
    estimate: np.ndarray
    low: np.ndarray
    high: np.ndarray
    x: np.ndarray
    line: np.ndarray
    partial: np.ndarray
    held: str


def effect(fit: Any, variable: str, by: str | None = None, level: float = 0.95) -> Effect:
    """The fitted mean along `variable`.

    Parameters
    ----------
    by : a column to draw lines for, one for each level (for a numeric column, at its quartiles); None takes the
        factor that `variable` interacts with, if there is one; "" takes none.
    level : of the pointwise confidence intervals.

    Raises
    ------
    ModelError : a column that is not on the right side (the closest is named), or a fit without its data.
    """
    require_level(level, "effect")
    factors, numbers = factor_names(fit), numeric_names(fit)
    for name in (variable, *([by] if by else [])):
        if name not in factors + numbers:
            near = closest(name, factors + numbers)
            there = ", ".join(f"'{n}'" for n in factors + numbers) or "none"
            hint = f"The closest is '{near}'." if near else f"There are {there}."
            raise ModelError(f"effect: {name!r} is no column of the right side of {fit.formula}. {hint}")
    if by == variable:
        raise ModelError(f"effect: by={by!r} is the variable itself.")
    if by is None:
        by = next((f for f in partners(fit, variable) if f in factors), "")
    levels, at, x = _scale(fit, variable, variable in factors, POINTS)
    line_levels, line_at, line_x = _scale(fit, by, by in factors, 3) if by else (("",), np.zeros(1), None)
    others = [n for n in factors + numbers if n not in (variable, by)]
    rows = _rows(fit, variable, by, levels, at, line_levels, line_at, [n for n in others if n in factors])
    shape = (len(line_at), len(at))
    estimate, half = _estimates(fit, rows, level)
    offset = 0.0 if fit.design.offset is None else float(fit.design.offset.mean())
    estimate = estimate.reshape(shape) + offset
    half = half.reshape(shape)
    line = np.zeros(len(x), dtype=np.intp)
    if line_x is not None:
        line = np.abs(line_x[:, None] - line_at).argmin(axis=1)
    partial = used(fit, fit.residuals) + _along(estimate, at, x, line)
    names = tuple(str(v) for v in line_levels) if line_levels else tuple(f"{v:.4g}" for v in line_at)
    held = _held(others, factors)
    return Effect(
        variable, levels, by, names, at, estimate, estimate - half, estimate + half, x, line, partial, held
    )


def partners(fit: Any, variable: str) -> list[str]:
    """Columns that share a term with `variable`."""
    formula = fit.design.formula
    found: dict[str, None] = {}
    for term in formula.terms:
        names = [names_of([formula.factors[factor]]) for factor in term]
        if len(term) > 1 and any(variable in each for each in names):
            found.update(dict.fromkeys(n for each in names for n in each if n != variable))
    return list(found)


def _scale(fit: Any, name: str, factor: bool, points: int) -> tuple[tuple | None, np.ndarray, np.ndarray]:
    """Levels (None for numbers), the values to draw at, and the value of each row."""
    column = column_beside(fit, name, asked="effect")
    if factor:
        levels = tuple(fit.spec["columns"][name]["levels"])
        place = {level: i for i, level in enumerate(levels)}
        own = column.factor
        codes = np.array([place.get(level, -1) for level in own.levels])[own.values]
        return levels, np.arange(len(levels), dtype=float), codes.astype(float)
    values = column.values
    if points == 3:
        return None, np.unique(np.quantile(values, (0.25, 0.5, 0.75))), values
    return None, np.linspace(values.min(), values.max(), points), values


def _rows(
    fit: Any,
    variable: str,
    by: str,
    levels: Sequence | None,
    at: np.ndarray,
    line_levels: Sequence | None,
    line_at: np.ndarray,
    other_factors: list[str],
) -> np.ndarray:
    """(lines * k, p): rows of X, each the mean over the observed combinations of the other factors."""
    columns = [column_beside(fit, name, asked="effect").factor for name in other_factors]
    if columns:
        stacked = np.column_stack([column.values for column in columns])
        combinations, counts = np.unique(stacked, axis=0, return_counts=True)
    else:
        combinations, counts = np.zeros((1, 0), dtype=int), np.ones(1, dtype=int)
    lines, k, m = len(line_at), len(at), len(combinations)
    if lines * k * m * fit.design.p > 50 * _CELLS:
        raise ModelError(
            f"effect: {', '.join(map(repr, other_factors))} have {m:,} combinations, too many to average over."
        )
    table: dict[str, Any] = {variable: np.repeat(np.tile(_values(levels, at), lines), m)}
    if by:
        table[by] = np.repeat(_values(line_levels, line_at), k * m)
    for j, (name, column) in enumerate(zip(other_factors, columns, strict=True)):
        labels = np.empty(len(column.levels), dtype=object)
        labels[:] = list(column.levels)
        table[name] = np.tile(labels[combinations[:, j]], lines * k)
    for name in designs.needed_again({**fit.spec, "blocks": []}, random=False):
        if name not in table:
            table[name] = np.full(lines * k * m, column_beside(fit, name, asked="effect").values.mean())
    frame = frames.read(table, list(table))
    design = designs.rebuild({**fit.spec, "blocks": []}, frame, random=False, offset=np.zeros(frame.nrow))
    share = counts / counts.sum()
    return np.einsum("gmp,m->gp", design.X.reshape(lines * k, m, -1), share)


def _values(levels: Sequence | None, at: np.ndarray) -> np.ndarray:
    if levels is None:
        return at
    labels = np.empty(len(levels), dtype=object)
    labels[:] = list(levels)
    return labels


def _estimates(fit: Any, rows: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Estimate and half the width of its interval, NaN where not estimable."""
    seen = fit.columns.estimable(rows)
    kept = rows[:, fit.columns.kept]
    estimate = np.where(seen, kept @ fit.coefficients, np.nan)
    error = np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", kept, fit.vcov, kept), 0.0))
    half = np.full(len(rows), np.nan)
    if seen.any():
        different, back = np.unique(kept[seen], axis=0, return_inverse=True)
        df = fit.denominator_df(different)[back.reshape(-1)]
        half[seen] = quantile(level, df) * error[seen]
    return estimate, half


def _along(estimate: np.ndarray, at: np.ndarray, x: np.ndarray, line: np.ndarray) -> np.ndarray:
    """The curve of each row's line at its x."""
    out = np.empty(len(x))
    for i, curve in enumerate(estimate):
        mine = line == i
        out[mine] = np.interp(x[mine], at, curve) if len(at) > 1 else curve[0]
    return out


def _held(others: list[str], factors: list[str]) -> str:
    numbers = [n for n in others if n not in factors]
    labels = [n for n in others if n in factors]
    parts = []
    if numbers:
        parts.append(f"{', '.join(numbers)} at the mean")
    if labels:
        parts.append(f"{', '.join(labels)} in the mix of the rows")
    return "; ".join(parts)

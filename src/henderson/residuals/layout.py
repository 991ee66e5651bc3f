"""A residual term and the columns of a table -> `Layout`: names end here, arrays begin."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..design.grouping import used_labels
from ..design.record import ProductLabels
from ..design.values import Labels
from ..formula.residual import UNITS, Correlated, Residual
from ..frame import Column, Frame
from .base import Factor, Layout

Rows = np.ndarray | None


def layout_of(residual: Residual, frame: Frame, rows: Rows, n: int) -> Layout:
    """The layout of the n rows used (`rows` of the table, or None for all)."""
    codes, labels = product_codes(residual.groups, frame, rows, n)
    return Layout(
        n=n,
        factors=tuple(_factor(each, frame, rows) for each in residual.factors),
        groups=codes,
        group_name=":".join(residual.groups),
        group_labels=labels,
        text=residual.term,
        nugget=residual.nugget,
        rows=rows,
    )


def product_codes(names: Sequence[str], frame: Frame, rows: Rows, n: int) -> tuple[np.ndarray, Sequence[Any]]:
    """Codes (n,) of the combinations of the named columns that occur, in the order of their levels, and their labels. Rows are
    `units` of their own, unless the table says which rows are of one unit."""
    if not names:
        return np.zeros(n, dtype=np.int64), ("",)
    parts = [
        used_labels(frame[name], rows) if name != UNITS or name in frame else _each_row(rows, n)
        for name in names
    ]
    codes = parts[0].codes.astype(np.int64)
    if len(parts) == 1:
        return codes, parts[0].levels
    combinations = np.arange(len(parts[0].levels))[:, None]
    for part in parts[1:]:
        keys, codes = np.unique(codes * len(part.levels) + part.codes, return_inverse=True)
        before, last = np.divmod(keys, len(part.levels))
        combinations = np.column_stack([combinations[before], last])
    return codes, ProductLabels([part.levels for part in parts], combinations)


def _each_row(rows: Rows, n: int) -> Labels:
    return Labels(np.arange(n, dtype=np.int32), range(n) if rows is None else rows)  # type: ignore[arg-type]


def _factor(each: Correlated, frame: Frame, rows: Rows) -> Factor:
    names = tuple(column.name for column in each.columns)
    coordinates, levels = [], []
    for name in names:
        values, found = _coordinate(frame[name], rows, each.as_factor)
        coordinates.append(values)
        levels.append(found)
    orders = tuple(_order(frame[name], each.as_factor) for name in names)
    return Factor(each.structure, names, tuple(coordinates), tuple(levels), each.options, orders)


def _order(column: Column, as_factor: bool) -> str:
    if column.kind != "factor":
        # C(time): the numbers in order are steps, by the caller's own word.
        return "levels" if as_factor else ""
    return "text" if column.text else "ordered" if column.ordered else "levels"


def _coordinate(column: Column, rows: Rows, as_factor: bool) -> tuple[np.ndarray, Sequence[Any] | None]:
    if column.kind == "factor" or as_factor:
        labels = used_labels(column, rows)
        return labels.codes.astype(np.float64), labels.levels
    return (column.values if rows is None else column.values[rows]), None

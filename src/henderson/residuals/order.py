"""Rows sorted into series: by group, and within a group by time."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..design.values import is_number
from ..errors import DataError, ModelError
from .base import Factor, Layout


class Series(NamedTuple):
    """Rows sorted by group and time."""

    order: np.ndarray | None
    """(n,) rows of the design in sorted order; None when they are sorted already."""
    first: np.ndarray
    """(n,) bool in sorted order: the first row of its group."""
    gaps: np.ndarray
    """(n,) time since the row before in the same group, positive; 0 in first rows."""


def one_time(layout: Layout) -> Factor:
    """The factor of a structure in one coordinate.

    Raises
    ------
    ModelError : several coordinates.
    """
    factor = layout.factors[0]
    if len(factor.names) > 1:
        raise ModelError(
            f"{layout.text}: {factor.structure} is a correlation in one time, not in {' and '.join(factor.names)}. "
            "Over coordinates there are exp, gau, sph, ratio, lin and mat, and products such as (1 | ar1(row):ar1(col))."
        )
    return factor


def series(layout: Layout) -> Series:
    """Sort the rows of a layout; without a time they are taken in the order they come in each group.

    Raises
    ------
    DataError : a time that occurs twice in one group.
    ModelError : no group has two rows.
    """
    factor = one_time(layout)
    time = factor.coordinates[0] if factor.names else None
    order = _order(layout.groups, time)
    groups = layout.groups if order is None else layout.groups[order]
    first = np.ones(layout.n, dtype=bool)
    np.not_equal(groups[1:], groups[:-1], out=first[1:])
    if first.all():
        raise ModelError(
            f"{layout.text}: every {layout.group_name or 'series'} has one row, so that no two residuals are correlated: "
            "the correlation cannot be estimated."
        )
    if time is None:
        return Series(order, first, np.where(first, 0.0, 1.0))
    sorted_time = time if order is None else time[order]
    gaps = np.zeros(layout.n)
    np.subtract(sorted_time[1:], sorted_time[:-1], out=gaps[1:])
    gaps[first] = 0.0
    twice = np.flatnonzero(~first & (gaps == 0.0))
    if twice.size:
        raise _duplicate(layout, factor, order, int(twice[0]), twice.size)
    return Series(order, first, gaps)


def _order(groups: np.ndarray, time: np.ndarray | None) -> np.ndarray | None:
    step = np.diff(groups)
    if time is None:
        return None if (step >= 0).all() else np.argsort(groups, kind="stable")
    if ((step > 0) | ((step == 0) & (np.diff(time) >= 0))).all():
        return None
    return np.lexsort((time, groups))


def _duplicate(layout: Layout, factor: Factor, order: np.ndarray | None, at: int, count: int) -> DataError:
    i, j = (at - 1, at) if order is None else (int(order[at - 1]), int(order[at]))
    where = f" in {layout.group(i)}" if layout.group_name else ""
    more = f" (and {count - 1} more such pairs)" if count > 1 else ""
    return DataError(
        f"{layout.text}: {factor.names[0]} {said(factor, i)} occurs twice{where}, in rows {layout.row(i)} and "
        f"{layout.row(j)} (the first row is 0){more}. Two rows of one series cannot have the same time: "
        "name the groups that tell them apart on the right of the bar, or correct the data."
    )


def said(factor: Factor, i: int, axis: int = 0) -> str:
    """A coordinate of row i, as the user wrote it."""
    value, levels = factor.coordinates[axis][i], factor.levels[axis]
    return f"{value:.10g}" if levels is None else str(levels[int(value)])


COUNTED = ("ar1", "arma", "toep", "toeph", "ar1h", "ante1")
"""Structures in which levels of a factor may be steps, in their order."""


def require_order(layout: Layout, factor: Factor) -> None:
    """Refuse labels where times are counted or distances measured, unless they are steps in an order that the caller chose.

    Raises
    ------
    DataError : text; labels for a structure that measures; numbers as labels that do not ascend.
    """
    for name, levels, order in zip(factor.names, factor.levels, factor.orders, strict=False):
        if levels is None:
            continue
        counted = factor.structure in COUNTED
        numbers = all(is_number(level) for level in levels)
        out_of_order = numbers and bool(np.any(np.diff([float(level) for level in levels]) <= 0))
        if counted and (order == "ordered" or (order == "levels" and not out_of_order)):
            continue
        quoted = [repr(level) if numbers and isinstance(level, str) else str(level) for level in levels]
        shown = ", ".join(quoted[:4]) + (" ..." if len(levels) > 4 else "")
        if numbers:
            kind = "text" if order == "text" else "labels"
            why = ", in another order than the numbers'" if out_of_order else ""
            raise DataError(
                f"{layout.text}: column '{name}' holds numbers as {kind} ({shown}){why}: make numbers of it first "
                f"(pandas.to_numeric), and {factor.structure} takes them."
            )
        steps = (
            " or an ordered factor, whose levels are then one step apart in their order" if counted else ""
        )
        does = "counts steps of time" if counted else "measures distances"
        raise DataError(
            f"{layout.text}: {factor.structure} {does}, and column '{name}' holds labels ({shown})"
            + (", whose order would be the alphabet's" if counted else ", not numbers")
            + f": make a column of numbers of it first{steps}."
        )


def require_whole(layout: Layout, factor: Factor, instead: str) -> None:
    """Refuse times that are not whole numbers.

    Raises
    ------
    DataError : the first of them.
    """
    if not factor.names:
        return
    time = factor.coordinates[0]
    bad = np.flatnonzero(time != np.floor(time))
    if bad.size:
        i = int(bad[0])
        where = f" ({layout.group(i)})" if layout.group_name else ""
        raise DataError(
            f"{layout.text}: {factor.structure} counts time in whole steps, and {factor.names[0]} is {said(factor, i)} in row "
            f"{layout.row(i)}{where}. {instead}"
        )

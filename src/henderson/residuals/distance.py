"""Coordinates of a term -> pairs of rows of one group and their lags; groups of one shape share theirs.

Rows are sorted by shape of the group, group, and place in the group. A shape is kept as the numbers of its pairs' lags in the list
of distinct lags, so that a correlation is evaluated once for each distinct lag, and a matrix is factorised once for each shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..errors import DataError, ModelError
from ..memory import machine_memory
from .base import Factor, Layout
from .kernels import Lags
from .order import said

Array = np.ndarray
_MATRICES = 5.0
"""Matrices of n x n held at once by a step."""
_DISTINCT = 4_000_000
"""Pairs up to which distinct lags are looked for."""


@dataclass(frozen=True)
class Batch:
    """Groups of one size m: P shapes, each of G groups. Rows (P, G, m) follow one another."""

    m: int
    shapes: int
    groups: int
    place: Array
    """(P, m (m - 1) / 2): where each pair's lag is, pairs (i, j), i < j, in the order of numpy.triu_indices(m, 1)."""
    rows: slice


@dataclass(frozen=True)
class Pairs:
    """All pairs of rows of one group.

    Attributes
    ----------
    order : (n,) rows of the design, sorted.
    lags : for each factor the lags (u,) of the distinct pairs.
    batches : groups by size.
    summaries : of each factor's positive lags.
    """

    order: Array
    lags: tuple[Array, ...]
    batches: tuple[Batch, ...]
    summaries: tuple[Lags, ...]


def require_numbers(layout: Layout, factor: Factor) -> None:
    """Refuse labels where coordinates are needed.

    Raises
    ------
    DataError : a coordinate that is text.
    """
    for name, levels in zip(factor.names, factor.levels, strict=True):
        if levels is not None:
            raise DataError(
                f"{layout.text}: {factor.structure} measures distances, and column '{name}' holds labels "
                f"({', '.join(map(str, list(levels)[:3]))}{' ...' if len(levels) > 3 else ''}), not numbers. "
                "Make a column of numbers of it first."
            )


def pairs(layout: Layout, factors: Sequence[Factor]) -> Pairs:
    """The pairs of a layout with these factors' coordinates.

    Raises
    ------
    DataError : two rows of one group in one place, without a nugget.
    ModelError : no two rows of one group; all in one place; more rows in one group than memory allows.
    """
    starts, sizes, order = _sorted_groups(layout, factors)
    _require_memory(layout, int(sizes.max()))
    coordinates = [np.column_stack(factor.coordinates)[order] for factor in factors]
    if not layout.nugget:
        _refuse_duplicates(layout, factors, order, coordinates)
    lags = [[_lags(c[a : a + m]) for a, m in zip(starts, sizes, strict=True)] for c in coordinates]
    joined = [np.concatenate(each) for each in lags]
    if not joined[0].size:
        raise ModelError(
            f"{layout.text}: every {layout.group_name or 'series'} has one row, so that no two residuals are correlated: "
            "the correlation cannot be estimated."
        )
    summaries = tuple(
        _summary(layout, f, joined_lags, c, starts, sizes)
        for f, joined_lags, c in zip(factors, joined, coordinates, strict=True)
    )
    distinct, place = _distinct(joined)
    batches, moved = _batches(starts, sizes, place)
    return Pairs(order[moved], distinct, batches, summaries)


def _sorted_groups(layout: Layout, factors: Sequence[Factor]) -> tuple[Array, Array, Array]:
    """Where each group starts, its size, and the rows sorted by group and coordinates."""
    keys = [c for factor in reversed(factors) for c in reversed(factor.coordinates)]
    order = np.lexsort((*keys, layout.groups))
    first = np.flatnonzero(np.diff(layout.groups[order], prepend=-1))
    return first, np.diff(np.append(first, layout.n)), order


def _lags(points: Array) -> Array:
    """Euclidean distances of the pairs i < j of points (m, d), condensed."""
    if len(points) < 2:
        return np.zeros(0)
    from scipy.spatial.distance import pdist

    return pdist(points)


def _require_memory(layout: Layout, m: int) -> None:
    needed, there = _MATRICES * 8.0 * m * m, machine_memory()
    if needed > 0.6 * there:
        where = f"one {layout.group_name}" if layout.group_name else "all rows together"
        structure = layout.factors[0].structure
        names = " + ".join(name for factor in layout.factors for name in factor.names)
        raise ModelError(
            f"{layout.text}: {where} has {m} rows, and a dense {m} x {m} covariance needs {needed / 2**30:.0f} GiB of memory "
            f"(this machine has {there / 2**30:.0f}). Name fields that are independent of one another, as in "
            f"{structure}(0 + {names} | field)" + ", or use a grid: (1 | ar1(row):ar1(col))."
        )


def _refuse_duplicates(
    layout: Layout, factors: Sequence[Factor], order: Array, coordinates: Sequence[Array]
) -> None:
    groups = layout.groups[order]
    same = groups[1:] == groups[:-1]
    for points in coordinates:
        same &= (points[1:] == points[:-1]).all(axis=1)
    twice = np.flatnonzero(same)
    if not twice.size:
        return
    i, j = int(order[twice[0]]), int(order[twice[0] + 1])
    raise DataError(duplicate_message(layout, factors, min(i, j), max(i, j), twice.size))


def duplicate_message(layout: Layout, factors: Sequence[Factor], i: int, j: int, count: int) -> str:
    """Rows i and j of the design are in one place."""
    where = ", ".join(f"{name} {said(f, i, k)}" for f in factors for k, name in enumerate(f.names))
    group = f" of {layout.group(i)}" if layout.group_name else ""
    more = f" (and {count - 1} more such pairs)" if count > 1 else ""
    return (
        f"{layout.text}: rows {layout.row(i)} and {layout.row(j)} (the first row is 0){group} are in one place, {where}{more}: "
        "their correlation is 1. Correct the data, name the groups that tell them apart, or allow for a nugget: "
        f"{layout.text} + (1 | units)."
    )


def _summary(layout: Layout, factor: Factor, lags: Array, points: Array, starts: Array, sizes: Array) -> Lags:
    positive = lags[lags > 0]
    if not positive.size:
        where = ", ".join(f"{name} {said(factor, 0, k)}" for k, name in enumerate(factor.names))
        within = f" of one {layout.group_name}" if layout.group_name else ""
        raise ModelError(
            f"{layout.text}: all rows{within} are in one place ({where}{' in row 0' if within else ''}): "
            "there is no distance, and the correlation cannot be estimated."
        )
    neighbours = _neighbour_distance(points, starts, sizes)
    shortest = float(positive.min())
    whole = factor.structure == "ar1"
    step = float(np.gcd.reduce(np.unique(positive).astype(np.int64))) if whole else 0.0
    return Lags(shortest, neighbours or shortest, float(positive.max()), step)


def _neighbour_distance(points: Array, starts: Array, sizes: Array) -> float:
    """Median distance from a point to the nearest other place of its group; 0 where there is none."""
    from scipy.spatial import cKDTree

    found = []
    for a, m in list(zip(starts, sizes, strict=True))[:200]:
        places = np.unique(points[a : a + m], axis=0)
        if len(places) > 1:
            found.append(cKDTree(places).query(places, k=2)[0][:, 1])
    return float(np.median(np.concatenate(found))) if found else 0.0


def _distinct(lags: Sequence[Array]) -> tuple[tuple[Array, ...], Array | None]:
    """Lags of the distinct pairs, and where each pair's are; None for each at its own place."""
    if lags[0].size > _DISTINCT:
        return tuple(lags), None
    values, codes = np.unique(lags[0], return_inverse=True)
    out = [values]
    for more in lags[1:]:
        levels, code = np.unique(more, return_inverse=True)
        keys, codes = np.unique(codes * len(levels) + code, return_inverse=True)
        before, last = np.divmod(keys, len(levels))
        out = [each[before] for each in out] + [levels[last]]
    return tuple(out), codes.astype(np.int32)


def _batches(starts: Array, sizes: Array, place: Array | None) -> tuple[tuple[Batch, ...], Array]:
    """Groups sorted by shape, and the rows in that order."""
    counts = sizes * (sizes - 1) // 2
    at = np.cumsum(counts) - counts
    shapes: dict[tuple[int, bytes], list[int]] = {}
    for g, (m, a, count) in enumerate(zip(sizes, at, counts, strict=True)):
        key = b"%d" % g if place is None else place[a : a + count].tobytes()
        shapes.setdefault((int(m), key), []).append(g)
    alike: dict[tuple[int, int], list[list[int]]] = {}
    for (m, _), members in shapes.items():
        alike.setdefault((m, len(members)), []).append(members)
    batches, rows, row = [], [], 0
    for (m, groups), members_of in sorted(alike.items(), key=lambda item: item[0]):
        where = np.stack(
            [np.arange(at[members[0]], at[members[0]] + counts[members[0]]) for members in members_of]
        )
        each = where if place is None else place[where]
        stop = row + m * groups * len(members_of)
        batches.append(Batch(m, len(members_of), groups, each, slice(row, stop)))
        rows += [np.arange(starts[g], starts[g] + m) for members in members_of for g in members]
        row = stop
    return tuple(batches), np.concatenate(rows)

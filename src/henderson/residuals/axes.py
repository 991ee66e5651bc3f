"""The lattice of a layout: the distinct coordinates of each group, the cells they make, and the chains along them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ..errors import DataError, ModelError
from .base import Layout
from .distance import duplicate_message
from .kernels import Lags
from .order import said

Array = np.ndarray


class Chain(NamedTuple):
    """One coordinate of all groups: cells that follow one another along it."""

    before: Array
    """(N,) cell before each cell, -1 for the first."""
    gap_of: Array
    """(N,) which gap lies before each cell, -1 for the first."""
    after: Array
    """(N,) which gap lies behind each cell, -1 for the last."""
    gaps: Array
    """(g,) distinct gaps."""
    counts: Array
    """(g,) how often each occurs, lines counted."""
    codes: tuple[Array, ...]
    """For each group which gap lies between neighbouring coordinates."""


@dataclass(frozen=True)
class Axes:
    """The lattice of a layout.

    Attributes
    ----------
    order : (n,) rows of the design by cell.
    cell : (n,) cell of each row, in that order.
    chains : one for each factor.
    shapes : distinct coordinates of each group along each factor, (groups, factors).
    slow : factor along which lines follow one another, the longest.
    """

    order: Array
    cell: Array
    chains: tuple[Chain, ...]
    shapes: Array
    slow: int
    levels: tuple[tuple[Array, ...], ...]
    """For each group and factor the distinct coordinates, sorted."""
    summaries: tuple[Lags, ...]

    @property
    def cells(self) -> int:
        return int(self.shapes.prod(axis=1).sum())

    @property
    def inner(self) -> list[int]:
        """Factors from the slowest to the fastest in the numbering of cells."""
        return _inner(self.slow, self.shapes.shape[1])

    def lines(self, x: Array, factor: int) -> list[Array]:
        """For each group a view of x (N, k) with the coordinate of a factor first."""
        out, start = [], 0
        for shape in self.shapes[:, self.inner]:
            end = start + int(shape.prod())
            box = x[start:end].reshape(*shape, x.shape[1])
            out.append(np.moveaxis(box, self.inner.index(factor), 0))
            start = end
        return out


def axes(layout: Layout) -> Axes:
    """The distinct coordinates of each group and the cells they make.

    Raises
    ------
    DataError : two rows of one group in one cell, without a nugget.
    ModelError : a factor with one coordinate only.
    """
    values = [f.coordinates[0] for f in layout.factors]
    groups = int(layout.groups.max()) + 1
    levels, codes = zip(*(_levels(layout.groups, v, groups) for v in values), strict=True)
    shapes = np.array([[len(found[g]) for found in levels] for g in range(groups)])
    for k, factor in enumerate(layout.factors):
        if shapes[:, k].max() < 2:
            raise ModelError(
                f"{layout.text}: {factor.names[0]} is {said(factor, 0)} in every row"
                + (f" of a {layout.group_name}" if layout.group_name else "")
                + f": there is no correlation along it to estimate. Leave out {factor.structure}({factor.names[0]})."
            )
    slow = int(np.argmax(shapes.sum(axis=0)))
    inner = _inner(slow, len(values))
    sizes = shapes.prod(axis=1)
    offsets = np.cumsum(sizes) - sizes
    cell = offsets[layout.groups]
    stride = np.ones(groups, dtype=np.int64)
    for k in reversed(inner):
        cell = cell + codes[k] * stride[layout.groups]
        stride = stride * shapes[:, k]
    order = np.argsort(cell, kind="stable")
    if not layout.nugget:
        twice = np.flatnonzero(np.diff(cell[order]) == 0)
        if twice.size:
            i, j = sorted((int(order[twice[0]]), int(order[twice[0] + 1])))
            raise DataError(duplicate_message(layout, layout.factors, i, j, twice.size))
    chains = _chains(levels, shapes, inner)
    by_group = tuple(tuple(found[g] for found in levels) for g in range(groups))
    return Axes(order, cell[order], chains, shapes, slow, by_group, tuple(map(_lags, levels)))


def _inner(slow: int, factors: int) -> list[int]:
    return [slow, *(k for k in range(factors) if k != slow)]


def _levels(groups: Array, values: Array, count: int) -> tuple[list[Array], Array]:
    """Distinct values of each group, sorted, and the place of each row's among them."""
    order = np.lexsort((values, groups))
    g, v = groups[order], values[order]
    fresh = np.ones(len(v), dtype=bool)
    fresh[1:] = (g[1:] != g[:-1]) | (v[1:] != v[:-1])
    numbers = np.cumsum(fresh) - 1
    first = np.searchsorted(g[fresh], np.arange(count))
    codes = np.empty(len(v), dtype=np.int64)
    codes[order] = numbers - first[g]
    return np.split(v[fresh], first[1:]), codes


def _lags(levels: list[Array]) -> Lags:
    gaps = np.concatenate([np.diff(found) for found in levels])
    longest = max(float(found[-1] - found[0]) for found in levels)
    step = float(np.gcd.reduce(gaps.astype(np.int64))) if (gaps == np.floor(gaps)).all() else 0.0
    return Lags(float(gaps.min()), float(np.median(gaps)), longest, step)


def _chains(levels: tuple[list[Array], ...], shapes: Array, inner: list[int]) -> tuple[Chain, ...]:
    groups, total = len(shapes), int(shapes.prod(axis=1).sum())
    before = np.full((len(inner), total), -1, dtype=np.int64)
    width = np.zeros((len(inner), total))
    behind = np.zeros((len(inner), total))
    start = 0
    for g in range(groups):
        size = int(shapes[g].prod())
        numbers = np.arange(start, start + size).reshape(shapes[g][inner])
        for axis, k in enumerate(inner):
            gap = np.diff(levels[k][g])
            along = np.moveaxis(numbers, axis, 0)
            before[k, along[1:]] = along[:-1]
            tall = gap.reshape(-1, *(1,) * (along.ndim - 1))
            width[k, along[1:]] = tall
            behind[k, along[:-1]] = tall
        start += size
    out = []
    for k in range(len(inner)):
        inside, last = before[k] >= 0, behind[k] == 0
        gaps, codes, counts = np.unique(width[k, inside], return_inverse=True, return_counts=True)
        gap_of, after = np.full(total, -1), np.full(total, -1)
        gap_of[inside] = codes
        after[~last] = np.searchsorted(gaps, behind[k, ~last])
        of_groups = tuple(np.searchsorted(gaps, np.diff(found)) for found in levels[k])
        out.append(Chain(before[k], gap_of, after, gaps, counts, of_groups))
    return tuple(out)


class Steps(NamedTuple):
    """The chain of one coordinate at one t, for each distinct gap."""

    a: Array
    """Correlation over the gap."""
    b: Array
    """1 - a."""
    v: Array
    """1 - a^2."""
    slope: Array
    """da/dt."""

"""Serial correlation of short series by their dense matrices: what `statespace` does a step at a time, where that is faster.

Python pays for every step of a filter, LAPACK next to nothing for a matrix of some hundred rows. C is filled from the correlations at
the distinct lags, and groups with the same times share one factor.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import replace

import numpy as np

from . import batched
from .base import CrossProducts, Layout, Structure
from .distance import Pairs, pairs
from .order import Series
from .statespace import Signal, StateSpace

Array = np.ndarray
_SHORTEST, _LONGEST, _MOST_WORK = 12, 300, 3e7
"""Rows of the longest series from which and up to which dense matrices are faster, and the sum of cubes of all factorised."""
_FARTHEST = 2000
"""Longest lag to which correlations are run out."""
_STEP = 1e-30


class LaggedSignal(Signal):
    """A signal that can say its correlation at any whole lag."""

    @abstractmethod
    def correlations(self, t: Array, longest: int) -> Array:
        """At lags 0 .. longest, for real or complex t."""


def fitting(layout: Layout, sorted_rows: Series, signal: LaggedSignal, gap_of: Array) -> Structure:
    """The structure by dense matrices or by the filter, whichever these series are faster with."""
    starts = np.flatnonzero(sorted_rows.first)
    counts = np.diff(np.append(starts, layout.n)).astype(np.float64)
    if not _SHORTEST <= counts.max() <= _LONGEST or float(np.sum(counts**3)) > 20.0 * _MOST_WORK:
        return StateSpace(layout, sorted_rows, signal, gap_of)
    found = pairs(*_timed(layout, sorted_rows))
    work = sum(batch.shapes * float(batch.m) ** 3 for batch in found.batches)
    if work > _MOST_WORK or found.lags[0].max() > _FARTHEST:
        return StateSpace(layout, sorted_rows, signal, gap_of)
    return DenseSeries(layout, sorted_rows, signal, gap_of, found)


def dense(layout: Layout, sorted_rows: Series, signal: LaggedSignal, gap_of: Array) -> DenseSeries:
    """The structure by dense matrices, however long its series."""
    return DenseSeries(layout, sorted_rows, signal, gap_of, pairs(*_timed(layout, sorted_rows)))


def _timed(layout: Layout, sorted_rows: Series) -> tuple[Layout, tuple]:
    """The layout with times counted from the start of each series, where it has none too."""
    elapsed = np.cumsum(sorted_rows.gaps)
    starts = np.flatnonzero(sorted_rows.first)
    counts = np.diff(np.append(starts, layout.n))
    elapsed -= np.repeat(elapsed[starts], counts)
    time = elapsed
    if sorted_rows.order is not None:
        time = np.empty(layout.n)
        time[sorted_rows.order] = elapsed
    factor = replace(layout.factors[0], names=("time",), coordinates=(time,), levels=(None,))
    timed = replace(layout, factors=(factor,))
    return timed, (factor,)


class DenseSeries(StateSpace):
    """C of a signal, a matrix for each shape of group."""

    signal: LaggedSignal

    def __init__(
        self, layout: Layout, sorted_rows: Series, signal: LaggedSignal, gap_of: Array, found: Pairs
    ):
        super().__init__(layout, sorted_rows, signal, gap_of)
        self.pairs, self.order, self.to_series = found, found.order, None
        groups = layout.groups[found.order]
        self._neighbours = np.flatnonzero(np.append(False, groups[1:] == groups[:-1]))
        self.lags = found.lags[0].astype(np.int64)

    def _values(self, t: Array, slopes: bool) -> tuple[Array, Array | None]:
        """Correlation of two rows at the distinct lags (u,), and its derivatives (coordinates, u)."""
        k, longest = len(self.signal.lower), int(self.lags.max())
        rho = self.signal.correlations(t[:k], longest)[self.lags]
        left = 1.0 - t[k] if self.nugget else 1.0
        if not slopes:
            return left * rho, None
        rows = []
        for j in range(k):
            moved = t[:k].astype(complex)
            moved[j] += 1j * _STEP
            rows.append(left * self.signal.correlations(moved, longest)[self.lags].imag / _STEP)
        if self.nugget:
            rows.append(-rho)
        return left * rho, np.array(rows)

    def whiten(self, t: Array, m: Array) -> tuple[Array, float]:
        values, _ = self._values(t, False)
        return batched.whiten(self.pairs, values, None, m)

    def cross_products(self, t: Array, m: Array, slopes: bool) -> CrossProducts:
        values, derivatives = self._values(t, slopes)
        return batched.cross_products(self.pairs, values, None, derivatives, m)

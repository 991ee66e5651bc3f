"""The rows of a design in memory, as blocks for least squares: X is never held whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import pairwise

import numpy as np

from ..design.columns import ModelColumns
from .least_squares import Centre

_ENTRIES = 2**18
"""Of a block: as many as a processor's own cache holds."""
_LEAST = 2048
"""Rows of a block at least: fewer cost more in calls than in memory."""
_SEGMENTS = 8
"""Parts of a long table. Their number does not depend on the machine, so that sums do not either."""


class DesignRows:
    """[X y] of a design, slice by slice (the contract is `least_squares.Rows`).

    Parameters
    ----------
    columns : of X.
    y : (n,), less the offset.
    weights : (n,) precision weights, or None.
    """

    def __init__(self, columns: ModelColumns, y: np.ndarray, weights: np.ndarray | None):
        self.columns, self.y = columns, y
        self.root_weights = None if weights is None else np.sqrt(weights)
        self.n, self.p = len(y), len(columns.names)
        self.intercept = 0 if columns.intercept == 0 else None

    def segments(self) -> list[Callable[[Centre | None], Iterator[np.ndarray]]]:
        """Slices of the table, each as blocks."""
        step = max(_LEAST, _ENTRIES // (self.p + 1))
        if self.n * self.p <= _SEGMENTS * _ENTRIES:
            return [partial(self._blocks, 0, self.n, step)]
        ends = np.linspace(0, self.n, _SEGMENTS + 1).astype(int)
        return [partial(self._blocks, int(a), int(b), step) for a, b in pairwise(ends)]

    def _blocks(self, start: int, stop: int, step: int, centre: Centre | None) -> Iterator[np.ndarray]:
        room = np.empty((step, self.p + 1), order="F")
        for first in range(start, stop, step):
            rows = slice(first, min(first + step, stop))
            block = room[: rows.stop - first]
            self.columns.fill(block, rows)
            block[:, -1] = self.y[rows]
            if centre is not None:
                block -= centre.shift
            if self.root_weights is not None:
                block *= self.root_weights[rows, None]
            yield block

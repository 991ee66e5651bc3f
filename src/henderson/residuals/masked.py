"""Groups of rows at subsets of m positions, factorised side by side: rows and columns of positions that a group misses are those
of the identity, and its rows there zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from .base import CrossProducts, NotPositiveDefinite

SMALLEST_PIVOT = 1e-11
"""Share of a variance left beside the positions before it, below which the matrix is taken as singular."""
WIDEST = 16.0
"""Spread of the logs of standard deviations beyond which the smallest is taken as zero."""
_CHUNK = 2_000_000
"""Numbers of one batch of matrices."""


class Pattern(NamedTuple):
    """Groups with rows at the same positions; their rows are rows[start:stop] in the structure's order, group by group."""

    positions: np.ndarray
    start: int
    stop: int

    @property
    def groups(self) -> int:
        return (self.stop - self.start) // len(self.positions)


class Masked:
    """The groups of all patterns, in the structure's order of rows."""

    def __init__(self, patterns: list[Pattern], m: int):
        self.m = m
        self.there = np.zeros((len(patterns), m), dtype=bool)
        for j, pattern in enumerate(patterns):
            self.there[j, pattern.positions] = True
        self.groups = np.array([pattern.groups for pattern in patterns])
        pattern_of = np.repeat(np.arange(len(patterns)), self.groups)
        self.pattern_of = pattern_of
        q = len(pattern_of)
        self.cells = np.flatnonzero(self.there[pattern_of].ravel())
        """Place of each row among the q * m cells."""
        self.step = max(1, _CHUNK // max(m * m, 1))
        self.q = q

    def _spread(self, rows: np.ndarray) -> np.ndarray:
        """Rows (n, k) as (q, m, k), zero where a position is missing."""
        out = np.zeros((self.q * self.m, rows.shape[1]))
        out[self.cells] = rows
        return out.reshape(self.q, self.m, -1)

    def _factors(self, v: np.ndarray) -> Iterator[tuple[slice, slice, np.ndarray, np.ndarray]]:
        """Batches: patterns, their groups, inverse Cholesky factors (patterns, m, m), log determinants (patterns,)."""
        eye = np.eye(self.m)
        first = np.append(0, np.cumsum(self.groups))
        for a in range(0, len(self.there), self.step):
            batch = slice(a, min(a + self.step, len(self.there)))
            there = self.there[batch]
            both = there[:, :, None] & there[:, None, :]
            try:
                factor = np.linalg.cholesky(np.where(both, v, eye))
            except np.linalg.LinAlgError:
                raise NotPositiveDefinite("the matrix of the positions is not positive definite") from None
            pivots = np.diagonal(factor, axis1=1, axis2=2)
            variances = np.where(there, np.diagonal(v), 1.0)
            if not np.min(pivots**2 / variances) > SMALLEST_PIVOT:
                raise NotPositiveDefinite("the matrix of the positions is not positive definite")
            log_det = 2.0 * np.log(pivots).sum(axis=1)
            yield (
                batch,
                slice(int(first[batch.start]), int(first[batch.stop])),
                np.linalg.inv(factor),
                log_det,
            )

    def _apply(self, inverse: np.ndarray, batch: slice, groups: slice, rows: np.ndarray) -> np.ndarray:
        """The matrix of its pattern times the rows (groups, m, k) of each group of a batch."""
        out = np.empty_like(rows)
        which = self.pattern_of[groups] - batch.start
        for a in range(0, len(rows), self.step):
            out[a : a + self.step] = inverse[which[a : a + self.step]] @ rows[a : a + self.step]
        return out

    def whiten(self, v: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, float]:
        """W rows (n, k) and log|C|."""
        wide, log_det = self._spread(rows), 0.0
        for batch, groups, inverse, each in self._factors(v):
            wide[groups] = self._apply(inverse, batch, groups, wide[groups])
            log_det += float(self.groups[batch] @ each)
        return wide.reshape(self.q * self.m, -1)[self.cells], log_det

    def cross_products(self, v: np.ndarray, dv: np.ndarray, rows: np.ndarray, slopes: bool) -> CrossProducts:
        """As `Structure.cross_products`, at V_m = v with derivatives dv."""
        m, k = self.m, rows.shape[1]
        wide, log_det = self._spread(rows), 0.0
        products, gathered, inverse_sum = np.zeros((k, k)), np.zeros((m * k, m * k)), np.zeros((m, m))
        for batch, groups, inverse, each in self._factors(v):
            white = self._apply(inverse, batch, groups, wide[groups])
            tall = white.reshape(-1, k)
            products += tall.T @ tall
            log_det += float(self.groups[batch] @ each)
            if not slopes:
                continue
            solved = self._apply(inverse.transpose(0, 2, 1), batch, groups, white)
            flat = solved.reshape(len(solved), m * k)
            gathered += flat.T @ flat
            there = self.there[batch]
            masked = inverse * there[:, None, :]
            masked = masked * np.sqrt(self.groups[batch])[:, None, None] * there[:, :, None]
            inverse_sum += np.einsum("bij,bik->jk", masked, masked, optimize=True)
        if not slopes:
            return CrossProducts(products, log_det)
        four = gathered.reshape(m, k, m, k)
        change = -np.einsum("jab,akbl->jkl", dv, four, optimize=True)
        return CrossProducts(
            products,
            log_det,
            0.5 * (change + change.transpose(0, 2, 1)),
            np.einsum("jab,ab->j", dv, inverse_sum),
        )

"""Which columns of X the data determine, and which combinations of coefficients can be estimated.

X (n, p) has rank r. `kept` are the columns that a fit gives coefficients to, `dropped` those that are linear
combinations of the kept ones before them:

    X[:, dropped] = X[:, kept] @ aliases,     null space N = [-aliases; I]  (p, p - r),     X N = 0

A combination l'b of the p coefficients is estimable when every response-free check l'N is 0 (Searle 1971, ch. 5): l then
lies in the row space of X, and l'b = (l restricted to the kept columns)'b^.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

_ROUNDING = 1e-13
"""Share of a row's largest number that its cancellations may leave."""
TOLERANCE = 1e-7
"""Share of a row's size beyond which l'N counts as different from 0."""


@dataclass(frozen=True, eq=False)
class ColumnSpace:
    """The p columns of a model's X, and which of them have a coefficient.

    Attributes
    ----------
    names : of the p columns.
    kept, dropped : their numbers, both in increasing order.
    aliases : (rank, dropped), each dropped column as a combination of the kept ones.
    """

    names: tuple[str, ...]
    kept: np.ndarray
    dropped: np.ndarray
    aliases: np.ndarray

    @property
    def rank(self) -> int:
        return len(self.kept)

    @cached_property
    def null_space(self) -> np.ndarray:
        """(p, p - rank): combinations of the columns of X that are zero in every row."""
        space = np.zeros((len(self.names), len(self.dropped)))
        space[self.kept] = -self.aliases
        space[self.dropped, np.arange(len(self.dropped))] = 1.0
        return space

    def excess(self, rows: np.ndarray) -> np.ndarray:
        """How far each row (k, p) is from being estimable, relative to its size: (k, p - rank), 0 where it is."""
        difference = rows[:, self.dropped] - rows[:, self.kept] @ self.aliases
        rounding = _ROUNDING * np.abs(rows).max(axis=1, initial=0.0)
        difference[np.abs(difference) <= rounding[:, None]] = 0.0
        size = np.maximum(np.abs(rows[:, self.kept]) @ np.abs(self.aliases), np.abs(rows[:, self.dropped]))
        return np.abs(difference) / np.maximum(size, 1e-300)

    def estimable(self, rows: np.ndarray) -> np.ndarray:
        """Whether each combination of the p coefficients (k, p) can be estimated, (k,) bool."""
        rows = np.atleast_2d(np.asarray(rows, dtype=np.float64))
        return np.asarray((self.excess(rows) <= TOLERANCE).all(axis=1))

"""A pedigree as arrays: who descends from whom, and what follows from it in linear time.

    u = T m,     T = (I - P)^-1,     A = T D T',     D = var(m) = diag of Mendelian variances

Row i of P has the share of each parent: 1/2 and 1/2, or 1/2 of the sire and 1/4 of the maternal grandsire.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .ancestry_loops import SMALL, ascend, descend, generations, loop

HALVES = (0.5, 0.5)
SIRE_AND_GRANDSIRE = (0.5, 0.25)

IntArray = NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Ancestry:
    """Parents of n animals, who come after their parents.

    Attributes
    ----------
    first, second : (n,) int32, positions of sire and dam (or sire and maternal grandsire); -1 unknown.
    shares : what an animal has of each, (1/2, 1/2) or (1/2, 1/4).
    kept : (n,) share of the heterozygosity that is left after selfing, 2^-(generations); 1 - F of a founder
        whose F is given. None: 1 for all.
    """

    first: IntArray
    second: IntArray
    shares: tuple[float, float] = HALVES
    kept: NDArray[np.float64] | None = None

    @property
    def n(self) -> int:
        return self.first.size

    @property
    def share_of_relationship(self) -> float:
        """F before selfing is this times the relationship of the two parents named."""
        return 0.5 if self.shares == HALVES else 0.25

    def selfed(self) -> NDArray[np.float64]:
        """`kept`, (n,)."""
        return np.ones(self.n) if self.kept is None else self.kept

    def generations(self) -> IntArray:
        """Generation of each animal, (n,): 0 for founders, else one more than the later parent's."""
        found, _ = loop(generations, self.n)(self.first, self.second)
        return found

    def down(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """T x, for x (n,) or (n, r)."""
        return self._pass(descend, range(self.n), _add_down, x)

    def up(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """T'x, for x (n,) or (n, r)."""
        return self._pass(ascend, range(self.n - 1, -1, -1), _add_up, x)

    def _pass(
        self, compiled: Callable, order: range, add: Callable, x: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        out = np.array(x, dtype=np.float64, order="C")
        columns = out.reshape(self.n, -1)
        if self.n > SMALL:
            loop(compiled, self.n)(self.first, self.second, *self.shares, columns)
            return out
        w1, w2 = self.shares
        for i, s, d in zip(order, self.first[order].tolist(), self.second[order].tolist(), strict=True):
            add(columns, i, s, w1)
            add(columns, i, d, w2)
        return out

    def ancestors(self, of: NDArray[np.integer]) -> NDArray[np.bool_]:
        """(n,) whether each animal is one of `of` or an ancestor of one."""
        marked = np.zeros(self.n, np.bool_)
        front = np.unique(of)
        while front.size:
            marked[front] = True
            parents = np.unique(np.concatenate([self.first[front], self.second[front]]))
            parents = parents[parents >= 0]
            front = parents[~marked[parents]]
        return marked

    def subset(self, keep: NDArray[np.bool_]) -> Ancestry:
        """The pedigree of some of the animals, all their parents among them."""
        place = np.full(self.n + 1, -1, np.int32)
        place[:-1][keep] = np.arange(int(keep.sum()), dtype=np.int32)
        kept = None if self.kept is None else self.kept[keep]
        return Ancestry(place[self.first[keep]], place[self.second[keep]], self.shares, kept)


def _add_down(x: NDArray[np.float64], i: int, parent: int, share: float) -> None:
    if parent >= 0:
        x[i] += share * x[parent]


def _add_up(x: NDArray[np.float64], i: int, parent: int, share: float) -> None:
    if parent >= 0:
        x[parent] += share * x[i]

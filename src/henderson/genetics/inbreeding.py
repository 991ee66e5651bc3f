"""Inbreeding coefficients and Mendelian variances of a pedigree.

    F_i = F0_i + (1 - h_i)(1 - F0_i),    F0_i = a(s, d) / 2,    h_i = 2^-(generations of selfing)
    D_i = 1 + F_i - var(parents' share) = 1 + (F_i - F0_i) - (1 + F_s)/4 - (1 + F_d)/4

For sire and maternal grandsire F0_i = a(s, g) / 4 and D_i = 1 + (F_i - F0_i) - (1 + F_s)/4 - (1 + F_g)/16. An
unknown parent is not inbred and related to nobody: its term is left out. With h = 1 this is Henderson's
(1976, Biometrics 32: 69-83) and Quaas's (1976, Biometrics 32: 949-953); 1 + F is that of Oakey et al. (2006,
Theor. Appl. Genet. 113: 809-819, eq. 9) for selfed lines.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .ancestry import Ancestry
from .ancestry_loops import SMALL

_PIECE = 32
"""Parents with offspring in a piece of work for a thread."""


def inbreeding(pedigree: Ancestry) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """F (n,) and the Mendelian variances D (n,)."""
    f0 = _by_table(pedigree) if pedigree.n <= SMALL else _by_mates(pedigree)
    if pedigree.kept is None:
        f, selfed = f0, np.zeros(1)
    else:
        selfed = (1.0 - pedigree.kept) * (1.0 - f0)
        f = f0 + selfed
    explained = np.zeros(pedigree.n)
    for parent, share in zip((pedigree.first, pedigree.second), pedigree.shares, strict=True):
        explained += np.where(parent >= 0, share * share * (1.0 + f[parent]), 0.0)
    return f, np.maximum(1.0 - explained + selfed, 0.0)


def tabular(pedigree: Ancestry) -> NDArray[np.float64]:
    """A (n, n) by the tabular method: a row is what the parents' rows give. For small pedigrees."""
    return _table(pedigree)[0]


def _by_table(pedigree: Ancestry) -> NDArray[np.float64]:
    return _table(pedigree)[1]


def _table(pedigree: Ancestry) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    n, (w1, w2), kept = pedigree.n, pedigree.shares, pedigree.selfed().tolist()
    a, f0 = np.zeros((n, n)), np.zeros(n)
    for i, s, d in zip(range(n), pedigree.first.tolist(), pedigree.second.tolist(), strict=True):
        row = a[i, :i]
        if s >= 0:
            row += w1 * a[s, :i]
        if d >= 0:
            row += w2 * a[d, :i]
        a[:i, i] = row
        if s >= 0 and d >= 0:
            f0[i] = pedigree.share_of_relationship * a[s, d]
        a[i, i] = 1.0 + f0[i] + (1.0 - kept[i]) * (1.0 - f0[i])
    return a, f0


def _by_mates(pedigree: Ancestry) -> NDArray[np.float64]:
    """F before selfing, (n,), by the relationships of parents with their mates (mates.py)."""
    from . import mates

    n = pedigree.n
    parents, generation = _parents_by_generation(pedigree)
    m = parents.size
    place = np.full(n + 1, -1, np.int32)
    place[parents] = np.arange(m, dtype=np.int32)
    first, second = place[pedigree.first], place[pedigree.second]
    place = place[:n]
    one, other = _fewer_first(first, second)
    start, child = mates.by_parent(np.where(other >= 0, one, np.int32(-1)), m)
    mate, child_place = other[child], place[child]
    kept = pedigree.selfed()[parents]
    out, f0, f, d = np.zeros(n), np.zeros(m), 1.0 - kept, np.full(m, -1.0)
    fixed = (first[parents], second[parents], kept, *pedigree.shares, pedigree.share_of_relationship)
    filled = (start, mate, child, child_place, out, f0, f, d)
    _generation_by_generation(generation, start, (*fixed, *filled))
    return out


def _generation_by_generation(generation: NDArray, start: NDArray, arrays: tuple[Any, ...]) -> None:
    """The kernel over the parents of each generation, cut into pieces that the threads take in turn."""
    from concurrent.futures import ThreadPoolExecutor

    from ..report.progress import rows_line
    from ..sparse.parallel import thread_count
    from .mates import inbreeding_of_offspring

    m = generation.size
    rooms: list[tuple[NDArray, ...]] = []

    def piece(begin: int, end: int) -> None:
        try:
            room = rooms.pop()
        except IndexError:
            room = _room(m)
        inbreeding_of_offspring(begin, end, *arrays, *room)
        rooms.append(room)

    offspring = np.diff(start)
    ends = np.append(np.flatnonzero(np.diff(generation)) + 1, m).tolist()
    threads = thread_count()
    with ThreadPoolExecutor(threads) as pool, rows_line(f"inbreeding by {m:,} parents", "parents") as tick:
        for begin, end in zip([0, *ends[:-1]], ends, strict=True):
            busy = int(np.count_nonzero(offspring[begin:end]))
            if threads == 1 or busy < _PIECE:
                piece(begin, end)
            else:
                cuts = np.linspace(begin, end, max(2, busy // _PIECE) + 1).astype(int).tolist()
                for done in [pool.submit(piece, a, b) for a, b in pairwise(cuts)]:
                    done.result()
            tick(end - begin)


def _room(m: int) -> tuple[NDArray, ...]:
    """What the kernel works in: r, x, xmark, v, vmark, todo, seen."""
    marks = [np.full(m, -1, np.int32) for _ in range(2)]
    return (
        np.zeros(m),
        np.empty(m),
        marks[0],
        np.empty(m),
        marks[1],
        np.empty(m, np.int32),
        np.empty(m, np.int32),
    )


def _parents_by_generation(pedigree: Ancestry) -> tuple[NDArray[np.intp], NDArray[np.int32]]:
    """Positions of all parents, sorted by generation, and their generations."""
    is_parent = np.zeros(pedigree.n + 1, np.bool_)
    is_parent[pedigree.first] = True
    is_parent[pedigree.second] = True
    parents = np.flatnonzero(is_parent[:-1])
    generation = pedigree.generations()[parents]
    order = np.argsort(generation, kind="stable")
    return parents[order], generation[order]


def _fewer_first(first: NDArray[np.int32], second: NDArray[np.int32]) -> tuple[NDArray, NDArray]:
    """The two parents, in front the one of whom there are fewer different ones with a known mate."""
    both = (first >= 0) & (second >= 0)
    counts = [np.count_nonzero(np.bincount(p[both])) if both.any() else 0 for p in (first, second)]
    return (first, second) if counts[0] <= counts[1] else (second, first)

"""Relationships of parents with their mates, parent by parent: inbreeding of large pedigrees.

Column a of A is T (D T'e_a): up from a through its ancestors, and down again (Colleau 2002, Genet. Sel. Evol.
34: 409-421). Only the parents' own pedigree is gone through, once for each parent of one sex (Sargolzaei,
Iwaisaki & Colleau 2005, J. Anim. Breed. Genet. 122: 325-331). D of a and its ancestors follows from the F of
offspring of earlier generations, so that parents of one generation may be taken in any order, and at the same
time.

Where few are concerned one walks from animal to animal; where many are, one sweeps over everybody in between.

All arrays count in parents, sorted by generation; -1 is nobody.
"""

from __future__ import annotations

import numpy as np

from ..sparse.compiled import plain

SWEEP = 6
"""A step of a walk takes about this many times as long as a step of a sweep."""


@plain
def walk_up(a, first, second, mark, todo, seen):
    """Ancestors of a, and a, into `seen`, parents before offspring; `mark` set to a. Their number, or -1
    where they are many."""
    limit = max(64, a // SWEEP)
    count = 0
    top = 0
    todo[0] = a
    while top >= 0:
        j = todo[top]
        if mark[j] != a:
            s = first[j]
            if s >= 0 and mark[s] != a:
                top += 1
                todo[top] = s
                continue
            t = second[j]
            if t >= 0 and mark[t] != a:
                top += 1
                todo[top] = t
                continue
            if count == limit:
                return -1
            mark[j] = a
            seen[count] = j
            count += 1
        top -= 1
    return count


@plain
def own_variance(j, first, second, kept, w1, w2, f0, f, d):
    """Mendelian variance of j, 1 + F less what the parents explain; kept in d once it is known."""
    if d[j] < 0.0:
        own = 1.0 + (1.0 - kept[j]) * (1.0 - f0[j])
        if first[j] >= 0:
            own -= w1 * w1 * (1.0 + f[first[j]])
        if second[j] >= 0:
            own -= w2 * w2 * (1.0 + f[second[j]])
        d[j] = max(own, 0.0)
    return d[j]


@plain
def up(a, first, second, kept, w1, w2, f0, f, d, r, x, mark, todo, seen):
    """x = D T'e_a, where `mark` is a. Returns the oldest ancestor. r is 0 before and after."""
    count = walk_up(a, first, second, mark, todo, seen)
    swept = count < 0
    if swept:
        count = a + 1
    low = a
    r[a] = 1.0
    for k in range(count - 1, -1, -1):
        j = k if swept else seen[k]
        if r[j] == 0.0:
            continue
        if first[j] >= 0:
            r[first[j]] += w1 * r[j]
        if second[j] >= 0:
            r[second[j]] += w2 * r[j]
        x[j] = r[j] * own_variance(j, first, second, kept, w1, w2, f0, f, d)
        r[j] = 0.0
        mark[j] = a
        low = min(low, j)
    return low


@plain
def value_down(j, low, a, first, second, w1, w2, x, xmark, v):
    """Element j of T x, from those of its parents."""
    total = x[j] if xmark[j] == a else 0.0
    if first[j] >= low:
        total += w1 * v[first[j]]
    if second[j] >= low:
        total += w2 * v[second[j]]
    return total


@plain
def walk_down(a, low, mates, first, second, w1, w2, x, xmark, v, vmark, todo):
    """v = T x for the mates of a and their ancestors. False where it was given up, for there are many."""
    limit = (mates.max() - low + 1) // SWEEP
    visited = mates.size
    for m in mates:
        if visited > limit:
            return False
        if m < low or vmark[m] == a:
            continue
        top = 0
        todo[0] = m
        while top >= 0:
            j = todo[top]
            if vmark[j] != a:
                s = first[j]
                if s >= low and vmark[s] != a:
                    top += 1
                    todo[top] = s
                    continue
                t = second[j]
                if t >= low and vmark[t] != a:
                    top += 1
                    todo[top] = t
                    continue
                v[j] = value_down(j, low, a, first, second, w1, w2, x, xmark, v)
                vmark[j] = a
                visited += 1
                if visited > limit:
                    return False
            top -= 1
    return True


@plain
def settle(k, inbred, child, place, kept, out, f0, f):
    """F0 of the offspring k, for all and among the parents."""
    out[child[k]] = inbred
    p = place[k]
    if p >= 0:
        f0[p] = inbred
        f[p] = inbred + (1.0 - kept[p]) * (1.0 - inbred)


@plain
def inbreeding_of_offspring(
    begin,
    end,
    first,
    second,
    kept,
    w1,
    w2,
    share,
    start,
    mate,
    child,
    place,
    out,
    f0,
    f,
    d,
    r,
    x,
    xmark,
    v,
    vmark,
    todo,
    seen,
):
    """F before selfing of the offspring of parents begin ... end - 1, of one generation, with a known mate.

    Parameters
    ----------
    first, second : parents of the parents.
    kept : heterozygosity that selfing has left them (1: not selfed).
    share : F0 = share a(parent, mate).
    start, mate, child, place : offspring by parent (start[a] ... start[a + 1]): the mate, where the offspring
        is in `out`, and where it is among the parents.
    out : F0 of all animals, filled here.
    f0, f, d : of the parents, filled here; d is -1 where it is not yet known.
    r, x, xmark, v, vmark, todo, seen : room to work in, as long as the parents; marks -1, r 0.
    """
    for a in range(begin, end):
        lo, hi = start[a], start[a + 1]
        if lo == hi:
            continue
        mates = mate[lo:hi]
        if mates.min() == a and mates.max() == a:
            for k in range(lo, hi):
                settle(k, share * (1.0 + f[a]), child, place, kept, out, f0, f)
            continue
        low = up(a, first, second, kept, w1, w2, f0, f, d, r, x, xmark, todo, seen)
        if not walk_down(a, low, mates, first, second, w1, w2, x, xmark, v, vmark, todo):
            for j in range(low, mates.max() + 1):
                v[j] = value_down(j, low, a, first, second, w1, w2, x, xmark, v)
        for k in range(lo, hi):
            m = mate[k]
            settle(k, share * v[m] if m >= low else 0.0, child, place, kept, out, f0, f)


@plain
def by_parent(parent, size):
    """Positions sorted by parent (counting sort): start (size + 1,), order. Those with parent -1 are left
    out."""
    start = np.zeros(size + 1, np.int64)
    for p in parent:
        if p >= 0:
            start[p + 1] += 1
    for a in range(size):
        start[a + 1] += start[a]
    order = np.empty(start[size], np.int32)
    fill = start[:-1].copy()
    for i in range(parent.size):
        p = parent[i]
        if p >= 0:
            order[fill[p]] = i
            fill[p] += 1
    return start, order

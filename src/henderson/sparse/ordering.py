"""Fill-reducing orders: approximate minimum degree (ours), nested dissection (METIS, where pymetis is
installed).

The minimum-degree code follows Amestoy, Davis and Duff (1996), "An approximate minimum degree ordering
algorithm", SIAM J. Matrix Anal. Appl. 17: 886-905. The partly eliminated matrix is a quotient graph: a
variable keeps a list of elements (cliques left by earlier pivots) followed by a list of plain neighbours; an
element keeps the list of its variables. Variables that cannot be told apart are one supervariable, whose
`weight` is their number.
"""

from __future__ import annotations

import numpy as np

from ..errors import NotAvailableError
from .compiled import plain

at = np.uint64  # an index known not to be negative: Numba then leaves out its wrap-around

_VARIABLE, _ELEMENT, _GONE = 0, 1, 2


@plain
def _compact(n, iw, pos, length, state, free):
    """Push the live lists of the quotient graph together; returns the first free place."""
    first = np.empty(n, np.int32)
    for j in range(n):
        if state[j] != _GONE and length[j] > 0:
            first[j] = iw[pos[j]]
            iw[pos[j]] = -j - 1
    out = 0
    p = 0
    while p < free:
        j = -iw[p] - 1
        if j < 0:
            p += 1
            continue
        pos[j] = out
        iw[out] = first[j]
        for k in range(1, length[j]):
            iw[out + k] = iw[p + k]
        out += length[j]
        p += length[j]
    return out


@plain
def _unlink(i, degree, head, after, before):
    """Take i out of the list of variables of its degree."""
    a, b = after[at(i)], before[at(i)]
    if a >= 0:
        before[at(a)] = b
    if b >= 0:
        after[at(b)] = a
    else:
        head[at(degree[at(i)])] = a


@plain
def amd(n, ptr, idx):
    """Approximate minimum degree order of variables 0..n-1 (neighbours >= n are ignored).

    Returns `order` (n,): order[k] is the variable to eliminate k-th. Rows denser than max(16, 10 sqrt(n))
    come last.
    """
    limit = max(16, int(10.0 * np.sqrt(float(n))))
    pos = np.empty(n, np.int64)
    length = np.zeros(n, np.int32)
    state = np.zeros(n, np.int8)
    parent = np.full(n, -1, np.int32)
    pivot_of = np.full(n, -1, np.int32)
    order = np.empty(n, np.int64)
    alive = n
    size = n + 16
    for i in range(n):
        count = 0
        for k in range(ptr[i], ptr[i + 1]):
            if idx[k] < n:
                count += 1
        if count > limit:
            state[i] = _GONE
            alive -= 1
        else:
            size += count
    iw = np.empty(size + size // 5, np.int32)
    free = 0
    for i in range(n):
        pos[i] = free
        if state[i] == _VARIABLE:
            for k in range(ptr[i], ptr[i + 1]):
                j = idx[k]
                if j < n and state[j] == _VARIABLE:
                    iw[free] = j
                    free += 1
            length[i] = free - pos[i]

    elements = np.zeros(n, np.int32)
    weight = np.ones(n, np.int32)
    degree = length.copy()
    stamp = np.ones(n, np.int64)
    flag = 2
    head = np.full(n + 1, -1, np.int32)
    after = np.full(n, -1, np.int32)
    before = np.full(n, -1, np.int32)
    bucket = np.full(n + 1, -1, np.int32)
    chain = np.full(n, -1, np.int32)
    key = np.zeros(n, np.int32)
    for i in range(n):
        if state[i] == _VARIABLE:
            d = degree[i]
            if head[d] >= 0:
                before[head[d]] = i
            after[i] = head[d]
            head[d] = i
        else:
            weight[i] = 0

    gone = 0
    lowest = 0
    largest = 0
    pivots = 0
    while gone < alive:
        # the pivot: a variable of least approximate degree
        while head[lowest] < 0:
            lowest += 1
        me = head[lowest]
        _unlink(me, degree, head, after, before)
        pivot_of[me] = pivots
        pivots += 1
        merged = weight[me]
        weight[me] = -merged
        gone += merged

        # the new element: everything the pivot reaches, its own elements absorbed
        members = 0
        if elements[me] == 0:
            begin = pos[me]
            end = begin
            for p in range(begin, begin + length[me]):
                i = iw[p]
                if weight[i] > 0:
                    members += weight[i]
                    weight[i] = -weight[i]
                    iw[end] = i
                    end += 1
                    _unlink(i, degree, head, after, before)
        else:
            room = length[me]
            for p in range(pos[me], pos[me] + elements[me]):
                room += length[iw[p]]
            if free + min(room, n) > iw.size:
                free = _compact(n, iw, pos, length, state, free)
            begin = free
            end = begin
            for k in range(elements[me] + 1):
                if k < elements[me]:
                    e = iw[pos[me] + k]
                    p0 = pos[e]
                    p1 = p0 + length[e]
                else:
                    e = me
                    p0 = pos[me] + elements[me]
                    p1 = pos[me] + length[me]
                for p in range(p0, p1):
                    i = iw[at(p)]
                    w = weight[at(i)]
                    if w > 0:
                        members += w
                        weight[at(i)] = -w
                        iw[at(end)] = i
                        end += 1
                        _unlink(i, degree, head, after, before)
                if e != me:
                    state[e] = _GONE
                    stamp[e] = 0
            free = end
        state[me] = _ELEMENT
        pos[me] = begin
        length[me] = end - begin
        in_place = elements[me] == 0
        elements[me] = 0

        # |Le \ Lme| for every element e that touches the new one, as stamp[e] - flag
        for p in range(begin, end):
            i = iw[at(p)]
            w = weight[at(i)]
            p1 = pos[at(i)]
            for q in range(p1, p1 + elements[at(i)]):
                e = at(iw[at(q)])
                seen = stamp[e]
                if seen >= flag:
                    stamp[e] = seen + w
                elif seen != 0:
                    stamp[e] = degree[e] + flag + w

        # approximate degrees; lists of the members rewritten in place; hash for indistinguishable ones
        for p in range(begin, end):
            i = iw[at(p)]
            p1 = pos[at(i)]
            p2 = p1 + elements[at(i)]
            p4 = p1 + length[at(i)]
            out = p1
            d = 0
            code = 0
            for q in range(p1, p2):
                e = iw[at(q)]
                seen = stamp[at(e)]
                if seen != 0:
                    outside = seen - flag
                    if outside > 0:
                        d += outside
                        code += e
                        iw[at(out)] = e
                        out += 1
                    else:  # inside the new element altogether: absorbed, though not next to the pivot
                        state[at(e)] = _GONE
                        stamp[at(e)] = 0
            p3 = out
            for q in range(p2, p4):
                j = iw[at(q)]
                wj = weight[at(j)]
                if wj > 0:
                    d += wj
                    code += j
                    iw[at(out)] = j
                    out += 1
            if out == p1:  # nothing outside the new element: eliminated together with the pivot
                parent[i] = me
                w = -weight[i]
                members -= w
                merged += w
                gone += w
                weight[i] = 0
                state[i] = _GONE
            else:
                if d < degree[i]:
                    degree[i] = d
                iw[out] = iw[p3]
                iw[p3] = iw[p1]
                iw[p1] = me
                elements[i] = p3 - p1 + 1
                length[i] = out - p1 + 1
                h = code % n
                key[i] = h
                chain[i] = bucket[h]
                bucket[h] = i
        degree[me] = members
        largest = max(largest, members)
        flag += largest

        # supervariables: same hash, then the same lists
        for p in range(begin, end):
            i = iw[p]
            if weight[i] >= 0:
                continue
            h = key[i]
            i = bucket[h]
            bucket[h] = -1
            while i >= 0 and chain[i] >= 0:
                for q in range(pos[i] + 1, pos[i] + length[i]):
                    stamp[iw[q]] = flag
                last = i
                j = chain[i]
                while j >= 0:
                    same = length[j] == length[i] and elements[j] == elements[i]
                    if same:
                        for q in range(pos[j] + 1, pos[j] + length[j]):
                            if stamp[at(iw[at(q)])] != flag:
                                same = False
                                break
                    if same:
                        parent[j] = i
                        weight[i] += weight[j]
                        weight[j] = 0
                        state[j] = _GONE
                        j = chain[j]
                        chain[last] = j
                    else:
                        last = j
                        j = chain[j]
                flag += 1
                i = chain[i]

        # back into the degree lists; the new element keeps its principal members
        left = alive - gone
        out = begin
        for p in range(begin, end):
            i = iw[p]
            w = -weight[i]
            if w <= 0:
                continue
            weight[i] = w
            d = min(degree[i] + members - w, left - w)
            d = max(d, 0)
            degree[i] = d
            a = head[d]
            after[i] = a
            before[i] = -1
            if a >= 0:
                before[a] = i
            head[d] = i
            lowest = min(lowest, d)
            iw[out] = i
            out += 1
        length[me] = out - begin
        weight[me] = merged
        if out == begin:
            state[me] = _GONE
            stamp[me] = 0
        if not in_place:
            free = out

    # every variable follows the pivot it went with
    first_of = np.zeros(pivots + 2, np.int64)
    for i in range(n):
        if pivot_of[i] < 0:
            r = i
            while pivot_of[r] < 0 and parent[r] >= 0:
                r = parent[r]
            k = pivot_of[r] if pivot_of[r] >= 0 else pivots
            r = i
            while pivot_of[r] < 0:
                pivot_of[r] = k
                if parent[r] < 0:
                    break
                r = parent[r]
        first_of[pivot_of[i] + 1] += 1
    for k in range(pivots + 1):
        first_of[k + 1] += first_of[k]
    for i in range(n):
        order[first_of[pivot_of[i]]] = i
        first_of[pivot_of[i]] += 1
    return order


def metis(n: int, ptr: np.ndarray, idx: np.ndarray) -> np.ndarray:
    """Nested dissection by METIS of variables 0..n-1 (neighbours >= n are ignored).

    Raises NotAvailableError where pymetis is not installed.
    """
    try:
        import pymetis
    except ImportError:
        raise NotAvailableError(
            'method="metis" needs the package pymetis (pip install "henderson[metis]"); '
            'method="amd" needs nothing and is the better choice for pedigrees.'
        ) from None
    if n <= 1 or idx.size == 0:
        return np.arange(n, dtype=np.int64)
    owner = np.repeat(np.arange(ptr.size - 1), np.diff(ptr))
    keep = (owner < n) & (idx < n)
    xadj = np.concatenate(([0], np.cumsum(np.bincount(owner[keep], minlength=n)))).astype(np.int32)
    adjncy = idx[keep].astype(np.int32)
    if hasattr(pymetis, "CSRAdjacency"):
        order, _ = pymetis.nested_dissection(adjacency=pymetis.CSRAdjacency(xadj, adjncy))
    else:
        order, _ = pymetis.nested_dissection(xadj=xadj, adjncy=adjncy)
    return np.asarray(order, dtype=np.int64)

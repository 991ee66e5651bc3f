"""Supernodes: columns of L with the same structure, factorised together as one dense front.

Fundamental supernodes come straight from the tree and the counts (Ng and Peyton 1993). They are then
amalgamated: a child joins its parent, at the price of stored zeros, when the modelled time of the two falls.
All children of a parent are candidates, not only the last one, so that a bunch of tiny leaves does not cost
one front each; the columns are numbered again afterwards so that every supernode is contiguous.
"""

from __future__ import annotations

import numpy as np

from .compiled import plain

# Nanoseconds, factor and selected inverse together: a front, one entry of its panel, one entry of its update
# matrix, a flop.
COST_FRONT, COST_PANEL, COST_UPDATE, COST_FLOP = 400.0, 1.5, 1.0, 0.05
# Leaves with at most this many columns send their update to the parent without an update matrix of their own.
DIRECT_WIDTH = 2


@plain
def fundamental(parent, counts):
    """First column of each fundamental supernode (ns + 1); columns in postorder."""
    n = parent.size
    children = np.zeros(n, np.int64)
    for j in range(n):
        if parent[j] >= 0:
            children[parent[j]] += 1
    start = np.empty(n + 1, np.int64)
    ns = 0
    for j in range(n):
        if j > 0 and parent[j - 1] == j and counts[j - 1] == counts[j] + 1 and children[j] == 1:
            continue
        start[ns] = j
        ns += 1
    start[ns] = n
    return start[: ns + 1].copy()


@plain
def _front_cost(nc, m, leaf):
    c, r = float(nc), float(m)
    flops = c * c * c / 3.0 + c * c * r + c * r * r
    update = r * r
    if leaf and nc <= DIRECT_WIDTH:
        return 0.25 * COST_FRONT + COST_PANEL * c * (c + r) + COST_UPDATE * update * c
    return COST_FRONT + COST_PANEL * c * (c + r) + COST_UPDATE * update + COST_FLOP * flops


@plain
def amalgamate(start, parent, counts):
    """Merge supernodes into their parents where it pays, and number all again.

    Returns (order, width, below, up): `order` (n,) old column of each new one, and for each new supernode,
    in postorder with the heaviest subtree first, its number of columns, of rows below them, and its parent
    supernode (-1 at a root).
    """
    ns = start.size - 1
    n = parent.size
    sn = np.empty(n, np.int64)
    width = np.empty(ns, np.int64)
    below = np.empty(ns, np.int64)
    for s in range(ns):
        width[s] = start[s + 1] - start[s]
        below[s] = counts[start[s + 1] - 1] - 1
        for j in range(start[s], start[s + 1]):
            sn[j] = s
    up = np.full(ns, -1, np.int64)
    head = np.full(ns, -1, np.int64)  # children still apart
    after = np.full(ns, -1, np.int64)
    into = np.full(ns, -1, np.int64)  # the supernode this one was merged into
    for s in range(ns):
        p = parent[start[s + 1] - 1]
        up[s] = sn[p] if p >= 0 else -1
    for s in range(ns):  # children precede parents: their own merges are settled when the parent is reached
        if head[s] >= 0:
            before = -1
            c = head[s]
            while c >= 0:
                following = after[c]
                leaf = head[c] < 0
                only = head[s] == c and following < 0
                apart = _front_cost(width[c], below[c], leaf) + _front_cost(width[s], below[s], False)
                joint = _front_cost(width[c] + width[s], below[s], leaf and only)
                if joint <= apart:
                    into[c] = s
                    width[s] += width[c]
                    if before < 0:
                        head[s] = following
                    else:
                        after[before] = following
                    g = head[c]
                    if (
                        g >= 0
                    ):  # grandchildren hang below s now, at the head of its list: they are not tried again
                        last = g
                        while after[last] >= 0:
                            last = after[last]
                        after[last] = head[s]
                        head[s] = g
                        if before < 0:
                            before = last
                else:
                    before = c
                c = following
        if up[s] >= 0:
            after[s] = head[up[s]]
            head[up[s]] = s

    # heaviest subtree first among the children of each supernode
    work = np.zeros(ns)
    for s in range(ns):
        if into[s] >= 0:
            continue
        c_, r_ = float(width[s]), float(below[s])
        work[s] += c_ * c_ * c_ / 3.0 + c_ * c_ * r_ + c_ * r_ * r_
        c = head[s]
        while c >= 0:
            work[s] += work[c]
            c = after[c]
    ranking = np.argsort(work, kind="mergesort")
    head[:] = -1
    parent_of = np.full(ns, -1, np.int64)
    for s in range(ns - 1, -1, -1):  # the parent after merging, found from the top
        p = up[s]
        if p >= 0 and into[p] >= 0:
            p = into[p]
        if into[s] >= 0:
            into[s] = into[into[s]] if into[into[s]] >= 0 else into[s]
        parent_of[s] = p
    for k in range(ns):
        s = ranking[k]
        if into[s] < 0 and parent_of[s] >= 0:
            after[s] = head[parent_of[s]]
            head[parent_of[s]] = s

    # new postorder
    kept = np.empty(ns, np.int64)
    stack = np.empty(ns + 1, np.int64)
    number = np.full(ns, -1, np.int64)
    k = 0
    for root in range(ns):
        if into[root] >= 0 or parent_of[root] >= 0:
            continue
        top = 0
        stack[0] = root
        while top >= 0:
            s = stack[top]
            c = head[s]
            if c >= 0:
                head[s] = after[c]
                top += 1
                stack[top] = c
            else:
                number[s] = k
                kept[k] = s
                k += 1
                top -= 1
    new_width = np.empty(k, np.int64)
    new_below = np.empty(k, np.int64)
    new_up = np.full(k, -1, np.int64)
    fill = np.empty(k, np.int64)
    at = 0
    for t in range(k):
        s = kept[t]
        new_width[t] = width[s]
        new_below[t] = below[s]
        if parent_of[s] >= 0:
            new_up[t] = number[parent_of[s]]
        fill[t] = at
        at += width[s]
    order = np.empty(n, np.int64)
    for s in range(ns):
        t = number[into[s]] if into[s] >= 0 else number[s]
        for j in range(start[s], start[s + 1]):
            order[fill[t]] = j
            fill[t] += 1
    return order, new_width, new_below, new_up


@plain
def row_structure(n, tail, ptr, idx, perm, inv, parent, start, below, up):
    """Rows below each supernode: (row_ptr, rows), sorted, new numbering.

    `parent` is the elimination tree in the new numbering (its edges belong to the pattern of L).
    """
    ns = start.size - 1
    row_ptr = np.zeros(ns + 1, np.int64)
    for s in range(ns):
        row_ptr[s + 1] = row_ptr[s] + below[s]
    rows = np.empty(row_ptr[ns], np.int64)
    mark = np.full(n, -1, np.int64)
    head = np.full(ns, -1, np.int64)
    after = np.full(ns, -1, np.int64)
    lead = n - tail
    for s in range(ns):
        end = start[s + 1]
        out = row_ptr[s]
        for j in range(start[s], end):
            old = perm[j]
            for p in range(ptr[old], ptr[old + 1]):
                i = inv[idx[p]]
                if i >= end and mark[i] != s:
                    mark[i] = s
                    rows[out] = i
                    out += 1
            i = parent[j]
            if i >= end and mark[i] != s:
                mark[i] = s
                rows[out] = i
                out += 1
            if j >= lead:
                for i in range(end, n):
                    if mark[i] != s:
                        mark[i] = s
                        rows[out] = i
                        out += 1
        c = head[s]
        while c != -1:
            for p in range(row_ptr[c], row_ptr[c + 1]):
                i = rows[p]
                if i >= end and mark[i] != s:
                    mark[i] = s
                    rows[out] = i
                    out += 1
            c = after[c]
        _sort(rows, row_ptr[s], out)
        if up[s] >= 0:
            after[s] = head[up[s]]
            head[up[s]] = s
    return row_ptr, rows


@plain
def _sort(a, begin, end):
    """Sort a[begin:end] in place."""
    if end - begin > 48:
        a[begin:end].sort()
        return
    for k in range(begin + 1, end):
        v = a[k]
        p = k - 1
        while p >= begin and a[p] > v:
            a[p + 1] = a[p]
            p -= 1
        a[p + 1] = v


@plain
def relative_rows(n, start, row_ptr, rows, up):
    """(rel, first_child, next_child): place of each row in the parent's front (columns first); children."""
    ns = start.size - 1
    place = np.empty(n, np.int64)
    rel = np.empty(rows.size, np.int64)
    head = np.full(ns, -1, np.int64)
    after = np.full(ns, -1, np.int64)
    for s in range(ns - 1, -1, -1):
        if up[s] >= 0:
            after[s] = head[up[s]]
            head[up[s]] = s
    for s in range(ns):
        c = head[s]
        if c < 0:
            continue
        for j in range(start[s], start[s + 1]):
            place[j] = j - start[s]
        for p in range(row_ptr[s], row_ptr[s + 1]):
            place[rows[p]] = start[s + 1] - start[s] + p - row_ptr[s]
        while c >= 0:
            for p in range(row_ptr[c], row_ptr[c + 1]):
                rel[p] = place[rows[p]]
            c = after[c]
    return rel, head, after

"""The graph of a symmetric matrix, in compressed rows."""

from __future__ import annotations

import numpy as np

from .compiled import plain


@plain
def adjacency(n, rows, cols):
    """Neighbours of each variable from the entries (rows, cols) of any triangle, duplicates and diagonal
    allowed.

    Returns `ptr` (n + 1) and `idx`: the neighbours of i are idx[ptr[i]:ptr[i + 1]], each once, without i
    itself.
    """
    ptr = np.zeros(n + 1, np.int64)
    for k in range(rows.size):
        if rows[k] != cols[k]:
            ptr[rows[k] + 1] += 1
            ptr[cols[k] + 1] += 1
    for i in range(n):
        ptr[i + 1] += ptr[i]
    idx = np.empty(ptr[n], np.int64)
    fill = ptr[:n].copy()
    for k in range(rows.size):
        i, j = rows[k], cols[k]
        if i != j:
            idx[fill[i]] = j
            fill[i] += 1
            idx[fill[j]] = i
            fill[j] += 1
    seen = fill
    seen[:] = -1
    out = 0
    begin = 0
    for i in range(n):
        end = ptr[i + 1]
        for k in range(begin, end):
            j = idx[k]
            if seen[j] != i:
                seen[j] = i
                idx[out] = j
                out += 1
        begin = end
        ptr[i + 1] = out
    return ptr, idx[:out].copy()

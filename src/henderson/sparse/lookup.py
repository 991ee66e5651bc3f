"""Where an entry of the matrix lies in the panels."""

from __future__ import annotations

import numpy as np

from .compiled import plain


@plain
def find(inv, start, row_ptr, rows, panel_ptr, sn_of, r, c):
    """Index into the panels of each entry (r[k], c[k]), original numbering; -1 if not in the pattern."""
    out = np.empty(r.size, np.int64)
    for k in range(r.size):
        i, j = inv[r[k]], inv[c[k]]
        if i < j:
            i, j = j, i
        s = sn_of[j]
        begin, end = start[s], start[s + 1]
        nc = end - begin
        base = panel_ptr[s] + (j - begin) * (nc + row_ptr[s + 1] - row_ptr[s])
        if i < end:
            out[k] = base + i - begin
            continue
        low, high = row_ptr[s], row_ptr[s + 1]
        while low < high:
            mid = (low + high) >> 1
            if rows[mid] < i:
                low = mid + 1
            else:
                high = mid
        if low < row_ptr[s + 1] and rows[low] == i:
            out[k] = base + nc + low - row_ptr[s]
        else:
            out[k] = -1
    return out


@plain
def diagonal_positions(start, row_ptr, panel_ptr):
    """Index into the panels of the diagonal entry of each column (permuted numbering)."""
    ns = start.size - 1
    out = np.empty(start[ns], np.int64)
    for s in range(ns):
        nc = start[s + 1] - start[s]
        ld = nc + row_ptr[s + 1] - row_ptr[s]
        for j in range(nc):
            out[start[s] + j] = panel_ptr[s] + j * (ld + 1)
    return out

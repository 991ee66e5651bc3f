"""Arithmetic on many small blocks at once (compiled): what NumPy does slowly because each block is tiny."""

from __future__ import annotations

import numpy as np

from .compiled import kernel


@kernel
def two_sided(blocks, left, right):
    """left' B_i right for each block: (nb, m, l) -> (nb, m, l)."""
    nb, m, l = blocks.shape
    out = np.empty((nb, m, l))
    half = np.empty((m, l))
    for i in range(nb):
        for a in range(m):
            for b in range(l):
                v = 0.0
                for k in range(b, l):
                    v += blocks[i, a, k] * right[k, b]
                half[a, b] = v
        for a in range(m):
            for b in range(l):
                v = 0.0
                for k in range(a, m):
                    v += left[k, a] * half[k, b]
                out[i, a, b] = v
    return out


@kernel
def left_sided(blocks, left):
    """left' B_i for each block, left lower triangular: (nb, m, l) -> (nb, m, l)."""
    nb, m, l = blocks.shape
    out = np.empty((nb, m, l))
    for i in range(nb):
        for a in range(m):
            for b in range(l):
                v = 0.0
                for k in range(a, m):
                    v += left[k, a] * blocks[i, k, b]
                out[i, a, b] = v
    return out


@kernel
def add_product(blocks, vectors, out):
    """out_i += B_i v_i: blocks (q, m, m), vectors and out (q, m, k)."""
    q, m, k = vectors.shape
    for i in range(q):
        for a in range(m):
            for b in range(m):
                v = blocks[i, a, b]
                for c in range(k):
                    out[i, a, c] += v * vectors[i, b, c]


@kernel
def level_sums(codes, values, columns, own, border):
    """Z'Z by level and Z'columns: values (n, m), columns (n, t) added into own (q, m, m) and border (q, m, t)."""
    n, m = values.shape
    t = columns.shape[1]
    for i in range(n):
        g = codes[i]
        for a in range(m):
            z = values[i, a]
            for b in range(a + 1):
                own[g, a, b] += z * values[i, b]
            for c in range(t):
                border[g, a, c] += z * columns[i, c]
    for g in range(own.shape[0]):
        for a in range(m):
            for b in range(a):
                own[g, b, a] = own[g, a, b]


@kernel
def level_counts(codes, columns, own, border):
    """The same for the constant effect: counts and sums of columns."""
    n, t = columns.shape
    for i in range(n):
        g = codes[i]
        own[g, 0, 0] += 1.0
        for c in range(t):
            border[g, 0, c] += columns[i, c]


@kernel
def rows_by_level(codes, q):
    """Counting sort: (pointer, row) with the rows of level g in row[pointer[g]:pointer[g + 1]], in order."""
    pointer = np.zeros(q + 1, np.int64)
    for g in codes:
        pointer[g + 1] += 1
    for g in range(q):
        pointer[g + 1] += pointer[g]
    at = pointer[:-1].copy()
    row = np.empty(len(codes), np.int64)
    for i in range(len(codes)):
        row[at[codes[i]]] = i
        at[codes[i]] += 1
    return pointer, row


@kernel
def pair_cells(pointer, row, other, q_other):
    """Distinct pairs (level, other level) that meet in some row: (rows, cols, cell of each row), sorted by row then column."""
    n = len(row)
    cell = np.empty(n, np.int64)
    rows = np.empty(n, np.int64)
    cols = np.empty(n, np.int64)
    seen = np.full(q_other, -1, np.int64)
    size = 0
    for g in range(len(pointer) - 1):
        first = size
        for a in range(pointer[g], pointer[g + 1]):
            h = other[row[a]]
            if seen[h] < first:
                seen[h] = size
                cols[size] = h
                size += 1
        cols[first:size].sort()
        for c in range(first, size):
            seen[cols[c]] = c
            rows[c] = g
        for a in range(pointer[g], pointer[g + 1]):
            cell[row[a]] = seen[other[row[a]]]
    return rows[:size].copy(), cols[:size].copy(), cell


@kernel
def pair_sums(cell, left, right, blocks):
    """blocks (nb, m_left, m_right) += left_i right_i' at the cell of each row."""
    for i in range(len(cell)):
        c = cell[i]
        for a in range(left.shape[1]):
            for b in range(right.shape[1]):
                blocks[c, a, b] += left[i, a] * right[i, b]


@kernel
def pair_counts(cell, blocks):
    """blocks (nb, 1, 1) += 1 at the cell of each row."""
    for i in range(len(cell)):
        blocks[cell[i], 0, 0] += 1.0

"""Which entries of the Schur complement are not zero, after a block-diagonal leading block is eliminated (compiled)."""

from __future__ import annotations

import numpy as np

from .compiled import kernel


@kernel
def by_column(pointer, column, n_columns):
    """Transpose of the couplings' pattern: (column_pointer, entry, level), levels ascending within a column."""
    count = np.zeros(n_columns + 1, np.int64)
    for c in column:
        count[c + 1] += 1
    for c in range(n_columns):
        count[c + 1] += count[c]
    fill = count[:-1].copy()
    entry = np.empty(len(column), np.int64)
    level = np.empty(len(column), np.int64)
    for i in range(len(pointer) - 1):
        for e in range(pointer[i], pointer[i + 1]):
            at = fill[column[e]]
            fill[column[e]] = at + 1
            entry[at] = e
            level[at] = i
    return count, entry, level


@kernel
def column_fill(pointer, column, column_pointer, level, c, mark, stamp):
    """Number of distinct trailing columns that share a leading level with column c."""
    found = 0
    for a in range(column_pointer[c], column_pointer[c + 1]):
        i = level[a]
        for e in range(pointer[i], pointer[i + 1]):
            if mark[column[e]] != stamp:
                mark[column[e]] = stamp
                found += 1
    return found


@kernel
def schur_pattern(pointer, column, column_pointer, level, n_columns):
    """Rows and columns (r > c) of the Schur complement's off-diagonal entries, each once."""
    mark = np.full(n_columns, -1, np.int64)
    capacity = max(1024, 2 * len(column))
    rows = np.empty(capacity, np.int64)
    cols = np.empty(capacity, np.int64)
    size = 0
    for c in range(n_columns):
        for a in range(column_pointer[c], column_pointer[c + 1]):
            i = level[a]
            for e in range(pointer[i], pointer[i + 1]):
                r = column[e]
                if r > c and mark[r] != c:
                    mark[r] = c
                    if size == capacity:
                        capacity *= 2
                        rows = np.concatenate((rows, np.empty(capacity - size, np.int64)))
                        cols = np.concatenate((cols, np.empty(capacity - size, np.int64)))
                    rows[size] = r
                    cols[size] = c
                    size += 1
    return rows[:size].copy(), cols[:size].copy()


@kernel
def estimated_density(pointer, column, column_pointer, level, n_columns, samples):
    """Share of the Schur complement that is not zero, from `samples` columns evenly spread."""
    mark = np.full(n_columns, -1, np.int64)
    total = 0
    step = max(1, n_columns // samples)
    taken = 0
    for c in range(0, n_columns, step):
        total += max(1, column_fill(pointer, column, column_pointer, level, c, mark, c))
        taken += 1
    return total / (taken * n_columns)


@kernel
def schur_work(pointer, column, column_pointer, entry, level, n_columns):
    """Inner steps of the Schur complement's columns, cumulated: (n_columns + 1,). For cutting it into equal ranges."""
    out = np.zeros(n_columns + 1)
    for c in range(n_columns):
        steps = 1.0
        for a in range(column_pointer[c], column_pointer[c + 1]):
            steps += pointer[level[a] + 1] - entry[a]
        out[c + 1] = out[c] + steps
    return out

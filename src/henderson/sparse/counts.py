"""Column counts of the Cholesky factor without forming it.

Gilbert, Ng and Peyton (1994), "An efficient algorithm to compute row and column counts for sparse Cholesky
factorization", SIAM J. Matrix Anal. Appl. 15: 1075-1091. Only the leaves of the row subtrees matter; where
two of them meet, one is counted too often, and the meeting point is found with disjoint sets.
"""

from __future__ import annotations

import numpy as np

from .compiled import plain


@plain
def column_counts(n, tail, ptr, idx, perm, inv, parent):
    """Entries in each column of L, the diagonal included. Columns must be in postorder of `parent`.

    The entry (parent[j], j) is always in L, so it may be added to the pattern: this also ties the roots to
    the dense tail.
    """
    first = np.full(n, -1, np.int64)
    for j in range(n):
        k = j
        while k != -1 and first[k] == -1:
            first[k] = j
            k = parent[k]
    delta = np.zeros(n, np.int64)
    newest = np.full(n, -1, np.int64)  # largest first descendant met so far in row i
    leaf = np.full(n, -1, np.int64)  # last leaf of the row subtree of i
    sets = np.arange(n)
    lead = n - tail
    for j in range(n):
        up = parent[j]
        if first[j] == j:
            delta[j] += 1
        if up != -1:
            delta[up] -= 1
        old = perm[j]
        begin = ptr[old]
        plain = ptr[old + 1] - begin
        dense = n - 1 - j if j >= lead else 0
        for k in range(plain + 1 + dense):
            if k < plain:
                i = inv[idx[begin + k]]
            elif k == plain:
                i = up
            else:
                i = n - 1 - (k - plain - 1)
            if i <= j or first[j] <= newest[i]:
                continue
            newest[i] = first[j]
            delta[j] += 1
            previous = leaf[i]
            leaf[i] = j
            if previous != -1:
                q = previous
                while sets[q] != q:
                    q = sets[q]
                while previous != q:
                    nearer = sets[previous]
                    sets[previous] = q
                    previous = nearer
                delta[q] -= 1
        if up != -1:
            sets[j] = up
    for j in range(n):
        if parent[j] != -1:
            delta[parent[j]] += delta[j]
    return delta

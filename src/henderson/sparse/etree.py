"""The elimination tree and its postorder.

Liu (1990), "The role of elimination trees in sparse factorization", SIAM J. Matrix Anal. Appl. 11: 134-172.
"""

from __future__ import annotations

import numpy as np

from .compiled import plain


@plain
def elimination_tree(n, tail, ptr, idx, perm, inv):
    """Parent of each column of the permuted matrix (new numbering; -1 at a root).

    The last `tail` columns are dense: they form a chain at the end, and every other root hangs below its
    first column.
    """
    parent = np.full(n, -1, np.int64)
    ancestor = np.full(n, -1, np.int64)
    lead = n - tail
    for i in range(lead):
        old = perm[i]
        for p in range(ptr[old], ptr[old + 1]):
            k = inv[idx[p]]
            while k < i:
                up = ancestor[k]
                ancestor[k] = i
                if up == -1:
                    parent[k] = i
                    break
                k = up
    if tail > 0:
        for j in range(lead):
            if parent[j] == -1:
                parent[j] = lead
        for j in range(lead, n - 1):
            parent[j] = j + 1
    return parent


@plain
def postorder(parent):
    """Nodes of the forest, each after all its descendants; children and roots in ascending order."""
    n = parent.size
    head = np.full(n, -1, np.int64)
    after = np.full(n, -1, np.int64)
    for j in range(n - 1, -1, -1):
        p = parent[j]
        if p != -1:
            after[j] = head[p]
            head[p] = j
    post = np.empty(n, np.int64)
    stack = np.empty(n, np.int64)
    k = 0
    for root in range(n):
        if parent[root] != -1:
            continue
        top = 0
        stack[0] = root
        while top >= 0:
            v = stack[top]
            child = head[v]
            if child == -1:
                post[k] = v
                k += 1
                top -= 1
            else:
                head[v] = after[child]
                top += 1
                stack[top] = child
    return post

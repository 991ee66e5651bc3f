"""Multifrontal Cholesky factor, in place in the panels.

For each supernode, children first (Duff and Reid 1983; Liu 1992):

    panel   += what its children send to its own columns
    L11      = chol(A11),  L21 = A21 L11^-T
    update   = -L21 L21' + what its children send further up

The panel comes in with the values of the matrix and is factorised where it lies. The children are read
twice, once for each part, so the update matrix is written by one product and never cleared beforehand.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from .blas import NOTRANS, RIGHT, TRANS, gemm, potrf, set_threads, syrk, trsm
from .compiled import plain
from .threads import blas_threads

if TYPE_CHECKING:
    from .symbolic import Symbolic

at = np.uint64  # an index known not to be negative: Numba then leaves out its wrap-around

# A front with fewer multiply-adds than this is worked on by plain loops: a call to BLAS costs more.
TINY_WORK = 2500
# A front with more flops than this uses all BLAS threads: below, a core that is busy with something else costs more
# (threads wait for each other by spinning) than the second thread saves.
THREADED_FLOPS = 1e9
# Columns of a large front eliminated at a time.
BLOCK = 256


@plain
def tiny_panel(a, base, nc, nr):
    """Cholesky of a small panel (nr, nc) by plain loops; returns the bad column or -1."""
    for k in range(nc):
        ck = base + k * nr
        d = a[at(ck + k)]
        if not d > 0.0:
            return k
        d = np.sqrt(d)
        a[at(ck + k)] = d
        r = 1.0 / d
        for i in range(k + 1, nr):
            a[at(ck + i)] *= r
        for j in range(k + 1, nc):
            cj = base + j * nr
            v = a[at(ck + j)]
            for i in range(j, nr):
                a[at(cj + i)] -= v * a[at(ck + i)]
    return -1


@plain
def tiny_update(a, base, nc, nr, w, to):
    """Lower triangle of -L21 L21' of a small panel, by plain loops, into the m x m matrix at w[to]."""
    m = nr - nc
    for q in range(m):
        col = to + q * m
        v = a[at(base + nc + q)]
        src = base + nc
        for p in range(q, m):
            w[at(col + p)] = -v * a[at(src + p)]
        for k in range(1, nc):
            src = base + k * nr + nc
            v = a[at(src + q)]
            for p in range(q, m):
                w[at(col + p)] -= v * a[at(src + p)]


@plain
def large_panel(a, base, nc, nr, threads):
    """Cholesky of a panel (nr, nc) by LAPACK and BLAS, BLOCK columns at a time; returns the bad column or -1.

    With several threads only the long products are threaded: inside potrf threads wait for each other far too often.
    """
    j = 0
    while j < nc:
        b = nc - j if nc - j < 2 * BLOCK else BLOCK
        diag = base + j * (nr + 1)
        info = potrf(b, a, diag, nr)
        if info > 0:
            return j + info - 1
        if not a[diag + (b - 1) * (nr + 1)] > 0.0:  # NaN goes through some LAPACKs unseen
            for k in range(b):
                if not a[diag + k * (nr + 1)] > 0.0:
                    return j + k
        rest = nr - j - b
        if rest > 0:
            cols = nc - j - b
            if threads > 1:
                set_threads(threads)
            trsm(RIGHT, TRANS, rest, b, 1.0, a, diag, nr, a, diag + b, nr)
            if cols > 0:
                after = diag + b * (nr + 1)
                syrk(NOTRANS, cols, b, -1.0, a, diag + b, nr, 1.0, a, after, nr)
                if rest > cols:
                    gemm(
                        NOTRANS, TRANS, rest - cols, cols, b, -1.0, a, diag + b + cols, nr, a, diag + b, nr,
                        1.0, a, after + cols, nr,
                    )  # fmt: skip
            if threads > 1:
                set_threads(1)
        j += b
    return -1


@plain
def add_columns(w, src, m, rel, r0, q0, q1, a, dst, ld, shift):
    """Add columns q0..q1 of a child's update matrix (m x m at w[src]) to a front: column rel - shift, row
    rel - shift.

    The last rows usually sit side by side in the front as well: they are added without looking up their
    places.
    """
    run = m - 1
    while run > q0 and rel[at(r0 + run - 1)] + 1 == rel[at(r0 + run)]:
        run -= 1
    for q in range(q0, q1):
        to = dst + (rel[at(r0 + q)] - shift) * ld - shift
        col = src + q * m
        for p in range(q, run):
            a[at(to + rel[at(r0 + p)])] += w[at(col + p)]
        b = max(q, run)
        to += rel[at(r0 + b)] - b
        for p in range(b, m):
            a[at(to + p)] += w[at(col + p)]


@plain
def apply_direct(lists, k0, k1, limit, rel, panels, a, dst, ld, shift):
    """Subtract outer products of direct leaves from the columns below `limit`; returns the next entry."""
    k = k0
    while k < k1:
        x = lists[k, 0]
        r = lists[k, 1]
        j = rel[r]
        if j >= limit:
            break
        count = lists[k, 2]
        other = lists[k, 3]
        to = dst + (j - shift) * ld - shift
        v = panels[at(x)]
        if other == 0:
            for p in range(count):
                a[at(to + rel[at(r + p)])] -= v * panels[at(x + p)]
        else:
            y = x + other
            u = panels[at(y)]
            for p in range(count):
                a[at(to + rel[at(r + p)])] -= v * panels[at(x + p)] + u * panels[at(y + p)]
        k += 1
    return k


@plain
def factor_list(
    todo, start, row_ptr, panel_ptr, up, first_child, next_child, rel, direct, list_ptr, lists, update_at,
    panels, work, threads,
):  # fmt: skip
    """Factorise the supernodes of `todo`, children first; returns the bad column or -1."""
    for t in range(todo.size):
        s = todo[t]
        nc = start[s + 1] - start[s]
        m = row_ptr[s + 1] - row_ptr[s]
        nr = nc + m
        base = panel_ptr[s]

        c = first_child[s]
        while c >= 0:
            if not direct[c]:
                r0 = row_ptr[c]
                mc = row_ptr[c + 1] - r0
                own = 0
                while own < mc and rel[at(r0 + own)] < nc:
                    own += 1
                add_columns(work, update_at[c], mc, rel, r0, 0, own, panels, base, nr, 0)
            c = next_child[c]
        k1 = list_ptr[s + 1]
        k = apply_direct(lists, list_ptr[s], k1, nc, rel, panels, panels, base, nr, 0)

        tiny = nc * nr * nr < TINY_WORK
        x, r = float(nc), float(m)
        many = threads if x * x * x / 3.0 + x * x * r + x * r * r > THREADED_FLOPS else 1
        if tiny or nc == 1:
            bad = tiny_panel(panels, base, nc, nr)
        else:
            bad = large_panel(panels, base, nc, nr, many)
        if bad >= 0:
            return start[s] + bad
        if m == 0 or up[s] < 0 or direct[s]:
            continue

        to = update_at[s]
        if tiny or nc <= 2:
            tiny_update(panels, base, nc, nr, work, to)
        else:
            if many > 1:
                set_threads(many)
            syrk(NOTRANS, m, nc, -1.0, panels, base + nc, nr, 0.0, work, to, m)
            if many > 1:
                set_threads(1)
        c = first_child[s]
        while c >= 0:
            if not direct[c]:
                r0 = row_ptr[c]
                mc = row_ptr[c + 1] - r0
                own = 0
                while own < mc and rel[at(r0 + own)] < nc:
                    own += 1
                add_columns(work, update_at[c], mc, rel, r0, own, mc, work, to, m, nc)
            c = next_child[c]
        apply_direct(lists, k, k1, nr, rel, panels, work, to, m, nc)
    return -1


def factor(symbolic: Symbolic, panels: np.ndarray, threads: int = 2) -> int:
    """Cholesky factor in place: `panels` comes in with the lower triangle of the permuted matrix, leaves
    with L.

    Returns -1, or the (permuted) column whose pivot is not positive (then `panels` is partly overwritten).
    """
    y = symbolic
    plan = y.schedule(threads)
    work = plan.workspace(plan.update_size)
    tables = (
        y.start, y.row_ptr, y.panel_ptr, y.sn_parent, y.first_child, y.next_child, y.rel,
        plan.direct, plan.list_ptr, plan.lists, plan.update_at, panels, work,
    )  # fmt: skip
    with blas_threads(1):
        if plan.groups:
            with ThreadPoolExecutor(len(plan.groups)) as pool:
                bad = [b for b in pool.map(lambda todo: factor_list(todo, *tables, 1), plan.groups) if b >= 0]
            if bad:
                plan.release(work)
                return int(min(bad))
        result = int(factor_list(plan.top, *tables, threads))
    plan.release(work)
    return result

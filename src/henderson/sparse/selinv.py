"""Selected inverse: the entries of the inverse on the pattern of L, supernode by supernode from the root.

Takahashi, Fagan and Chen (1973); Erisman and Tinney (1975). With W the inverse on the rows below a supernode
(known: those rows belong to the front of its parent) and X = L21 L11^-1,

    Z21 = -W X,      Z11 = L11^-T L11^-1 - X' Z21.

Dropped variables (the last ones) are treated as absent: the factor of the leading block is the leading block
of L.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

from .blas import NOTRANS, RIGHT, TRANS, gemm, lauum, set_threads, symm, trsm, trtri
from .compiled import kernel, plain
from .threads import blas_threads

if TYPE_CHECKING:
    from .symbolic import Symbolic

at = np.uint64  # an index known not to be negative: Numba then leaves out its wrap-around

TINY_WORK = 2500
THREADED_FLOPS = 1e9
# Columns worked on at a time in fronts of at least WIDE columns and in others: a product with a symmetric matrix spends
# its time packing that matrix unless it has many columns, but a wide diagonal block is inverted slowly.
WIDE, BLOCK_WIDE, BLOCK = 1200, 384, 128
# Columns of a diagonal block updated at a time: gemm knows no triangles.
STRIP = 64


@plain
def gather(rel, r0, m, z, zb, nc, nr, w, wb, mp, out, to, mirror):
    """Inverse on the rows of a child (m x m at out[to], lower) from its parent's panel and block."""
    run = m - 1
    while run > 0 and rel[at(r0 + run - 1)] + 1 == rel[at(r0 + run)]:
        run -= 1
    for q in range(m):
        j = rel[at(r0 + q)]
        col = to + q * m
        b = max(q, run)
        step = rel[at(r0 + b)] - b
        if j < nc:
            src = zb + j * nr
            for p in range(q, run):
                out[at(col + p)] = z[at(src + rel[at(r0 + p)])]
            src += step
            for p in range(b, m):
                out[at(col + p)] = z[at(src + p)]
        else:
            src = wb + (j - nc) * mp - nc
            for p in range(q, run):
                out[at(col + p)] = w[at(src + rel[at(r0 + p)])]
            src += step
            for p in range(b, m):
                out[at(col + p)] = w[at(src + p)]
        if mirror:
            for p in range(q + 1, m):
                out[at(to + p * m + q)] = out[at(col + p)]


@plain
def tiny_front(a, z, base, nc, m, nr, w, wb, inverse):
    """Z11 and Z21 of a small front by plain loops; W full (both triangles), `inverse` scratch for L11^-1."""
    for j in range(nc - 1, -1, -1):  # X, in the place of Z21
        zj = base + j * nr + nc
        aj = base + j * nr
        for p in range(m):
            z[at(zj + p)] = a[at(aj + nc + p)]
        for k in range(j + 1, nc):
            v = a[at(aj + k)]
            zk = base + k * nr + nc
            for p in range(m):
                z[at(zj + p)] -= v * z[at(zk + p)]
        r = 1.0 / a[at(aj + j)]
        for p in range(m):
            z[at(zj + p)] *= r
        inverse[at(j * nc + j)] = r
        for i in range(j + 1, nc):
            v = 0.0
            for k in range(j + 1, i + 1):
                v -= inverse[at(k * nc + i)] * a[at(aj + k)]
            inverse[at(j * nc + i)] = v * r
    for j in range(nc):
        zj = base + j * nr + nc
        for p in range(m):
            inverse[at(nc * nc + p)] = 0.0
        for q in range(m):
            v = z[at(zj + q)]
            wq = wb + q * m
            for p in range(m):
                inverse[at(nc * nc + p)] -= v * w[at(wq + p)]
        for i in range(j + 1):  # rows of Z11 up to j: kept at (j, i), the lower triangle
            v = 0.0
            for k in range(j, nc):
                v += inverse[at(i * nc + k)] * inverse[at(j * nc + k)]
            zi = base + i * nr + nc
            if i == j:
                for p in range(m):
                    v -= z[at(zi + p)] * inverse[at(nc * nc + p)]
            else:  # column i of Z21 is final already: use Z21(:, i)' X(:, j)
                for p in range(m):
                    v -= z[at(zi + p)] * z[at(zj + p)]
            z[at(base + i * nr + j)] = v
            if i < j:
                z[at(base + j * nr + i)] = 0.0
        for p in range(m):
            z[at(zj + p)] = inverse[at(nc * nc + p)]


@plain
def large_front(a, z, base, nc, m, nr, w, wb, t, tb, threads):
    """Z11 and Z21 of a front by BLAS; t scratch for (nc + m) x 3/2 block. The panel of z holds a copy of that of L.

    The same recursion as between supernodes, BLOCK columns at a time from the last: nearly all of the work is then in
    products with a known symmetric matrix, faster than LAPACK's dpotri, and only the lower triangle is formed.
    """
    block = BLOCK_WIDE if nc >= WIDE else BLOCK
    end = nc
    while end > 0:
        b = end if 2 * end <= 3 * block else block
        j = end - b
        diag = base + j * (nr + 1)
        x = diag + b
        cols = nc - end
        rest = cols + m
        if rest > 0:
            if threads > 1:
                set_threads(threads)
            trsm(RIGHT, NOTRANS, rest, b, 1.0, a, diag, nr, z, x, nr)
            if cols > 0:
                after = base + end * (nr + 1)
                symm(cols, b, -1.0, z, after, nr, z, x, nr, 0.0, t, tb, rest)
                if m > 0:
                    low = after + cols
                    gemm(TRANS, NOTRANS, cols, b, m, -1.0, z, low, nr, z, x + cols, nr, 1.0, t, tb, rest)
                    gemm(NOTRANS, NOTRANS, m, b, cols, -1.0, z, low, nr, z, x, nr, 0.0, t, tb + cols, rest)
            if m > 0:
                beta = 1.0 if cols > 0 else 0.0
                symm(m, b, -1.0, w, wb, m, z, x + cols, nr, beta, t, tb + cols, rest)
            if threads > 1:
                set_threads(1)
        trtri(b, z, diag, nr)
        lauum(b, z, diag, nr)
        if rest > 0:
            k = 0
            while k < b:
                width = min(STRIP, b - k)
                gemm(
                    TRANS, NOTRANS, b - k, width, rest, -1.0, z, x + k * nr, nr, t, tb + k * rest, rest,
                    1.0, z, diag + k * (nr + 1), nr,
                )  # fmt: skip
                k += width
            for k in range(b):
                to = diag + k * nr
                for i in range(k):  # the strips on the diagonal were updated whole
                    z[at(to + i)] = 0.0
                for p in range(rest):
                    z[at(to + b + p)] = t[at(tb + k * rest + p)]
        end = j


@kernel
def _column(x, y, xs, w, src, rel, r, count):
    """y += w x for one column of a symmetric block, of which only rows from the diagonal on are read."""
    v = x[at(xs)]
    d = w[at(src + rel[at(r)])] * v
    for p in range(1, count):
        e = w[at(src + rel[at(r + p)])]
        y[at(xs + p)] += e * v
        d += e * x[at(xs + p)]
    y[at(xs)] += d


@plain
def direct_children(
    s, start, row_ptr, panel_ptr, first_child, next_child, rel, direct, list_ptr, lists, nc, width, mp, a, z,
    w, wb, last
):  # fmt: skip
    """All direct leaves below supernode s at once: first Y = W L21, column of the front by column, then Z21
    and Z11.

    `width` is the leading dimension of the panel of s, `mp` the order of its inverse block, `last` the size
    of its front without dropped variables.
    """
    base = panel_ptr[s]
    c = first_child[s]
    while c >= 0:
        if direct[c]:
            for p in range(panel_ptr[c], panel_ptr[c + 1]):
                z[at(p)] = 0.0
        c = next_child[c]
    for k in range(list_ptr[s], list_ptr[s + 1]):
        r = lists[k, 1]
        j = rel[r]
        if j >= last:
            break
        x = lists[k, 0]
        count = lists[k, 2]
        while rel[r + count - 1] >= last:
            count -= 1
        other = lists[k, 3]
        if j < nc:
            _column(a, z, x, z, base + j * width, rel, r, count)
            if other > 0:
                _column(a, z, x + other, z, base + j * width, rel, r, count)
        else:
            _column(a, z, x, w, wb + (j - nc) * mp - nc, rel, r, count)
            if other > 0:
                _column(a, z, x + other, w, wb + (j - nc) * mp - nc, rel, r, count)
    c = first_child[s]
    while c >= 0:
        if direct[c]:
            b = panel_ptr[c]
            m = row_ptr[c + 1] - row_ptr[c]
            if start[c + 1] - start[c] == 1:
                d = 1.0 / a[b]
                g = 1.0
                for p in range(b + 1, b + 1 + m):
                    g += a[at(p)] * z[at(p)]
                    z[at(p)] *= -d
                z[b] = d * d * g
            else:
                nr = m + 2
                f = 1.0 / a[b]
                h = 1.0 / a[b + nr + 1]
                e = -a[b + 1] * f * h
                g00, g10, g11 = 1.0, 0.0, 1.0
                for p in range(b + 2, b + nr):
                    y0, y1 = z[at(p)], z[at(p + nr)]
                    g00 += a[at(p)] * y0
                    g10 += a[at(p + nr)] * y0
                    g11 += a[at(p + nr)] * y1
                    z[at(p)] = -(y0 * f + y1 * e)
                    z[at(p + nr)] = -y1 * h
                z[b] = f * f * g00 + 2.0 * f * e * g10 + e * e * g11
                z[b + 1] = h * (f * g10 + e * g11)
                z[b + nr + 1] = h * h * g11
        c = next_child[c]


@plain
def inverse_list(
    todo, drop, start, row_ptr, rows, panel_ptr, up, first_child, next_child, rel, direct, list_ptr, lists,
    gather_at, inverse_at, scratch, panels, out, work, threads,
):  # fmt: skip
    """Selected inverse on the supernodes of `todo`, the last first (parents before children)."""
    kept = start[start.size - 1] - drop
    small = np.empty(4 * TINY_WORK)
    for t in range(todo.size - 1, -1, -1):
        s = todo[t]
        if direct[s]:
            continue
        ld = start[s + 1] - start[s] + row_ptr[s + 1] - row_ptr[s]
        nc = max(min(start[s + 1], kept) - start[s], 0)
        m = row_ptr[s + 1] - row_ptr[s]
        while m > 0 and rows[row_ptr[s] + m - 1] >= kept:
            m -= 1
        base = panel_ptr[s]
        own = start[s + 1] - start[s]  # offset of the rows below in the panel
        wb = inverse_at[s]
        if nc < own or m < ld - own:
            for p in range(base, panel_ptr[s + 1]):
                out[at(p)] = 0.0
        if nc == 0:
            continue

        work_size = nc * (nc + m) * (nc + m)
        tiny = work_size < TINY_WORK and nc == own
        if m > 0:
            p = up[s]
            pc = start[p + 1] - start[p]
            pm = row_ptr[p + 1] - row_ptr[p]
            pr = pc + pm
            while pm > 0 and rows[row_ptr[p] + pm - 1] >= kept:
                pm -= 1
            gather(
                rel,
                row_ptr[s],
                m,
                out,
                panel_ptr[p],
                pc,
                pr,
                work,
                inverse_at[p],
                pm,
                work,
                gather_at[s],
                tiny,
            )
            if wb != gather_at[s]:
                for k in range(m * m):
                    work[at(wb + k)] = work[at(gather_at[s] + k)]
        x, r = float(nc), float(m)
        many = threads if x * x * x / 3.0 + x * x * r + x * r * r > THREADED_FLOPS else 1
        if tiny:
            tiny_front(panels, out, base, nc, m, ld, work, wb, small)
        else:
            for j in range(nc):
                cj = base + j * ld
                for i in range(j):
                    out[at(cj + i)] = 0.0
                for i in range(j, nc):
                    out[at(cj + i)] = panels[at(cj + i)]
                for i in range(own, own + m):
                    out[at(cj + i)] = panels[at(cj + i)]
            large_front(panels, out, base, nc, m, ld, work, wb, work, scratch, many)
        if list_ptr[s + 1] > list_ptr[s]:
            direct_children(
                s, start, row_ptr, panel_ptr, first_child, next_child, rel, direct, list_ptr, lists,
                own, ld, m, panels, out, work, wb, own + m if nc == own else nc,
            )  # fmt: skip


def selected_inverse(
    symbolic: Symbolic, panels: np.ndarray, out: np.ndarray, drop: int = 1, threads: int = 2
) -> None:
    """Inverse of the leading (n - drop) block on the pattern of L, into `out` (same layout as `panels`,
    which hold L).

    Entries of the last `drop` variables are 0; `drop` must be at most `tail` (any number with
    method="dense").
    """
    y = symbolic
    plan = y.schedule(threads)
    work = plan.workspace(plan.inverse_size)
    tables = (
        drop, y.start, y.row_ptr, y.rows, y.panel_ptr, y.sn_parent, y.first_child, y.next_child, y.rel,
        plan.direct, plan.list_ptr, plan.lists, plan.gather_at, plan.inverse_at,
    )  # fmt: skip
    with blas_threads(1):
        inverse_list(plan.top, *tables, plan.scratch_at[-1], panels, out, work, threads)
        if plan.groups:
            with ThreadPoolExecutor(len(plan.groups)) as pool:
                jobs = zip(plan.groups, plan.scratch_at[:-1], strict=True)
                list(pool.map(lambda job: inverse_list(job[0], *tables, job[1], panels, out, work, 1), jobs))
    plan.release(work)

"""Solves with the factor, any number of right-hand sides at once.

Inside, right-hand sides are rows of a C-ordered (n, k) array in the permuted numbering: the k values of one
variable are side by side, and BLAS sees the array as its k x n transpose.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .blas import NOTRANS, RIGHT, TRANS, gemm, trsm
from .compiled import plain
from .threads import blas_threads

if TYPE_CHECKING:
    from .symbolic import Symbolic

at = np.uint64  # an index known not to be negative: Numba then leaves out its wrap-around

# Fewer multiply-adds than this in one supernode are done by plain loops.
TINY_WORK = 3000


@plain
def _extent(s, kept, start, row_ptr, rows):
    """Columns and rows of supernode s that are not dropped."""
    nc = max(min(start[s + 1], kept) - start[s], 0)
    m = row_ptr[s + 1] - row_ptr[s]
    while m > 0 and rows[row_ptr[s] + m - 1] >= kept:
        m -= 1
    return nc, m


@plain
def forward_sweep(kept, start, row_ptr, rows, panel_ptr, a, y, k):
    """y := L^-1 y for the leading `kept` columns; y flat, k values per variable."""
    t = np.empty(0)
    for s in range(start.size - 1):
        nc, m = _extent(s, kept, start, row_ptr, rows)
        if nc == 0:
            continue
        own = start[s + 1] - start[s]
        ld = own + row_ptr[s + 1] - row_ptr[s]
        base = panel_ptr[s]
        y0 = start[s] * k
        r0 = row_ptr[s]
        if nc * (nc + m) * k < TINY_WORK or (k == 1 and nc < 8):
            for j in range(nc):
                col = base + j * ld
                yj = y0 + j * k
                d = 1.0 / a[at(col + j)]
                for q in range(k):
                    y[at(yj + q)] *= d
                for i in range(j + 1, nc):
                    v = a[at(col + i)]
                    for q in range(k):
                        y[at(y0 + i * k + q)] -= v * y[at(yj + q)]
                for i in range(m):
                    v = a[at(col + own + i)]
                    yi = rows[at(r0 + i)] * k
                    for q in range(k):
                        y[at(yi + q)] -= v * y[at(yj + q)]
        else:
            trsm(RIGHT, TRANS, k, nc, 1.0, a, base, ld, y, y0, k)
            if m > 0:
                if t.size < m * k:
                    t = np.empty(m * k)
                gemm(NOTRANS, TRANS, k, m, nc, 1.0, y, y0, k, a, base + own, ld, 0.0, t, 0, k)
                for i in range(m):
                    yi = rows[at(r0 + i)] * k
                    for q in range(k):
                        y[at(yi + q)] -= t[at(i * k + q)]


@plain
def backward_sweep(kept, start, row_ptr, rows, panel_ptr, a, y, k):
    """y := L^-T y for the leading `kept` columns; y flat, k values per variable."""
    t = np.empty(0)
    for s in range(start.size - 2, -1, -1):
        nc, m = _extent(s, kept, start, row_ptr, rows)
        if nc == 0:
            continue
        own = start[s + 1] - start[s]
        ld = own + row_ptr[s + 1] - row_ptr[s]
        base = panel_ptr[s]
        y0 = start[s] * k
        r0 = row_ptr[s]
        if nc * (nc + m) * k < TINY_WORK or (k == 1 and nc < 8):
            for j in range(nc - 1, -1, -1):
                col = base + j * ld
                yj = y0 + j * k
                for i in range(m):
                    v = a[at(col + own + i)]
                    yi = rows[at(r0 + i)] * k
                    for q in range(k):
                        y[at(yj + q)] -= v * y[at(yi + q)]
                for i in range(j + 1, nc):
                    v = a[at(col + i)]
                    for q in range(k):
                        y[at(yj + q)] -= v * y[at(y0 + i * k + q)]
                d = 1.0 / a[at(col + j)]
                for q in range(k):
                    y[at(yj + q)] *= d
        else:
            if m > 0:
                if t.size < m * k:
                    t = np.empty(m * k)
                for i in range(m):
                    yi = rows[at(r0 + i)] * k
                    for q in range(k):
                        t[at(i * k + q)] = y[at(yi + q)]
                gemm(NOTRANS, NOTRANS, k, nc, m, -1.0, t, 0, k, a, base + own, ld, 1.0, y, y0, k)
            trsm(RIGHT, NOTRANS, k, nc, 1.0, a, base, ld, y, y0, k)


def forward(symbolic: Symbolic, panels: np.ndarray, y: np.ndarray) -> None:
    """Half solve in place: y (n - drop, k), C order, permuted numbering, becomes L^-1 y."""
    s = symbolic
    with blas_threads(1):
        forward_sweep(y.shape[0], s.start, s.row_ptr, s.rows, s.panel_ptr, panels, y.reshape(-1), y.shape[1])


def backward(symbolic: Symbolic, panels: np.ndarray, y: np.ndarray) -> None:
    """Half solve in place: y (n - drop, k), C order, permuted numbering, becomes L^-T y."""
    s = symbolic
    with blas_threads(1):
        backward_sweep(y.shape[0], s.start, s.row_ptr, s.rows, s.panel_ptr, panels, y.reshape(-1), y.shape[1])

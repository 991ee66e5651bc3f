"""Elimination of a block-diagonal leading block, level by level (compiled).

The matrix is bordered block-diagonal: q1 leading levels, each with its own m x m block D_i, coupled to a trailing matrix
(other random effects, then a dense border of t columns: X and y). The leading levels are eliminated without ordering,
fronts or indices of their own - the most common mixed model is nothing else - and what is left is the Schur complement

    S = C_22 - sum_i C_2i D_i^-1 C_i2,

added into the panels of the trailing matrix's own factor. Notation, for level i with factor D_i = L_i L_i':

    W_i = L_i^-1 C_i2   (forward),   P_i = L_i^-T W_i = D_i^-1 C_i2,   Z_i2 = -P_i Z_22,   Z_ii = D_i^-1 - Z_i2 P_i'

Couplings are stored by level: entries pointer[i] <= e < pointer[i + 1] are scalar trailing columns column[e], permuted
numbering, ascending; couple[e, :] holds the m values. `border` is (q1, m, t). All kernels take a range, so that two threads
can share one call: `eliminate`, `back_half`, `inverse_*` by levels, `schur` by columns; no two ranges write one place.
"""

from __future__ import annotations

import numpy as np

from .compiled import kernel


@kernel
def eliminate(own, pointer, couple, border, lo, hi):
    """Factor the leading blocks of levels lo..hi-1 in place: own -> L, couple and border -> W.

    Returns (sum of log pivots squared, index of the first level whose block is not positive definite or -1).
    """
    m = own.shape[1]
    t = border.shape[2]
    log_sum = 0.0
    product = 1.0
    for i in range(lo, hi):
        for j in range(m):
            d = own[i, j, j]
            for k in range(j):
                d -= own[i, j, k] * own[i, j, k]
            if not d > 0.0:
                return log_sum, i
            product *= d
            if product > 1e100 or product < 1e-100:
                log_sum += np.log(product)
                product = 1.0
            root = np.sqrt(d)
            own[i, j, j] = root
            inverse = 1.0 / root
            for r in range(j + 1, m):
                v = own[i, r, j]
                for k in range(j):
                    v -= own[i, r, k] * own[i, j, k]
                own[i, r, j] = v * inverse
            for c in range(t):
                v = border[i, j, c]
                for k in range(j):
                    v -= own[i, j, k] * border[i, k, c]
                border[i, j, c] = v * inverse
        for e in range(pointer[i], pointer[i + 1]):
            for j in range(m):
                v = couple[e, j]
                for k in range(j):
                    v -= own[i, j, k] * couple[e, k]
                couple[e, j] = v / own[i, j, j]
    return log_sum + np.log(product), -1


@kernel
def schur_corner(border, corner, lo, hi):
    """corner (t, t) lower triangle -= sum over levels lo..hi-1 of W_ib' W_ib."""
    m, t = border.shape[1], border.shape[2]
    for i in range(lo, hi):
        for k in range(m):
            for c in range(t):
                w = border[i, k, c]
                for r in range(c, t):
                    corner[r, c] -= w * border[i, k, r]


@kernel
def _places_in_panel(s, start, row_pointer, rows, place):
    """Fill `place` with the place of each row of supernode s within a column of its panel; returns the column's length."""
    width = start[s + 1] - start[s]
    for j in range(width):
        place[start[s] + j] = j
    for j in range(row_pointer[s], row_pointer[s + 1]):
        place[rows[j]] = width + j - row_pointer[s]
    return width + row_pointer[s + 1] - row_pointer[s]


@kernel
def schur(
    pointer,
    column,
    couple,
    border,
    column_pointer,
    entry,
    level,
    start,
    row_pointer,
    rows,
    panel_pointer,
    panels,
    n_trailing,
    lo,
    hi,
):
    """Columns lo..hi-1 (permuted) of the trailing panels -= their part of sum_i W_i'W_i.

    `column_pointer`, `entry`, `level`: for each trailing column the coupling entries in it and their levels.
    The trailing matrix has n_trailing columns, then the border. `start`, `row_pointer`, `rows`, `panel_pointer`:
    the supernodes, as `Symbolic` has them.
    """
    m, t = border.shape[1], border.shape[2]
    n = n_trailing + t
    place = np.empty(n, np.int64)
    s = 0
    last = -1
    ld = 0
    for c in range(lo, hi):
        while start[s + 1] <= c:
            s += 1
        if s != last:
            last = s
            ld = _places_in_panel(s, start, row_pointer, rows, place)
        base = panel_pointer[s] + (c - start[s]) * ld
        for a in range(column_pointer[c], column_pointer[c + 1]):
            e = entry[a]
            i = level[a]
            end = pointer[i + 1]
            if m == 1:
                w = couple[e, 0]
                for f in range(e, end):
                    panels[base + place[column[f]]] -= w * couple[f, 0]
                for r in range(t):
                    panels[base + place[n_trailing + r]] -= w * border[i, 0, r]
            else:
                for f in range(e, end):
                    v = 0.0
                    for k in range(m):
                        v += couple[e, k] * couple[f, k]
                    panels[base + place[column[f]]] -= v
                for r in range(t):
                    v = 0.0
                    for k in range(m):
                        v += couple[e, k] * border[i, k, r]
                    panels[base + place[n_trailing + r]] -= v


@kernel
def back_half(own, pointer, couple, border, lo, hi):
    """P_i = L_i^-T W_i for levels lo..hi-1, in place on copies of W."""
    m, t = own.shape[1], border.shape[2]
    for i in range(lo, hi):
        for e in range(pointer[i], pointer[i + 1]):
            for j in range(m - 1, -1, -1):
                v = couple[e, j]
                for k in range(j + 1, m):
                    v -= own[i, k, j] * couple[e, k]
                couple[e, j] = v / own[i, j, j]
        for j in range(m - 1, -1, -1):
            inverse = 1.0 / own[i, j, j]
            for c in range(t):
                v = border[i, j, c]
                for k in range(j + 1, m):
                    v -= own[i, k, j] * border[i, k, c]
                border[i, j, c] = v * inverse


@kernel
def inverse_couplings(
    pointer,
    column,
    couple,
    border,
    column_pointer,
    entry,
    level,
    start,
    row_pointer,
    rows,
    panel_pointer,
    inverse,
    n_trailing,
    out_couple,
    out_border,
    lo,
    hi,
):
    """Z_i2 = -P_i Z_22 of levels lo..hi-1: the part of the trailing columns proper (`inverse_own` adds the corner's).

    `couple`, `border` hold P; `inverse` the selected inverse of the trailing matrix in panels. Goes by columns of Z_22, one
    column in cache at a time, over the levels of the range that the column meets. out_* must come in as zeros.
    """
    m, t = border.shape[1], border.shape[2]
    n = n_trailing + t
    place = np.empty(n, np.int64)
    s = 0
    last = -1
    ld = 0
    for c in range(n_trailing):
        while start[s + 1] <= c:
            s += 1
        if s != last:
            last = s
            ld = _places_in_panel(s, start, row_pointer, rows, place)
        base = panel_pointer[s] + (c - start[s]) * ld
        for a in range(column_pointer[c], column_pointer[c + 1]):
            i = level[a]
            if i < lo:
                continue
            if i >= hi:
                break
            e = entry[a]
            end = pointer[i + 1]
            if m == 1:
                p = couple[e, 0]
                total = p * inverse[base + place[c]]
                for f in range(e + 1, end):
                    z = inverse[base + place[column[f]]]
                    total += couple[f, 0] * z
                    out_couple[f, 0] -= p * z
                for r in range(t):
                    z = inverse[base + place[n_trailing + r]]
                    total += border[i, 0, r] * z
                    out_border[i, 0, r] -= p * z
                out_couple[e, 0] -= total
            else:
                z = inverse[base + place[c]]
                for k in range(m):
                    out_couple[e, k] -= couple[e, k] * z
                for f in range(e + 1, end):
                    z = inverse[base + place[column[f]]]
                    for k in range(m):
                        out_couple[e, k] -= couple[f, k] * z
                        out_couple[f, k] -= couple[e, k] * z
                for r in range(t):
                    z = inverse[base + place[n_trailing + r]]
                    for k in range(m):
                        out_couple[e, k] -= border[i, k, r] * z
                        out_border[i, k, r] -= couple[e, k] * z


@kernel
def inverse_own(own, pointer, couple, border, corner, out_couple, out_border, out_own, lo, hi):
    """The rest of Z_ib (the corner of Z_22) and Z_ii = (L_i L_i')^-1 - Z_i2 P_i', levels lo..hi-1.

    `own` holds L, `couple` and `border` P, `corner` (t, t) the border's part of Z_22, symmetric.
    """
    m, t = own.shape[1], border.shape[2]
    triangle = np.zeros((m, m))
    for i in range(lo, hi):
        for k in range(m):
            for r in range(t):
                v = 0.0
                for c in range(t):
                    v += border[i, k, c] * corner[c, r]
                out_border[i, k, r] -= v
        for j in range(m):
            triangle[j, j] = 1.0 / own[i, j, j]
            for r in range(j + 1, m):
                v = 0.0
                for k in range(j, r):
                    v -= own[i, r, k] * triangle[k, j]
                triangle[r, j] = v / own[i, r, r]
        for a in range(m):
            for b in range(a + 1):
                v = 0.0
                for k in range(a, m):
                    v += triangle[k, a] * triangle[k, b]
                for e in range(pointer[i], pointer[i + 1]):
                    v -= out_couple[e, a] * couple[e, b]
                for r in range(t):
                    v -= out_border[i, a, r] * border[i, b, r]
                out_own[i, a, b] = v
                out_own[i, b, a] = v


@kernel
def forward(own, pointer, column, couple, border, vectors, trailing, lo, hi):
    """vectors (q1, m, k) -> L_i^-1 vectors, and trailing (n_trailing + t, k), permuted, -= W_i' of it.

    Writes `trailing` from every level: one thread only, or a private `trailing` for each.
    """
    m, t, k = own.shape[1], border.shape[2], vectors.shape[2]
    n_trailing = trailing.shape[0] - t
    for i in range(lo, hi):
        for j in range(m):
            inverse = 1.0 / own[i, j, j]
            for v in range(k):
                x = vectors[i, j, v]
                for h in range(j):
                    x -= own[i, j, h] * vectors[i, h, v]
                vectors[i, j, v] = x * inverse
        for e in range(pointer[i], pointer[i + 1]):
            c = column[e]
            for j in range(m):
                w = couple[e, j]
                for v in range(k):
                    trailing[c, v] -= w * vectors[i, j, v]
        for j in range(m):
            for r in range(t):
                w = border[i, j, r]
                for v in range(k):
                    trailing[n_trailing + r, v] -= w * vectors[i, j, v]


@kernel
def backward(own, pointer, column, couple, border, vectors, trailing, lo, hi):
    """vectors (q1, m, k) -> L_i^-T (vectors - W_i trailing), trailing (n_trailing + t, k) in permuted numbering."""
    m, t, k = own.shape[1], border.shape[2], vectors.shape[2]
    n_trailing = trailing.shape[0] - t
    for i in range(lo, hi):
        for e in range(pointer[i], pointer[i + 1]):
            c = column[e]
            for j in range(m):
                w = couple[e, j]
                for v in range(k):
                    vectors[i, j, v] -= w * trailing[c, v]
        for j in range(m - 1, -1, -1):
            for r in range(t):
                w = border[i, j, r]
                for v in range(k):
                    vectors[i, j, v] -= w * trailing[n_trailing + r, v]
            inverse = 1.0 / own[i, j, j]
            for v in range(k):
                x = vectors[i, j, v]
                for h in range(j + 1, m):
                    x -= own[i, h, j] * vectors[i, h, v]
                vectors[i, j, v] = x * inverse

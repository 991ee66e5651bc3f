"""Variance of predictions: quadratic forms w' C^-1 w in the inverse of the mixed-model equations.

    Var(x'beta^ + sum z_k'u^_k - x'beta - sum z_k'u_k) = s2 w' C^-1 w,    w = (T_k' z_k at its level, ..., x)

Few rows: one half solve each. Many rows: w has entries only where levels meet, and there C^-1 is known on
the pattern of the factor, so that one selected inverse serves all rows; rows whose levels never met in the
data are solved for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import solve_triangular

if TYPE_CHECKING:
    from .solution import Solution

FEW = 4_000_000
"""Rows times equations up to which every row is solved for."""


def prediction_variance(
    solution: Solution, x: np.ndarray, z: Sequence[np.ndarray | None], levels: Sequence[np.ndarray]
) -> np.ndarray:
    """The variance above for each row, in the user's units, (n,). See `Solution.prediction_variance`."""
    point, coordinates = solution.point, solution.coordinates
    x = solve_triangular(coordinates.r, x.T, trans=1).T if x.shape[1] else x
    parts: list[np.ndarray | None] = []
    new = np.zeros(len(x))
    for zk, level, t, back in zip(z, levels, point.factors, coordinates.back, strict=True):
        if zk is None:
            parts.append(None)
            continue
        part = zk @ (back @ t)
        unseen = level < 0
        new[unseen] += (part[unseen] ** 2).sum(axis=1)
        part[unseen] = 0.0
        parts.append(part)
    levels = [np.maximum(level, 0) for level in levels]
    system = solution.problem.system
    if len(x) * (system.q + system.p) <= FEW:
        known = by_solves(solution, x, parts, levels)
    else:
        known = by_pattern(solution, x, parts, levels)
    return solution.scale2 * (known + new)


def by_solves(
    solution: Solution, x: np.ndarray, parts: Sequence[np.ndarray | None], levels: Sequence[np.ndarray]
) -> np.ndarray:
    """w' C^-1 w, by a half solve for each row."""
    system = solution.problem.system
    solution.factorised()
    order = system.q + system.p
    out = np.zeros(len(x))
    chunk = max(1, FEW // (order + 1))
    for lo in range(0, len(x), chunk):
        rows = slice(lo, min(lo + chunk, len(x)))
        column = np.arange(rows.stop - lo)[:, None]
        w = np.zeros((order, rows.stop - lo))
        w[system.q :] = x[rows].T
        for k, (part, level) in enumerate(zip(parts, levels, strict=True)):
            if part is not None:
                m = part.shape[1]
                at = solution.products.offsets[k] + level[rows][:, None] * m + np.arange(m)
                w[at, column] = part[rows]
        half = system.half_solve(w)
        out[rows] = np.einsum("ij,ij->j", half, half)
    return out


def by_pattern(
    solution: Solution, x: np.ndarray, parts: Sequence[np.ndarray | None], levels: Sequence[np.ndarray]
) -> np.ndarray:
    """w' C^-1 w, from the entries of C^-1 where levels met; solved for where they did not."""
    system, products = solution.problem.system, solution.products
    fixed = solution.fixed_columns
    solution.factorised()
    system.invert(True)
    own, met = system.diagonal_blocks(), system.pair_blocks()
    out = np.einsum("ij,jk,ik->i", x, fixed[system.q :], x)
    for k, part in enumerate(parts):
        if part is None:
            continue
        q, m = products.sizes[k]
        with_fixed = fixed[products.offsets[k] : products.offsets[k + 1]].reshape(q, m, system.p)
        for a in range(m):
            inner = np.einsum("ij,ij->i", with_fixed[levels[k], a], x) * 2.0
            for b in range(m):
                inner += own[k][levels[k], a, b] * part[:, b]
            out += part[:, a] * inner
    apart = np.zeros(len(x), dtype=bool)
    for pair, blocks in zip(products.pairs, met, strict=True):
        left, right = parts[pair.k], parts[pair.l]
        if left is None or right is None:
            continue
        q = products.sizes[pair.l][0]
        key = pair.rows * q + pair.cols
        wanted = levels[pair.k].astype(np.int64) * q + levels[pair.l]
        at = np.minimum(np.searchsorted(key, wanted), len(key) - 1)
        active = left.any(axis=1) & right.any(axis=1)
        apart |= active & (key[at] != wanted)
        for a in range(left.shape[1]):
            for b in range(right.shape[1]):
                out += 2.0 * left[:, a] * blocks[at, a, b] * right[:, b]
    if apart.any():
        kept = [None if part is None else part[apart] for part in parts]
        out[apart] = by_solves(solution, x[apart], kept, [level[apart] for level in levels])
    return np.maximum(out, 0.0)

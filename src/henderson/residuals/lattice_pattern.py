"""The sparse precision of a lattice: its entries, and the Cholesky factor of the block of some cells."""

from __future__ import annotations

import numpy as np

from .. import sparse
from .axes import Axes, Chain, Steps
from .base import NotPositiveDefinite

Array = np.ndarray
_DENSE_CELLS = 400
"""Cells up to which LAPACK factorises all of a lattice: no compiled code is loaded."""


class Pattern:
    """Entries of Q in its lower triangle, as products of entries of the chains."""

    def __init__(self, found: Axes):
        self.chains = found.chains
        total = found.cells
        offsets = _offsets(len(self.chains))
        rows, cols, which = [], [], []
        everyone = np.arange(total)
        for offset in offsets:
            row, col = everyone, everyone
            links: list[Array] = []
            for step, chain in zip(offset, self.chains, strict=True):
                # step 0: same coordinate; -1: col is the cell before; +1: col is the cell behind.
                if step == -1:
                    ok = chain.before[col] >= 0
                    row, col = row[ok], col[ok]
                    links = [link[ok] for link in links]
                    links.append(chain.gap_of[col])
                    col = chain.before[col]
                elif step == 1:
                    behind = np.full(total, -1)
                    inside = chain.before >= 0
                    behind[chain.before[inside]] = np.flatnonzero(inside)
                    ok = behind[col] >= 0
                    row, col = row[ok], col[ok]
                    links = [link[ok] for link in links]
                    links.append(chain.after[col])
                    col = behind[col]
                else:
                    links.append(np.zeros(len(row), dtype=np.int64))
            rows.append(row)
            cols.append(col)
            which.append((offset, links, row))
        self.rows, self.cols, self.n = np.concatenate(rows), np.concatenate(cols), total
        self._which = which

    def values(self, steps: list[Steps], slopes: bool) -> tuple[Array, list[Array]]:
        """Entries of Q, and of its derivatives by each chain's coordinate."""
        diagonals = [self._diagonal(step, chain) for step, chain in zip(steps, self.chains, strict=True)]
        off = [-step.a / step.v for step in steps]
        off_slopes = [-step.slope * (1.0 + step.a**2) / step.v**2 for step in steps]
        parts: list[Array] = []
        slope_parts: list[list[Array]] = [[] for _ in steps]
        for offset, links, row in self._which:
            entries = [diagonals[k][0][row] if s == 0 else off[k][links[k]] for k, s in enumerate(offset)]
            parts.append(np.prod(entries, axis=0))
            if not slopes:
                continue
            for k, s in enumerate(offset):
                own = diagonals[k][1][row] if s == 0 else off_slopes[k][links[k]]
                slope_parts[k].append(np.prod([own, *(e for j, e in enumerate(entries) if j != k)], axis=0))
        return np.concatenate(parts), [np.concatenate(part) for part in slope_parts] if slopes else []

    def _diagonal(self, step: Steps, chain: Chain) -> tuple[Array, Array]:
        """Diagonal of a chain's precision at each cell, 1 + sum of a^2 / v over its gaps, and the derivative."""
        value, slope = np.ones(self.n), np.zeros(self.n)
        ratio, rate = step.a**2 / step.v, 2.0 * step.a * step.slope / step.v**2
        for gap in (chain.gap_of, chain.after):
            there = gap >= 0
            value[there] += ratio[gap[there]]
            slope[there] += rate[gap[there]]
        return value, slope

    def product(self, values: Array, u: Array, wanted: Array) -> Array:
        """Some rows of Q u, u (N, k)."""
        from scipy.sparse import coo_matrix

        off = np.flatnonzero(self.rows != self.cols)
        both = np.concatenate([values, values[off]])
        places = (np.append(self.rows, self.cols[off]), np.append(self.cols, self.rows[off]))
        return coo_matrix((both, places), shape=(self.n, self.n)).tocsr()[wanted] @ u


def _offsets(dimensions: int) -> list[tuple[int, ...]]:
    """Half of the neighbours of a cell, itself first: their first nonzero step is backward."""
    out = [(0,) * dimensions]
    for code in range(3**dimensions):
        offset = tuple(code // 3**k % 3 - 1 for k in range(dimensions))
        nonzero = [step for step in offset if step]
        if nonzero and nonzero[0] < 0:
            out.append(offset)
    return out


class Solver:
    """Symbolic analysis of some cells of a pattern."""

    def __init__(self, pattern: Pattern, cells: Array, total: int):
        number = np.full(total, -1)
        number[cells] = np.arange(len(cells))
        r, c = number[pattern.rows], number[pattern.cols]
        self.entries = np.flatnonzero((r >= 0) & (c >= 0))
        self.rows, self.cols, self.n = r[self.entries], c[self.entries], len(cells)
        method = "dense" if self.n <= _DENSE_CELLS else "amd"
        self.symbolic = sparse.analyze(self.n, self.rows, self.cols, method=method)
        self.place = self.symbolic.positions(self.rows, self.cols)
        self.on_diagonal = self.rows == self.cols
        self.weights = np.where(self.on_diagonal, 1.0, 2.0)

    def factor(self, values: Array, more: Array | None = None) -> SolverFactor:
        """Cholesky of these cells' block of a matrix on the pattern, `more` added to its diagonal."""
        panels = np.zeros(self.symbolic.stored)
        panels[self.place] = values[self.entries]
        if more is not None:
            own = self.on_diagonal
            panels[self.place[own]] += more[self.rows[own]]
        if not np.isfinite(panels).all() or sparse.factor(self.symbolic, panels) >= 0:
            raise NotPositiveDefinite
        return SolverFactor(self, panels)


class SolverFactor:
    """A factorised block."""

    def __init__(self, solver: Solver, panels: Array):
        self.solver, self.panels = solver, panels
        self.log_det = 2.0 * float(np.log(sparse.diagonal(solver.symbolic, panels)).sum())

    def solve(self, b: Array) -> Array:
        return sparse.solve(self.solver.symbolic, self.panels, b, drop=0)

    def inverse(self) -> Array:
        """The inverse on the pattern, as entries."""
        out = np.empty_like(self.panels)
        sparse.selected_inverse(self.solver.symbolic, self.panels, out, drop=0)
        return out[self.solver.place]

    def trace(self, inverse: Array, values: Array) -> float:
        """tr(inverse B), B the block of a matrix on the pattern."""
        return float((self.solver.weights * inverse) @ values[self.solver.entries])

    def diagonal_sum(self, inverse: Array, weights: Array) -> float:
        """Sum of the inverse's diagonal, weighted."""
        own = self.solver.on_diagonal
        return float(inverse[own] @ weights[self.solver.rows[own]])

"""Kronecker products of Markov processes over a lattice, by their sparse precision: ar1(row):ar1(col), whole or with gaps.

Cells are the combinations of the distinct coordinates of a group. Over all of them, with chains of precision Q_1, Q_2, ...,

    K = K_1 (x) K_2 (x) ...,   K^-1 = Q = Q_1 (x) Q_2 (x) ...,   W = W_1 (x) W_2 (x) ...,   (W_d x)_i = (x_i - a x_{i-1}) / sqrt(1 - a^2)

With o the cells of rows, m those without one, and M the rows:

no nugget   M'C^-1 M = U'Q U,  U_o = M,  U_m = -Q_mm^-1 Q_mo M (what the others predict),    log|C| = log|K| + log|Q_mm|
nugget v    M'C^-1 M = |M - Z U|^2 / v + U'Q U / (1 - v),   U = H^-1 Z'M,   H = Z'Z + l Q,  l = v / (1 - v),
            log|C| = n log v + log|K| - N log l + log|H|     (Z the cells of the n rows, N cells; two rows may share one)

U minimises the quadratic form, so that derivatives are those at U held: U' dQ U and so on, and a small error of U leaves a
far smaller one in the result. Traces need entries of Q_mm^-1 or H^-1 on the pattern of Q alone: `sparse.selected_inverse`.
Sources: Martin (1979) Biometrika 66, 209-217; Gilmour, Cullis & Verbyla (1997) JABES 2, 269-293; Takahashi et al. (1973).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from .. import sparse
from ..errors import DataError, ModelError
from .base import CrossProducts, Layout, NotPositiveDefinite, Structure
from .distance import duplicate_message
from .kernels import Decay, Lags, Product
from .order import said
from .product import ProductStructure

Array = np.ndarray
_DENSE_CELLS = 400
"""Cells up to which LAPACK factorises all of a lattice: no compiled code is loaded."""


class Chain(NamedTuple):
    """One coordinate of all groups: cells that follow one another along it."""

    before: Array
    """(N,) cell before each cell, -1 for the first."""
    gap_of: Array
    """(N,) which gap lies before each cell, -1 for the first."""
    after: Array
    """(N,) which gap lies behind each cell, -1 for the last."""
    gaps: Array
    """(g,) distinct gaps."""
    counts: Array
    """(g,) how often each occurs, lines counted."""


@dataclass(frozen=True)
class Axes:
    """The lattice of a layout.

    Attributes
    ----------
    order : (n,) rows of the design by cell.
    cell : (n,) cell of each row, in that order.
    chains : one for each factor.
    shapes : distinct coordinates of each group along each factor, (groups, factors).
    slow : factor along which lines follow one another, the longest.
    """

    order: Array
    cell: Array
    chains: tuple[Chain, ...]
    shapes: Array
    slow: int
    levels: tuple[tuple[Array, ...], ...]
    """For each group and factor the distinct coordinates, sorted."""
    summaries: tuple[Lags, ...]

    @property
    def cells(self) -> int:
        return int(self.shapes.prod(axis=1).sum())


def axes(layout: Layout) -> Axes:
    """The distinct coordinates of each group and the cells they make.

    Raises
    ------
    DataError : two rows of one group in one cell, without a nugget.
    ModelError : a factor with one coordinate only.
    """
    values = [f.coordinates[0] for f in layout.factors]
    groups = int(layout.groups.max()) + 1
    levels, codes = zip(*(_levels(layout.groups, v, groups) for v in values), strict=True)
    shapes = np.array([[len(found[g]) for found in levels] for g in range(groups)])
    for k, factor in enumerate(layout.factors):
        if shapes[:, k].max() < 2:
            raise ModelError(
                f"{layout.text}: {factor.names[0]} is {said(factor, 0)} in every row"
                + (f" of a {layout.group_name}" if layout.group_name else "")
                + f": there is no correlation along it to estimate. Leave out {factor.structure}({factor.names[0]})."
            )
    slow = int(np.argmax(shapes.sum(axis=0)))
    inner = [slow] + [k for k in range(len(values)) if k != slow]
    sizes = shapes.prod(axis=1)
    offsets = np.cumsum(sizes) - sizes
    cell = offsets[layout.groups]
    stride = np.ones(groups, dtype=np.int64)
    for k in reversed(inner):
        cell = cell + codes[k] * stride[layout.groups]
        stride = stride * shapes[:, k]
    order = np.argsort(cell, kind="stable")
    if not layout.nugget:
        twice = np.flatnonzero(np.diff(cell[order]) == 0)
        if twice.size:
            i, j = sorted((int(order[twice[0]]), int(order[twice[0] + 1])))
            raise DataError(duplicate_message(layout, layout.factors, i, j, twice.size))
    chains = _chains(levels, shapes, inner)
    by_group = tuple(tuple(found[g] for found in levels) for g in range(groups))
    return Axes(order, cell[order], chains, shapes, slow, by_group, tuple(map(_lags, levels)))


def _levels(groups: Array, values: Array, count: int) -> tuple[list[Array], Array]:
    """Distinct values of each group, sorted, and the place of each row's among them."""
    order = np.lexsort((values, groups))
    g, v = groups[order], values[order]
    fresh = np.ones(len(v), dtype=bool)
    fresh[1:] = (g[1:] != g[:-1]) | (v[1:] != v[:-1])
    numbers = np.cumsum(fresh) - 1
    first = np.searchsorted(g[fresh], np.arange(count))
    codes = np.empty(len(v), dtype=np.int64)
    codes[order] = numbers - first[g]
    return np.split(v[fresh], first[1:]), codes


def _lags(levels: list[Array]) -> Lags:
    gaps = np.concatenate([np.diff(found) for found in levels])
    longest = max(float(found[-1] - found[0]) for found in levels)
    step = float(np.gcd.reduce(gaps.astype(np.int64))) if (gaps == np.floor(gaps)).all() else 0.0
    return Lags(float(gaps.min()), float(np.median(gaps)), longest, step)


def _chains(levels: tuple[list[Array], ...], shapes: Array, inner: list[int]) -> tuple[Chain, ...]:
    groups, total = len(shapes), int(shapes.prod(axis=1).sum())
    before = np.full((len(inner), total), -1, dtype=np.int64)
    width = np.zeros((len(inner), total))
    behind = np.zeros((len(inner), total))
    start = 0
    for g in range(groups):
        size = int(shapes[g].prod())
        numbers = np.arange(start, start + size).reshape(shapes[g][inner])
        for axis, k in enumerate(inner):
            gap = np.diff(levels[k][g])
            along = np.moveaxis(numbers, axis, 0)
            before[k, along[1:]] = along[:-1]
            tall = gap.reshape(-1, *(1,) * (along.ndim - 1))
            width[k, along[1:]] = tall
            behind[k, along[:-1]] = tall
        start += size
    out = []
    for k in range(len(inner)):
        inside, last = before[k] >= 0, behind[k] == 0
        gaps, codes, counts = np.unique(width[k, inside], return_inverse=True, return_counts=True)
        gap_of, after = np.full(total, -1), np.full(total, -1)
        gap_of[inside] = codes
        after[~last] = np.searchsorted(gaps, behind[k, ~last])
        out.append(Chain(before[k], gap_of, after, gaps, counts))
    return tuple(out)


class Steps(NamedTuple):
    """The chain of one coordinate at one t, for each distinct gap."""

    a: Array
    """Correlation over the gap."""
    b: Array
    """1 - a."""
    v: Array
    """1 - a^2."""
    slope: Array
    """da/dt."""


class Lattice(ProductStructure):
    """C over a lattice of cells."""

    def __init__(self, layout: Layout, found: Axes, product: Product, name: str):
        super().__init__(layout, product, name)
        self.axes, self.order = found, found.order
        self.cell, self.n_cells = found.cell, found.cells
        counts = np.bincount(found.cell, minlength=self.n_cells)
        self.counts, self.missing = counts, np.flatnonzero(counts == 0)
        self.complete = not self.missing.size and not product.nugget
        self.pattern = None if self.complete else Pattern(found)
        self._solver: Solver | None = None

    def restricted(self, layout: Layout) -> Structure:
        return Lattice(layout, axes(layout), self.product, self.name)

    # -- the chains --------------------------------------------------------------------------------------

    def steps(self, t: Array) -> list[Steps]:
        out = []
        for kernel, part, chain in zip(
            self.product.kernels, self.product.split(t), self.axes.chains, strict=True
        ):
            assert isinstance(kernel, Decay)
            a, slope = kernel.at(part, chain.gaps, True)
            assert slope is not None
            out.append(
                Steps(a, kernel.gap(part, chain.gaps), kernel.one_minus_square(part, chain.gaps), slope[0])
            )
        return out

    def log_det_field(self, steps: list[Steps]) -> tuple[float, Array]:
        """log|K| and its derivatives."""
        total, slopes = 0.0, []
        for step, chain in zip(steps, self.axes.chains, strict=True):
            total += float(chain.counts @ np.log(step.v))
            slopes.append(float(chain.counts @ (-2.0 * step.a * step.slope / step.v)))
        return total, np.array(slopes)

    def whiten_field(self, steps: list[Steps], x: Array, but: int = -1) -> Array:
        """W x over all cells, leaving out one chain."""
        for k, (step, chain) in enumerate(zip(steps, self.axes.chains, strict=True)):
            if k != but:
                x = _difference(step, chain, x)
        return x

    def field_products(self, steps: list[Steps], u: Array, slopes: bool) -> tuple[Array, Array | None]:
        """u'Q u and its derivatives, u over all cells held."""
        z = self.whiten_field(steps, u)
        products = z.T @ z
        if not slopes:
            return products, None
        out = []
        for k, (step, chain) in enumerate(zip(steps, self.axes.chains, strict=True)):
            x = self.whiten_field(steps, u, but=k)
            at = np.flatnonzero(chain.before >= 0)
            gap = chain.gap_of[at]
            dz = (step.a * step.slope / step.v)[gap, None] * z[at]
            dz -= (step.slope / np.sqrt(step.v))[gap, None] * x[chain.before[at]]
            half = z[at].T @ dz
            out.append(half + half.T)
        return products, np.stack(out)

    # -- the contract ------------------------------------------------------------------------------------

    def cross_products(self, t: Array, m: Array, slopes: bool) -> CrossProducts:
        steps = self.steps(t)
        if self.complete:
            log_det, log_det_slopes = self.log_det_field(steps)
            products, product_slopes = self.field_products(steps, m, slopes)
            return CrossProducts(products, log_det, product_slopes, log_det_slopes if slopes else None)
        return (
            self._with_nugget(t, steps, m, slopes)
            if self.product.nugget
            else self._with_gaps(steps, m, slopes)
        )

    def _with_gaps(self, steps: list[Steps], m: Array, slopes: bool) -> CrossProducts:
        assert self.pattern is not None
        if self._solver is None:
            self._solver = Solver(self.pattern, self.missing, self.n_cells)
        values, derivatives = self.pattern.values(steps, slopes)
        factor = self._solver.factor(values)
        u = np.zeros((self.n_cells, m.shape[1]))
        u[self.cell] = m
        u[self.missing] = -factor.solve(self.pattern.product(values, u)[self.missing])
        products, product_slopes = self.field_products(steps, u, slopes)
        log_det, log_det_slopes = self.log_det_field(steps)
        log_det += factor.log_det
        if not slopes:
            return CrossProducts(products, log_det)
        inverse = factor.inverse()
        log_det_slopes = log_det_slopes + np.array([factor.trace(inverse, d) for d in derivatives])
        return CrossProducts(products, log_det, product_slopes, log_det_slopes)

    def _with_nugget(self, t: Array, steps: list[Steps], m: Array, slopes: bool) -> CrossProducts:
        assert self.pattern is not None
        if self._solver is None:
            self._solver = Solver(self.pattern, np.arange(self.n_cells), self.n_cells)
        n, cells, v = self._n_rows, self.n_cells, self.product.nugget_at(t)
        left = self.product.nugget_left(t)
        ratio = v / left
        values, derivatives = self.pattern.values(steps, slopes)
        factor = self._solver.factor(ratio * values, self.counts)
        sums = np.zeros((cells, m.shape[1]))
        np.add.at(sums, self.cell, m)
        u = factor.solve(sums)
        rest = m - u[self.cell]
        noise, (field, field_slopes) = rest.T @ rest, self.field_products(steps, u, slopes)
        products = noise / v + field / left
        log_det_field, field_log_det_slopes = self.log_det_field(steps)
        log_det = n * np.log(v) + log_det_field - cells * np.log(ratio) + factor.log_det
        if not slopes:
            return CrossProducts(products, float(log_det))
        assert field_slopes is not None
        inverse = factor.inverse()
        in_v = field / left**2 - noise / v**2
        seen = factor.diagonal_sum(inverse, self.counts)
        log_det_in_v = (n - seen / left) / v
        own = field_log_det_slopes + ratio * np.array([factor.trace(inverse, d) for d in derivatives])
        by_v = self.product.nugget_slopes(t)
        product_slopes = by_v[:, None, None] * in_v
        product_slopes[:-1] += field_slopes / left
        log_det_slopes = by_v * log_det_in_v
        log_det_slopes[:-1] += own
        return CrossProducts(products, float(log_det), product_slopes, log_det_slopes)

    def whiten(self, t: Array, m: Array) -> tuple[Array, float]:
        steps = self.steps(t)
        if self.complete:
            return self.whiten_field(steps, m), self.log_det_field(steps)[0]
        from .lines import whiten_lines

        return whiten_lines(self, t, m)


def _difference(step: Steps, chain: Chain, x: Array) -> Array:
    """W of one chain."""
    out = x.copy()
    at = np.flatnonzero(chain.before >= 0)
    gap = chain.gap_of[at]
    before = x[chain.before[at]]
    out[at] = ((x[at] - before) + step.b[gap, None] * before) / np.sqrt(step.v)[gap, None]
    return out


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
            links = []
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
        self.diagonal = np.flatnonzero(self.rows == self.cols)

    def values(self, steps: list[Steps], slopes: bool) -> tuple[Array, list[Array]]:
        """Entries of Q, and of its derivatives by each chain's coordinate."""
        diagonals = [self._diagonal(step, chain) for step, chain in zip(steps, self.chains, strict=True)]
        off = [-step.a / step.v for step in steps]
        off_slopes = [-step.slope * (1.0 + step.a**2) / step.v**2 for step in steps]
        parts: list[Array] = []
        slope_parts: list[list[Array]] = [[] for _ in steps]
        for offset, links, row in self._which:
            entries = [
                diagonals[k][0][row] if s == 0 else off[k][links[k]] for k, s in enumerate(offset)
            ]
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

    def product(self, values: Array, u: Array) -> Array:
        """Q u, u (N, k)."""
        from scipy.sparse import coo_matrix

        lower = coo_matrix((values, (self.rows, self.cols)), shape=(self.n, self.n)).tocsr()
        return lower @ u + lower.T @ u - self._own(values, u)

    def _own(self, values: Array, u: Array) -> Array:
        own = np.zeros(self.n)
        own[self.rows[self.diagonal]] = values[self.diagonal]
        return own[:, None] * u


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

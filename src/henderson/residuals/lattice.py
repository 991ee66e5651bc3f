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

import numpy as np

from .axes import Axes, Steps, axes
from .base import Bound, CrossProducts, Layout, Structure
from .decays import Decay
from .lattice_pattern import Pattern, Solver
from .lattice_sums import LatticeSums
from .product import Product
from .product_structure import ProductStructure

Array = np.ndarray


class Lattice(ProductStructure):
    """C over a lattice of cells."""

    def __init__(self, layout: Layout, found: Axes, product: Product, name: str):
        super().__init__(layout, product, name)
        self.axes, self.order = found, found.order
        self.cell, self.n_cells = found.cell, found.cells
        counts = np.bincount(found.cell, minlength=self.n_cells)
        self.counts, self.missing = counts, np.flatnonzero(counts == 0)
        self.shared = bool(counts.max() > 1)
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
        for k, step in enumerate(steps):
            if k != but:
                x = self._differences(step, k, x)
        return x

    def _differences(self, step: Steps, k: int, x: Array) -> Array:
        """W of one chain: (x_i - a x_{i-1}) / sqrt(v) along it."""
        out, codes = np.empty_like(x), self.axes.chains[k].codes
        share = 1.0 / np.sqrt(step.v)
        for new, old, code in zip(self.axes.lines(out, k), self.axes.lines(x, k), codes, strict=True):
            new[0] = old[0]
            np.multiply(old[:-1], _tall(-step.a * share, code, old), out=new[1:])
            new[1:] += old[1:] * _tall(share, code, old)
        return out

    def field_products(self, steps: list[Steps], u: Array, slopes: bool) -> tuple[Array, Array | None]:
        """u'Q u and its derivatives, u over all cells held.

        With z = W u and x = u whitened along all chains but one, dz_i = (a a' / v) z_i - (a' / sqrt(v)) x_{i-1} for that one.
        """
        columns = u.shape[1]
        z = self.whiten_field(steps, u)
        products = z.T @ z
        if not slopes:
            return products, None
        out = []
        for k, (step, chain) in enumerate(zip(steps, self.axes.chains, strict=True)):
            x = self.whiten_field(steps, u, but=k)
            half = np.zeros((columns, columns))
            own, before = step.a * step.slope / step.v, step.slope / np.sqrt(step.v)
            for here, there, code in zip(
                self.axes.lines(z, k), self.axes.lines(x, k), chain.codes, strict=True
            ):
                change = here[1:] * _tall(own, code, here)
                change -= there[:-1] * _tall(before, code, here)
                half += here[1:].reshape(-1, columns).T @ change.reshape(-1, columns)
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

    def bind(self, m: Array) -> Bound:
        alike = all(len(chain.gaps) == 1 for chain in self.axes.chains)
        if self.complete and alike and len(self.axes.chains) == 2:
            return LatticeSums(self, m)
        return super().bind(m)

    def _with_gaps(self, steps: list[Steps], m: Array, slopes: bool) -> CrossProducts:
        assert self.pattern is not None
        if self._solver is None:
            self._solver = Solver(self.pattern, self.missing, self.n_cells)
        values, derivatives = self.pattern.values(steps, slopes)
        factor = self._solver.factor(values)
        u = np.zeros((self.n_cells, m.shape[1]))
        u[self.cell] = m
        u[self.missing] = -factor.solve(self.pattern.product(values, u, self.missing))
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
        if self.shared:
            np.add.at(sums, self.cell, m)
        else:
            sums[self.cell] = m
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


def _tall(values: Array, code: Array, like: Array) -> Array:
    """Numbers of the gaps along the first axis of an array, to be multiplied with it; one number where all gaps are one."""
    if len(values) == 1:
        return values[0]
    return values[code].reshape(-1, *(1,) * (like.ndim - 1))

"""Correlations over coordinates, and products of correlations, as dense matrices for each group: exp, gau, sph, ratio, lin, mat.

    C = (1 - nugget) F + nugget I,     F_ij = f(d_ij / range)

with the derivatives dA = -(C^-1 M)' dC (C^-1 M) and d log|C| = tr(C^-1 dC) by every coordinate; groups in which rows have the same
places share one factorisation. The criterion of `sph` and `lin` has kinks where the range is a distance, and that of any range may
have several optima: there are several starts, ranked by the likelihood of the least-squares residuals.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ModelError
from . import dense
from .base import CrossProducts, Factor, Layout, Structure
from .distance import Batch, Pairs, pairs, require_numbers
from .distance_kernels import Distance, MaternNu
from .kernels import Kernel, Lags
from .near_one import NEAR_ONE, Factored
from .product import Product
from .product_structure import ProductStructure

Array = np.ndarray


def build(layout: Layout) -> Structure:
    """exp, gau, sph, ratio, lin or mat over the coordinates of one factor.

    Raises
    ------
    DataError : a coordinate that is text; two rows in one place without a nugget.
    ModelError : no distance, or too few to tell the parameters apart; too many rows for a dense matrix.
    """
    factor = layout.factors[0]
    require_coordinates(layout, factor)
    require_numbers(layout, factor)
    found = pairs(layout, [factor])
    kernel = distance_kernel(factor, found.summaries[0], layout.text)
    return DenseProduct(layout, found, Product([kernel], layout.nugget, layout.text), factor.structure)


def require_coordinates(layout: Layout, factor: Factor) -> None:
    """Refuse a correlation over space without coordinates."""
    if not factor.names:
        raise ModelError(
            f"{layout.text}: {factor.structure} needs coordinates: write (1 | {factor.structure}(x, y)), or "
            f"{factor.structure}(0 + x + y | field) for independent fields."
        )


def distance_kernel(factor: Factor, lags: Lags, text: str, suffix: str = "") -> Kernel:
    """The correlation of one factor over distances."""
    if factor.structure != "mat":
        return Distance(factor.structure, lags, text, suffix)
    nu: Any = factor.options.get("nu")
    if nu is None:
        return MaternNu(lags, text, suffix)
    if not 0 < nu <= 100:
        raise ModelError(f"{text}: nu is between 0 and 100, not {nu:g}; beyond that write gau.")
    return Distance("mat", lags, text, suffix, float(nu))


class DenseProduct(ProductStructure):
    """C of a `Product` of correlations, a dense matrix for each shape of group."""

    def __init__(self, layout: Layout, found: Pairs, product: Product, name: str):
        super().__init__(layout, product, name)
        self.order, self.pairs = found.order, found
        self._require_told_apart()

    def _require_told_apart(self) -> None:
        distinct = len(np.unique(np.stack([lag[:1000] for lag in self.pairs.lags]), axis=1).T)
        if self.pairs.lags[0].size <= 1000 and distinct < len(self.parameters):
            names = " and ".join(p.name for p in self.parameters)
            raise ModelError(
                f"{self.text}: {names} cannot be told apart: rows are {distinct} distance{'s' * (distinct != 1)} apart only. "
                + ("Leave out (1 | units)." if self.product.nugget else "Give nu, as in mat(x, nu=1.5).")
            )

    def restricted(self, layout: Layout) -> Structure:
        return DenseProduct(
            layout,
            pairs(layout, layout.factors),
            self.product,
            self.name,
        )

    def whiten(self, t: Array, m: Array) -> tuple[Array, float]:
        values, gaps = self.product.at(t, self.pairs.lags, False)[0], self._gaps(t)
        out, log_det = np.empty(m.shape), 0.0
        for batch in self.pairs.batches:
            factor = _factored(values, gaps, batch)
            log_det += batch.groups * factor.log_det
            out[batch.rows] = _rows(factor.whiten(_columns(m, batch)), batch)
        return out, log_det

    def _gaps(self, t: Array) -> Array | None:
        """1 - C of the pairs where all of it is small, so that its digits are needed."""
        farthest = self.product.gap(t, [np.array([lags.max()]) for lags in self.pairs.lags])
        return self.product.gap(t, self.pairs.lags) if farthest[0] < NEAR_ONE else None

    def cross_products(self, t: Array, m: Array, slopes: bool) -> CrossProducts:
        values, derivatives = self.product.at(t, self.pairs.lags, slopes)
        gaps = self._gaps(t)
        k, r = m.shape[1], self.n_coordinates
        products, log_det = np.zeros((k, k)), 0.0
        product_slopes, log_det_slopes = np.zeros((r, k, k)), np.zeros(r)
        for batch in self.pairs.batches:
            factor = _factored(values, gaps, batch)
            log_det += batch.groups * factor.log_det
            white = factor.whiten(_columns(m, batch))
            flat = _rows(white, batch)
            products += flat.T @ flat
            if derivatives is None or batch.m == 1:
                continue
            solved = factor.whiten_back(white)
            flat_solved, inverse = _rows(solved, batch), factor.inverse_pairs()
            for j in range(r):
                change = derivatives[j][batch.place]
                log_det_slopes[j] += 2.0 * batch.groups * float(np.vdot(inverse, change))
                product_slopes[j] -= flat_solved.T @ _rows(dense.hollow(change, batch.m) @ solved, batch)
        if not slopes:
            return CrossProducts(products, log_det)
        return CrossProducts(products, log_det, product_slopes, log_det_slopes)


def _factored(values: Array, gaps: Array | None, batch: Batch) -> Factored:
    return Factored(values[batch.place], None if gaps is None else gaps[batch.place], batch.m)


def _columns(m: Array, batch: Batch) -> Array:
    """Rows of a batch (P G m, k) as right-hand sides of each shape (P, m, G k)."""
    rows = m[batch.rows].reshape(batch.shapes, batch.groups, batch.m, -1)
    return rows.transpose(0, 2, 1, 3).reshape(batch.shapes, batch.m, -1)


def _rows(b: Array, batch: Batch) -> Array:
    """The way back."""
    split = b.reshape(batch.shapes, batch.m, batch.groups, -1)
    return split.transpose(0, 2, 1, 3).reshape(batch.shapes * batch.groups * batch.m, -1)

"""Rows meet a correlation matrix for each shape of group: whitening and cross-products from the correlations of the distinct pairs."""

from __future__ import annotations

import numpy as np

from . import dense
from .base import CrossProducts
from .distance import Batch, Pairs
from .near_one import Factored

Array = np.ndarray


def whiten(pairs: Pairs, values: Array, gaps: Array | None, m: Array) -> tuple[Array, float]:
    """W m (n, k) and log|C|, rows in the order of `pairs`. values (u,): correlations of the distinct pairs; gaps: 1 - values where
    these are needed with their digits, or None."""
    out, log_det = np.empty(m.shape), 0.0
    for batch in pairs.batches:
        factor = _factored(values, gaps, batch)
        log_det += batch.groups * factor.log_det
        out[batch.rows] = _rows(factor.whiten(_columns(m, batch)), batch)
    return out, log_det


def cross_products(
    pairs: Pairs, values: Array, gaps: Array | None, derivatives: Array | None, m: Array
) -> CrossProducts:
    """m'C^-1 m and log|C|, with their derivatives where those of the values (r, u) are given."""
    k, r = m.shape[1], 0 if derivatives is None else len(derivatives)
    products, log_det = np.zeros((k, k)), 0.0
    product_slopes, log_det_slopes = np.zeros((r, k, k)), np.zeros(r)
    for batch in pairs.batches:
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
    if derivatives is None:
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

"""The mixed-model equations as one dense matrix: small models, LAPACK only, nothing to compile."""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence

import numpy as np
from scipy.linalg import lapack

from .crossproducts import CrossProducts
from .system import Pivots, same_factors


class DenseSystem:
    """`system.System` on dense arrays of order N = q + p + 1."""

    def __init__(self, products: CrossProducts):
        self.lock = threading.RLock()
        self.products = products
        self.sizes, self.offsets = products.sizes, products.offsets
        self.q, self.p = products.q, products.p
        self._a = assemble(products)
        self._slices = [slice(lo, hi) for lo, hi in zip(self.offsets[:-1], self.offsets[1:], strict=True)]
        self._scalar = all(m == 1 for _, m in self.sizes)
        self._repeats = [q for q, _ in self.sizes]
        self._ones = np.ones(self.p + 1)
        self._diagonal = np.arange(self.q)
        self._factors: list[np.ndarray] = []
        self._pivots: Pivots | None = None
        self.flops = len(self._a) ** 3 / 3.0
        self.description = f"dense, {len(self._a)} equations"

    def with_response(self, products: CrossProducts) -> DenseSystem:
        """The same system for cross-products that differ in y alone."""
        other = copy.copy(self)
        other.lock = threading.RLock()
        other.products = products
        other._factors = []
        y = np.concatenate([b[:, :, -1].ravel() for b in products.border] + [products.corner[:, -1]])
        other._a = self._a.copy()
        other._a[-1] = other._a[:, -1] = y
        return other

    def factorise(self, factors: Sequence[np.ndarray]) -> Pivots | None:
        if same_factors(self._factors, factors):
            return self._pivots
        self._factors = []
        self._pivots = self._factorise(factors)
        self._factors = list(factors)
        return self._pivots

    def _factorise(self, factors: Sequence[np.ndarray]) -> Pivots | None:
        a, q = self._a, self.q
        if self._scalar:
            scale = np.concatenate([np.repeat([t[0, 0] for t in factors], self._repeats), self._ones])
            self._right = a * scale
            c = self._right * scale[:, None]
        else:
            self._right = _scale_columns(a, factors, self.sizes, self._slices)
            c = _scale_columns(self._right.T, factors, self.sizes, self._slices)
        c[self._diagonal, self._diagonal] += 1.0
        # c is symmetric: its C order read as Fortran order is the same matrix, so LAPACK need not copy it.
        self._factor, info = lapack.dpotrf(c.T, lower=1, clean=0, overwrite_a=1)
        pivots = np.diagonal(self._factor)
        if info != 0 or not pivots[-1] > 0:
            return None
        logs = 2.0 * np.log(pivots[:-1])
        return Pivots(float(logs[:q].sum()), float(logs[q:].sum()), float(pivots[-1]) ** 2)

    def solution(self) -> tuple[np.ndarray, np.ndarray]:
        lead = self._factor[:-1, :-1]
        s, _ = lapack.dtrtrs(lead, self._factor[-1, :-1], lower=1, trans=1)
        return s[: self.q], s[self.q :]

    def invert(self, reml: bool) -> None:
        order = self.q + self.p if reml else self.q
        lower, _ = lapack.dpotri(self._factor[:order, :order], lower=1)
        inverse = np.tril(lower)
        inverse += np.tril(lower, -1).T
        self._inverse = inverse

    def traces(self) -> list[np.ndarray]:
        order = len(self._inverse)
        out = []
        for (q, m), rows in zip(self.sizes, self._slices, strict=True):
            left, right = self._right[rows, :order], self._inverse[rows]
            if m == 1:
                out.append(np.array([[np.vdot(left, right)]]))
            else:
                left = left.reshape(q, m, order).transpose(1, 0, 2).reshape(m, q * order)
                right = right.reshape(q, m, order).transpose(1, 0, 2).reshape(m, q * order)
                out.append(left @ right.T)
        return out

    def diagonal_blocks(self) -> list[np.ndarray]:
        out = []
        for (q, m), rows in zip(self.sizes, self._slices, strict=True):
            square = self._inverse[rows, rows].reshape(q, m, q, m)
            level = np.arange(q)
            out.append(square[level, :, level, :])
        return out

    def pair_blocks(self) -> list[np.ndarray]:
        out = []
        for pair in self.products.pairs:
            mk, ml = self.sizes[pair.k][1], self.sizes[pair.l][1]
            rows = self.offsets[pair.k] + pair.rows[:, None] * mk + np.arange(mk)
            cols = self.offsets[pair.l] + pair.cols[:, None] * ml + np.arange(ml)
            out.append(self._inverse[rows[:, :, None], cols[:, None, :]])
        return out

    def multiply(self, vectors: np.ndarray) -> np.ndarray:
        return self._a[:-1, :-1] @ vectors

    def border(self) -> np.ndarray:
        return self._a[:-1, -1]

    def half_solve(self, vectors: np.ndarray) -> np.ndarray:
        return lapack.dtrtrs(self._factor[:-1, :-1], vectors, lower=1)[0]

    def solve(self, vectors: np.ndarray) -> np.ndarray:
        return lapack.dpotrs(self._factor[:-1, :-1], vectors, lower=1)[0]


def assemble(products: CrossProducts) -> np.ndarray:
    """The augmented cross-product matrix A (N, N), dense."""
    offsets = products.offsets
    q = products.q
    a = np.zeros((q + products.p + 1, q + products.p + 1))
    for (levels, m), start, own, border in zip(
        products.sizes, offsets[:-1], products.own, products.border, strict=True
    ):
        block = a[start : start + levels * m, start : start + levels * m].reshape(levels, m, levels, m)
        level = np.arange(levels)
        block[level, :, level, :] = own
        a[start : start + levels * m, q:] = border.reshape(levels * m, -1)
        a[q:, start : start + levels * m] = border.reshape(levels * m, -1).T
    for pair in products.pairs:
        mk, ml = pair.blocks.shape[1:]
        rows = offsets[pair.k] + pair.rows[:, None] * mk + np.arange(mk)
        cols = offsets[pair.l] + pair.cols[:, None] * ml + np.arange(ml)
        a[rows[:, :, None], cols[:, None, :]] = pair.blocks
        a[cols[:, None, :], rows[:, :, None]] = pair.blocks
    a[q:, q:] = products.corner
    return a


def _scale_columns(
    a: np.ndarray, factors: Sequence[np.ndarray], sizes: Sequence[tuple[int, int]], slices: Sequence[slice]
) -> np.ndarray:
    """a Lambda."""
    out = a.copy()
    for t, (q, m), columns in zip(factors, sizes, slices, strict=True):
        if m == 1:
            out[:, columns] *= t[0, 0]
        else:
            out[:, columns] = (a[:, columns].reshape(len(a) * q, m) @ t).reshape(len(a), q * m)
    return out

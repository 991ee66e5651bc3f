"""A complete lattice of two chains of even steps: its rows as sums that are formed once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from .axes import Steps
from .base import Bound, CrossProducts

if TYPE_CHECKING:
    from .lattice import Lattice

Array = np.ndarray


class LatticeSums(Bound):
    """A complete lattice of two chains of even steps: rows enter as sums that are formed once.

    Along a chain, W x is x in the first place and ((x_i - x_{i-1}) + b x_{i-1}) / sqrt(v) in the others: a row (1, b) times differences and
    the places before. Over two chains there are four kinds of cells, and the cells of one kind are (1, b_1) (x) (1, b_2) times four arrays,
    of which the cross-products are kept.
    """

    def __init__(self, lattice: Lattice, m: Array):
        self.lattice, self.k = lattice, m.shape[1]
        slow, fast = lattice.axes.inner
        self.slow, self.fast = slow, fast
        boxes = lattice.axes.lines(m, slow)
        self.grams = [[self._gram([self._parts(box, i, j) for box in boxes]) for j in (0, 1)] for i in (0, 1)]

    def _parts(self, box: Array, i: int, j: int) -> list[Array]:
        """The arrays of one kind of cells: the first (0) or the other (1) places of each chain."""
        lines = [box[:1]] if i == 0 else [box[1:] - box[:-1], box[:-1]]
        out = [[x[:, :1]] if j == 0 else [x[:, 1:] - x[:, :-1], x[:, :-1]] for x in lines]
        return [x.reshape(-1, self.k) for parts in out for x in parts]

    def _gram(self, parts: list[list[Array]]) -> Array:
        """(q, q, k, k): cross-products of the q arrays."""
        joined = [np.hstack(each) for each in parts]
        whole = sum(each.T @ each for each in joined)
        q = joined[0].shape[1] // self.k
        return np.asarray(whole).reshape(q, self.k, q, self.k).transpose(0, 2, 1, 3)

    def at(self, t: Array, slopes: bool) -> CrossProducts:
        steps = self.lattice.steps(t)
        log_det, log_det_slopes = self.lattice.log_det_field(steps)
        products = np.zeros((self.k, self.k))
        product_slopes = np.zeros((2, self.k, self.k))
        for i in (0, 1):
            for j in (0, 1):
                gram = self.grams[i][j]
                (one, d_one), (two, d_two) = _row(steps[self.slow], i), _row(steps[self.fast], j)
                c = np.kron(one, two)
                carried = np.einsum("p,pqkl->qkl", c, gram)
                products += np.einsum("q,qkl->kl", c, carried)
                for number, dc in ((self.slow, np.kron(d_one, two)), (self.fast, np.kron(one, d_two))):
                    half = np.einsum("q,qkl->kl", dc, carried)
                    product_slopes[number] += half + half.T
        if not slopes:
            return CrossProducts(products, log_det)
        return CrossProducts(products, log_det, product_slopes, log_det_slopes)


def _row(step: Steps, kind: int) -> tuple[Array, Array]:
    """(1) for first places, (1, b) / sqrt(v) for others, and its derivative."""
    if kind == 0:
        return np.ones(1), np.zeros(1)
    a, b, v, slope = step.a[0], step.b[0], step.v[0], step.slope[0]
    row = np.array([1.0, b]) / np.sqrt(v)
    return row, np.array([0.0, -slope]) / np.sqrt(v) + row * (a * slope / v)

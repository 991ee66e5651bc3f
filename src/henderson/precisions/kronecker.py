"""Kronecker products: K = K_1 (x) K_2 (x) ..., levels of the last factor fastest, as of ar1(row):ar1(col).

    Q = Q_1 (x) Q_2 (x) ...,     log|K| = sum_f (n / n_f) log|K_f|,     dQ / dt_f: Q_f replaced by its derivative

The lower triangle of Q_1 (x) Q_2 is (strictly lower Q_1) (x) (all of Q_2) and (diagonal of Q_1) (x) (lower Q_2).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise, zip_longest

import numpy as np

from ..errors import ModelError
from ..memory import machine_memory
from .base import At, Parameter, Precision

Array = np.ndarray


class _Pair:
    """The pattern of the lower triangle of a product of two, from theirs."""

    def __init__(self, left: tuple[Array, Array], right: tuple[Array, Array], n_right: int):
        (rows, cols), (r, c) = left, right
        self.below = np.flatnonzero(rows > cols)
        self.on = np.flatnonzero(rows == cols)
        off = np.flatnonzero(r > c)
        # Entries of the right factor on both sides of its diagonal.
        self.full = np.concatenate([np.arange(len(r)), off])
        full_r, full_c = np.concatenate([r, c[off]]), np.concatenate([c, r[off]])

        def places(one: Array, other: Array, which: Array) -> Array:
            return np.add.outer(one[which] * n_right, other).ravel()

        self.rows = np.concatenate([places(rows, full_r, self.below), places(rows, r, self.on)])
        self.cols = np.concatenate([places(cols, full_c, self.below), places(cols, c, self.on)])

    def values(self, left: Array, right: Array, out: Array) -> Array:
        """Products of the factors' values on the pattern, into `out`."""
        cut = len(self.below) * len(self.full)
        np.multiply.outer(
            left[self.below], right[self.full], out=out[:cut].reshape(len(self.below), len(self.full))
        )
        np.multiply.outer(left[self.on], right, out=out[cut:].reshape(len(self.on), len(right)))
        return out


class Kronecker(Precision):
    """The product of several precisions; parameters and coordinates are the factors', one after another.

    Raises ModelError where Q does not fit in memory.
    """

    def __init__(self, factors: Sequence[Precision]):
        self.factors = tuple(factors)
        self.name = ":".join(f.name for f in factors)
        self.sizes = tuple(f.n for f in factors)
        self.n = int(np.prod(self.sizes))
        self.parameters = _apart([p for f in factors for p in f.parameters])
        self.lower = np.concatenate([f.lower for f in factors])
        self.upper = np.concatenate([f.upper for f in factors])
        self._coordinates = _slices([f.n_coordinates for f in factors])
        self._reported = _slices([len(f.parameters) for f in factors])
        self._require_memory()
        last = self.factors[-1]
        self.rows, self.cols = last.rows, last.cols
        self._pairs: list[_Pair] = []
        n_right = last.n
        for factor in reversed(self.factors[:-1]):
            pair = _Pair((factor.rows, factor.cols), (self.rows, self.cols), n_right)
            self._pairs.append(pair)
            self.rows, self.cols = pair.rows, pair.cols
            n_right *= factor.n

    def _require_memory(self) -> None:
        entries = float(np.prod([2.0 * len(f.rows) - f.n for f in self.factors])) / 2.0
        needed, there = 8.0 * entries * (4.0 + self.n_coordinates), machine_memory()
        if needed > 0.6 * there:
            raise ModelError(
                f"{self.name}: the precision of {' x '.join(map(str, self.sizes))} = {self.n} levels has {entries:.3g} entries, and "
                f"needs {needed / 2**30:.0f} GiB of memory (this machine has {there / 2**30:.0f}). Put one of the factors left of the bar."
            )

    def _split(self, t: Array) -> list[Array]:
        return [t[at] for at in self._coordinates]

    def _product(self, values: Sequence[Array], out: Array | None = None) -> Array:
        right = values[-1]
        for k, (pair, left) in enumerate(zip(self._pairs, reversed(values[:-1]), strict=True)):
            last = k == len(self._pairs) - 1
            right = pair.values(left, right, out if last and out is not None else np.empty(len(pair.rows)))
        return right

    def at(self, t: Array, slopes: bool = False) -> At:
        found = [f.at(part, slopes) for f, part in zip(self.factors, self._split(t), strict=True)]
        values = [each.values for each in found]
        log_det = sum(self.n / n * each.log_det for n, each in zip(self.sizes, found, strict=True))
        if not slopes:
            return At(self._product(values), log_det)
        change = np.empty((self.n_coordinates, len(self.rows)))
        log_det_slopes = np.empty(self.n_coordinates)
        for k, (each, at, n) in enumerate(zip(found, self._coordinates, self.sizes, strict=True)):
            assert each.value_slopes is not None and each.log_det_slopes is not None
            log_det_slopes[at] = self.n / n * each.log_det_slopes
            for j, slope in zip(range(at.start, at.stop), each.value_slopes, strict=True):
                self._product([*values[:k], slope, *values[k + 1 :]], change[j])
        return At(self._product(values), log_det, change, log_det_slopes)

    def times(self, t: Array, v: Array) -> Array:
        v = np.asarray(v, dtype=np.float64)
        x = v.reshape(*self.sizes, -1)
        for k, (factor, part) in enumerate(zip(self.factors, self._split(t), strict=True)):
            along = np.moveaxis(x, k, 0)
            product = factor.times(part, np.ascontiguousarray(along).reshape(factor.n, -1))
            x = np.moveaxis(product.reshape(along.shape), 0, k)
        return np.ascontiguousarray(x).reshape(v.shape)

    def diagonal(self, t: Array) -> Array:
        out = np.ones(1)
        for factor, part in zip(self.factors, self._split(t), strict=True):
            out = np.multiply.outer(out, factor.diagonal(part)).ravel()
        return out

    def starts(self) -> list[Array]:
        """The factors' best guesses together, their second ones, and so on."""
        each = [f.starts() for f in self.factors]
        rounds = zip_longest(*each)
        return [
            np.concatenate(
                [guess if guess is not None else first[0] for guess, first in zip(row, each, strict=True)]
            )
            for row in rounds
        ]

    def held(self, given: Array) -> Array:
        given = np.asarray(given, dtype=bool)
        return np.concatenate([f.held(given[at]) for f, at in zip(self.factors, self._reported, strict=True)])

    def natural(self, t: Array) -> Array:
        return np.concatenate([f.natural(part) for f, part in zip(self.factors, self._split(t), strict=True)])

    def natural_slopes(self, t: Array) -> Array:
        out = np.zeros((len(self.parameters), self.n_coordinates))
        for factor, part, row, col in zip(
            self.factors, self._split(t), self._reported, self._coordinates, strict=True
        ):
            out[row, col] = factor.natural_slopes(part)
        return out

    def coordinates(self, natural: Array) -> Array:
        return np.concatenate(
            [f.coordinates(natural[at]) for f, at in zip(self.factors, self._reported, strict=True)]
        )

    def edges(self, t: Array) -> list[tuple[int, str]]:
        return [
            (at.start + j, said)
            for f, part, at in zip(self.factors, self._split(t), self._reported, strict=True)
            for j, said in f.edges(part)
        ]


def _slices(lengths: Sequence[int]) -> list[slice]:
    return [slice(int(a), int(b)) for a, b in pairwise(np.cumsum([0, *lengths]))]


def _apart(parameters: Sequence[Parameter]) -> tuple[Parameter, ...]:
    """Two of one name, as ar1(x):ar1(x) would have, are numbered."""
    out: list[Parameter] = []
    for p in parameters:
        count = sum(q.name == p.name for q in parameters)
        number = 1 + sum(o.name == p.name or o.name.startswith(p.name + " [") for o in out)
        out.append(Parameter(f"{p.name} [{number}]", p.unit) if count > 1 else p)
    return tuple(out)

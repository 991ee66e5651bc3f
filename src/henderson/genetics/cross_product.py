"""The sum of Z Z' over blocks of columns, one triangle at a time."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray
_EXACT = 2**24
"""Whole numbers up to here are exact in float32."""


class CrossProduct:
    """Z Z' of n rows, summed over blocks.

    Where the columns are whole numbers less a constant, Z = X - 1 c', the sum of X X' is taken in float32, twice as fast as
    float64: it is exact as long as its entries stay below 2^24, and c is taken off afterwards in float64.
    """

    def __init__(self, n: int):
        self.n = n
        self._sum: Array | None = None
        self._whole: Array | None = None
        self._bound = 0
        self._shift = np.zeros(n)
        self._constant = 0.0

    def add(self, z: Array) -> None:
        """Z Z' of a block (n, b), float64."""
        from scipy.linalg.blas import dsyrk

        self._sum = _add(dsyrk, self._sum, z, np.float64)

    def add_whole(self, x: Array, centre: Array, largest: int) -> None:
        """The same of x - centre, x (n, b) whole numbers from 0 to `largest`, centre (b,)."""
        from scipy.linalg.blas import ssyrk

        bound = largest**2 * x.shape[1]
        if self._bound + bound > _EXACT:
            self._empty()
        self._bound += bound
        self._whole = _add(ssyrk, self._whole, x.astype(np.float32), np.float32)
        self._shift += x @ centre
        self._constant += float(centre @ centre)

    def _empty(self) -> None:
        """Move what is in float32 to float64."""
        if self._whole is not None:
            self._sum = (
                np.asfortranarray(self._whole, dtype=np.float64)
                if self._sum is None
                else self._sum + self._whole
            )
        self._whole, self._bound = None, 0

    def total(self) -> Array:
        """The sum (n, n), both triangles. No more may be added then."""
        self._empty()
        k = np.zeros((self.n, self.n)) if self._sum is None else self._sum
        width = 512
        for start in range(0, self.n, width):
            stop = min(start + width, self.n)
            below = k[start:, start:stop]
            below -= self._shift[start:, None] + (self._shift[start:stop] - self._constant)
            below[: stop - start] = np.tril(below[: stop - start]) + np.tril(below[: stop - start], -1).T
            k[start:stop, stop:] = below[stop - start :].T
        return k


def _add(syrk: Any, k: Array | None, z: Array, dtype: Any) -> Array:
    """k + Z Z', in the lower triangle."""
    n = len(z)
    k = np.zeros((n, n), dtype, order="F") if k is None else k
    # A C-ordered block is its transpose in Fortran's order: no copy either way.
    a, trans = (z.T, 1) if z.flags.c_contiguous else (np.asfortranarray(z), 0)
    return syrk(1.0, a, beta=1.0, c=k, trans=trans, lower=1, overwrite_c=1)

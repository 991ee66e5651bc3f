"""Markov correlations along a line: ar1 in whole steps, ou and exp in any. Q is tridiagonal.

Levels sorted by position, level i a distance d_i from the one before it, a_i = f(d_i), v_i = 1 - a_i^2 (v_0 = 1, a_0 = 0):

    Q_ii = 1 / v_i + a_{i+1}^2 / v_{i+1},     Q_{i,i-1} = -a_i / v_i,     log|K| = sum_i log v_i

so that positions without a level cost nothing: they are a longer step. K = W^-1 W^-T, (W u)_i = (u_i - a_i u_{i-1}) / sqrt(v_i).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError
from ..residuals.decays import AR1, OU, Decay
from .base import At
from .lagged import Lagged, lags_of, positions_of, text_of

if TYPE_CHECKING:
    from ..design.structured import LevelFactor

Array = np.ndarray


class Markov(Lagged):
    """A stationary first-order process at the positions of the levels, in any order.

    positions : (n,) distinct.
    """

    kernel: Decay

    def __init__(self, kind: str, positions: Array, text: str, names: tuple[str, ...]):
        self.n = len(positions)
        self.order = np.argsort(positions)
        steps = np.diff(positions[self.order])
        self.gaps, self.gap_of = np.unique(steps, return_inverse=True)
        self.counts = np.bincount(self.gap_of)
        lags = lags_of(steps, float(steps.sum()))
        if kind == "ar1":
            even = bool((self.gaps % 2 == 0).all())
            kernel = AR1(lags, text, "", even)
            self.excess = kernel.e
            self._take(kernel, text, (text,))
        elif kind == "ou":
            self._take(OU(lags, text, "", "phi"), text, (text,))
        else:
            self._take(OU(lags, text, "", "range"), text, (f"range({', '.join(names)})",))
        self.decay = 0
        here, before = self.order[1:], self.order[:-1]
        own = np.arange(self.n)
        self.rows = np.concatenate([own, np.maximum(here, before)]).astype(np.int64)
        self.cols = np.concatenate([own, np.minimum(here, before)]).astype(np.int64)

    def starts(self) -> list[Array]:
        """Neighbours correlated 0.5, 0.9, 0.1."""
        step = self.kernel.lags.typical
        out = []
        for r in (0.5, 0.9, 0.1):
            if self.kernel.name == "range":
                natural = -step / np.log(r)
            else:
                natural = min(max(r ** (1.0 / step), 1e-300), 1.0 - 1e-15)
            out.append(self.coordinates(np.array([natural])))
        return out

    def coordinates(self, natural: Array) -> Array:
        t = super().coordinates(natural)
        # Where every step is even, phi and -phi are the same model.
        return np.abs(t) if self.lower[0] == 0.0 else t

    def _steps(self, t: Array) -> tuple[Array, Array, Array]:
        """a, da/dt and v of each distinct gap."""
        a, slope = self.kernel.at(t, self.gaps, True)
        assert slope is not None
        return a, slope[0], self.kernel.one_minus_square(t, self.gaps)

    def _fill(self, first: float, over: Array, shared: Array, off: Array) -> Array:
        """Numbers on the pattern: of each distinct gap those of 1 / v, a^2 / v and -a / v."""
        diagonal = np.empty(self.n)
        diagonal[0] = first
        diagonal[1:] = over[self.gap_of]
        diagonal[:-1] += shared[self.gap_of]
        out = np.empty(2 * self.n - 1)
        out[self.order] = diagonal
        out[self.n :] = off[self.gap_of]
        return out

    def at(self, t: Array, slopes: bool = False) -> At:
        a, slope, v = self._steps(t)
        values = self._fill(1.0, 1.0 / v, a * a / v, -a / v)
        log_det = float(self.counts @ np.log(v))
        if not slopes:
            return At(values, log_det)
        own = 2.0 * a * slope / (v * v)
        change = self._fill(0.0, own, own, -slope * (1.0 + a * a) / (v * v))
        return At(values, log_det, change[None], np.array([self.counts @ (-2.0 * a * slope / v)]))

    def times(self, t: Array, v: Array) -> Array:
        from scipy.linalg.lapack import dtbtrs

        a, _, left = self._steps(t)
        band = np.zeros((2, self.n))
        root = 1.0 / np.sqrt(left)[self.gap_of]
        band[0] = np.append(1.0, root)
        band[1, :-1] = -a[self.gap_of] * root
        v = np.asarray(v, dtype=np.float64)
        x = v.reshape(self.n, -1)[self.order]
        for trans in ("T", "N"):
            x, _ = dtbtrs(band, x, uplo="L", trans=trans)
        out = np.empty(x.shape)
        out[self.order] = x
        return out.reshape(v.shape)

    def diagonal(self, t: Array) -> Array:
        return np.ones(self.n)


def build(factor: LevelFactor) -> Markov:
    """ar1, ou or exp of one coordinate.

    Raises
    ------
    ModelError : one level, several coordinates.
    DataError : two levels in one place; ar1 of positions that are not whole numbers.
    """
    text = text_of(factor)
    if factor.kind == "ar1" and factor.coordinates is None and len(factor.levels) > 1:
        # Levels of an ordered factor are steps.
        return Markov("ar1", np.arange(len(factor.levels), dtype=np.float64), text, factor.names)
    positions = positions_of(factor, 1)[:, 0]
    if factor.kind == "ar1":
        odd = np.flatnonzero(positions != np.floor(positions))
        if odd.size:
            raise DataError(
                f"{text}: ar1 counts whole steps, and {factor.names[0]} has {positions[odd[0]]:g}. "
                f"Write ou({factor.names[0]}), which takes any number."
            )
    return Markov(factor.kind, positions, text, factor.names)

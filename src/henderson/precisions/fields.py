"""Correlations of distance among points of a line, a plane or space: exp, gau, mat, sph, ratio, lin. Q is a whole triangle.

    K_ij = f(|x_i - x_j| / range),     dQ = -Q dK Q,     dlog|K| = tr(Q dK)

Where the range is much longer than the distances all correlations are near 1, and their digits are in 1 - K. K is then taken as

    K = M + c 11',   M = h - (1 - K),   c = 1 - h,   Q = M^-1 - g w w',   w = M^-1 1,   g = c / (1 + c 1'w)

with h a few times the largest 1 - K. Smooth fields (gau, mat of a large nu) are singular to rounding long before that: the box of
their range ends where K's condition number passes `WORST`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import ModelError
from ..memory import machine_memory
from ..residuals.distance_kernels import Distance, MaternNu
from .base import At, NotPositiveDefinite
from .lagged import Lagged, lags_of, positions_of, text_of

if TYPE_CHECKING:
    from ..design.structured import LevelFactor

Array = np.ndarray
WORST = 1e11
"""Condition number beyond which a field is refused."""
NEAR_ONE = 0.05
"""Largest 1 - K below which it is 1 - K whose digits are kept, and"""
_FEW = 4.0
"""how many times it h is."""
_PROBED = 400
"""Points of which the condition number is looked at where there are more (those nearest to one of them)."""
_MATRICES = 7.0
"""Matrices of n x n held at once."""


class Field(Lagged):
    """A stationary field at points.

    points : (n, d) distinct.
    """

    _whitened: tuple[Array, Array, list[Array]] | None = None
    """t, L and the L^-1 dK L^-T of the slopes last asked for."""

    def __init__(self, kind: str, points: Array, text: str, names: tuple[str, ...], nu: float | None = None):
        from scipy.spatial.distance import pdist

        self.n = n = len(points)
        _require_memory(n, text)
        self.points = points
        self.distances = pdist(points)
        """Of the pairs i < j in the order of numpy.triu_indices(n, 1)."""
        self._pairs = np.triu_indices(n, 1)
        nearest = _nearest(points)
        lags = lags_of(nearest, float(self.distances.max()))._replace(shortest=float(nearest.min()))
        joined = ", ".join(names)
        if kind == "mat" and nu is None:
            self._take(MaternNu(lags, text), text, (f"range({joined})", f"nu({joined})"))
        else:
            self._take(Distance(kind, lags, text, nu=nu), text, (f"range({joined})",))
        self.decay = 0 if kind in ("exp", "sph") else None
        self.rows, self.cols = np.tril_indices(n)
        self.walled = self._wall()
        """Whether the box ends where K would be singular to rounding."""

    def starts(self) -> list[Array]:
        """A half of the correlation left at a tenth, two fifths and a fiftieth of the longest distance, as far as the box goes; nu 1 and 0.5."""
        lags, span = self.kernel.lags, self.kernel.span  # type: ignore[attr-defined]
        half = getattr(self.kernel, "half", 1.0)
        end = span.reach(float(self.lower[0]))
        out = []
        for share, of_end, nu in ((0.1, 0.5, 1.0), (0.4, 0.8, 0.5), (0.02, 0.2, 1.0)):
            reach = max(share * lags.longest, 0.5 * lags.typical) / half
            t = np.clip([span.t(min(reach, of_end * end))], self.lower[:1], self.upper[:1])
            out.append(self._within(np.append(t, np.log(nu))) if len(self.lower) == 2 else t)
        return out

    def _within(self, t: Array) -> Array:
        """t, or a shorter range than its where K would be singular there."""
        t = t.copy()
        for _ in range(60):
            try:
                self._factor(t)
                return t
            except NotPositiveDefinite:
                t[0] += 0.25 * (min(self.upper[0], t[0] + 4.0) - t[0])
        return t

    def _wall(self) -> bool:
        """Shorten the box to ranges at which K is not singular to rounding. Where nu moves too, the bound is that of nu = 0.5,
        and `at` says NotPositiveDefinite between."""
        probe = self if self.n <= _PROBED else self._cluster()
        t = self.lower.copy()
        if len(t) == 2:
            t[1] = np.log(0.5)
        low, high = float(self.lower[0]), float(self.upper[0])
        if not probe._good(t):
            for _ in range(14):
                middle = float(np.sqrt(low * high))
                t[0] = middle
                low, high = (low, middle) if probe._good(t) else (middle, high)
            t[0] = high
        # What was probed may be better than the whole.
        while probe is not self and t[0] < self.upper[0] and not self._good(t):
            t[0] = min(1.25 * t[0], self.upper[0])
        walled = bool(t[0] > self.lower[0])
        self.lower[0] = t[0]
        return walled

    def _good(self, t: Array) -> bool:
        try:
            self._factor(t)
        except NotPositiveDefinite:
            return False
        return True

    def _cluster(self) -> Field:
        away = ((self.points - self.points[0]) ** 2).sum(axis=1)
        near = np.argpartition(away, _PROBED)[:_PROBED]
        out = object.__new__(Field)
        out.n, out.kernel = _PROBED, self.kernel
        out._pairs = np.triu_indices(_PROBED, 1)
        from scipy.spatial.distance import pdist

        out.distances = pdist(self.points[near])
        return out

    # -- matrices ----------------------------------------------------------------------------------------

    def _square(self, pairs: Array, diagonal: float) -> Array:
        out = np.empty((self.n, self.n))
        out[self._pairs] = pairs
        out[self._pairs[::-1]] = pairs
        np.fill_diagonal(out, diagonal)
        return out

    def correlation(self, t: Array) -> Array:
        """K, (n, n)."""
        return self._square(self.kernel.at(t, self.distances, False)[0], 1.0)

    def _factor(self, t: Array) -> tuple[Array, float]:
        """The Cholesky factor of M (lower), and c of K = M + c 11'."""
        from scipy.linalg.lapack import dpocon, dpotrf

        gaps = self.kernel.gap(t, self.distances)
        largest = float(gaps.max())
        h = _FEW * largest if largest < NEAR_ONE else 1.0
        m = self._square(h - gaps, h)
        norm = float(np.abs(m).sum(axis=0).max())
        l, info = dpotrf(m, lower=1, overwrite_a=1, clean=0)
        if info == 0:
            rcond, _ = dpocon(l, norm, uplo="L")
            if rcond * WORST > 1.0:
                return l, 1.0 - h
        raise NotPositiveDefinite

    # -- the contract ------------------------------------------------------------------------------------

    def at(self, t: Array, slopes: bool = False) -> At:
        l, c = self._factor(t)
        q, log_det = _inverse(l, c)
        values = q[self.rows, self.cols]
        if not slopes:
            return At(values, log_det)
        _, changes = self.kernel.at(t, self.distances, True)
        assert changes is not None
        value_slopes, log_det_slopes = np.empty((len(t), len(values))), np.empty(len(t))
        middles: list[Array] = []
        for j, change in enumerate(changes):
            dk = self._square(change, 0.0)
            if c > 0.0:
                log_det_slopes[j] = np.vdot(q, dk)
                value_slopes[j] = -(q @ dk @ q)[self.rows, self.cols]
                continue
            middle = _both_sides(l, dk)
            log_det_slopes[j] = np.trace(middle)
            value_slopes[j] = -_both_sides(l, middle, trans=1)[self.rows, self.cols]
            middles.append(middle)
        self._whitened = None if c > 0.0 else (np.array(t), l, middles)
        return At(values, log_det, value_slopes, log_det_slopes)

    def contract(self, t: Array, value_slopes: Array, g: Array) -> Array:
        """By L^-1 G L^-T and L^-1 dK L^-T, K = L L'. Where K is all but singular, Q and dQ are huge and G, the covariance of effects, all
        but cancels them: their products would leave no digit."""
        if self._whitened is None or not np.array_equal(self._whitened[0], t):
            return super().contract(t, value_slopes, g)
        _, l, middles = self._whitened
        square = np.empty((self.n, self.n))
        square[self.rows, self.cols] = square[self.cols, self.rows] = g
        white = _both_sides(l, square)
        return -np.array([np.vdot(white, middle) for middle in middles])

    def times(self, t: Array, v: Array) -> Array:
        return self.correlation(t) @ v

    def diagonal(self, t: Array) -> Array:
        return np.ones(self.n)

    def coordinates(self, natural: Array) -> Array:
        t = super().coordinates(natural)
        if self.walled and t[0] < self.lower[0] and not self._good(t):
            raise ModelError(
                f"{self.text}: a range of {natural[0]:g} is too long for these points: so smooth a field has a correlation matrix "
                f"that is singular to rounding. The longest that can be computed is {self._longest(t):.4g}."
            )
        return t

    def _longest(self, t: Array) -> float:
        return float(self.natural(np.append(self.lower[0], t[1:]))[0])

    def _long(self, phi: bool) -> str:
        return (
            super()._long(phi)
            if not self.walled
            else (
                f"estimated as {self.natural(self.lower)[0]:.4g}, on the boundary: a longer range is singular to rounding"
            )
        )


def _inverse(l: Array, c: float) -> tuple[Array, float]:
    """Q (n, n) and log|K|, of L L' + c 11'."""
    from scipy.linalg.lapack import dpotri

    log_det = 2.0 * float(np.log(np.diag(l)).sum())
    q, _ = dpotri(l, lower=1)
    q = np.tril(q)
    q = q + np.tril(q, -1).T
    if c > 0.0:
        w = q.sum(axis=1)
        size = 1.0 + c * float(w.sum())
        q -= np.multiply.outer((c / size) * w, w)
        log_det += float(np.log(size))
    return q, log_det


def _both_sides(l: Array, m: Array, trans: int = 0) -> Array:
    """L^-1 M L^-T, or with trans L^-T M L^-1, of a symmetric M."""
    from scipy.linalg.blas import dtrsm

    half = dtrsm(1.0, l, m, lower=1, trans_a=trans)
    return np.asarray(dtrsm(1.0, l, half, lower=1, trans_a=1 - trans, side=1))


def _nearest(points: Array) -> Array:
    """(n,) the distance of each point to the one next to it."""
    from scipy.spatial import cKDTree

    return cKDTree(points).query(points, k=2)[0][:, 1]


def _require_memory(n: int, text: str) -> None:
    needed, there = _MATRICES * 8.0 * n * n, machine_memory()
    if needed > 0.6 * there:
        raise ModelError(
            f"{text}: {n} points, and dense {n} x {n} matrices need {needed / 2**30:.0f} GiB of memory (this machine has "
            f"{there / 2**30:.0f}). On a grid, ar1(row):ar1(col) is sparse; so is spl2d."
        )


def build(factor: LevelFactor) -> Field:
    """exp, gau, mat (nu given or estimated), sph, ratio or lin over the coordinates of the levels.

    Raises
    ------
    ModelError : one level; more points than memory allows; lin in more than one dimension; nu out of its range.
    DataError : two levels in one place, labels for coordinates.
    """
    text, points = text_of(factor), positions_of(factor)
    nu = factor.options.get("nu")
    if factor.kind == "lin" and points.shape[1] > 1:
        raise ModelError(f"{text}: lin is a correlation along one coordinate only; in a plane write sph.")
    if nu is not None and not 0.0 < float(nu) <= 30.0:
        raise ModelError(f"{text}: nu is between 0 and 30, not {float(nu):g}; beyond, a Matern is a gau.")
    return Field(factor.kind, points, text, factor.names, None if nu is None else float(nu))

"""Correlations that fall with distance: ou and exp along a line, exp, gau, mat, sph (ratio, lin) in one to three dimensions.

The functions of distance, their slopes in the range (and nu), and 1 - f with its digits are `residuals/distance_kernels` and
`residuals/decays`, the same as those among rows. There a coordinate tau of the range is log(1 + (longest / range)^p), 1 - f ~ d^p
at 0; here it is its root, tau = t^2: as the range grows, L ends in entries proportional to sqrt(1 - f), which is smooth in t.

Along a line `ou` and `exp` are Markov, and L is that of `chain`, row by row; elsewhere L is Cholesky's, from 1 - f.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import ModelError
from ..residuals.decays import OU
from ..residuals.distance_kernels import NU_HIGH, NU_LOW, Distance, MaternNu
from ..residuals.kernels import EDGE, INFINITE, Kernel, Lags
from .base import Structure
from .chain import chain, chain_slopes
from .cholesky import correlation_with_slopes
from .correlated import Correlated
from .correlation import Correlation
from .line import Line, points

Array = np.ndarray
_GRID = 24
_MOST = 3
_ALONG_A_LINE = ("ou", "lin")
"""Structures of one coordinate: `lin` is positive definite there only."""


class OverDistance(Correlation):
    """f(d / range) over points (m, d), f a `Kernel`; t[0]^2 is the kernel's coordinate of the range, others are as they are."""

    def __init__(self, kernel: Kernel, places: Array):
        self.kernel, self.m = kernel, len(places)
        self.rows, self.columns = np.tril_indices(self.m, -1)
        self.lags = _distances(places)[self.rows, self.columns]
        self.parameters = kernel.parameters
        self.lower, self.upper = _rooted(kernel.lower), _rooted(kernel.upper)

    def _square(self, values: Array, diagonal: float) -> Array:
        """(..., m, m) of numbers of the pairs (..., pairs)."""
        out = np.full((*values.shape[:-1], self.m, self.m), diagonal)
        out[..., self.rows, self.columns] = values
        out[..., self.columns, self.rows] = values
        return out

    def matrix(self, t: Array) -> Array:
        return self._square(self.kernel.at(_squared(t), self.lags, False)[0], 1.0)

    def matrix_slopes(self, t: Array) -> Array:
        slopes = self.kernel.at(_squared(t), self.lags, True)[1]
        assert slopes is not None
        return self._square(slopes * _chain_rule(t)[:, None], 0.0)

    def _gaps(self, t: Array) -> Array:
        return self._square(self.kernel.gap(_squared(t), self.lags), 0.0)

    def factor(self, t: Array) -> Array:
        return correlation_with_slopes(self._gaps(t), np.zeros((0, self.m, self.m)))[0]

    def factor_slopes(self, t: Array) -> Array:
        return correlation_with_slopes(self._gaps(t), -self.matrix_slopes(t))[1]

    def natural(self, t: Array) -> Array:
        return self.kernel.natural(_squared(t))

    def natural_slopes(self, t: Array) -> Array:
        """Of the range, or of phi = exp(-1 / range); of range and nu, tau being that of range sqrt(8 nu)."""
        kernel, tau = self.kernel, _squared(t)
        assert isinstance(kernel, (Distance, OU))
        values = kernel.natural(tau)
        out = np.diag(values)
        out[0, 0] *= kernel.span.slope(float(tau[0])) * 2.0 * t[0]
        if isinstance(kernel, OU) and kernel.reports == "phi":
            out[0, 0] *= -np.log(values[0])
        if isinstance(kernel, MaternNu):
            out[0, 1] = -0.5 * values[0]
        return out

    def from_natural(self, values: Array) -> Array:
        if not np.isfinite(values).all():
            raise ModelError(f"{self.parameters[0].name} is a number, not {values[0]}.")
        try:
            tau = self.kernel.coordinates(values)
        except ModelError as error:
            raise ModelError(str(error).partition(": ")[2]) from None
        return np.clip(_rooted(tau), self.lower, self.upper)

    def candidates(self) -> list[Array]:
        found = [_rooted(tau) for tau in self.kernel.starts(_GRID)]
        return [t for t in found if np.all((t > self.lower * 1.01) & (t < self.upper))]

    def edges(self, t: Array) -> list[tuple[int, str]]:
        tau, out = float(t[0] ** 2), []
        decay = self.parameters[0].name == "phi"
        if tau <= 10.0 * INFINITE:
            out.append((0, "estimated as 1" if decay else "estimated as infinite"))
        if t[0] >= self.upper[0] - EDGE:
            shortest = float(self.lags.min())
            out.append(
                (
                    0,
                    "estimated as 0"
                    if decay
                    else f"estimated as none over the shortest distance, {shortest:g}",
                )
            )
        if len(t) > 1 and t[1] >= self.upper[1] - EDGE:
            out.append((1, f"estimated as {NU_HIGH:g}, as smooth as gau"))
        if len(t) > 1 and t[1] <= self.lower[1] + EDGE:
            out.append((1, f"estimated as {NU_LOW:g}, the roughest there is"))
        return out


class AlongLine(OverDistance):
    """exp(-d / range) along a line."""

    def __init__(self, kernel: OU, places: Array):
        super().__init__(kernel, places)
        self.line = Line(places[:, 0])

    @property
    def pattern(self) -> Array:
        return self.line.in_order(np.tri(self.m, dtype=bool))

    def _steps(self, t: Array) -> tuple[Array, Array, Array, Array]:
        """r, s = sqrt(1 - r^2) and their derivatives, (m - 1,)."""
        kernel, tau = self.kernel, _squared(t)
        assert isinstance(kernel, OU)
        r, slopes = kernel.at(tau, self.line.gaps, True)
        assert slopes is not None
        dr = slopes[0] * 2.0 * t[0]
        s = np.sqrt(kernel.one_minus_square(tau, self.line.gaps))
        return r, s, dr, -r * dr / s

    def factor(self, t: Array) -> Array:
        r, s, _, _ = self._steps(t)
        return self.line.in_order(chain(r, s))

    def factor_slopes(self, t: Array) -> Array:
        r, s, dr, ds = self._steps(t)
        return self.line.in_order(chain_slopes(r, dr[None], ds[None], chain(r, s)))


def _squared(t: Array) -> Array:
    return np.append(t[0] ** 2, t[1:])


def _rooted(tau: Array) -> Array:
    return np.append(np.sqrt(tau[0]), tau[1:])


def _chain_rule(t: Array) -> Array:
    return np.append(2.0 * t[0], np.ones(len(t) - 1))


def _distances(places: Array) -> Array:
    return np.sqrt(np.sum((places[:, None] - places) ** 2, axis=2))


def _lags(places: Array) -> Lags:
    d = _distances(places)
    longest = float(d.max())
    np.fill_diagonal(d, np.inf)
    nearest = d.min(axis=1)
    return Lags(float(nearest.min()), float(np.median(nearest)), longest)


def build(name: str, m: int, options: Mapping[str, Any], coordinates: Array | None) -> Structure:
    """ou, exp, gau, mat, sph, ratio or lin; coordinates (m,) or (m, d).

    Raises
    ------
    ModelError : coordinates missing, not numbers, too many, or the same for two effects; nu out of range, or left to be estimated
        where all distances are the same.
    """
    places = points(name, m, coordinates, 1 if name in _ALONG_A_LINE else _MOST)
    lags = _lags(places)
    if name == "ou" or (name == "exp" and places.shape[1] == 1):
        line = AlongLine(OU(lags, name, "", "phi" if name == "ou" else "range"), places)
        return Correlated(name, line)
    return Correlated(name, OverDistance(_kernel(name, lags, places, options.get("nu")), places))


def _kernel(name: str, lags: Lags, places: Array, nu: float | None) -> Kernel:
    if name != "mat":
        return Distance(name, lags, name)
    if nu is not None:
        if not 0 < nu <= 100:
            raise ModelError(f"mat: nu is between 0 and 100, not {nu:g}; beyond that write gau.")
        return Distance("mat", lags, name, nu=float(nu))
    if len(np.unique(np.round(_distances(places)[np.tril_indices(len(places), -1)] / lags.longest, 12))) < 2:
        raise ModelError(
            "mat: its effects are all the same distance apart, from which range and nu cannot both be told: give nu, as in nu=1.5."
        )
    return MaternNu(lags, name)

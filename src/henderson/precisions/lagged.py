"""Correlations that are a function of a lag: what the precisions along a line and over a field share.

The functions, with their coordinates, bounds and starts, are those of the residuals (`residuals.kernels.Kernel`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError, ModelError
from ..residuals.kernels import EDGE, INFINITE, Kernel, Lags
from .base import Parameter, Precision

if TYPE_CHECKING:
    from ..design.structured import LevelFactor

Array = np.ndarray


def text_of(factor: LevelFactor) -> str:
    """ "ar1(row)", as the user wrote it."""
    return f"{factor.kind}({', '.join(factor.names)})"


def positions_of(factor: LevelFactor, d: int | None = None) -> Array:
    """(levels, d) finite numbers, no two levels in one place, at least two levels.

    Raises
    ------
    ModelError : one level; several coordinates where one is wanted.
    DataError : no coordinates, or not finite; two levels in one place.
    """
    text, n = text_of(factor), len(factor.levels)
    if n < 2:
        raise ModelError(
            f"{text}: there is one level, {factor.levels[0]!s}: no correlation along it to estimate. Leave out {text}."
        )
    if factor.coordinates is None:
        raise DataError(
            f"{text}: {factor.kind} measures distances, and {', '.join(factor.names)} holds labels."
        )
    points = np.asarray(factor.coordinates, dtype=np.float64).reshape(n, -1)
    if d is not None and points.shape[1] != d:
        raise ModelError(
            f"{text}: {factor.kind} runs along one coordinate, not {points.shape[1]}; over several there are exp, gau, mat and sph."
        )
    if not np.isfinite(points).all():
        bad = int(np.flatnonzero(~np.isfinite(points).all(axis=1))[0])
        raise DataError(f"{text}: the position of level {factor.levels[bad]!s} is not a finite number.")
    order = np.lexsort(points.T[::-1])
    twice = np.flatnonzero((points[order[1:]] == points[order[:-1]]).all(axis=1))
    if twice.size:
        one, other = (factor.levels[int(order[k])] for k in (twice[0], twice[0] + 1))
        raise DataError(
            f"{text}: levels {one!s} and {other!s} are in one place: their correlation is 1, and they are one level."
        )
    return points


class Lagged(Precision):
    """A correlation f(lag) of a residual kernel, reported under the names users see in `variance_components`."""

    kernel: Kernel
    text: str

    def _take(self, kernel: Kernel, text: str, names: tuple[str, ...]) -> None:
        self.kernel, self.text, self.name = kernel, text, text.split("(")[0]
        self.parameters = tuple(Parameter(name) for name in names)
        self.separable = kernel.separable
        self.lower, self.upper = kernel.lower.copy(), kernel.upper.copy()

    def natural(self, t: Array) -> Array:
        return self.kernel.natural(t)

    def coordinates(self, natural: Array) -> Array:
        return self.kernel.coordinates(np.asarray(natural, dtype=np.float64))

    def natural_slopes(self, t: Array) -> Array:
        reach = getattr(self.kernel, "span", None)
        if reach is None or self.kernel.parameters[0].name == "phi":
            # phi is the correlation one unit apart.
            return self.kernel.at(t, np.ones(1), True)[1]  # type: ignore[return-value]
        log_slope = reach.slope(float(t[0]))
        values = self.natural(t)
        if len(values) == 1:
            return np.array([[values[0] * log_slope]])
        # range and nu of a Matern: range sqrt(8 nu) and log nu are the coordinates.
        return np.array([[values[0] * log_slope, -0.5 * values[0]], [0.0, values[1]]])

    def edges(self, t: Array) -> list[tuple[int, str]]:
        out: list[tuple[int, str]] = []
        phi = self.kernel.parameters[0].name == "phi"
        if not hasattr(self.kernel, "span"):
            value = float(self.natural(t)[0])
            if t[0] >= self.upper[0] - EDGE or (t[0] <= self.lower[0] + EDGE and self.lower[0] < 0.0):
                return [(0, f"estimated as {np.sign(value):.0f}, on the boundary")]
            return [(0, "estimated as 0, on the boundary")] if t[0] <= self.lower[0] == 0.0 else []
        if t[0] <= self.lower[0] + 9.0 * INFINITE:
            out.append((0, self._long(phi)))
        elif t[0] >= self.upper[0] - EDGE:
            out.append((0, "estimated as 0, on the boundary: no correlation at the shortest distance"))
        for k in range(1, len(t)):
            for bound, said in (
                (self.lower[k], "hardly more than a nugget"),
                (self.upper[k], "as smooth as gau"),
            ):
                if abs(t[k] - bound) <= EDGE:
                    out.append((k, f"estimated as {np.exp(bound):g}, on the boundary: the field is {said}"))
        return out

    def _long(self, phi: bool) -> str:
        return f"estimated as {'1' if phi else 'infinite'}, on the boundary"


def lags_of(gaps: Array, longest: float) -> Lags:
    """Summary of the gaps between neighbours."""
    step = (
        float(np.gcd.reduce(gaps.astype(np.int64)))
        if (gaps == np.floor(gaps)).all() and longest < 2**53
        else 0.0
    )
    return Lags(float(gaps.min()), float(np.median(gaps)), longest, step)

"""Correlation matrices R(t) of the m effects of a level: what `correlated.Correlated` multiplies by standard deviations.

A subclass says R(t) and how many t there are; everything else has a default, good enough to fit by: derivatives by five-point
differences, the factor L (L L' = R) by Cholesky's method with its derivatives, t reported as it is. docs/own-structure.md is an
example. The structures of this folder replace more of it: L in closed form, exact to the boundary where R is singular.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable

import numpy as np

from ..errors import ModelError
from .base import Parameter
from .cholesky import cholesky_with_slopes
from .nearest import least_squares, lower_triangle

Array = np.ndarray
_STEP = 1e-3
_SMALL = 1e-5
_IMAGINARY = 1e-30
"""Step of derivatives along the imaginary axis, exact to rounding."""


class Correlation(ABC):
    """R(t), (m, m), with ones on its diagonal.

    Attributes
    ----------
    m : order of R.
    parameters : what is reported of it, one for each t: `Parameter("rho")`.
    lower, upper : (len(t),) the box of t; infinite where free. At a bound `matrix` must still answer; R may be singular there.
    """

    m: int
    parameters: tuple[Parameter, ...]
    lower: Array
    upper: Array

    @abstractmethod
    def matrix(self, t: Array) -> Array:
        """R (m, m), positive semi-definite for every t in the box."""

    def matrix_slopes(self, t: Array) -> Array:
        """dR/dt (len(t), m, m)."""
        return differences(self.matrix, t, self.lower, self.upper)

    def factor(self, t: Array) -> Array:
        """L (m, m), L L' = R, non-zero within `pattern`."""
        return cholesky_with_slopes(self.matrix(t), np.zeros((0, self.m, self.m)))[0]

    def factor_slopes(self, t: Array) -> Array:
        """dL/dt (len(t), m, m)."""
        return cholesky_with_slopes(self.matrix(t), self.matrix_slopes(t))[1]

    def second(self, t: Array, slope: Array) -> Array:
        """sum over L of slope (m, m) times d2L/dt2, (len(t), len(t)), by differences of `factor_slopes`."""

        def gradient(at: Array) -> Array:
            return np.einsum("aij,ij->a", self.factor_slopes(at), slope)

        out = differences(gradient, t, self.lower, self.upper)
        return 0.5 * (out + out.T)

    @property
    def pattern(self) -> Array:
        """(m, m) bool: where L may differ from zero."""
        return np.tri(self.m, dtype=bool)

    def named(self, effects: tuple[str, ...]) -> tuple[Parameter, ...]:
        """`parameters`, with the names of the effects where they are named by them."""
        return self.parameters

    def natural(self, t: Array) -> Array:
        """The reported parameters at t."""
        return t

    def natural_slopes(self, t: Array) -> Array:
        """d natural / dt."""
        return differences(self.natural, t, self.lower, self.upper).T

    def from_natural(self, values: Array) -> Array:
        """t of reported parameters. Raises ModelError outside the range."""
        for parameter, value, low, high in zip(self.parameters, values, self.lower, self.upper, strict=True):
            if not low <= value <= high:
                raise ModelError(f"{parameter.name} is between {low:.4g} and {high:.4g}, not {value:g}.")
        return np.asarray(values, dtype=np.float64)

    def candidates(self) -> list[Array]:
        """Where the search for a start begins: values of t inside the box."""
        lower = np.where(np.isfinite(self.lower), self.lower, np.minimum(self.upper, 1.0) - 1.0)
        upper = np.where(np.isfinite(self.upper), self.upper, np.maximum(self.lower, -1.0) + 1.0)
        return [lower + place * (upper - lower) for place in (0.5, 0.75, 0.25)]

    def start(self, correlation: Array) -> Array:
        """t inside the box with R(t) near an empirical correlation (m, m), by least squares; exact where R(t) is that."""

        def misfit(t: Array) -> tuple[Array, Array]:
            return (
                lower_triangle(self.matrix(t) - correlation),
                lower_triangle(self.matrix_slopes(t)).T,
            )

        sizes = [(float(np.sum(misfit(t)[0] ** 2)), k) for k, t in enumerate(self.candidates())]
        best = self.candidates()[min(sizes)[1]]
        t, _ = least_squares(misfit, best, self.lower, self.upper)
        return t if np.all((t > self.lower) & (t < self.upper)) else best

    def edges(self, t: Array) -> list[tuple[int, str]]:
        """Parameters at the edge of their range: (index, "estimated as 1")."""
        at = np.flatnonzero((t <= self.lower) | (t >= self.upper))
        values = self.natural(t)
        return [(int(j), f"estimated as {values[j]:.4g}") for j in at]


class Analytic(Correlation):
    """L(t) by arithmetic that complex numbers may go through: derivatives along the imaginary axis."""

    @abstractmethod
    def factors(self, t: Array) -> Array:
        """L (b, m, m) of t (b, len(t)), real or complex."""

    def factor(self, t: Array) -> Array:
        return self.factors(t[None])[0]

    def factor_slopes(self, t: Array) -> Array:
        return self.factors(t + 1j * _IMAGINARY * np.eye(len(t))).imag / _IMAGINARY

    def second(self, t: Array, slope: Array) -> Array:
        """Two points are enough where the first derivatives are exact to rounding."""
        k = len(t)
        out = np.empty((k, k))
        for j, step in enumerate(_SMALL * np.eye(k)):
            centers = np.repeat(np.array([t + step, t - step]), k, axis=0)
            at = self.factors(centers + 1j * _IMAGINARY * np.tile(np.eye(k), (2, 1))).imag / _IMAGINARY
            out[j] = np.einsum("aij,ij->a", at[:k] - at[k:], slope) / (2.0 * _SMALL)
        return 0.5 * (out + out.T)

    def matrix(self, t: Array) -> Array:
        factor = self.factor(t)
        return factor @ factor.T


def differences(function: Callable[[Array], Array], t: Array, lower: Array, upper: Array) -> Array:
    """d function / dt (len(t), ...) by five points, moved inwards at a bound."""
    out = []
    for j in range(len(t)):
        h = min(_STEP * max(1.0, abs(t[j])), (upper[j] - lower[j]) / 8.0)
        center = np.clip(t[j], lower[j] + 2.0 * h, upper[j] - 2.0 * h)
        offset = (t[j] - center) / h
        out.append(_slope(function, t, j, center, h, float(offset)))
    return np.array(out)


def _slope(function: Callable[[Array], Array], t: Array, j: int, center: float, h: float, at: float) -> Array:
    """The slope at center + at h of the polynomial through center + (-2, -1, 0, 1, 2) h."""
    places = np.arange(-2.0, 3.0)
    powers = np.vander(places, increasing=True)
    weights = np.linalg.solve(powers.T, np.array([k * at ** (k - 1) if k else 0.0 for k in range(5)]))
    total = 0.0
    for place, weight in zip(places, weights, strict=True):
        moved = t.copy()
        moved[j] = center + place * h
        total = total + weight * function(moved)
    return np.asarray(total) / h

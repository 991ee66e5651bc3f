"""phi^d in one coordinate: AR1 (whole steps, -1 < phi < 1), OU (any steps, 0 < phi < 1). Markov processes along a line."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from ..errors import ModelError
from .base import Parameter
from .kernels import EDGE, INFINITE, Kernel, Lags, Span

Array = np.ndarray


class Decay(Kernel):
    """phi^lag."""

    @abstractmethod
    def one_minus_square(self, t: Array, lag: Array) -> Array:
        """1 - f(lag)^2, with its digits."""

    @property
    def name(self) -> str:
        return self.parameters[0].name


class AR1(Decay):
    """Lags are whole steps. phi = (1 + e) tanh(t) with e = 1 / longest lag: the slope at phi = 1 is not lost in noise."""

    def __init__(self, lags: Lags, text: str, suffix: str, even: bool):
        self.lags, self.text = lags, text
        self.parameters = (Parameter("phi" + suffix),)
        self.e = 1.0 / lags.longest
        end = float(np.arctanh((1.0 - INFINITE * self.e) / (1.0 + self.e)))
        # Where every lag is even, phi and -phi are the same model.
        self.lower, self.upper = np.array([0.0 if even else -end]), np.array([end])

    def _phi(self, t: Array) -> tuple[float, float]:
        """phi and log|phi|, with its digits near |phi| = 1."""
        tanh = float(np.tanh(t[0]))
        left = 2.0 / (float(np.exp(2.0 * abs(t[0]))) + 1.0)
        size_left = left - self.e * (1.0 - left)
        with np.errstate(divide="ignore"):
            return (1.0 + self.e) * tanh, float(np.log1p(-size_left)) if size_left < 1.0 else -np.inf

    def at(self, t: Array, lag: Array, slopes: bool) -> tuple[Array, Array | None]:
        phi, _ = self._phi(t)
        f = phi**lag
        if not slopes:
            return f, None
        slope = (1.0 + self.e) / float(np.cosh(t[0])) ** 2
        return f, (np.where(lag > 0, lag * phi ** np.maximum(lag - 1.0, 0.0), 0.0) * slope)[None]

    def one_minus_square(self, t: Array, lag: Array) -> Array:
        with np.errstate(invalid="ignore"):
            return np.where(lag > 0, -np.expm1(2.0 * lag * self._phi(t)[1]), 0.0)

    def gap(self, t: Array, lag: Array) -> Array:
        f = self.at(t, lag, False)[0]
        return np.where(f > 0, self.one_minus_square(t, lag) / (1.0 + np.maximum(f, 0.0)), 1.0 - f)

    def starts(self, count: int) -> list[Array]:
        step = self.lags.typical
        values = [r ** (1.0 / step) for r in (0.1, 0.3, 0.55, 0.75, 0.9, 0.97)]
        if step == 1.0:
            values += [-0.3, -0.6]
        return [self.coordinates(np.array([phi])) for phi in values]

    def natural(self, t: Array) -> Array:
        return np.array([self._phi(t)[0]])

    def coordinates(self, natural: Array) -> Array:
        phi = float(natural[0])
        if not -1.0 < phi < 1.0:
            raise ModelError(f"{self.text}: {self.name} is between -1 and 1, not {phi:g}.")
        return np.array([np.arctanh(phi / (1.0 + self.e))])

    def edges(self, t: Array, text: str) -> list[tuple[int, str]]:
        phi = self._phi(t)[0]
        if 1.0 - abs(phi) <= 10.0 * INFINITE * self.e:
            return [(0, f"{self.name} of {text} is estimated as {np.sign(phi):.0f}, on the boundary")]
        if t[0] == self.lower[0] == 0.0:
            return [(0, f"{self.name} of {text} is estimated as 0, on the boundary")]
        return []


class OU(Decay):
    """Lags are any numbers; phi = exp(-1 / range), t that of the range. `reports` "phi" or "range"."""

    def __init__(self, lags: Lags, text: str, suffix: str, reports: str):
        self.lags, self.text, self.reports = lags, text, reports
        self.parameters = (Parameter(reports + suffix),)
        self.span = Span(lags.longest)
        self.lower, self.upper = np.array([INFINITE]), np.array([self.span.t(lags.shortest / 18.5)])

    def _x(self, t: Array, lag: Array) -> Array:
        return lag / self.span.reach(float(t[0]))

    def at(self, t: Array, lag: Array, slopes: bool) -> tuple[Array, Array | None]:
        x = self._x(t, lag)
        f = np.exp(-x)
        return f, (x * f * self.span.slope(float(t[0])))[None] if slopes else None

    def one_minus_square(self, t: Array, lag: Array) -> Array:
        return -np.expm1(-2.0 * self._x(t, lag))

    def gap(self, t: Array, lag: Array) -> Array:
        return -np.expm1(-self._x(t, lag))

    def starts(self, count: int) -> list[Array]:
        return [
            np.array([self.span.t(self.lags.typical * r)]) for r in np.geomspace(0.5, 30.0, max(count, 7))
        ]

    def natural(self, t: Array) -> Array:
        reach = self.span.reach(float(t[0]))
        return np.array([reach if self.reports == "range" else np.exp(-1.0 / reach)])

    def coordinates(self, natural: Array) -> Array:
        value = float(natural[0])
        if self.reports == "range":
            if not value > 0:
                raise ModelError(f"{self.text}: {self.name} is positive, not {value:g}.")
            return np.array([self.span.t(value)])
        if not 0.0 < value < 1.0:
            raise ModelError(
                f"{self.text}: {self.name}, the correlation one unit apart, is between 0 and 1, not {value:g}."
            )
        return np.array([self.span.t(-1.0 / float(np.log(value)))])

    def edges(self, t: Array, text: str) -> list[tuple[int, str]]:
        if t[0] <= 10.0 * INFINITE:
            limit = "infinite" if self.reports == "range" else "1"
            return [(0, f"{self.name} of {text} is estimated as {limit}, on the boundary")]
        if t[0] >= self.upper[0] - EDGE:
            return [(0, f"{self.name} of {text} is estimated as 0, on the boundary")]
        return []

"""Correlation as a function of the lag between two rows, with its parameters: one factor of a term.

    Distance    f(d / range) over one, two or three coordinates: exp, gau, sph, ratio, lin, mat
    Decay       phi^d in one coordinate: AR1 (whole steps, -1 < phi < 1), OU (any steps, 0 < phi < 1)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..errors import ModelError
from .base import Parameter
from .functions import FUNCTIONS
from .matern import gap as matern_gap
from .matern import matern, matern_with_nu

Array = np.ndarray
_INFINITE = 1e-4
"""The longest distance over the range, at its bound."""
NU_LOW, NU_HIGH = 0.05, 30.0
"""Bounds of nu where it is estimated: beyond 30 a Matern is a Gaussian to what data can tell."""
_EDGE = 1e-9
_LEAST_FIELD = 1e-9
"""1 - share of the nugget at which a lattice is as good as nugget alone."""


class Lags(NamedTuple):
    """The distinct lags of a factor, summed up."""

    shortest: float
    typical: float
    """What neighbours are apart, mostly."""
    longest: float
    step: float = 0.0
    """Greatest common divisor of whole lags; 0 where they are not whole."""


class Kernel(ABC):
    """A correlation of one lag; t (len(lower),)."""

    parameters: tuple[Parameter, ...]
    lower: Array
    upper: Array
    separable: bool = True
    lags: Lags

    @abstractmethod
    def at(self, t: Array, lag: Array, slopes: bool) -> tuple[Array, Array | None]:
        """f(lag) (u,), and its derivatives (len(t), u). f(0) = 1."""

    @abstractmethod
    def gap(self, t: Array, lag: Array) -> Array:
        """1 - f(lag) (u,), with its digits where f is near 1, as far as they can be had."""

    def complement(self, t: Array) -> float:
        """1 - f(typical lag)."""
        return float(self.gap(t, np.array([self.lags.typical]))[0])

    @abstractmethod
    def starts(self) -> list[Array]:
        """Values of t over all that lags can tell apart."""

    @abstractmethod
    def natural(self, t: Array) -> Array: ...

    @abstractmethod
    def coordinates(self, natural: Array) -> Array:
        """Raises ModelError."""

    def edges(self, t: Array, text: str) -> list[tuple[int, str]]:
        return []


class Span(NamedTuple):
    """t of a range: t = log(1 + (longest / range)^power). Like -log range for short ranges; where the range grows without end the
    criterion tends to a limit, linearly in (longest / range)^power, and so in t: its slope at the bound is not lost in noise."""

    longest: float
    power: float = 1.0

    def reach(self, t: float) -> float:
        """The range."""
        return self.longest * float(np.expm1(t)) ** (-1.0 / self.power)

    def slope(self, t: float) -> float:
        """d log range / dt."""
        return 1.0 / (self.power * float(np.expm1(-t)))

    def t(self, reach: float) -> float:
        return float(np.log1p((self.longest / reach) ** self.power))


class Distance(Kernel):
    """f(d / range); the Matern with nu given is one of them."""

    def __init__(self, structure: str, lags: Lags, text: str, suffix: str = "", nu: float | None = None):
        self.structure, self.lags, self.text, self.nu = structure, lags, text, nu
        self.parameters = (Parameter("range" + suffix),)
        if structure == "mat":
            assert nu is not None
            far, power, self.half = 18.5 + 2.0 * nu, 2.0 * min(nu, 1.0), 1.2 * float(np.sqrt(nu))
        else:
            _, _, _, far, power, self.half = FUNCTIONS[structure]
        self.span = Span(lags.longest, power)
        self.lower, self.upper = np.array([_INFINITE]), np.array([self.span.t(lags.shortest / far)])

    def at(self, t: Array, lag: Array, slopes: bool) -> tuple[Array, Array | None]:
        x = lag / self.span.reach(float(t[0]))
        if self.structure == "mat":
            assert self.nu is not None
            f, fall = matern(x, self.nu)
        else:
            function = FUNCTIONS[self.structure]
            f, fall = function.value(x), function.fall(x)
        return f, (fall * self.span.slope(float(t[0])))[None] if slopes else None

    def gap(self, t: Array, lag: Array) -> Array:
        x = lag / self.span.reach(float(t[0]))
        if self.structure == "mat":
            assert self.nu is not None
            return matern_gap(x, self.nu)
        return FUNCTIONS[self.structure].complement(x)

    def starts(self) -> list[Array]:
        """Ranges at which the correlation is 1/2 from half the neighbours' distance to the longest, evenly in log."""
        return [np.array([self.span.t(d / self.half)]) for d in _distances(self.lags, 7)]

    def natural(self, t: Array) -> Array:
        return np.array([self.span.reach(float(t[0]))])

    def coordinates(self, natural: Array) -> Array:
        if not natural[0] > 0:
            raise ModelError(f"{self.text}: the range is positive, not {natural[0]:g}.")
        return np.array([self.span.t(float(natural[0]))])

    def edges(self, t: Array, text: str) -> list[tuple[int, str]]:
        name = self.parameters[0].name
        if t[0] <= 10.0 * _INFINITE:
            said = (
                f"the {name} of {text} grows without end: the criterion tends to that of a variogram without a sill, and only the "
                "ratio of the residual variance to the range is estimated"
            )
            return [(0, said)]
        if t[0] >= self.upper[0] - _EDGE:
            return [(0, f"the {name} of {text} is shorter than the shortest distance: no correlation")]
        return []


def _distances(lags: Lags, count: int) -> Array:
    return np.geomspace(0.5 * lags.typical, max(lags.longest, lags.typical), count)


class MaternNu(Distance):
    """The Matern with nu estimated; t is that of range sqrt(8 nu), which nu hardly moves, and log nu."""

    separable = False

    def __init__(self, lags: Lags, text: str, suffix: str = ""):
        self.structure, self.lags, self.text, self.nu = "mat", lags, text, None
        self.parameters = (Parameter("range" + suffix), Parameter("nu" + suffix))
        self.span = Span(lags.longest)
        self.lower = np.array([_INFINITE, np.log(NU_LOW)])
        self.upper = np.array([self.span.t(lags.shortest / 10.0), np.log(NU_HIGH)])

    def _x(self, t: Array, lag: Array) -> Array:
        return lag * (float(np.sqrt(8.0 * np.exp(t[1]))) / self.span.reach(float(t[0])))

    def at(self, t: Array, lag: Array, slopes: bool) -> tuple[Array, Array | None]:
        nu, x = float(np.exp(t[1])), self._x(t, lag)
        if not slopes:
            return matern(x, nu)[0], None
        f, fall, in_nu = matern_with_nu(x, nu)
        # x is proportional to sqrt(nu) at t[0] held.
        return f, np.stack([fall * self.span.slope(float(t[0])), in_nu - 0.5 * fall])

    def gap(self, t: Array, lag: Array) -> Array:
        return matern_gap(self._x(t, lag), float(np.exp(t[1])))

    def starts(self) -> list[Array]:
        return [
            np.array([self.span.t(2.4 * d), np.log(nu)])
            for nu in (0.5, 1.5, 4.0)
            for d in _distances(self.lags, 5)
        ]

    def natural(self, t: Array) -> Array:
        nu = float(np.exp(t[1]))
        return np.array([self.span.reach(float(t[0])) / np.sqrt(8.0 * nu), nu])

    def coordinates(self, natural: Array) -> Array:
        reach, nu = map(float, natural)
        if not (reach > 0 and NU_LOW <= nu <= NU_HIGH):
            raise ModelError(
                f"{self.text}: the range is positive and nu between {NU_LOW:g} and {NU_HIGH:g}, not {reach:g} and {nu:g}."
            )
        return np.array([self.span.t(reach * float(np.sqrt(8.0 * nu))), np.log(nu)])

    def edges(self, t: Array, text: str) -> list[tuple[int, str]]:
        out, name = super().edges(t, text), self.parameters[1].name
        if t[1] >= self.upper[1] - _EDGE:
            out.append((1, f"{name} of {text} is at {NU_HIGH:g}: the field is as smooth as gau"))
        if t[1] <= self.lower[1] + _EDGE:
            out.append((1, f"{name} of {text} is at {NU_LOW:g}: the field is hardly more than a nugget"))
        return out


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
        end = float(np.arctanh((1.0 - _INFINITE * self.e) / (1.0 + self.e)))
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

    def starts(self) -> list[Array]:
        step = self.lags.typical
        values = [r ** (1.0 / step) for r in (0.2, 0.6, 0.9)]
        if step == 1.0:
            values.append(-0.3)
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
        if 1.0 - abs(phi) <= 10.0 * _INFINITE * self.e:
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
        self.lower, self.upper = np.array([_INFINITE]), np.array([self.span.t(lags.shortest / 18.5)])

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

    def starts(self) -> list[Array]:
        return [np.array([self.span.t(self.lags.typical * r)]) for r in (0.6, 2.0, 9.0)]

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
        if t[0] <= 10.0 * _INFINITE:
            limit = "infinite" if self.reports == "range" else "1"
            return [(0, f"{self.name} of {text} is estimated as {limit}, on the boundary")]
        if t[0] >= self.upper[0] - _EDGE:
            return [(0, f"{self.name} of {text} is estimated as 0, on the boundary")]
        return []


class Product:
    """The product of the factors' correlations at pairs of lags, and a nugget.

        C = (1 - nugget) f_1(lag_1) f_2(lag_2) ... + nugget I

    The nugget's coordinate is its share s of the variogram one typical step apart, nugget = s g / (1 - s f), f = 1 - g the product of
    the correlations there: 0 is no nugget, 1 nothing but nugget, and s stays put where the range grows without end.
    """

    def __init__(self, kernels: Sequence[Kernel], nugget: bool, text: str, least_share: float = 0.0):
        self.kernels, self.nugget, self.text = tuple(kernels), nugget, text
        ends = np.cumsum([0, *(len(k.lower) for k in self.kernels)])
        self.slices = [slice(int(a), int(b)) for a, b in zip(ends[:-1], ends[1:], strict=True)]
        last = [1.0] if nugget else []
        self.lower = np.concatenate([*(k.lower for k in self.kernels), np.full(len(last), least_share)])
        self.upper = np.concatenate([*(k.upper for k in self.kernels), last])
        self.parameters = tuple(p for k in self.kernels for p in k.parameters)
        if nugget:
            self.parameters += (Parameter("nugget"),)
        self.separable = not nugget and all(k.separable for k in self.kernels)

    def split(self, t: Array) -> list[Array]:
        return [t[at] for at in self.slices]

    def field(self, t: Array, lags: Sequence[Array], slopes: bool) -> tuple[Array, Array | None]:
        """Product of the correlations (u,), without the nugget, and its derivatives (coordinates without the nugget's, u)."""
        found = [
            k.at(part, lag, slopes) for k, part, lag in zip(self.kernels, self.split(t), lags, strict=True)
        ]
        values = [f for f, _ in found]
        product = np.prod(values, axis=0) if len(values) > 1 else values[0]
        if not slopes:
            return product, None
        rows = []
        for i, (_, df) in enumerate(found):
            assert df is not None
            others = [f for j, f in enumerate(values) if j != i]
            rows.append(df * np.prod(others, axis=0) if others else df)
        return product, np.concatenate(rows)

    def _field_gap(self, t: Array, lags: Sequence[Array]) -> Array:
        """1 - the product of the correlations, with its digits."""
        left, f = np.zeros(1), np.ones(1)
        for kernel, part, lag in zip(self.kernels, self.split(t), lags, strict=True):
            g = kernel.gap(part, lag)
            left = left + f * g
            f = f * (1.0 - g)
        return left

    def gap(self, t: Array, lags: Sequence[Array]) -> Array:
        """1 - C of two different rows (u,), with its digits where C is near 1."""
        nugget = self.nugget_at(t)
        return nugget + (1.0 - nugget) * self._field_gap(t, lags)

    def _step(self, t: Array) -> float:
        """g = 1 - f one typical step apart."""
        return float(self._field_gap(t, [np.array([k.lags.typical]) for k in self.kernels])[0])

    def nugget_at(self, t: Array) -> float:
        if not self.nugget:
            return 0.0
        s, g = float(t[-1]), self._step(t)
        return s * g / ((1.0 - s) + s * g)

    def nugget_left(self, t: Array) -> float:
        """1 - nugget, with its digits."""
        s, g = float(t[-1]), self._step(t)
        return max(1.0 - s, _LEAST_FIELD) / ((1.0 - s) + s * g)

    def nugget_slopes(self, t: Array) -> Array:
        """Derivatives of the nugget in all coordinates."""
        s, g = float(t[-1]), self._step(t)
        below = (1.0 - s) + s * g
        _, df = self.field(t, [np.array([k.lags.typical]) for k in self.kernels], True)
        assert df is not None
        return np.append(-s * (1.0 - s) / below**2 * df[:, 0], g / below**2)

    def at(self, t: Array, lags: Sequence[Array], slopes: bool) -> tuple[Array, Array | None]:
        """Correlation of two different rows (u,) these lags apart, and its derivatives (coordinates, u)."""
        f, df = self.field(t, lags, slopes)
        if not self.nugget:
            return f, df
        left = 1.0 - self.nugget_at(t)
        if not slopes:
            return left * f, None
        assert df is not None
        out = -self.nugget_slopes(t)[:, None] * f
        out[:-1] += left * df
        return left * f, out

    def natural(self, t: Array) -> Array:
        parts = [k.natural(part) for k, part in zip(self.kernels, self.split(t), strict=True)]
        if not self.nugget:
            return np.concatenate(parts)
        return np.append(np.concatenate(parts), 0.0 if t[-1] <= self.lower[-1] else self.nugget_at(t))

    def coordinates(self, natural: Array) -> Array:
        parts, at = [], 0
        for kernel in self.kernels:
            parts.append(kernel.coordinates(natural[at : at + len(kernel.parameters)]))
            at += len(kernel.parameters)
        t = np.concatenate(parts)
        if not self.nugget:
            return t
        nugget = float(natural[-1])
        if not 0 <= nugget <= 1:
            raise ModelError(
                f"{self.text}: the nugget is a share of the variance, between 0 and 1, not {nugget:g}."
            )
        g = self._step(t)
        # The inverse of nugget = s g / ((1 - s) + s g).
        return np.append(t, max(nugget / (nugget + (1.0 - nugget) * g), self.lower[-1]) if nugget > 0 else self.lower[-1])

    def edges(self, t: Array) -> list[tuple[int, str]]:
        out, at = [], 0
        for kernel, part in zip(self.kernels, self.split(t), strict=True):
            out += [(at + j, said) for j, said in kernel.edges(part, self.text)]
            at += len(kernel.parameters)
        if self.nugget and t[-1] <= self.lower[-1]:
            out.append((at, f"the nugget of {self.text} is estimated as 0, on the boundary"))
        if self.nugget and t[-1] >= self.upper[-1]:
            out.append((at, f"the nugget of {self.text} is estimated as 1, on the boundary: no correlation"))
        return out

    def starts(self) -> list[Array]:
        """All combinations of the factors' starts and three nuggets."""
        combinations = [np.zeros(0)]
        for kernel in self.kernels:
            combinations = [np.append(left, right) for left in combinations for right in kernel.starts()]
        if not self.nugget:
            return combinations
        return [np.append(left, share) for left in combinations for share in (0.15, 0.5, 0.85)]

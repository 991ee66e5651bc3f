"""Correlation as a function of the lag between two rows, with its parameters: one factor of a term.

    Distance    f(d / range) over one, two or three coordinates: exp, gau, sph, ratio, lin, mat
    Decay       phi^d in one coordinate: ar1 (whole steps, -1 < phi < 1), ou (any steps, 0 < phi < 1)
    Identical   1 where two rows have the same level, else 0: id(x) in a product

Coordinates: t = log(range / typical) (for a Matern with nu estimated log(range sqrt(8 nu) / typical), at which nu hardly moves the
range, and log nu); arctanh(phi) for ar1; log(range / typical) with phi = exp(-1 / range) for ou.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..errors import ModelError
from .base import Parameter
from .functions import FUNCTIONS
from .matern import complement as matern_complement
from .matern import matern, matern_with_nu

Array = np.ndarray
_PHI_LIMIT = 1e-7
"""1 - |phi| at the bounds of phi."""
NU_LOW, NU_HIGH = 0.05, 30.0
"""Bounds of nu where it is estimated: beyond 30 a Matern is a Gaussian to what data can tell."""
_EDGE = 1e-9


class Lags(NamedTuple):
    """The distinct lags of a factor, summed up."""

    shortest: float
    typical: float
    """What neighbours are apart, mostly."""
    longest: float
    half: float
    """Median of all."""


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
    def complement(self, t: Array) -> float:
        """1 - f(typical lag), with its digits."""

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


class Distance(Kernel):
    """f(d / range); the Matern with nu given is one of them."""

    def __init__(self, structure: str, lags: Lags, text: str, suffix: str = "", nu: float | None = None):
        self.structure, self.lags, self.text, self.nu = structure, lags, text, nu
        self.parameters = (Parameter("range" + suffix),)
        far, near = self._reach()
        self.lower = np.array([np.log(lags.shortest / lags.typical / far)])
        self.upper = np.array([np.log(lags.longest / lags.typical / near)])

    def _reach(self) -> tuple[float, float]:
        if self.structure == "mat":
            assert self.nu is not None
            return 18.5 + 2.0 * self.nu, min(1e-3, 10.0 ** (-3.0 / min(self.nu, 1.0)))
        return FUNCTIONS[self.structure].far, FUNCTIONS[self.structure].near

    def at(self, t: Array, lag: Array, slopes: bool) -> tuple[Array, Array | None]:
        x = lag * (np.exp(-float(t[0])) / self.lags.typical)
        if self.structure == "mat":
            assert self.nu is not None
            f, fall = matern(x, self.nu)
            return f, fall[None] if slopes else None
        function = FUNCTIONS[self.structure]
        return function.value(x), function.fall(x)[None] if slopes else None

    def complement(self, t: Array) -> float:
        x = float(np.exp(-t[0]))
        if self.structure == "mat":
            assert self.nu is not None
            return matern_complement(x, self.nu)
        return float(FUNCTIONS[self.structure].complement(np.array(x)))

    def starts(self) -> list[Array]:
        """Ranges at which the correlation is about 1/2 from half the neighbours' distance to the longest, evenly in log."""
        half = {"exp": 0.7, "gau": 0.83, "ratio": 1.0, "sph": 0.35, "lin": 0.5}.get(self.structure)
        if half is None:
            assert self.nu is not None
            half = 1.2 * np.sqrt(self.nu)
        ends = np.log([0.5, max(self.lags.longest / self.lags.typical, 1.0)])
        return [np.array([x - np.log(half)]) for x in np.linspace(*ends, 7)]

    def natural(self, t: Array) -> Array:
        return self.lags.typical * np.exp(t)

    def coordinates(self, natural: Array) -> Array:
        if not natural[0] > 0:
            raise ModelError(f"{self.text}: the range is positive, not {natural[0]:g}.")
        return np.log(natural / self.lags.typical)

    def edges(self, t: Array, text: str) -> list[tuple[int, str]]:
        name = self.parameters[0].name
        if t[0] >= self.upper[0] - _near_end(self):
            said = (
                f"the {name} of {text} grows without end: the criterion tends to that of a variogram without a sill, and only the "
                "ratio of the residual variance to the range is estimated"
            )
            return [(0, said)]
        if t[0] <= self.lower[0] + _EDGE:
            return [(0, f"the {name} of {text} is shorter than the shortest distance: no correlation")]
        return []


def _near_end(kernel: Kernel) -> float:
    """A tenth of the way of 1 - f, on the log scale of the range, counts as the end: the criterion is flat there."""
    return float(np.log(100.0)) if kernel.upper[0] - kernel.lower[0] > 10.0 else 0.0


class MaternNu(Distance):
    """The Matern with nu estimated."""

    separable = False

    def __init__(self, lags: Lags, text: str, suffix: str = ""):
        self.structure, self.lags, self.text, self.nu = "mat", lags, text, None
        self.parameters = (Parameter("range" + suffix), Parameter("nu" + suffix))
        low, high = np.log(lags.shortest / lags.typical / 10.0), np.log(lags.longest / lags.typical * 1e4)
        self.lower = np.array([low, np.log(NU_LOW)])
        self.upper = np.array([high, np.log(NU_HIGH)])

    def at(self, t: Array, lag: Array, slopes: bool) -> tuple[Array, Array | None]:
        nu = float(np.exp(t[1]))
        x = lag * (np.sqrt(8.0 * nu) * np.exp(-float(t[0])) / self.lags.typical)
        if not slopes:
            return matern(x, nu)[0], None
        f, fall, in_nu = matern_with_nu(x, nu)
        # x is proportional to sqrt(nu) at t[0] held.
        return f, np.stack([fall, in_nu - 0.5 * fall])

    def complement(self, t: Array) -> float:
        nu = float(np.exp(t[1]))
        return matern_complement(float(np.sqrt(8.0 * nu) * np.exp(-t[0])), nu)

    def starts(self) -> list[Array]:
        ends = np.log([0.5, max(self.lags.longest / self.lags.typical, 1.0)])
        return [np.array([x + 0.85, np.log(nu)]) for nu in (0.5, 1.5, 4.0) for x in np.linspace(*ends, 5)]

    def natural(self, t: Array) -> Array:
        nu = np.exp(t[1])
        return np.array([self.lags.typical * np.exp(t[0]) / np.sqrt(8.0 * nu), nu])

    def coordinates(self, natural: Array) -> Array:
        reach, nu = map(float, natural)
        if not (reach > 0 and NU_LOW <= nu <= NU_HIGH):
            raise ModelError(
                f"{self.text}: the range is positive and nu between {NU_LOW:g} and {NU_HIGH:g}, not {reach:g} and {nu:g}."
            )
        return np.array([np.log(reach * np.sqrt(8.0 * nu) / self.lags.typical), np.log(nu)])

    def edges(self, t: Array, text: str) -> list[tuple[int, str]]:
        out = super().edges(t, text)
        if t[1] >= self.upper[1] - _EDGE:
            out.append((1, f"nu of {text} is at {NU_HIGH:g}: the field is as smooth as a Gaussian, gau"))
        if t[1] <= self.lower[1] + _EDGE:
            out.append((1, f"nu of {text} is at {NU_LOW:g}: the field is hardly more than a nugget"))
        return out


class Decay(Kernel):
    """phi^lag."""

    def __init__(self, structure: str, lags: Lags, text: str, suffix: str, even: bool = False):
        self.structure, self.lags, self.text = structure, lags, text
        self.parameters = (Parameter("phi" + suffix),)
        if structure == "ar1":
            end = float(np.arctanh(1.0 - _PHI_LIMIT))
            # Where every lag is even, phi and -phi are the same model.
            self.lower, self.upper = np.array([0.0 if even else -end]), np.array([end])
        else:
            self.lower = np.array([np.log(lags.shortest / lags.typical / 18.5)])
            self.upper = np.array([np.log(lags.longest / lags.typical * 1e6)])

    def phi(self, t: Array) -> float:
        if self.structure == "ar1":
            return float(np.tanh(t[0]))
        return float(np.exp(-np.exp(-t[0]) / self.lags.typical))

    def at(self, t: Array, lag: Array, slopes: bool) -> tuple[Array, Array | None]:
        if self.structure == "ar1":
            phi = self.phi(t)
            f = phi**lag
            left = 1.0 / np.cosh(float(t[0])) ** 2
            return f, (np.where(lag > 0, lag * phi ** np.maximum(lag - 1.0, 0.0), 0.0) * left)[
                None
            ] if slopes else None
        x = lag * (np.exp(-float(t[0])) / self.lags.typical)
        f = np.exp(-x)
        return f, (x * f)[None] if slopes else None

    def one_minus_square(self, t: Array, lag: Array) -> Array:
        """1 - f(lag)^2, with its digits."""
        if self.structure == "ar1":
            size = abs(float(t[0]))
            with np.errstate(divide="ignore"):
                log_phi = np.log1p(-2.0 / (np.exp(2.0 * size) + 1.0)) if size > 0 else -np.inf
            return -np.expm1(2.0 * lag * log_phi)
        return -np.expm1(-2.0 * lag * (np.exp(-float(t[0])) / self.lags.typical))

    def complement(self, t: Array) -> float:
        f = self.at(t, np.array([self.lags.typical]), False)[0][0]
        return (
            float(self.one_minus_square(t, np.array([self.lags.typical]))[0] / (1.0 + f))
            if f > 0
            else 1.0 - f
        )

    def starts(self) -> list[Array]:
        if self.structure == "ar1":
            step = self.lags.typical
            signs = (1.0,) if self.lower[0] == 0.0 or step != 1.0 else (1.0, -1.0)
            sizes = [np.arctanh(r ** (1.0 / step)) for r in (0.2, 0.6, 0.9)]
            return [np.array([s * x]) for x in sizes for s in signs if s > 0 or x < 0.8]
        return [np.array([x]) for x in (-0.5, 0.7, 2.2)]

    def natural(self, t: Array) -> Array:
        return np.array([self.phi(t)])

    def coordinates(self, natural: Array) -> Array:
        phi = float(natural[0])
        low = -1.0 if self.structure == "ar1" else 0.0
        if not low < phi < 1.0:
            raise ModelError(f"{self.text}: {self.parameters[0].name} is between {low:g} and 1, not {phi:g}.")
        if self.structure == "ar1":
            return np.array([np.arctanh(phi)])
        return np.array([np.log(-1.0 / np.log(phi) / self.lags.typical)])

    def edges(self, t: Array, text: str) -> list[tuple[int, str]]:
        name = self.parameters[0].name
        if t[0] >= self.upper[0] - 2.0:
            return [(0, f"{name} of {text} is estimated as 1, on the boundary")]
        if self.structure == "ar1" and t[0] == self.lower[0] == 0.0:
            return [(0, f"{name} of {text} is estimated as 0, on the boundary")]
        if t[0] <= self.lower[0] + (2.0 if self.structure == "ar1" else _EDGE):
            end = "-1" if self.structure == "ar1" else "0"
            return [(0, f"{name} of {text} is estimated as {end}, on the boundary")]
        return []


class Identical(Kernel):
    """1 at lag 0, else 0."""

    parameters = ()

    def __init__(self, lags: Lags):
        self.lags = lags
        self.lower = self.upper = np.zeros(0)

    def at(self, t: Array, lag: Array, slopes: bool) -> tuple[Array, Array | None]:
        return (lag == 0.0).astype(np.float64), np.zeros((0, lag.size)) if slopes else None

    def complement(self, t: Array) -> float:
        return 1.0

    def starts(self) -> list[Array]:
        return [np.zeros(0)]

    def natural(self, t: Array) -> Array:
        return np.zeros(0)

    def coordinates(self, natural: Array) -> Array:
        return np.zeros(0)


class Product:
    """The product of the factors' correlations at pairs of lags, and a nugget.

        C = (1 - nugget) f_1(lag_1) f_2(lag_2) ... + nugget I

    The nugget's coordinate is its share s of the variogram one typical step apart, nugget = s g / (1 - s f), f = 1 - g the product of
    the correlations there: 0 is no nugget, 1 nothing but nugget, and s stays put where the range grows without end.
    """

    def __init__(self, kernels: Sequence[Kernel], nugget: bool, text: str):
        self.kernels, self.nugget, self.text = tuple(kernels), nugget, text
        ends = np.cumsum([0, *(len(k.lower) for k in self.kernels)])
        self.slices = [slice(int(a), int(b)) for a, b in zip(ends[:-1], ends[1:], strict=True)]
        last = [1.0] if nugget else []
        self.lower = np.concatenate([*(k.lower for k in self.kernels), 0.0 * np.array(last)])
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

    def _step(self, t: Array) -> float:
        """g = 1 - f one typical step apart, with its digits."""
        left, f = 0.0, 1.0
        for kernel, part in zip(self.kernels, self.split(t), strict=True):
            g = kernel.complement(part)
            left += f * g
            f *= 1.0 - g
        return left

    def nugget_at(self, t: Array) -> float:
        if not self.nugget:
            return 0.0
        s, g = float(t[-1]), self._step(t)
        return s * g / ((1.0 - s) + s * g)

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
        return np.concatenate([*parts, [self.nugget_at(t)] if self.nugget else []])

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
        return np.append(t, nugget / (nugget + (1.0 - nugget) * g) if nugget > 0 else 0.0)

    def edges(self, t: Array) -> list[tuple[int, str]]:
        out, at = [], 0
        for kernel, part in zip(self.kernels, self.split(t), strict=True):
            out += [(at + j, said) for j, said in kernel.edges(part, self.text)]
            at += len(kernel.parameters)
        if self.nugget and t[-1] <= 0.0:
            out.append((at, f"the nugget of {self.text} is estimated as 0, on the boundary"))
        if self.nugget and t[-1] >= 1.0:
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

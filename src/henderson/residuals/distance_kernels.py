"""f(d / range) over Euclidean distance: exp, gau, sph, ratio, lin, and the Matern, mat, with nu given or estimated."""

from __future__ import annotations

import numpy as np

from ..errors import ModelError
from .base import Parameter
from .functions import FUNCTIONS
from .kernels import EDGE, INFINITE, Kernel, Lags, Span
from .matern import gap as matern_gap
from .matern import matern, matern_with_nu

Array = np.ndarray
ENDING = {"sph": 1.5, "lin": 6.0}
"""Correlations that end at the range, so that the criterion bends wherever the range is a distance, and how much closer together
the ranges of a scan stand for it. `lin` is positive definite in one dimension only: in more, in islands of the range."""
NU_LOW, NU_HIGH = 0.05, 30.0
"""Bounds of nu where it is estimated: beyond 30 a Matern is a Gaussian to what data can tell."""


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
        self.lower, self.upper = np.array([INFINITE]), np.array([self.span.t(lags.shortest / far)])

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

    def starts(self, count: int) -> list[Array]:
        """Ranges evenly in log from little correlation to much, and towards no end."""
        reach = np.geomspace(*self._ends(), int(count * ENDING.get(self.structure, 1.0)))
        longer = np.array([4.0, 16.0]) * self.lags.longest
        ts = [self.span.t(float(each)) for each in (*reach, *longer)]
        return [np.array([t]) for t in (*ts, INFINITE) if t <= self.upper[0]]

    def _ends(self) -> tuple[float, float]:
        """From the range at which neighbours are hardly correlated to that at which the farthest rows' correlation is 1/2."""
        lags = self.lags
        if self.structure in ENDING:
            least = 1.02 * max(lags.shortest, lags.typical / 50.0)
        else:
            least = 0.5 * lags.typical / self.half
        return least, max(lags.longest / self.half, 1.5 * least)

    def natural(self, t: Array) -> Array:
        return np.array([self.span.reach(float(t[0]))])

    def coordinates(self, natural: Array) -> Array:
        if not natural[0] > 0:
            raise ModelError(f"{self.text}: the range is positive, not {natural[0]:g}.")
        return np.array([self.span.t(float(natural[0]))])

    def edges(self, t: Array, text: str) -> list[tuple[int, str]]:
        name = self.parameters[0].name
        if t[0] <= 10.0 * INFINITE:
            said = (
                f"the {name} of {text} grows without end: the criterion tends to that of a variogram without a sill, and only the "
                "ratio of the residual variance to the range is estimated"
            )
            return [(0, said)]
        if t[0] >= self.upper[0] - EDGE:
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
        self.lower = np.array([INFINITE, np.log(NU_LOW)])
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

    def starts(self, count: int) -> list[Array]:
        return [
            np.array([self.span.t(2.4 * d), np.log(nu)])
            for nu in (0.5, 1.5, 4.0)
            for d in _distances(self.lags, max(count // 3, 5))
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
        if t[1] >= self.upper[1] - EDGE:
            out.append((1, f"{name} of {text} is at {NU_HIGH:g}: the field is as smooth as gau"))
        if t[1] <= self.lower[1] + EDGE:
            out.append((1, f"{name} of {text} is at {NU_LOW:g}: the field is hardly more than a nugget"))
        return out

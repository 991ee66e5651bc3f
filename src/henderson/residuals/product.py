"""A product of correlations, one for each factor of a term, and a nugget beside it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from ..errors import ModelError
from .base import Parameter
from .kernels import Kernel

Array = np.ndarray
_SHARES = ((0.0, 0.1, 0.3, 0.5, 0.7, 0.9), (0.0, 0.15, 0.5, 0.85))
"""Shares of the nugget in a scan of one range, and of several."""
_LEAST_FIELD = 1e-9
"""1 - share of the nugget at which a lattice is as good as nugget alone."""


class Product:
    """The product of the factors' correlations at pairs of lags, and a nugget.

        C = (1 - nugget) f_1(lag_1) f_2(lag_2) ... + nugget I

    The nugget's coordinate is its share s of the variogram one typical step apart, nugget = s g / (1 - s f), f = 1 - g the product of
    the correlations there: 0 is no nugget, 1 nothing but nugget, and s stays put where the range grows without end.
    """

    def __init__(self, kernels: Sequence[Kernel], nugget: bool, text: str, least_share: float = 0.0):
        self.kernels, self.nugget, self.text = tuple(kernels), nugget, text
        ends = np.cumsum([0, *(len(k.lower) for k in self.kernels)])
        self.slices = [slice(int(a), int(b)) for a, b in pairwise(ends)]
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
        return np.append(
            t, max(nugget / (nugget + (1.0 - nugget) * g), self.lower[-1]) if nugget > 0 else self.lower[-1]
        )

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

    def starts(self, count: int) -> list[Array]:
        """All combinations of the factors' starts, about `count` of each range, and of nuggets, none among them."""
        combinations = [np.zeros(0)]
        for kernel in self.kernels:
            combinations = [np.append(left, right) for left in combinations for right in kernel.starts(count)]
        if not self.nugget:
            return combinations
        return [np.append(left, share) for left in combinations for share in _SHARES[len(self.kernels) > 1]]

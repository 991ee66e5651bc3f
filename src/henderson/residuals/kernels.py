"""Correlation as a function of the lag between two rows, with its parameters: one factor of a term. The contract."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import numpy as np

from .base import Parameter

Array = np.ndarray
INFINITE = 1e-5
"""The longest distance over the range, at its bound."""
EDGE = 1e-9
"""Nearness of a coordinate to its bound that counts as being there."""


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
    def starts(self, count: int) -> list[Array]:
        """Values of t over all that lags can tell apart, about `count` of a range."""

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

"""Variance functions: the standard deviation of each row relative to others, s_i(t), log-linear or nearly so.

    ident(g)        s = ratio of the level of g, 1 in its first level
    power(x)        s = x^power                     (|fitted|^power for power(fitted))
    exp(x)          s = exp(expon x)
    const_power(x)  s = const + x^power,  const >= 0

with parameters of their own in each stratum for power(x | g). The criterion does not change when s is multiplied by a
constant, so coordinates are chosen for x over its geometric mean (or its standard deviation), and `log_scale` gives the constant
that leads back to the definitions above, on which the reported residual variance rests.

Source: Pinheiro & Bates (2000), section 5.2, whose parametrisation the reports follow.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import ModelError
from .base import NotPositiveDefinite, Parameter
from .masked import WIDEST

_LIMIT = 16.0
"""logit of a share beyond which it is 0 or 1."""


class VarianceFunction(ABC):
    """s_i(t) of the n rows of the design, in their order."""

    parameters: tuple[Parameter, ...]
    lower: np.ndarray
    upper: np.ndarray
    text: str

    @property
    def n_coordinates(self) -> int:
        return len(self.lower)

    @abstractmethod
    def start(self) -> np.ndarray: ...

    @abstractmethod
    def log_sd(self, t: np.ndarray, slopes: bool) -> tuple[np.ndarray, np.ndarray | None]:
        """log s (n,), up to `log_scale`, and its derivatives (n_coordinates, n)."""

    @abstractmethod
    def natural(self, t: np.ndarray) -> np.ndarray: ...

    @abstractmethod
    def coordinates(self, natural: np.ndarray) -> np.ndarray:
        """t of reported parameters. Raises ModelError."""

    def log_scale(self, t: np.ndarray) -> float:
        """Added to `log_sd` it gives the log of s as defined."""
        return 0.0

    def edges(self, t: np.ndarray) -> list[tuple[int, str]]:
        return []


class Ident(VarianceFunction):
    """A standard deviation for each level, as its ratio to the first level's; t = log ratios."""

    def __init__(self, text: str, codes: np.ndarray, labels: Sequence[Any]):
        self.text, self.codes = text, codes
        m = len(labels)
        if m < 2:
            raise ModelError(
                f"variance: {text} has one level only ({labels[0]}) in the rows used: there is no ratio to estimate."
            )
        self.parameters = tuple(Parameter(f"ident({label})") for label in list(labels)[1:])
        self.lower, self.upper = np.full(m - 1, -np.inf), np.full(m - 1, np.inf)

    def start(self) -> np.ndarray:
        return np.zeros(len(self.lower))

    def log_sd(self, t: np.ndarray, slopes: bool) -> tuple[np.ndarray, np.ndarray | None]:
        each = np.append(0.0, t)
        if np.ptp(each) > WIDEST:
            raise NotPositiveDefinite("a standard deviation is zero beside another")
        out = each[self.codes]
        if not slopes:
            return out, None
        return out, (self.codes == np.arange(1, len(t) + 1)[:, None]).astype(np.float64)

    def natural(self, t: np.ndarray) -> np.ndarray:
        return np.exp(t)

    def coordinates(self, natural: np.ndarray) -> np.ndarray:
        if not (natural > 0).all():
            raise ModelError(f"variance: ratios of standard deviations in {self.text} are positive.")
        return np.log(natural)


class Linear(VarianceFunction):
    """log s = coefficient * z: power (z = log x) and exp (z = x); t = coefficient * spread of z."""

    def __init__(self, text: str, names: Sequence[str], z: np.ndarray, codes: np.ndarray):
        self.text = text
        r = len(names)
        if np.ptp(z) == 0:
            raise ModelError(f"variance: the covariate of {text} is the same in every row.")
        self.origin = 0.0
        if r == 1:
            self.origin = float(np.mean(z))
        self.spread = float(np.std(z))
        self.z = (z - self.origin) / self.spread
        self.codes = codes
        self.parameters = tuple(map(Parameter, names))
        self.lower, self.upper = np.full(r, -np.inf), np.full(r, np.inf)

    def start(self) -> np.ndarray:
        return np.zeros(len(self.lower))

    def log_sd(self, t: np.ndarray, slopes: bool) -> tuple[np.ndarray, np.ndarray | None]:
        out = t[self.codes] * self.z
        if not slopes:
            return out, None
        return out, (self.codes == np.arange(len(t))[:, None]) * self.z

    def natural(self, t: np.ndarray) -> np.ndarray:
        return t / self.spread

    def coordinates(self, natural: np.ndarray) -> np.ndarray:
        return natural * self.spread

    def log_scale(self, t: np.ndarray) -> float:
        return float(t[0]) * self.origin / self.spread if self.origin else 0.0


class ConstPower(VarianceFunction):
    """s = const + x^power, as w + (1 - w) (x / its geometric mean)^power; t = (logit w, power * spread of log x)."""

    def __init__(self, text: str, column: str, x: np.ndarray):
        self.text = text
        with np.errstate(divide="ignore"):
            log_x = np.log(x)
        live = np.isfinite(log_x)
        if not live.any() or np.ptp(x) == 0:
            raise ModelError(f"variance: the covariate of {text} is the same in every row.")
        self.origin, self.spread = float(np.mean(log_x[live])), float(np.std(log_x[live])) or 1.0
        self.z = (log_x - self.origin) / self.spread
        self.has_zero = not live.all()
        self.parameters = (Parameter(f"const({column})"), Parameter(f"power({column})"))
        # At x = 0 s is const alone if the power is positive, and infinite otherwise.
        self.lower = np.array([-np.inf, 1e-10 if self.has_zero else -np.inf])
        self.upper = np.array([np.inf, np.inf])

    def start(self) -> np.ndarray:
        return np.array([-0.8, 0.7 * self.spread])

    def guesses(self) -> list[np.ndarray]:
        """Other starts: hardly any constant, and a constant with a steep power."""
        return [np.array([-6.0, 0.4 * self.spread]), np.array([3.0, 3.0 * self.spread])]

    def log_sd(self, t: np.ndarray, slopes: bool) -> tuple[np.ndarray, np.ndarray | None]:
        log_w, log_rest = -np.logaddexp(0.0, -t[0]), -np.logaddexp(0.0, t[0])
        log_x = np.where(np.isfinite(self.z), t[1] * np.where(np.isfinite(self.z), self.z, 0.0), -np.inf)
        log_s = np.logaddexp(log_w, log_rest + log_x)
        if not slopes:
            return log_s, None
        constant, power = np.exp(log_w - log_s), np.exp(log_rest + log_x - log_s)
        z = np.where(np.isfinite(self.z), self.z, 0.0)
        return log_s, np.stack([np.exp(log_rest) * constant - np.exp(log_w) * power, z * power])

    def natural(self, t: np.ndarray) -> np.ndarray:
        power = t[1] / self.spread
        if t[0] < -_LIMIT:
            return np.array([0.0, power])
        with np.errstate(over="ignore"):
            return np.array([np.exp(t[0] + power * self.origin) if t[0] < _LIMIT else np.inf, power])

    def coordinates(self, natural: np.ndarray) -> np.ndarray:
        const, power = map(float, natural)
        if not const >= 0:
            raise ModelError(f"variance: the constant of {self.text} is not negative.")
        logit = np.log(const) - power * self.origin if const > 0 else -2.0 * _LIMIT
        return np.array([logit, power * self.spread])

    def log_scale(self, t: np.ndarray) -> float:
        power = t[1] / self.spread * self.origin
        return float(power + np.logaddexp(0.0, t[0])) if t[0] < _LIMIT else 0.0

    def edges(self, t: np.ndarray) -> list[tuple[int, str]]:
        if t[0] < -_LIMIT:
            return [(0, f"the constant of {self.text} is estimated as 0, on the boundary")]
        if t[0] > _LIMIT:
            said = (
                f"the constant of {self.text} is estimated as infinite, on the boundary: the variance does not change "
                "with the covariate, or in its smallest values alone"
            )
            return [(0, said), (1, said)]
        return []

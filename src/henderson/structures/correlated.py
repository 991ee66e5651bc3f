"""Correlations times standard deviations: cs, ar1, toep, exp ... with one variance, csh, ar1h, toeph, ante1 with one each.

    T = s L(t)      or      T = diag(s) L(t),      L L' = R(t)

theta is s, then t. One s may have any sign. Where each effect has its own, a sign would change the correlations of that effect,
which most families cannot follow: they are 0 or more, and 0 is a value they may take.
"""

from __future__ import annotations

import numpy as np

from ..errors import ModelError
from .base import Parameter
from .correlation import Correlation
from .entries import ZERO
from .nearest import as_correlation
from .variances import require_variances


class Correlated:
    """`correlation` (`correlation.Correlation`) with one variance for all effects, or with `own`, one for each."""

    def __init__(self, name: str, correlation: Correlation, own: bool = False):
        self.name, self.correlation, self.own = name, correlation, own
        self.m = correlation.m
        self.n_sd = self.m if own else 1
        n_t = len(correlation.lower)
        self.n_parameters = self.n_sd + n_t
        self.basis = "diagonal" if own else "scalar"
        self.pattern = correlation.pattern
        self.scaling = np.arange(self.n_parameters) < self.n_sd
        self.lower = np.append(np.full(self.n_sd, 0.0 if own else -np.inf), correlation.lower)
        self.upper = np.append(np.full(self.n_sd, np.inf), correlation.upper)

    def _sd(self, theta: np.ndarray) -> np.ndarray:
        """(m, 1)."""
        return np.broadcast_to(theta[: self.n_sd], self.m)[:, None]

    def factor(self, theta: np.ndarray) -> np.ndarray:
        return self._sd(theta) * self.correlation.factor(theta[self.n_sd :])

    def derivatives(self, theta: np.ndarray) -> np.ndarray:
        t = theta[self.n_sd :]
        factor, slopes = self.correlation.factor(t), self.correlation.factor_slopes(t)
        if not self.own:
            return np.concatenate([factor[None], theta[0] * slopes])
        first = np.zeros((self.m, self.m, self.m))
        first[np.arange(self.m), np.arange(self.m)] = factor
        return np.concatenate([first, self._sd(theta) * slopes])

    def second(self, theta: np.ndarray, slope: np.ndarray) -> np.ndarray:
        """Exact for the standard deviations; among t by differences of dL/dt, to about eight digits."""
        n, t = self.n_sd, theta[self.n_sd :]
        out = np.zeros((self.n_parameters, self.n_parameters))
        by_effect = np.einsum("aij,ij->ia", self.correlation.factor_slopes(t), slope)
        mixed = by_effect if self.own else by_effect.sum(axis=0, keepdims=True)
        out[:n, n:], out[n:, :n] = mixed, mixed.T
        out[n:, n:] = self.correlation.second(t, self._sd(theta) * slope)
        return out

    def parameters(self, sigma: np.ndarray) -> np.ndarray:
        sd, r = as_correlation(sigma)
        if not self.own:
            sd = np.sqrt(np.mean(sd**2, keepdims=True))
        return np.append(sd, self.correlation.start(r))

    def parameters_of(self, effects: tuple[str, ...]) -> tuple[Parameter, ...]:
        variances = [Parameter(effect, 2) for effect in effects] if self.own else [Parameter("variance", 2)]
        return (*variances, *self.correlation.named(effects))

    def natural(self, theta: np.ndarray) -> np.ndarray:
        return np.append(theta[: self.n_sd] ** 2, self.correlation.natural(theta[self.n_sd :]))

    def natural_slopes(self, theta: np.ndarray) -> np.ndarray:
        n = self.n_sd
        inner = self.correlation.natural_slopes(theta[n:])
        out = np.zeros((n + len(inner), self.n_parameters))
        out[:n, :n] = np.diag(2.0 * theta[:n])
        out[n:, n:] = inner
        return out

    def from_natural(self, values: np.ndarray) -> np.ndarray:
        values = np.asarray(values, dtype=np.float64)
        require_variances(self.name, values[: self.n_sd])
        if not np.isfinite(values).all():
            raise ModelError(
                f"{self.name}: its parameters are numbers, not {values[~np.isfinite(values)][0]}."
            )
        try:
            t = self.correlation.from_natural(values[self.n_sd :])
        except ModelError as error:
            raise ModelError(f"{self.name}: {error}") from None
        return np.append(np.sqrt(values[: self.n_sd]), t)

    def edges(self, theta: np.ndarray) -> list[tuple[int, str]]:
        out = [(int(i), "estimated as 0") for i in np.flatnonzero(theta[: self.n_sd] ** 2 <= ZERO)]
        return out + [(self.n_sd + j, said) for j, said in self.correlation.edges(theta[self.n_sd :])]

"""id: independent effects that share one variance."""

from __future__ import annotations

import numpy as np

from ..errors import ModelError
from .base import Parameter
from .entries import ZERO
from .variances import require_variances


class Identity:
    """Sigma = theta^2 I. The variance is reported for every effect."""

    name = "id"
    basis = "scalar"
    n_parameters = 1

    def __init__(self, m: int):
        self.m = m
        self._derivatives = np.eye(m)[None]
        self.pattern = np.eye(m, dtype=bool)
        self.scaling = np.ones(1, dtype=bool)
        self.lower, self.upper = np.full(1, -np.inf), np.full(1, np.inf)

    def factor(self, theta: np.ndarray) -> np.ndarray:
        return theta[0] * np.eye(self.m)

    def derivatives(self, theta: np.ndarray) -> np.ndarray:
        return self._derivatives

    def second(self, theta: np.ndarray, slope: np.ndarray) -> np.ndarray:
        return np.zeros((1, 1))

    def parameters(self, sigma: np.ndarray) -> np.ndarray:
        return np.array([np.sqrt(max(float(np.mean(np.diag(sigma))), 0.0))])

    def parameters_of(self, effects: tuple[str, ...]) -> tuple[Parameter, ...]:
        return tuple(Parameter(effect, 2) for effect in effects)

    def natural(self, theta: np.ndarray) -> np.ndarray:
        return np.full(self.m, theta[0] ** 2)

    def natural_slopes(self, theta: np.ndarray) -> np.ndarray:
        return np.full((self.m, 1), 2.0 * theta[0])

    def from_natural(self, values: np.ndarray) -> np.ndarray:
        require_variances(self.name, values)
        if np.ptp(values) > 1e-9 * np.max(values):
            raise ModelError(
                f"id: its effects share one variance, they cannot have {np.min(values):g} and {np.max(values):g}: "
                "write diag for a variance each."
            )
        return np.sqrt(values[:1])

    def edges(self, theta: np.ndarray) -> list[tuple[int, str]]:
        return [(i, "estimated as 0") for i in range(self.m) if theta[0] ** 2 <= ZERO]

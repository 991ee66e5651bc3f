"""diag: independent effects, each with a variance of its own; what `(x || g)` means, for factors too."""

from __future__ import annotations

import numpy as np

from .base import Parameter
from .entries import ZERO, Entries
from .variances import require_variances


class Diagonal(Entries):
    """Sigma = diag(theta_1^2, ..., theta_m^2)."""

    name = "diag"
    basis = "diagonal"

    def __init__(self, m: int):
        super().__init__(m, np.arange(m), np.arange(m), m)

    def parameters(self, sigma: np.ndarray) -> np.ndarray:
        return np.sqrt(np.maximum(np.diag(sigma), 0.0))

    def parameters_of(self, effects: tuple[str, ...]) -> tuple[Parameter, ...]:
        return tuple(Parameter(effect, 2) for effect in effects)

    def natural(self, theta: np.ndarray) -> np.ndarray:
        return theta**2

    def natural_slopes(self, theta: np.ndarray) -> np.ndarray:
        return np.diag(2.0 * theta)

    def from_natural(self, values: np.ndarray) -> np.ndarray:
        require_variances(self.name, values)
        return np.sqrt(values)

    def edges(self, theta: np.ndarray) -> list[tuple[int, str]]:
        return [(int(i), "estimated as 0") for i in np.flatnonzero(theta**2 <= ZERO)]

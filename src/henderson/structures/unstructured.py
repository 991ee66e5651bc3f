"""us: any positive semi-definite covariance; the parameters are the entries of its lower Cholesky factor, by columns."""

from __future__ import annotations

import numpy as np

from ..errors import ModelError
from .base import Parameter, psd_cholesky
from .entries import ZERO, Entries
from .nearest import as_correlation
from .variances import require_variances

_SINGULAR = 1e-8
"""Smallest eigenvalue of the correlation matrix below which it counts as singular."""
_SHARP = 1e-7
_NEGATIVE = 1e-9


class Unstructured(Entries):
    """Sigma = T T', T lower triangular with free entries: m (m + 1) / 2 parameters (Bates et al. 2015, eq. 4)."""

    name = "us"
    basis = "any"

    def __init__(self, m: int):
        columns, rows = np.triu_indices(m)
        super().__init__(m, rows, columns, m)
        self.pairs = tuple((i, j) for i in range(m) for j in range(i))
        """(row, column) of the reported covariances, after the variances."""

    def parameters(self, sigma: np.ndarray) -> np.ndarray:
        return psd_cholesky(sigma)[self.rows, self.columns]

    def parameters_of(self, effects: tuple[str, ...]) -> tuple[Parameter, ...]:
        covariances = (Parameter(f"cov({effects[j]}, {effects[i]})", 2) for i, j in self.pairs)
        return (*(Parameter(effect, 2) for effect in effects), *covariances)

    def _reported(self, matrices: np.ndarray) -> np.ndarray:
        """Variances and covariances (..., reported) of symmetric matrices (..., m, m)."""
        rows = [*range(self.m), *(i for i, _ in self.pairs)]
        columns = [*range(self.m), *(j for _, j in self.pairs)]
        return matrices[..., rows, columns]

    def natural(self, theta: np.ndarray) -> np.ndarray:
        t = self.factor(theta)
        return self._reported(t @ t.T)

    def natural_slopes(self, theta: np.ndarray) -> np.ndarray:
        t = self.factor(theta)
        half = np.zeros((self.n_parameters, self.m, self.m))
        half[np.arange(self.n_parameters), self.rows] = t.T[self.columns]
        return self._reported(half + half.transpose(0, 2, 1)).T

    def from_natural(self, values: np.ndarray) -> np.ndarray:
        require_variances(self.name, values[: self.m])
        if not np.isfinite(values).all():
            raise ModelError(f"{self.name}: covariances are numbers, not {values[~np.isfinite(values)][0]}.")
        sigma = np.diag(np.asarray(values[: self.m], dtype=np.float64))
        for value, (i, j) in zip(values[self.m :], self.pairs, strict=True):
            sigma[i, j] = sigma[j, i] = value
        sd, r = as_correlation(sigma)
        if np.any((sd == 0) & np.any(sigma != 0, axis=1)):
            raise ModelError(f"{self.name}: an effect whose variance is 0 has covariances of 0.")
        lowest = float(np.linalg.eigvalsh(r)[0])
        if lowest < -_NEGATIVE:
            raise ModelError(
                f"{self.name}: the variances and covariances given are not those of any effects: the smallest eigenvalue of "
                f"their correlation matrix is {lowest:.3g}."
            )
        return self.parameters(sigma)

    def edges(self, theta: np.ndarray) -> list[tuple[int, str]]:
        t = self.factor(theta)
        sigma = t @ t.T
        variance = np.diagonal(sigma)
        out = [(i, "estimated as 0") for i in range(self.m) if variance[i] <= ZERO]
        live = np.flatnonzero(variance > ZERO)
        r = as_correlation(sigma[np.ix_(live, live)])[1]
        values = np.linalg.eigvalsh(r) if len(live) else np.ones(1)
        if values[0] > _SINGULAR:
            return out
        place = {int(effect): k for k, effect in enumerate(live)}
        inside = [(k, place[i], place[j]) for k, (i, j) in enumerate(self.pairs) if i in place and j in place]
        sharp = [(k, a, b) for k, a, b in inside if abs(r[a, b]) > 1.0 - _SHARP]
        if sharp:
            said = [(self.m + k, f"estimated with a correlation of {r[a, b]:.0f}") for k, a, b in sharp]
        else:
            rank = int(np.sum(values > _SINGULAR))
            said = [
                (self.m + k, f"estimated in a covariance of rank {rank} of {self.m}") for k, _, _ in inside
            ]
        return out + said

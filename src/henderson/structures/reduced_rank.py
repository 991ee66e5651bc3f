"""rr: a covariance of rank k, Sigma = Lambda Lambda', Lambda (m, k).

k (k - 1) / 2 loadings, those above the diagonal of the first k rows, are zero: without that a rotation of Lambda would leave Sigma
as it is (Thompson, Cullis, Smith & Gilmour 2003). `loadings.rotate` turns what was estimated into what is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import ModelError
from .base import Parameter, Structure
from .entries import ZERO, Entries
from .loadings import Rotation, lower_trapezoidal, rotate
from .nearest import as_correlation

Array = np.ndarray
_LITTLE = 0.05
"""Part of an effect's variance below which a start explains none of it."""


class ReducedRank(Entries):
    """T = Lambda; theta is its entries on and below the diagonal, by columns."""

    name = "rr"
    basis = "diagonal"

    def __init__(self, m: int, k: int):
        self.k = k
        rows, columns = trapezoid(m, k)
        super().__init__(m, rows, columns, k)

    def loadings(self, theta: Array) -> Array:
        """Lambda (m, k)."""
        return self.factor(theta)

    def rotated(self, theta: Array, method: str = "principal") -> Rotation:
        """Lambda turned to be read."""
        return rotate(self.loadings(theta), method)

    def covariance(self, theta: Array) -> Array:
        """Sigma (m, m)."""
        t = self.factor(theta)
        return t @ t.T

    def parameters(self, sigma: Array) -> Array:
        sd, r = as_correlation(sigma)
        loadings, live = principal(r, self.k), sd > 0
        if np.any(np.sum(loadings[live] ** 2, axis=1) < _LITTLE):
            # Effects that the factors leave without variance, as where sigma is diagonal: no place to start from.
            loadings = principal(0.7 * r + 0.3, self.k)
        return self._theta(sd, loadings)

    def starts(self, sigma: Array, seed: int = 0) -> list[Array]:
        """Several theta near a covariance, to climb from: what `parameters` gives, loadings that are all equal on the first factor,
        and loadings at random (two, by `seed`), each with the variances of sigma."""
        sd = np.sqrt(np.maximum(np.diagonal(sigma), 0.0))
        found = [self._theta(sd, guess) for guess in guesses(self.m, self.k, 1.0, seed)]
        return [self.parameters(sigma), *found]

    def _theta(self, sd: Array, loadings: Array) -> Array:
        return lower_trapezoidal(sd[:, None] * loadings)[self.rows, self.columns]

    def parameters_of(self, effects: tuple[str, ...]) -> tuple[Parameter, ...]:
        return names_of_loadings(effects, self.rows, self.columns)

    def natural(self, theta: Array) -> Array:
        return theta

    def natural_slopes(self, theta: Array) -> Array:
        return np.eye(self.n_parameters)

    def from_natural(self, values: Array) -> Array:
        values = np.asarray(values, dtype=np.float64)
        if not np.isfinite(values).all():
            raise ModelError(f"rr: loadings are numbers, not {values[~np.isfinite(values)][0]}.")
        return values

    def edges(self, theta: Array) -> list[tuple[int, str]]:
        return empty_columns(self.factor(theta), self.columns)


def trapezoid(m: int, k: int) -> tuple[Array, Array]:
    """Rows and columns of the free loadings, by columns."""
    columns, rows = np.nonzero(np.tri(m, k, dtype=bool).T)
    return rows, columns


def principal(correlation: Array, k: int) -> Array:
    """Lambda (m, k) with Lambda Lambda' the nearest matrix of rank k to a symmetric one."""
    values, vectors = np.linalg.eigh(correlation)
    return (vectors * np.sqrt(np.maximum(values, 0.0)))[:, ::-1][:, :k]


def guesses(m: int, k: int, explained: float, seed: int) -> list[Array]:
    """Loadings (m, k) of which every row has `explained` for the sum of its squares: equal ones with small others, and two at
    random."""
    rng = np.random.default_rng(seed)
    first = np.column_stack([np.ones(m), 0.3 * rng.standard_normal((m, k - 1))])
    found = [first, rng.standard_normal((m, k)), rng.standard_normal((m, k))]
    return [g * np.sqrt(explained / np.sum(g**2, axis=1, keepdims=True)) for g in found]


def names_of_loadings(effects: tuple[str, ...], rows: Array, columns: Array) -> tuple[Parameter, ...]:
    return tuple(Parameter(f"loading {j + 1} {effects[i]}", 1) for i, j in zip(rows, columns, strict=True))


def empty_columns(loadings: Array, columns: Array) -> list[tuple[int, str]]:
    """Loadings of factors that have none."""
    empty = np.sum(loadings**2, axis=0) <= ZERO
    return [(int(a), "estimated as 0") for a in np.flatnonzero(empty[columns])]


def build(name: str, m: int, options: Mapping[str, Any], coordinates: Array | None) -> Structure:
    """rr with options {"k": rank}."""
    k = count_of_factors(name, options)
    if k > m:
        raise ModelError(f"rr(..., k={k}) has {m} effects: its rank cannot be more than {m}.")
    return ReducedRank(m, k)


def count_of_factors(name: str, options: Mapping[str, Any]) -> int:
    """k, checked."""
    k = options.get("k")
    if k is None or k != int(k) or k < 1:
        raise ModelError(f"{name} needs its number of factors, a whole number: write {name}(... | ..., k=1).")
    return int(k)

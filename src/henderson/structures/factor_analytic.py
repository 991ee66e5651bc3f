"""fa: k common factors and a specific variance for each effect, Sigma = Lambda Lambda' + Psi.

    T = [Lambda | Psi^(1/2)],  (m, k + m)

The specific standard deviations enter as they are, of either sign, so that a specific variance of exactly 0 (a Heywood case) is a
value like any other. Lambda is lower trapezoidal, as in `reduced_rank`. Sources: Lawley & Maxwell (1971), Factor Analysis as a
Statistical Method; Smith, Cullis & Thompson (2001), Biometrics 57: 1138-1147; Thompson et al. (2003).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import ModelError
from .base import Parameter, Structure
from .entries import ZERO, Entries
from .loadings import Rotation, lower_trapezoidal, rotate
from .nearest import as_correlation, least_squares, lower_triangle
from .reduced_rank import count_of_factors, empty_columns, guesses, names_of_loadings, principal, trapezoid
from .variances import require_variances

Array = np.ndarray
_FLOOR = 0.02
"""Least specific variance of a start, as a part of the effect's variance."""
_LITTLE = 0.02
"""Sum of squares of the loadings of a factor (of effects of unit variance) below which it has none."""
_EXACT = 1e-18
_ROUNDS = 50
_MANY = 400
"""Parameters above which a start is what principal factors give."""


class FactorAnalytic(Entries):
    """theta: the free loadings by columns, then the m specific standard deviations."""

    name = "fa"
    basis = "diagonal"

    def __init__(self, m: int, k: int):
        self.k = k
        rows, columns = trapezoid(m, k)
        self.n_loadings = len(rows)
        super().__init__(m, np.append(rows, np.arange(m)), np.append(columns, k + np.arange(m)), k + m)

    # -- what is read --------------------------------------------------------------------------------------

    def loadings(self, theta: Array) -> Array:
        """Lambda (m, k)."""
        return self.factor(theta)[:, : self.k]

    def specific(self, theta: Array) -> Array:
        """Specific variances (m,)."""
        return theta[self.n_loadings :] ** 2

    def rotated(self, theta: Array, method: str = "principal") -> Rotation:
        """Lambda turned to be read."""
        return rotate(self.loadings(theta), method)

    def covariance(self, theta: Array) -> Array:
        """Sigma (m, m): total variances on its diagonal."""
        t = self.factor(theta)
        return t @ t.T

    def explained(self, theta: Array) -> Array:
        """Part of each effect's variance that the factors explain (m,); NaN where there is no variance."""
        common, total = np.sum(self.loadings(theta) ** 2, axis=1), np.diagonal(self.covariance(theta))
        return np.where(total > 0, common / np.where(total > 0, total, 1.0), np.nan)

    # -- starts --------------------------------------------------------------------------------------------

    def parameters(self, sigma: Array) -> Array:
        return self._nearest(sigma, principal_factors(as_correlation(sigma)[1], self.k))

    def starts(self, sigma: Array, seed: int = 0) -> list[Array]:
        """Several theta near a covariance, to climb from: principal factors (what `parameters` gives), all effects loading
        equally on the first factor, and loadings at random (two, by `seed`), each with specific variances that keep the
        diagonal of sigma."""
        sd, r = as_correlation(sigma)
        common = float(np.clip((r.sum() - self.m) / (self.m * (self.m - 1)), 0.2, 0.8))
        found = [self._theta(sd, guess) for guess in guesses(self.m, self.k, common, seed)]
        return [self.parameters(sigma), *found]

    def _theta(self, sd: Array, loadings: Array) -> Array:
        """theta of loadings on the correlation scale, the rest of each variance being specific."""
        rest = np.maximum(1.0 - np.sum(loadings**2, axis=1), _FLOOR)
        free = lower_trapezoidal(sd[:, None] * loadings)[
            self.rows[: self.n_loadings], self.columns[: self.n_loadings]
        ]
        return np.append(free, sd * np.sqrt(rest))

    def _nearest(self, sigma: Array, loadings: Array) -> Array:
        """From principal factors to the least squares of the correlation scale; specific variances are kept off 0 unless
        sigma is exactly of this structure."""
        sd, r = as_correlation(sigma)

        def misfit(theta: Array) -> tuple[Array, Array]:
            t = self.factor(theta)
            half = np.einsum("aij,lj->ail", self._derivatives, t)
            return lower_triangle(t @ t.T - r), lower_triangle(half + half.transpose(0, 2, 1)).T

        unit = self._theta(np.ones(self.m), loadings)
        if self.n_parameters <= _MANY:
            unit, left = least_squares(misfit, unit, self.lower, self.upper)
            if left > _EXACT:
                unit[self.n_loadings :] = np.maximum(np.abs(unit[self.n_loadings :]), np.sqrt(_FLOOR))
        empty = np.sum(self.loadings(unit) ** 2, axis=0) < _LITTLE
        if np.any(empty):
            # Where a factor has no loadings the criterion is flat in them.
            turned = np.where(empty, _seeds(self.m, self.k), self.loadings(unit))
            unit = self._theta(
                np.ones(self.m), turned * np.minimum(1.0, 0.9 / np.linalg.norm(turned, axis=1))[:, None]
            )
        unit[self.n_loadings :] = np.abs(unit[self.n_loadings :])
        return unit * sd[self.rows]

    # -- what is reported ------------------------------------------------------------------------------------

    def parameters_of(self, effects: tuple[str, ...]) -> tuple[Parameter, ...]:
        n = self.n_loadings
        specific = (Parameter(f"specific {effect}", 2) for effect in effects)
        return (*names_of_loadings(effects, self.rows[:n], self.columns[:n]), *specific)

    def natural(self, theta: Array) -> Array:
        return np.append(theta[: self.n_loadings], self.specific(theta))

    def natural_slopes(self, theta: Array) -> Array:
        return np.diag(np.append(np.ones(self.n_loadings), 2.0 * theta[self.n_loadings :]))

    def from_natural(self, values: Array) -> Array:
        values = np.asarray(values, dtype=np.float64)
        n = self.n_loadings
        if not np.isfinite(values[:n]).all():
            raise ModelError(f"fa: loadings are numbers, not {values[:n][~np.isfinite(values[:n])][0]}.")
        require_variances("fa, specific variances", values[n:])
        return np.append(values[:n], np.sqrt(values[n:]))

    def edges(self, theta: Array) -> list[tuple[int, str]]:
        n = self.n_loadings
        out = empty_columns(self.factor(theta), self.columns[:n])
        return out + [(n + int(i), "estimated as 0") for i in np.flatnonzero(self.specific(theta) <= ZERO)]


def principal_factors(correlation: Array, k: int) -> Array:
    """Lambda (m, k) of the principal factors of a correlation matrix: communalities on its diagonal, from the squared multiple
    correlations on, a few rounds (Lawley & Maxwell 1971)."""
    m = len(correlation)
    ridged = 0.98 * correlation + 0.02 * np.eye(m)
    try:
        specific = 1.0 / np.diagonal(np.linalg.inv(ridged))
    except np.linalg.LinAlgError:
        specific = np.full(m, 0.5)
    specific = np.clip(specific, _FLOOR, 1.0)
    for _ in range(_ROUNDS):
        loadings = principal(correlation - np.diag(specific), k)
        new = np.clip(1.0 - np.sum(loadings**2, axis=1), _FLOOR, 1.0)
        if np.max(np.abs(new - specific)) < 1e-6:
            break
        specific = new
    return loadings


def _seeds(m: int, k: int) -> Array:
    """Loadings (m, k) for factors that have none: all alike, then waves."""
    place = (np.arange(m) + 0.5) / m
    return 0.4 * np.cos(np.pi * place[:, None] * np.arange(k))


def build(name: str, m: int, options: Mapping[str, Any], coordinates: Array | None) -> Structure:
    """fa with options {"k": factors}.

    Raises
    ------
    ModelError : more parameters than a covariance of m effects has.
    """
    k = count_of_factors(name, options)
    parameters, most = m * k - k * (k - 1) // 2 + m, m * (m + 1) // 2
    if k >= m or parameters > most:
        fits = [j for j in range(1, m) if (m - j) ** 2 >= m + j]
        instead = f"write k={fits[-1]} at most, or us" if fits else "write us"
        raise ModelError(
            f"fa(..., k={k}) has {parameters} parameters for {m} effects, whose covariance has {most} numbers only: {instead}."
        )
    return FactorAnalytic(m, k)

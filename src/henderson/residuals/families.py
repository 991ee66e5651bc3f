"""Correlation matrices R(t) of m positions, with their derivatives: what `positions` puts rows under."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from ..errors import ModelError
from .base import Parameter

_EDGE = 1e-6
_SINGULAR = 1e-7
"""Eigenvalue of a correlation matrix below which it counts as singular."""
_STEP = 1e-30
"""Step of derivatives along the imaginary axis, exact to rounding."""


class Family(ABC):
    """R(t), (m, m); t is free."""

    parameters: tuple[Parameter, ...]
    n_coordinates: int
    separable = True

    def __init__(self, effects: Sequence[str]):
        self.m = len(effects)

    @abstractmethod
    def matrix(self, t: np.ndarray) -> np.ndarray: ...

    @abstractmethod
    def slopes(self, t: np.ndarray) -> np.ndarray:
        """(n_coordinates, m, m)."""

    @abstractmethod
    def natural(self, t: np.ndarray) -> np.ndarray: ...

    @abstractmethod
    def coordinates(self, natural: np.ndarray) -> np.ndarray:
        """Raises ModelError, or ValueError where `start` is to shrink its guess."""

    @abstractmethod
    def start(self, correlation: np.ndarray) -> np.ndarray:
        """t near an empirical correlation matrix, which is positive definite."""

    def edges(self, t: np.ndarray, text: str) -> list[tuple[int, str]]:
        """Parameters at an edge, in a sentence: (index, "rho of cs(...) is estimated as 1, on the boundary")."""
        values = self.natural(t)
        return [(j, self._at(j, f"{v:.0f}", text)) for j, v in enumerate(values) if 1.0 - abs(v) < _EDGE]

    def _at(self, j: int, value: str, text: str) -> str:
        return f"{self.parameters[j].name} of {text} is estimated as {value}, on the boundary"


class General(Family):
    """Any correlation matrix, by its Cholesky factor L: with z = tanh(t) of each pair,

    L_ij = z_ij sqrt(1 - z_i1^2) ... sqrt(1 - z_i,j-1^2),  j < i,

    z_ij being the partial correlation of i and j given those before j (Lewandowski, Kurowicka & Joe 2009).
    """

    separable = False

    def __init__(self, effects: Sequence[str]):
        super().__init__(effects)
        self.at = np.tril_indices(self.m, -1)
        self.n_coordinates = len(self.at[0])
        self.pairs = [(j, i) for j in range(self.m) for i in range(j + 1, self.m)]
        self.parameters = tuple(Parameter(f"cor({effects[j]}, {effects[i]})") for j, i in self.pairs)

    def _factor(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """L, and z beside a unit diagonal."""
        z, left = np.eye(self.m), np.ones((self.m, self.m))
        z[self.at] = np.tanh(t)
        left[self.at] = 1.0 / np.cosh(np.clip(t, -300.0, 300.0))
        before = np.cumprod(np.column_stack([np.ones(self.m), left[:, :-1]]), axis=1)
        return np.tril(z * before), z

    def matrix(self, t: np.ndarray) -> np.ndarray:
        factor, _ = self._factor(t)
        out = factor @ factor.T
        np.fill_diagonal(out, 1.0)
        return out

    def slopes(self, t: np.ndarray) -> np.ndarray:
        factor, z = self._factor(t)
        out = np.zeros((self.n_coordinates, self.m, self.m))
        for k, (i, j) in enumerate(zip(*self.at, strict=True)):
            change = np.zeros(self.m)
            change[j + 1 : i + 1] = -z[i, j] * factor[i, j + 1 : i + 1]
            before = np.sqrt(np.sum(factor[i, j : i + 1] ** 2))
            change[j] = before * (1.0 - z[i, j] ** 2)
            row = factor @ change
            out[k, i] = row
            out[k, :, i] = row
            out[k, i, i] = 0.0
        return out

    def natural(self, t: np.ndarray) -> np.ndarray:
        r = self.matrix(t)
        return np.array([r[i, j] for j, i in self.pairs])

    def coordinates(self, natural: np.ndarray) -> np.ndarray:
        r = np.eye(self.m)
        for value, (j, i) in zip(natural, self.pairs, strict=True):
            r[i, j] = r[j, i] = value
        return self.start(r)

    def start(self, correlation: np.ndarray) -> np.ndarray:
        try:
            factor = np.linalg.cholesky(correlation)
        except np.linalg.LinAlgError:
            lowest = np.linalg.eigvalsh(correlation)[0]
            raise ModelError(
                f"the correlations given are not positive definite together: the smallest eigenvalue of their matrix is {lowest:.3g}."
            ) from None
        left = np.sqrt(np.cumsum(factor[:, ::-1] ** 2, axis=1))[:, ::-1]
        return np.arctanh((factor / np.where(left > 0, left, 1.0))[self.at])

    def edges(self, t: np.ndarray, text: str) -> list[tuple[int, str]]:
        r = self.matrix(t)
        values = np.linalg.eigvalsh(r)
        if values[0] > _SINGULAR:
            return []
        sharp = [
            (
                k,
                f"a correlation, {self.parameters[k].name}, of {text} is estimated as {r[i, j]:.0f}, on the boundary",
            )
            for k, (j, i) in enumerate(self.pairs)
            if abs(r[i, j]) > 1 - _EDGE
        ]
        rank = int(np.sum(values > _SINGULAR))
        said = (
            f"the correlations of {text} are estimated as those of rank {rank} of {self.m}, on the boundary"
        )
        return sharp or [(k, said) for k in range(len(self.pairs))]


class Equal(Family):
    """One correlation for all pairs; t is the logit of its place between -1 / (m - 1) and 1."""

    parameters = (Parameter("rho"),)
    n_coordinates = 1

    def __init__(self, effects: Sequence[str]):
        super().__init__(effects)
        self.lowest = -1.0 / (self.m - 1)

    def _place(self, t: np.ndarray) -> float:
        return float(np.exp(-np.logaddexp(0.0, -t[0])))

    def matrix(self, t: np.ndarray) -> np.ndarray:
        out = np.full((self.m, self.m), self.natural(t)[0])
        np.fill_diagonal(out, 1.0)
        return out

    def slopes(self, t: np.ndarray) -> np.ndarray:
        place = self._place(t)
        out = np.full((1, self.m, self.m), (1.0 - self.lowest) * place * (1.0 - place))
        np.fill_diagonal(out[0], 0.0)
        return out

    def natural(self, t: np.ndarray) -> np.ndarray:
        return np.array([self.lowest + (1.0 - self.lowest) * self._place(t)])

    def coordinates(self, natural: np.ndarray) -> np.ndarray:
        rho = float(natural[0])
        if not self.lowest < rho < 1:
            raise ModelError(f"rho is between {self.lowest:.4g} and 1, not {rho:g}.")
        return np.log([(rho - self.lowest) / (1.0 - rho)])

    def start(self, correlation: np.ndarray) -> np.ndarray:
        off = (correlation.sum() - self.m) / (self.m * (self.m - 1))
        return self.coordinates(np.array([min(max(off, 0.9 * self.lowest), 0.95)]))

    def edges(self, t: np.ndarray, text: str) -> list[tuple[int, str]]:
        place = self._place(t)
        if _EDGE < place < 1.0 - _EDGE:
            return []
        return [(0, self._at(0, "1" if place > 0.5 else f"{self.lowest:.4g}", text))]


class Powers(Family):
    """phi^|lag|, lags whole numbers; t = arctanh(phi)."""

    parameters = (Parameter("phi"),)
    n_coordinates = 1

    def __init__(self, effects: Sequence[str], places: np.ndarray):
        super().__init__(effects)
        self.lags = np.abs(places[:, None] - places[None, :])

    def matrix(self, t: np.ndarray) -> np.ndarray:
        return np.tanh(t[0]) ** self.lags

    def slopes(self, t: np.ndarray) -> np.ndarray:
        phi = np.tanh(t[0])
        lags = self.lags
        return (lags * np.where(lags > 0, phi ** np.maximum(lags - 1, 0), 0.0) / np.cosh(t[0]) ** 2)[None]

    def natural(self, t: np.ndarray) -> np.ndarray:
        return np.tanh(t)

    def coordinates(self, natural: np.ndarray) -> np.ndarray:
        if not abs(natural[0]) < 1:
            raise ModelError(f"phi is between -1 and 1, not {natural[0]:g}.")
        return np.arctanh(natural)

    def start(self, correlation: np.ndarray) -> np.ndarray:
        shortest = self.lags[self.lags > 0].min()
        r = float(np.mean(correlation[self.lags == shortest]))
        phi = np.sign(r) * min(abs(r), 0.95) ** (1.0 / shortest)
        return np.arctanh([max(phi, 0.1) if shortest % 2 == 0 else phi])


class Banded(Family):
    """One correlation for each lag (Toeplitz); t is arctanh of the partial autocorrelations."""

    separable = False

    def __init__(self, effects: Sequence[str], places: np.ndarray):
        super().__init__(effects)
        self.lags = np.abs(places[:, None] - places[None, :]).astype(int)
        self.n_coordinates = int(self.lags.max())
        self.parameters = tuple(Parameter(f"rho{k + 1}") for k in range(self.n_coordinates))

    def matrix(self, t: np.ndarray) -> np.ndarray:
        return np.append(1.0, autocorrelations(np.tanh(t)[None])[0])[self.lags]

    def slopes(self, t: np.ndarray) -> np.ndarray:
        r = len(t)
        moved = np.tile(t.astype(complex), (r, 1)) + 1j * _STEP * np.eye(r)
        change = autocorrelations(np.tanh(moved)).imag / _STEP
        return np.column_stack([np.zeros(r), change])[:, self.lags]

    def natural(self, t: np.ndarray) -> np.ndarray:
        return autocorrelations(np.tanh(t)[None])[0]

    def coordinates(self, natural: np.ndarray) -> np.ndarray:
        return np.arctanh(partial_autocorrelations(natural))

    def start(self, correlation: np.ndarray) -> np.ndarray:
        rho = np.array([np.mean(correlation[self.lags == k]) for k in range(1, self.n_coordinates + 1)])
        for shrink in (0.95, 0.7, 0.4, 0.0):
            try:
                return self.coordinates(np.nan_to_num(rho) * shrink)
            except ModelError:
                continue
        return np.zeros(self.n_coordinates)

    def edges(self, t: np.ndarray, text: str) -> list[tuple[int, str]]:
        if (1.0 - np.abs(np.tanh(t)) > _EDGE).all():
            return []
        said = f"the correlations of {text} are estimated as those of a singular matrix, on the boundary"
        return [(k, said) for k in range(len(t))]


class Chain(Family):
    """First-order antedependence: neighbours have correlations of their own, others the product of those between them."""

    def __init__(self, effects: Sequence[str]):
        super().__init__(effects)
        self.n_coordinates = self.m - 1
        self.parameters = tuple(Parameter(f"cor({effects[i]}, {effects[i + 1]})") for i in range(self.m - 1))

    def matrix(self, t: np.ndarray) -> np.ndarray:
        return _chain(np.tanh(t))

    def slopes(self, t: np.ndarray) -> np.ndarray:
        moved = t.astype(complex) + 1j * _STEP * np.eye(len(t))
        return np.array([_chain(np.tanh(each)).imag / _STEP for each in moved])

    def natural(self, t: np.ndarray) -> np.ndarray:
        return np.tanh(t)

    def coordinates(self, natural: np.ndarray) -> np.ndarray:
        if not (np.abs(natural) < 1).all():
            raise ModelError("correlations of neighbours are between -1 and 1.")
        return np.arctanh(natural)

    def start(self, correlation: np.ndarray) -> np.ndarray:
        return np.arctanh(np.clip(np.diagonal(correlation, 1), -0.95, 0.95))


class Uncorrelated(Family):
    """R = I."""

    parameters = ()
    n_coordinates = 0

    def matrix(self, t: np.ndarray) -> np.ndarray:
        return np.eye(self.m)

    def slopes(self, t: np.ndarray) -> np.ndarray:
        return np.zeros((0, self.m, self.m))

    def natural(self, t: np.ndarray) -> np.ndarray:
        return t

    def coordinates(self, natural: np.ndarray) -> np.ndarray:
        return natural

    def start(self, correlation: np.ndarray) -> np.ndarray:
        return np.zeros(0)


def _chain(rho: np.ndarray) -> np.ndarray:
    m = len(rho) + 1
    out = np.eye(m, dtype=rho.dtype)
    for i in range(m - 1):
        out[i, i + 1 :] = np.cumprod(rho[i:])
        out[i + 1 :, i] = out[i, i + 1 :]
    return out


def autocorrelations(partial: np.ndarray) -> np.ndarray:
    """Autocorrelations (b, k) at lags 1 .. k of partial ones (b, k), by Durbin and Levinson's recursion."""
    b, k = partial.shape
    rho = np.zeros((b, k), dtype=partial.dtype)
    phi = np.zeros((b, k), dtype=partial.dtype)
    variance = np.ones(b, dtype=partial.dtype)
    for i in range(k):
        a = partial[:, i]
        rho[:, i] = np.einsum("bj,bj->b", phi[:, :i], rho[:, :i][:, ::-1]) + a * variance
        phi[:, :i] = phi[:, :i] - a[:, None] * phi[:, :i][:, ::-1]
        phi[:, i] = a
        variance = variance * (1.0 - a * a)
    return rho


def partial_autocorrelations(rho: np.ndarray) -> np.ndarray:
    """The inverse. Raises ModelError where the autocorrelations are not positive definite."""
    k = len(rho)
    phi, out, variance = np.zeros(k), np.zeros(k), 1.0
    for i in range(k):
        a = (rho[i] - phi[:i] @ rho[:i][::-1]) / variance
        if not abs(a) < 1:
            raise ModelError(
                f"the correlations given are not positive definite together: that at lag {i + 1} cannot be {rho[i]:g}."
            )
        phi[:i] = phi[:i] - a * phi[:i][::-1]
        phi[i] = out[i] = a
        variance *= 1.0 - a * a
    return out

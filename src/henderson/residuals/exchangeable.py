"""cs: rows of a group are equally correlated. Closed form, O(n).

C_g = (1 - rho) I + rho 11' has the eigenvalue 1 - rho on differences within a group of n_g rows and 1 + (n_g - 1) rho on its
mean, so M'C^-1 M is within-group sums of squares over the one plus between-group ones over the other.

-1 / (n_max - 1) < rho < 1; t is the logit of rho's place in that interval.
"""

from __future__ import annotations

import numpy as np

from ..errors import ModelError
from .base import Bound, CrossProducts, Layout, Parameter, Structure
from .order import series

_EDGE = 1e-7


class Exchangeable(Structure):
    """Compound symmetry."""

    name = "cs"
    parameters = (Parameter("rho"),)

    def __init__(self, layout: Layout):
        self._n_rows = layout.n
        self.order, first, _ = series(layout)
        self.starts_at = np.flatnonzero(first)
        self.counts = np.diff(np.append(self.starts_at, layout.n))
        self.group_of = np.repeat(np.arange(len(self.counts)), self.counts)
        self.sizes, self.size_of = np.unique(self.counts, return_inverse=True)
        self.groups_of_size = np.bincount(self.size_of)
        self.lowest = -1.0 / (float(self.sizes[-1]) - 1.0)
        self.lower, self.upper = np.array([-np.inf]), np.array([np.inf])
        self.text = layout.text

    def starts(self, residual: np.ndarray) -> list[np.ndarray]:
        sums = np.add.reduceat(residual, self.starts_at)
        pairs = float(np.sum(self.counts * (self.counts - 1)))
        rho = float(np.sum(sums**2) - residual @ residual) / pairs
        rho = min(max(rho, 0.9 * self.lowest), 0.95)
        return [self.coordinates(np.array([rho])), self.coordinates(np.array([0.3]))]

    def natural(self, t: np.ndarray) -> np.ndarray:
        return self.lowest + (1.0 - self.lowest) * _logistic(t)

    def coordinates(self, natural: np.ndarray) -> np.ndarray:
        rho = float(natural[0])
        if not self.lowest < rho < 1:
            raise ModelError(
                f"{self.text}: rho is between {self.lowest:.4g} (groups have up to {self.sizes[-1]} rows) and 1, not {rho:g}."
            )
        return np.log([(rho - self.lowest) / (1.0 - rho)])

    def edges(self, t: np.ndarray) -> list[tuple[int, str]]:
        share = float(_logistic(t)[0])
        if min(share, 1.0 - share) > _EDGE:
            return []
        value = "1" if share > 0.5 else f"{self.lowest:.4g}"
        return [(0, f"rho of {self.text} is estimated as {value}, on the boundary")]

    def _eigenvalues(self, t: np.ndarray) -> tuple[float, np.ndarray, float]:
        """1 - rho, 1 + (size - 1) rho of each size, and d rho / dt."""
        up, down = float(_logistic(t)[0]), float(_logistic(-t)[0])
        span = 1.0 - self.lowest
        between = (1.0 + (self.sizes - 1.0) * self.lowest) + (self.sizes - 1.0) * span * up
        between[-1] = self.sizes[-1] * up
        return span * down, between, span * up * down

    def whiten(self, t: np.ndarray, m: np.ndarray) -> tuple[np.ndarray, float]:
        within, between, _ = self._eigenvalues(t)
        means = np.add.reduceat(m, self.starts_at) / self.counts[:, None]
        out = (m - means[self.group_of]) / np.sqrt(within)
        out += (means / np.sqrt(between[self.size_of])[:, None])[self.group_of]
        return out, self._log_det(within, between)

    def _log_det(self, within: float, between: np.ndarray) -> float:
        return float(self.groups_of_size @ ((self.sizes - 1.0) * np.log(within) + np.log(between)))

    def cross_products(self, t: np.ndarray, m: np.ndarray, slopes: bool) -> CrossProducts:
        return self.bind(m).at(t, slopes)

    def bind(self, m: np.ndarray) -> Bound:
        return _Sums(self, m)


class _Sums(Bound):
    """Sums of squares and products within groups, and between groups of each size."""

    def __init__(self, structure: Exchangeable, m: np.ndarray):
        self.structure = structure
        means = np.add.reduceat(m, structure.starts_at) / structure.counts[:, None]
        inside = m - means[structure.group_of]
        self.within = inside.T @ inside
        scaled = means * np.sqrt(structure.counts)[:, None]
        self.between = [
            scaled[structure.size_of == s].T @ scaled[structure.size_of == s]
            for s in range(len(structure.sizes))
        ]

    def at(self, t: np.ndarray, slopes: bool) -> CrossProducts:
        structure = self.structure
        within, between, rate = structure._eigenvalues(t)
        products = self.within / within + sum(b / e for b, e in zip(self.between, between, strict=True))
        log_det = structure._log_det(within, between)
        if not slopes:
            return CrossProducts(products, log_det)
        more = structure.sizes - 1.0
        slope = self.within / within**2 - sum(
            b * (k / e**2) for b, k, e in zip(self.between, more, between, strict=True)
        )
        log_det_slope = structure.groups_of_size @ (-more / within + more / between)
        return CrossProducts(products, log_det, (rate * slope)[None], np.array([rate * log_det_slope]))


def _logistic(t: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0.0, -t))


def build(layout: Layout) -> Structure:
    """cs(1 | group), or cs(0 + visit | group), whose visits may occur once in a group."""
    return Exchangeable(layout)

"""A variance function beside a structure: V = S K S, so that Q_ij becomes Q_ij / (s_i s_j) and log|K| grows by 2 sum of log s."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from ..residuals.base import NotPositiveDefinite
from ..residuals.variances import Ident, VarianceFunction
from .base import At
from .residual_base import RowPrecision, log_rms

Array = np.ndarray
_HUGE = 600.0
"""Spread of log standard deviations beyond which they cannot be held."""


class Scaled(RowPrecision):
    """t: the structure's, then the variance functions'. Levels of K without a record have s = 1.

    weights : (rows of the design,) precision weights, by which variances are divided; None.
    """

    own_order = True

    def __init__(
        self, inner: RowPrecision, functions: Sequence[VarianceFunction], weights: Array | None = None
    ):
        self.inner, self.functions = inner, tuple(functions)
        self.n, self.rows, self.cols, self.places = inner.n, inner.rows, inner.cols, inner.places
        self.name, self.text = inner.name, inner.text
        self.has_variances, self.holds_scale = inner.has_variances, inner.holds_scale
        self.classes, self.n_classes = np.arange(len(self.rows)), len(self.rows)
        self.half_log_weights = None if weights is None else 0.5 * np.log(weights)
        self.parts: list[RowPrecision | VarianceFunction] = [inner, *functions]
        parts = self.parts
        self.parameters = tuple(p for part in parts for p in part.parameters)
        self.lower = np.concatenate([part.lower for part in parts])
        self.upper = np.concatenate([part.upper for part in parts])
        ends = np.cumsum([0, *(part.n_coordinates for part in parts)])
        self.slices = [slice(int(a), int(b)) for a, b in pairwise(ends)]
        ends = np.cumsum([0, *(len(part.parameters) for part in parts)])
        self.reported = [slice(int(a), int(b)) for a, b in pairwise(ends)]

    # -- numbers -----------------------------------------------------------------------------------------

    def _log_sd(self, t: Array, slopes: bool) -> tuple[Array, Array]:
        """log s of the rows of the design, and its derivatives by the functions' coordinates."""
        count = self.n if self.places is None else len(self.places)
        total, rates = np.zeros(count), []
        for function, at in zip(self.functions, self.slices[1:], strict=True):
            values, rate = function.log_sd(t[at], slopes)
            total = total + values
            if rate is not None:
                rates.append(rate)
        if self.functions and not np.ptp(total) < _HUGE:
            raise NotPositiveDefinite("standard deviations out of range")
        if self.half_log_weights is not None:
            total = total - self.half_log_weights
        return total, np.concatenate(rates) if rates else np.zeros((0, count))

    def _on_levels(self, rows: Array) -> Array:
        """Numbers of the rows (..., rows), on the levels of K."""
        if self.places is None:
            return rows
        out = np.zeros((*rows.shape[:-1], self.n))
        out[..., self.places] = rows
        return out

    def distinct(self, t: Array, slopes: bool = False) -> At:
        own = t[self.slices[0]]
        found = self.inner.at(own, slopes)
        log_sd, rates = self._log_sd(t, slopes)
        log_s = self._on_levels(log_sd)
        share = np.exp(-(log_s[self.rows] + log_s[self.cols]))
        values = found.values * share
        log_det = found.log_det + 2.0 * float(log_sd.sum())
        if not slopes:
            return At(values, log_det)
        by_level = self._on_levels(rates)
        assert found.value_slopes is not None and found.log_det_slopes is not None
        each = np.empty((len(t), len(values)))
        np.multiply(found.value_slopes, share, out=each[: len(own)])
        for k, rate in enumerate(by_level):
            np.multiply(-(rate[self.rows] + rate[self.cols]), values, out=each[len(own) + k])
        return At(values, log_det, each, np.append(found.log_det_slopes, 2.0 * rates.sum(axis=1)))

    def times(self, t: Array, v: Array) -> Array:
        s = np.exp(self._on_levels(self._log_sd(t, False)[0]))[:, None]
        return s * self.inner.times(t[self.slices[0]], s * v)

    def diagonal(self, t: Array) -> Array:
        s = np.exp(2.0 * self._on_levels(self._log_sd(t, False)[0]))
        return s * self.inner.diagonal(t[self.slices[0]])

    # -- parameters --------------------------------------------------------------------------------------

    def log_scale(self, t: Array) -> float:
        scales = (f.log_scale(t[at]) for f, at in zip(self.functions, self.slices[1:], strict=True))
        return float(sum(scales)) + self.inner.log_scale(t[self.slices[0]])

    def natural(self, t: Array) -> Array:
        return np.concatenate([part.natural(t[at]) for part, at in zip(self.parts, self.slices, strict=True)])

    def coordinates(self, natural: Array) -> Array:
        found = [part.coordinates(natural[at]) for part, at in zip(self.parts, self.reported, strict=True)]
        return np.concatenate(found)

    def held(self, given: Array) -> Array:
        given = np.asarray(given, dtype=bool)
        parts = [self.inner.held(given[self.reported[0]])]
        for function, at in zip(self.functions, self.reported[1:], strict=True):
            # Constants and powers are functions of one coordinate each, but for the origin of const_power.
            parts.append(
                given[at]
                if len(given[at]) == function.n_coordinates
                else np.full(function.n_coordinates, given[at].any())
            )
        return np.concatenate(parts)

    def edges(self, t: Array) -> list[tuple[int, str]]:
        out = list(self.inner.edges(t[self.slices[0]]))
        for function, at, first in zip(self.functions, self.slices[1:], self.reported[1:], strict=True):
            out += [(first.start + j, said) for j, said in function.edges(t[at])]
        return out

    def starts(self) -> list[Array]:
        tail = [f.start() for f in self.functions]
        return self._beside(self.inner.starts(), tail) + self._others(self.inner.starts()[0], tail)

    def starts_of(self, residual: Array, share: float) -> list[Array]:
        found = self.starts_from(residual)
        return found + self._others(self.inner.starts()[0], [found[0][at] for at in self.slices[1:]])

    def _others(self, head: Array, tail: list[Array]) -> list[Array]:
        """Starts at the functions' other guesses: a constant with a power has an optimum beside no constant, and one beside no power."""
        out = []
        for k, function in enumerate(self.functions):
            for guess in getattr(function, "guesses", list)():
                out.append(np.concatenate([head, *tail[:k], guess, *tail[k + 1 :]]))
        return out

    def starts_from(self, residual: Array) -> list[Array]:
        """Variances by level from the residuals; where several functions share them out, by the first of them first."""
        tail = []
        for function in self.functions:
            start = function.start()
            if isinstance(function, Ident):
                start = log_rms(residual, function.codes, len(start) + 1)
                residual = residual * np.exp(-np.append(0.0, start))[function.codes]
            tail.append(start)
        return self._beside(self.inner.starts_from(residual), tail)

    def _beside(self, heads: list[Array], tail: list[Array]) -> list[Array]:
        return [np.concatenate([head, *tail]) for head in heads]

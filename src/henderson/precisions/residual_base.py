"""Precisions among rows: a covariance structure of `residuals/` (what hd.gls fits) seen from its inverse.

Parameters, coordinates, bounds and edges are the structure's own, so that hd.gls and hd.lmm report the same numbers under the
same names. What is added is Q = C^-1 on its pattern. Most entries of Q are equal to one another, for all t: an AR1 has four
distinct numbers however long it is. They are calculated once each (`distinct`) and spread over the pattern by `classes`:

    Q(t) = sum_c f_c(t) M_c,     M_c of ones and zeros
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable

import numpy as np

from ..residuals.base import Structure
from .base import At, Precision

Array = np.ndarray
_STEP = 1e-3
MAX_STARTS = 3


class RowPrecision(Precision):
    """A precision by its distinct numbers."""

    classes: Array
    n_classes: int
    """Length of what `distinct` gives."""
    text: str
    """The term as the user wrote it."""

    @abstractmethod
    def distinct(self, t: Array, slopes: bool = False) -> At:
        """The distinct numbers of Q (n_classes,), and their slopes (n_coordinates, n_classes), in the place of the pattern's.

        Raises
        ------
        NotPositiveDefinite : as `at`.
        """

    def at(self, t: Array, slopes: bool = False) -> At:
        found = self.distinct(t, slopes)
        if self.n_classes == len(self.rows) and self.own_order:
            return found
        each = None if found.value_slopes is None else found.value_slopes[:, self.classes]
        return At(found.values[self.classes], found.log_det, each, found.log_det_slopes)

    own_order: bool = False
    """Whether classes is 0, 1, 2 ...: every entry is a number of its own."""

    def natural_slopes(self, t: Array) -> Array:
        return numerical_slopes(self.natural, t, self.lower, self.upper, len(self.parameters))


class OfStructure(RowPrecision):
    """What all precisions of one structure share.

    order : K's level of each row in the structure's order; None where they are the same.
    """

    def __init__(self, structure: Structure, n: int):
        self.structure, self.n = structure, n
        self.name, self.text = structure.name, getattr(structure, "text", structure.name)
        self.parameters = structure.parameters
        self.lower, self.upper = structure.lower, structure.upper
        self.has_variances, self.separable = structure.has_variances, structure.separable

    def pattern(self, rows: Array, cols: Array, classes: Array, n_classes: int, order: Array | None) -> None:
        """Set the pattern from entries in the structure's order."""
        if order is not None:
            rows, cols = order[rows], order[cols]
        self.rows = np.maximum(rows, cols).astype(np.int64)
        self.cols = np.minimum(rows, cols).astype(np.int64)
        self.classes, self.n_classes = classes, n_classes

    def natural(self, t: Array) -> Array:
        return self.structure.natural(t)

    def coordinates(self, natural: Array) -> Array:
        return self.structure.coordinates(natural)

    def edges(self, t: Array) -> list[tuple[int, str]]:
        return self.structure.edges(t)

    def diagonal(self, t: Array) -> Array:
        return self.unsorted(self.structure.diagonal(t))

    def sorted(self, rows: Array) -> Array:
        """Rows of the design in the structure's order."""
        order = self.structure.order
        return rows if order is None else rows[order]

    def unsorted(self, rows: Array) -> Array:
        """The way back."""
        order = self.structure.order
        if order is None:
            return rows
        out = np.empty_like(rows)
        out[order] = rows
        return out

    def starts_from(self, residual: Array) -> list[Array]:
        if getattr(self.structure, "scanned", False):
            return self.starts()
        found = self.structure.starts(self.sorted(residual))[:MAX_STARTS]
        return [np.clip(t, self.lower, self.upper) for t in found]


class Independent(RowPrecision):
    """K = I: a section of independent rows, or a variance function alone."""

    name = text = "independent"
    lower = upper = np.zeros(0)
    n_classes = 1

    def __init__(self, n: int):
        self.n = n
        self.rows = self.cols = np.arange(n)
        self.classes = np.zeros(n, dtype=np.int64)

    def distinct(self, t: Array, slopes: bool = False) -> At:
        return At(np.ones(1), 0.0, np.zeros((0, 1)), np.zeros(0)) if slopes else At(np.ones(1), 0.0)

    def times(self, t: Array, v: Array) -> Array:
        return np.array(v, dtype=np.float64)

    def diagonal(self, t: Array) -> Array:
        return np.ones(self.n)


def log_rms(residual: Array, codes: Array, count: int) -> Array:
    """log of the root mean square of residuals in each of several classes, relative to the first: (count - 1,)."""
    squares = np.bincount(codes, residual**2, count) / np.maximum(np.bincount(codes, minlength=count), 1)
    least = 1e-12 * float(squares[squares > 0].min(initial=1.0))
    log_sd = 0.5 * np.log(np.maximum(squares, least))
    return log_sd[1:] - log_sd[0]


def numerical_slopes(
    natural: Callable[[Array], Array], t: Array, lower: Array, upper: Array, count: int
) -> Array:
    """Derivatives of closed forms by differences of five points, one-sided at a bound: ten digits or more, and exactly zero by what a
    number does not depend on."""
    out = np.zeros((count, len(t)))
    for j in range(len(t)):
        h = np.zeros(len(t))
        h[j] = _STEP
        room_up, room_down = upper[j] - t[j], t[j] - lower[j]
        least = min(room_up, room_down)
        if least > 0 and least < 2.5 * _STEP:
            h[j] = least / 2.5
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            if least > 0:
                a, b, c, d = (natural(t + k * h) for k in (-2, -1, 1, 2))
                slope = ((a - d) - 8.0 * (b - c)) / (12.0 * h[j])
            else:
                sign = 1.0 if room_up > 0 else -1.0
                here = natural(t)
                moved = [natural(t + k * sign * h) - here for k in range(1, 5)]
                weights = (48.0, -36.0, 16.0, -3.0)
                slope = sign * sum(w * v for w, v in zip(weights, moved, strict=True)) / (12.0 * h[j])
        out[:, j] = np.where(np.isfinite(slope), slope, 0.0)
    return out

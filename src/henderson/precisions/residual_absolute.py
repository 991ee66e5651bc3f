"""Residual variances by their standard deviations, none of them relative to another.

The structures of `residuals/` measure the standard deviations of positions and sections from that of the first, on the log scale.
Where the first one's variance is zero all others run off to infinity, and a variance of zero is infinitely far away on a log scale
anyway. Here t holds the standard deviation of every section, s2 is 1, and near zero the criterion is a parabola.
"""

from __future__ import annotations

import numpy as np

from .base import At
from .residual_base import OfStructure, RowPrecision
from .residual_sections import InSections

Array = np.ndarray
SMALLEST = 1e-3
"""The least standard deviation, the response having a mean square of 1: a millionth of its variance counts as none."""
LARGEST = 1e3


class Absolute(RowPrecision):
    """`inner`, whose first `n_sd` coordinates are log standard deviations relative to the first section's.

    t : standard deviations of all sections; then the others of `inner`.
    """

    has_variances = True
    holds_scale = True

    def __init__(self, inner: OfStructure):
        self.inner = inner
        self.section_of_row = section_of_rows(inner)
        self.name, self.text, self.n, self.places = inner.name, inner.text, inner.n, inner.places
        self.rows, self.cols, self.parameters = inner.rows, inner.cols, inner.parameters
        self.classes, self.n_classes, self.own_order = inner.classes, inner.n_classes, inner.own_order
        self.sections = int(inner.structure.n_sd) + 1  # type: ignore[attr-defined]
        rest = slice(self.sections - 1, None)
        self.lower = np.concatenate([np.full(self.sections, SMALLEST), inner.lower[rest]])
        self.upper = np.concatenate([np.full(self.sections, LARGEST), inner.upper[rest]])
        self.sizes = np.ones(self.sections)

    def scaled_rows(self, residual: Array) -> Array:
        """The size of each row's section, (rows of the design,): root mean squares of `residual`. Rows are divided by them before
        anything is estimated, so that traits in other units are fitted alike; reported numbers are in the units of the rows."""
        squares = np.bincount(self.section_of_row, weights=residual**2, minlength=self.sections)
        sizes = np.sqrt(squares / np.maximum(np.bincount(self.section_of_row, minlength=self.sections), 1))
        # Smaller than that is rounding of a section that is fitted exactly.
        least = 1e-12 * float(sizes.max())
        self.sizes = np.maximum(sizes, least) if least > 0 else np.ones(self.sections)
        return self.sizes[self.section_of_row]

    def _in_units(self, t: Array) -> Array:
        """t with the standard deviations in the units of the rows."""
        return np.concatenate([t[: self.sections] * self.sizes, t[self.sections :]])

    def _inner(self, t: Array) -> tuple[Array, float]:
        """Coordinates of `inner`, and the first section's standard deviation."""
        sd = t[: self.sections]
        return np.concatenate([np.log(sd[1:] / sd[0]), t[self.sections :]]), float(sd[0])

    def distinct(self, t: Array, slopes: bool = False) -> At:
        own, first = self._inner(t)
        found = self.inner.distinct(own, slopes)
        values = found.values / first**2
        log_det = found.log_det + 2.0 * self.n * float(np.log(first))
        if not slopes:
            return At(values, log_det)
        assert found.value_slopes is not None and found.log_det_slopes is not None
        sd, others = t[: self.sections], self.sections - 1
        by_log, log_by_log = found.value_slopes / first**2, found.log_det_slopes
        # The first section's standard deviation scales all, and moves the logarithms of the others' ratios to it.
        head = (-2.0 * values - by_log[:others].sum(axis=0)) / first
        value_slopes = np.vstack([head, by_log[:others] / sd[1:, None], by_log[others:]])
        log_head = (2.0 * self.n - log_by_log[:others].sum()) / first
        log_det_slopes = np.concatenate([[log_head], log_by_log[:others] / sd[1:], log_by_log[others:]])
        return At(values, log_det, value_slopes, log_det_slopes)

    def times(self, t: Array, v: Array) -> Array:
        own, first = self._inner(t)
        return first**2 * self.inner.times(own, v)

    def diagonal(self, t: Array) -> Array:
        own, first = self._inner(t)
        return first**2 * self.inner.diagonal(own)

    def natural(self, t: Array) -> Array:
        own, first = self._inner(self._in_units(t))
        return self.inner.natural(own) * first ** np.array([p.unit for p in self.parameters])

    def natural_slopes(self, t: Array) -> Array:
        natural = self.natural(t)
        t = self._in_units(t)
        own, first = self._inner(t)
        units = np.array([p.unit for p in self.parameters])
        inner = self.inner.natural_slopes(own) * (first**units)[:, None]
        others = self.sections - 1
        head = (units * natural - inner[:, :others].sum(axis=1)) / first
        out = np.column_stack([head, inner[:, :others] / t[1 : self.sections], inner[:, others:]])
        # A variance does not depend on the first section's: what is left of the difference is rounding.
        out[:, : self.sections] *= self.sizes
        out[np.abs(out) < 1e-6 * np.abs(out).max(axis=1, keepdims=True, initial=0.0)] = 0.0
        return out

    def coordinates(self, natural: Array) -> Array:
        own = self.inner.coordinates(natural)
        at = next(i for i, p in enumerate(self.parameters) if p.unit == 2)
        first = float(np.sqrt(natural[at]))
        sd = first * np.append(1.0, np.exp(own[: self.sections - 1]))
        return np.concatenate([sd / self.sizes, own[self.sections - 1 :]])

    def starts(self) -> list[Array]:
        return [self._outer(t, 1.0) for t in self.inner.starts()]

    def starts_of(self, residual: Array, share: float) -> list[Array]:
        """As `Precision.starts_of`."""
        size = float(np.sqrt(share * np.mean(residual**2)))
        return [self._outer(t, size) for t in self.inner.starts_from(residual)]

    def _outer(self, own: Array, size: float) -> Array:
        sd = np.append(1.0, np.exp(own[: self.sections - 1]))
        sd = sd * size / np.sqrt(np.mean(sd**2))
        return np.clip(np.concatenate([sd, own[self.sections - 1 :]]), self.lower, self.upper)

    def edges(self, t: Array) -> list[tuple[int, str]]:
        found = list(self.inner.edges(self._inner(t)[0]))
        variances = [
            i for i, p in enumerate(self.parameters) if p.unit == 2 and not p.name.startswith("cov(")
        ]
        for i, sd in zip(variances, t[: self.sections], strict=False):
            if sd <= SMALLEST * (1.0 + 1e-9):
                found.append((i, "estimated as 0 (less than a millionth of the response's variance)"))
        return found


def section_of_rows(inner: OfStructure) -> Array:
    """Which section or position each row of the design is, (rows,)."""
    if isinstance(inner, InSections):
        out = np.empty(sum(map(len, inner.rows_of)), dtype=np.int64)
        for k, rows in enumerate(inner.rows_of):
            out[rows] = k
        return out
    structure = inner.structure
    code = np.empty(structure._n_rows, dtype=np.int64)
    for p in structure.patterns:  # type: ignore[attr-defined]
        code[p.start : p.stop] = np.tile(p.positions, p.groups)
    if structure.order is None:
        return code
    out = np.empty_like(code)
    out[structure.order] = code
    return out


def absolute(precision: RowPrecision) -> RowPrecision:
    """The precision with the standard deviations of its sections or positions as coordinates, where it has variances of that kind;
    itself otherwise."""
    structure = getattr(precision, "structure", None)
    if (
        not precision.has_variances
        or not getattr(structure, "n_sd", 0)
        or not isinstance(precision, OfStructure)
    ):
        return precision
    return Absolute(precision)

"""at(env):term, a structure for each section of the rows: K is block-diagonal, s_k^2 K_k, s = 1 in the first section."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..residuals.sections import Sections
from .base import At
from .residual_base import MAX_STARTS, OfStructure, RowPrecision

Array = np.ndarray


class InSections(OfStructure):
    """Precisions of the sections beside one another. t: log s of all but the first, then the sections' own."""

    structure: Sections

    def __init__(self, structure: Sections, rows: Sequence[Array], inner: Sequence[RowPrecision]):
        """rows : for each section its rows of the design; inner : its precision."""
        total = sum(each.n for each in inner)
        super().__init__(structure, total)
        self.inner, self.text = tuple(inner), structure.text
        self.rows_of = tuple(rows)
        whole = all(each.places is None for each in inner)
        offset, self.levels = 0, []
        self.places = None if whole else np.empty(sum(map(len, rows)), dtype=np.int64)
        for part, each in zip(rows, inner, strict=True):
            if self.places is None:
                self.levels.append(np.asarray(part))
            else:
                self.levels.append(offset + np.arange(each.n))
                self.places[part] = offset + (np.arange(each.n) if each.places is None else each.places)
            offset += each.n
        rows_of = [at[each.rows] for at, each in zip(self.levels, self.inner, strict=True)]
        cols_of = [at[each.cols] for at, each in zip(self.levels, self.inner, strict=True)]
        first = np.cumsum([0, *(each.n_classes for each in self.inner)])
        classes = np.concatenate([a + each.classes for a, each in zip(first[:-1], self.inner, strict=True)])
        self.pattern(np.concatenate(rows_of), np.concatenate(cols_of), classes, int(first[-1]), None)
        self.class_of = [slice(int(first[k]), int(first[k + 1])) for k in range(len(self.inner))]

    def distinct(self, t: Array, slopes: bool = False) -> At:
        structure = self.structure
        values, total = np.empty(self.n_classes), 0.0
        rates = np.zeros((len(t), self.n_classes)) if slopes else None
        log_det_slopes = np.zeros(len(t))
        for k, log_sd in enumerate(structure._log_sd(t)):
            each, at, where = self.inner[k], structure.t_of[k], self.class_of[k]
            found = each.distinct(t[at], slopes)
            share = float(np.exp(-2.0 * log_sd))
            values[where] = share * found.values
            total += found.log_det + 2.0 * each.n * float(log_sd)
            if rates is None:
                continue
            assert found.value_slopes is not None
            rates[at, where] = share * found.value_slopes
            log_det_slopes[at] = found.log_det_slopes
            if k:
                rates[k - 1, where] = -2.0 * values[where]
                log_det_slopes[k - 1] = 2.0 * each.n
        return At(values, total, rates, log_det_slopes) if slopes else At(values, total)

    def times(self, t: Array, v: Array) -> Array:
        out = np.empty(v.shape)
        for k, log_sd in enumerate(self.structure._log_sd(t)):
            at = self.levels[k]
            part = self.inner[k].times(t[self.structure.t_of[k]], v[at])
            out[at] = np.exp(2.0 * log_sd) * part
        return out

    def diagonal(self, t: Array) -> Array:
        out = np.empty(self.n)
        for k, log_sd in enumerate(self.structure._log_sd(t)):
            part = self.inner[k].diagonal(t[self.structure.t_of[k]])
            out[self.levels[k]] = np.exp(2.0 * log_sd) * part
        return out

    def starts(self) -> list[Array]:
        return self._together(np.zeros(self.structure.n_sd), [each.starts() for each in self.inner])

    def starts_from(self, residual: Array) -> list[Array]:
        sizes = [float(np.sqrt(np.mean(residual[rows] ** 2))) or 1.0 for rows in self.rows_of]
        log_sd = np.log(np.array(sizes[1:]) / sizes[0])
        found = [
            each.starts_from(residual[rows] / size)
            for each, rows, size in zip(self.inner, self.rows_of, sizes, strict=True)
        ]
        return self._together(log_sd, found)

    def _together(self, log_sd: Array, found: list[list[Array]]) -> list[Array]:
        most = min(max(map(len, found)), MAX_STARTS)
        return [np.concatenate([log_sd, *(p[min(i, len(p) - 1)] for p in found)]) for i in range(most)]

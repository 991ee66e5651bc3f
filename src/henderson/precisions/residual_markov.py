"""ar1, ou and exp of one coordinate: the precision has three diagonals in the order of time. O(n).

With a the correlation over the gap before a row and v = 1 - a^2 (v = 1, a = 0 in the first row of a series), and a', v' those
of the gap behind it,

    Q_ii = 1 / v + a'^2 / v',     Q_i,i-1 = -a / v,     log|C| = sum of log v.
"""

from __future__ import annotations

import numpy as np

from ..residuals.base import NotPositiveDefinite
from ..residuals.serial import AR1, Markov
from .base import At
from .residual_base import OfStructure

Array = np.ndarray


class Chain(OfStructure):
    """A stationary first-order process along time, a series for each group."""

    structure: Markov

    def __init__(self, structure: Markov):
        n = structure._n_rows
        super().__init__(structure, n)
        none = len(structure.gaps)
        before, behind = np.full(n, none), np.full(n, none)
        before[structure.later] = structure.gap_of
        behind[structure.later - 1] = structure.gap_of
        kinds, diagonal = np.unique(before * (none + 1) + behind, return_inverse=True)
        self.before, self.behind = np.divmod(kinds, none + 1)
        own = np.arange(n)
        rows = np.concatenate([own, structure.later])
        cols = np.concatenate([own, structure.later - 1])
        classes = np.concatenate([diagonal, len(kinds) + structure.gap_of])
        self.pattern(rows, cols, classes, len(kinds) + none, structure.order)

    def distinct(self, t: Array, slopes: bool = False) -> At:
        decay = self.structure.decay(t)
        values, rates = tridiagonal(decay.a, decay.v, decay.slope, self.before, self.behind)
        log_det, log_det_slope = self.structure.log_det(decay)
        return At(values, log_det, rates[None], log_det_slope) if slopes else At(values, log_det)

    def times(self, t: Array, v: Array) -> Array:
        """C v as the solution of Q x = v, tridiagonal."""
        from scipy.linalg import solveh_banded

        decay = self.structure.decay(t)
        values, _ = tridiagonal(decay.a, decay.v, decay.slope, self.before, self.behind)
        each = values[self.classes]
        band = np.zeros((2, self.n))
        band[1] = each[: self.n]
        band[0, self.structure.later] = each[self.n :]
        return self.unsorted(solveh_banded(band, self.sorted(v), check_finite=False))

    def starts(self) -> list[Array]:
        if not isinstance(self.structure, AR1):
            return self.structure.starts(np.zeros(self.n))[:2]
        gap = self.structure.common_gap
        return [np.arctanh([phi ** (1.0 / gap)]) for phi in (0.4, 0.8, 0.1)]


def tridiagonal(a: Array, v: Array, slope: Array, before: Array, behind: Array) -> tuple[Array, Array]:
    """Distinct entries of a chain's precision, and their derivatives: the diagonal of each kind of row (which gap lies before
    and behind it, len(a) for none), then beside the diagonal that of each gap."""
    if not (v > 0).all():
        raise NotPositiveDefinite("a correlation is 1")
    share, rate = a * a / v, 2.0 * a * slope / v**2
    share, rate = np.append(share, 0.0), np.append(rate, 0.0)
    diagonal = 1.0 + share[before] + share[behind]
    values = np.concatenate([diagonal, -a / v])
    return values, np.concatenate([rate[before] + rate[behind], -slope * (1.0 + a * a) / v**2])

"""Markov correlations in time: ar1 in whole steps, ou (and exp of one coordinate) in continuous time. O(n).

A row given the row before it, d time units ago, is independent of all earlier ones: with a = phi^d and v = 1 - a^2,

    (W m)_i = (m_i - a m_{i-1}) / sqrt(v),      log|C| = sum of log v,

the first row of a series as it is. The rows meet phi through three k x k sums for each distinct gap, formed once (`bind`).
With b = 1 - a, m_i - a m_{i-1} = (m_i - m_{i-1}) + b m_{i-1}, which keeps its digits where a is near 1.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..errors import ModelError
from .base import Bound, CrossProducts, Layout, Parameter, Structure
from .order import Series, require_whole, series

_EDGE = 1e-6
"""1 - |phi| below which phi is reported as at its bound."""
_FEW = 24
"""Distinct gaps up to which sums are formed once for each."""


class Decay(NamedTuple):
    """For each distinct gap d (u,)."""

    a: np.ndarray
    """Correlation of rows d apart."""
    b: np.ndarray
    """1 - a, with its digits."""
    v: np.ndarray
    """1 - a^2, with its digits."""
    slope: np.ndarray
    """da/dt."""


class Markov(Structure):
    """A stationary first-order process; subclasses say how correlation falls with time (`decay`)."""

    def __init__(self, layout: Layout, sorted_rows: Series):
        self._n_rows = layout.n
        self.order, self.first, gaps = sorted_rows
        self.gaps, self.gap_of = np.unique(gaps[~self.first], return_inverse=True)
        self.counts = np.bincount(self.gap_of)
        self.later = np.flatnonzero(~self.first)
        self.text = layout.text

    def decay(self, t: np.ndarray) -> Decay:
        raise NotImplementedError

    def log_det(self, at: Decay) -> tuple[float, np.ndarray]:
        """log|C| and its derivative (1,)."""
        return (
            float(self.counts @ np.log(at.v)),
            np.array([self.counts @ (-2.0 * at.a * at.slope / at.v)]),
        )

    def whiten(self, t: np.ndarray, m: np.ndarray) -> tuple[np.ndarray, float]:
        at = self.decay(t)
        out = np.array(m, dtype=np.float64)
        before = m[self.later - 1]
        if len(self.gaps) == 1:
            out[self.later] = ((m[self.later] - before) + at.b[0] * before) / np.sqrt(at.v[0])
        else:
            z = (m[self.later] - before) + at.b[self.gap_of, None] * before
            out[self.later] = z / np.sqrt(at.v)[self.gap_of, None]
        return out, self.log_det(at)[0]

    def cross_products(self, t: np.ndarray, m: np.ndarray, slopes: bool) -> CrossProducts:
        at = self.decay(t)
        starts, before = m[self.first], m[self.later - 1]
        z = (m[self.later] - before) + at.b[self.gap_of, None] * before
        over = z / at.v[self.gap_of, None]
        log_det, log_det_slope = self.log_det(at)
        products = starts.T @ starts + over.T @ z
        if not slopes:
            return CrossProducts(products, log_det)
        half = over.T @ (
            (at.a * at.slope / at.v)[self.gap_of, None] * z - at.slope[self.gap_of, None] * before
        )
        return CrossProducts(products, log_det, (half + half.T)[None], log_det_slope)

    def bind(self, m: np.ndarray) -> Bound:
        return _Sums(self, m) if len(self.gaps) <= _FEW else super().bind(m)

    def moment(self, residual: np.ndarray) -> float:
        """Correlation of neighbours at the commonest gap."""
        common = self.gap_of == int(np.argmax(self.counts))
        here = residual[self.later[common]]
        before = residual[self.later[common] - 1]
        size = np.sqrt((here @ here) * (before @ before))
        return float(here @ before / size) if size > 0 else 0.0

    @property
    def common_gap(self) -> float:
        """The gap that occurs most."""
        return float(self.gaps[int(np.argmax(self.counts))])


class _Sums(Bound):
    """The rows as sums: firsts'firsts, and for each gap d'd, d'p and p'p of differences d and the rows before p.

    Where a < 0, with sums s of neighbours in place of differences: m_i - a m_{i-1} = s - (1 + a) m_{i-1}.
    """

    def __init__(self, structure: Markov, m: np.ndarray):
        self.structure = structure
        self.m = m
        starts = m[structure.first]
        self.starts = starts.T @ starts
        self._sums: dict[bool, list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = {}

    def sums(self, negative: bool) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        if negative not in self._sums:
            self._sums[negative] = self._form(1.0 if negative else -1.0)
        return self._sums[negative]

    def _form(self, sign: float) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        structure, m, out = self.structure, self.m, []
        for u in range(len(structure.gaps)):
            at = structure.later if len(structure.gaps) == 1 else structure.later[structure.gap_of == u]
            before = m[at - 1]
            change = m[at] + sign * before
            out.append((change.T @ change, change.T @ before, before.T @ before))
        return out

    def at(self, t: np.ndarray, slopes: bool) -> CrossProducts:
        structure = self.structure
        decay = structure.decay(t)
        products = self.starts.copy()
        slope = np.zeros_like(products)
        for u, (a, b, v, da) in enumerate(zip(*decay, strict=True)):
            cc, cp, pp = self.sums(bool(a < 0))[u]
            f = -(1.0 + a) if a < 0 else b
            zz = cc + f * (cp + cp.T) + f * f * pp
            products += zz / v
            if slopes:
                zp = cp + f * pp
                slope += (2.0 * a * da / v**2) * zz - (da / v) * (zp + zp.T)
        log_det, log_det_slope = structure.log_det(decay)
        if not slopes:
            return CrossProducts(products, log_det)
        return CrossProducts(products, log_det, slope[None], log_det_slope)


class AR1(Markov):
    """Correlation phi^|d| of rows d whole steps apart, -1 < phi < 1; t = arctanh(phi)."""

    name = "ar1"
    parameters = (Parameter("phi"),)

    def __init__(self, layout: Layout, sorted_rows: Series):
        super().__init__(layout, sorted_rows)
        even = bool((self.gaps % 2 == 0).all())
        # Where every gap is even, phi and -phi are the same model.
        self.lower = np.array([0.0 if even else -np.inf])
        self.upper = np.array([np.inf])

    def starts(self, residual: np.ndarray) -> list[np.ndarray]:
        r = min(max(self.moment(residual), -0.95), 0.95)
        phi = np.sign(r) * abs(r) ** (1.0 / self.common_gap)
        if self.lower[0] == 0.0:
            phi = max(phi, 0.1)
        return [np.arctanh([phi]), np.arctanh([0.5])]

    def natural(self, t: np.ndarray) -> np.ndarray:
        return np.tanh(t)

    def coordinates(self, natural: np.ndarray) -> np.ndarray:
        if not abs(natural[0]) < 1:
            raise ModelError(f"{self.text}: phi is between -1 and 1, not {natural[0]:g}.")
        return np.arctanh(natural)

    def decay(self, t: np.ndarray) -> Decay:
        d, x = self.gaps, float(t[0])
        phi, size = np.tanh(x), abs(x)
        with np.errstate(divide="ignore"):
            log_phi = np.log1p(-2.0 / (np.exp(min(2.0 * size, 700.0)) + 1.0)) if size > 0 else -np.inf
        sign = np.where(d % 2 == 1, np.sign(phi), 1.0)
        a = sign * np.exp(d * log_phi)
        left = 1.0 / np.cosh(min(size, 350.0)) ** 2
        slope = d * left * np.where(d == 1, 1.0, phi ** (d - 1.0))
        b = np.where(sign > 0, -np.expm1(d * log_phi), 1.0 - a)
        return Decay(a, b, -np.expm1(2.0 * d * log_phi), slope)

    def edges(self, t: np.ndarray) -> list[tuple[int, str]]:
        phi = float(np.tanh(t[0]))
        if 1.0 - abs(phi) < _EDGE:
            return [(0, f"phi of {self.text} is estimated as {np.sign(phi):.0f}, on the boundary")]
        if t[0] <= self.lower[0]:
            return [(0, f"phi of {self.text} is estimated as 0, on the boundary")]
        return []

    def correlation_at(self, t: np.ndarray, *lags: np.ndarray) -> np.ndarray:
        return np.tanh(t[0]) ** np.abs(lags[0])


class OU(Markov):
    """Correlation exp(-d / range) = phi^d of rows d apart in continuous time; t = log(range / commonest gap)."""

    def __init__(self, layout: Layout, sorted_rows: Series, reports: str):
        super().__init__(layout, sorted_rows)
        self.name = "exp" if reports == "range" else "ou"
        self.reports = reports
        self.parameters = (Parameter(reports),)
        self.scale = self.common_gap if len(self.gaps) <= _FEW else float(np.median(self.gaps[self.gap_of]))
        self.lower, self.upper = np.array([-np.inf]), np.array([np.inf])

    def starts(self, residual: np.ndarray) -> list[np.ndarray]:
        return [np.array([x]) for x in (0.5, 2.0, 3.5, -0.7)]

    def natural(self, t: np.ndarray) -> np.ndarray:
        reach = self.scale * np.exp(t)
        return reach if self.reports == "range" else np.exp(-1.0 / reach)

    def coordinates(self, natural: np.ndarray) -> np.ndarray:
        value = float(natural[0])
        if self.reports == "range":
            if not value > 0:
                raise ModelError(f"{self.text}: the range is positive, not {value:g}.")
            return np.log(natural / self.scale)
        if not 0 < value < 1:
            raise ModelError(
                f"{self.text}: phi, the correlation one unit of time apart, is between 0 and 1, not {value:g}."
            )
        return np.log(-1.0 / np.log(natural) / self.scale)

    def decay(self, t: np.ndarray) -> Decay:
        x = (self.gaps / self.scale) * np.exp(-float(t[0]))
        a = np.exp(-x)
        return Decay(a, -np.expm1(-x), -np.expm1(-2.0 * x), x * a)

    def edges(self, t: np.ndarray) -> list[tuple[int, str]]:
        a = self.decay(t).a
        what = f"the {'range' if self.reports == 'range' else 'correlation phi'} of {self.text}"
        if a[0] < _EDGE:
            return [(0, f"{what} is estimated as 0, on the boundary: no correlation at the shortest gap")]
        if 1.0 - a[-1] < _EDGE:
            limit = "infinite" if self.reports == "range" else "1"
            return [(0, f"{what} is estimated as {limit}, on the boundary")]
        return []

    def correlation_at(self, t: np.ndarray, *lags: np.ndarray) -> np.ndarray:
        return np.exp(-np.abs(lags[0]) / (self.scale * np.exp(t[0])))


def build(layout: Layout) -> Structure:
    """ar1, ou, or exp of one coordinate; with a nugget as a state-space model."""
    factor = layout.factors[0]
    if factor.structure == "ar1":
        require_whole(layout, factor, "ou takes any time: write ou in place of ar1.")
    sorted_rows = series(layout)
    if factor.structure == "ar1":
        markov: Markov = AR1(layout, sorted_rows)
    else:
        markov = OU(layout, sorted_rows, "range" if factor.structure == "exp" else "phi")
    if not layout.nugget:
        return markov
    from .statespace import with_nugget

    return with_nugget(layout, sorted_rows, markov)

"""Serial correlations with a state: arma, and ar1 or ou beside a nugget. O(n) by the Kalman filter.

A stationary state x of variance P0 passes over a gap d by T^d, and a row sees its first element and independent noise:

    e_i = x_i[0] + noise,   Var(x_i[0]) = 1 - nugget,   Var(noise) = nugget,
    P <- P0 + T^d (P - P0) T^d',   F = P[0, 0] + nugget,   gain = P[:, 0] / F

The innovations over sqrt(F) are W m, and log|C| the sum of log F. Short series go side by side, one step of all of them at a
time; long ones one after the other in compiled code. Every operation is analytic, so derivatives are taken by a step along the
imaginary axis, exact to rounding (Squire & Trapp 1998).

Sources: Harvey (1989), section 3.4; Jones (1980) for gaps.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from ..errors import ModelError
from .base import CrossProducts, Layout, NotPositiveDefinite, Parameter, Structure
from .order import Series
from .serial import Markov

_STEP = 1e-30
_LONG = 400
"""Rows of a series above which compiled code pays its start."""
_FEW_ROWS = 2000
_EDGE = 1e-7


class Signal(ABC):
    """The correlated part: transitions over each distinct gap and the stationary variance of the state."""

    name: str
    parameters: tuple[Parameter, ...]
    lower: np.ndarray
    upper: np.ndarray
    separable: bool
    followed: int = 3

    @abstractmethod
    def model(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """T^d (gaps, r, r) and P0 (r, r) with P0[0, 0] = 1, of real or complex t."""

    @abstractmethod
    def starts(self, moment: float) -> list[np.ndarray]:
        """moment : correlation of neighbours."""

    @abstractmethod
    def natural(self, t: np.ndarray) -> np.ndarray: ...

    @abstractmethod
    def coordinates(self, natural: np.ndarray) -> np.ndarray: ...

    @abstractmethod
    def edges(self, t: np.ndarray) -> list[tuple[int, str]]: ...


class StateSpace(Structure):
    """C of a signal, with or without a nugget. t: the signal's, then the nugget, 0 to 1."""

    def __init__(self, layout: Layout, sorted_rows: Series, signal: Signal, gap_of: np.ndarray):
        self._n_rows = layout.n
        self.signal, self.text, self.name = signal, layout.text, signal.name
        self.nugget = layout.nugget
        extra = (Parameter("nugget"),) if layout.nugget else ()
        self.parameters = signal.parameters + extra
        self.lower = np.append(signal.lower, np.zeros(len(extra)))
        self.upper = np.append(signal.upper, np.ones(len(extra)))
        self.separable = signal.separable
        # Random starts serve where they are cheap.
        self.followed = signal.followed if layout.n <= _FEW_ROWS else 3
        self.shares = (len(signal.lower),) if layout.nugget else ()
        starts = np.flatnonzero(sorted_rows.first)
        counts = np.diff(np.append(starts, layout.n))
        self.long = int(counts.max()) > _LONG
        self._neighbours = np.flatnonzero(~sorted_rows.first)
        if self.long:
            self.order = sorted_rows.order
            self.bounds, self.gap_of = np.append(starts, layout.n), gap_of
        else:
            self._side_by_side(sorted_rows, starts, counts, gap_of)
        self.to_series = self._to_series(sorted_rows)

    def _side_by_side(
        self, sorted_rows: Series, starts: np.ndarray, counts: np.ndarray, gap_of: np.ndarray
    ) -> None:
        """Rows by their place in the series, longest series first: those of one step are one slice."""
        n = self._n_rows
        step = np.arange(n) - np.repeat(starts, counts)
        rank = np.empty(len(counts), dtype=np.int64)
        rank[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
        by_step = np.lexsort((np.repeat(rank, counts), step))
        self.by_step = by_step
        self.order = by_step if sorted_rows.order is None else sorted_rows.order[by_step]
        self.ends = np.cumsum(np.bincount(step))
        self.gap_of = gap_of[by_step]
        self.one_gap = len(np.unique(gap_of[~sorted_rows.first])) <= 1

    def _to_series(self, sorted_rows: Series) -> np.ndarray | None:
        """Places of the rows of each series, one after the other, in the structure's order."""
        if self.long:
            return None
        out = np.empty(self._n_rows, dtype=np.int64)
        out[self.by_step] = np.arange(self._n_rows)
        return out

    # -- parameters --------------------------------------------------------------------------------------

    def starts(self, residual: np.ndarray) -> list[np.ndarray]:
        rows = residual if self.to_series is None else residual[self.to_series]
        here, before = rows[self._neighbours], rows[self._neighbours - 1]
        size = float(np.sqrt((here @ here) * (before @ before)))
        moment = float(here @ before) / size if size > 0 else 0.0
        found = self.signal.starts(min(max(moment, -0.9), 0.9))
        return [np.append(t, 0.2) for t in found] if self.nugget else found

    def natural(self, t: np.ndarray) -> np.ndarray:
        k = len(self.signal.lower)
        return np.append(self.signal.natural(t[:k]), t[k:])

    def coordinates(self, natural: np.ndarray) -> np.ndarray:
        k = len(self.signal.lower)
        if self.nugget and not 0 <= natural[k] <= 1:
            raise ModelError(f"{self.text}: the nugget is between 0 and 1, not {natural[k]:g}.")
        return np.append(self.signal.coordinates(natural[:k]), natural[k:])

    def edges(self, t: np.ndarray) -> list[tuple[int, str]]:
        k = len(self.signal.lower)
        out = self.signal.edges(t[:k])
        if self.nugget and t[k] <= 0:
            out = [*out, (k, f"the nugget of {self.text} is estimated as 0, on the boundary")]
        if self.nugget and t[k] >= 1.0 - _EDGE:
            all_noise = (
                f"the nugget of {self.text} is estimated as 1, on the boundary: the rest is not identifiable"
            )
            return [(j, all_noise) for j in range(k + 1)]
        return out

    # -- rows --------------------------------------------------------------------------------------------

    def whiten(self, t: np.ndarray, m: np.ndarray) -> tuple[np.ndarray, float]:
        white, log_det = self._filter(t, m)
        return white, float(log_det)

    def cross_products(self, t: np.ndarray, m: np.ndarray, slopes: bool) -> CrossProducts:
        white, log_det = self._filter(t, m)
        products = white.T @ white
        if not slopes:
            return CrossProducts(products, float(log_det))
        product_slopes, log_det_slopes = [], []
        for j in range(len(t)):
            moved = t.astype(complex)
            moved[j] += 1j * _STEP
            turned, log_det_turned = self._filter(moved, m)
            half = white.T @ (turned.imag / _STEP)
            product_slopes.append(half + half.T)
            log_det_slopes.append(log_det_turned.imag / _STEP)
        return CrossProducts(products, float(log_det), np.array(product_slopes), np.array(log_det_slopes))

    def _filter(self, t: np.ndarray, m: np.ndarray) -> tuple[np.ndarray, Any]:
        k = len(self.signal.lower)
        powers, stationary = self.signal.model(t[:k])
        noise = t[k] if self.nugget else t.dtype.type(0.0)
        stationary = stationary * (1.0 - noise)
        if not self.long:
            return self._step_by_step(powers, stationary, noise, m)
        from .filter_kernel import filter_series

        kind = t.dtype
        rows = np.ascontiguousarray(m, dtype=kind)
        out = np.empty_like(rows)
        log_det = filter_series(
            self.bounds,
            self.gap_of,
            np.ascontiguousarray(powers, dtype=kind),
            np.ascontiguousarray(stationary, dtype=kind),
            kind.type(noise),
            rows,
            out,
        )
        if not np.isfinite(log_det):
            raise NotPositiveDefinite("an innovation has no variance")
        return out, log_det

    def _step_by_step(
        self, powers: np.ndarray, stationary: np.ndarray, noise: complex, m: np.ndarray
    ) -> tuple[np.ndarray, Any]:
        out = np.empty(m.shape, dtype=powers.dtype)
        active = int(self.ends[0])
        lead = 1 if self.one_gap else active
        spread = np.broadcast_to(stationary, (lead, *stationary.shape))
        state = np.zeros((active, len(stationary), m.shape[1]), dtype=powers.dtype)
        log_det, start = powers.dtype.type(0.0), 0
        for stop in self.ends:
            active = stop - start
            if start:
                state = state[:active]
                spread = spread if self.one_gap else spread[:active]
                gap = self.gap_of[start : start + 1] if self.one_gap else self.gap_of[start:stop]
                move = powers[gap]
                state = move @ state
                spread = stationary + move @ (spread - stationary) @ move.transpose(0, 2, 1)
            size = spread[:, 0, 0] + noise
            if not (size.real > 0).all():
                raise NotPositiveDefinite("an innovation has no variance")
            gain = spread[:, :, 0] / size[:, None]
            error = m[start:stop] - state[:, 0]
            out[start:stop] = error / np.sqrt(size)[:, None]
            state = state + gain[:, :, None] * error[:, None, :]
            spread = spread - gain[:, :, None] * spread[:, :1]
            log_det = log_det + np.sum(np.log(size)) * (active if self.one_gap else 1)
            start = stop
        return out, log_det


class MarkovSignal(Signal):
    """ar1 or ou as the signal."""

    def __init__(self, markov: Markov):
        self.markov = markov
        self.name, self.parameters = markov.name, markov.parameters
        self.lower, self.upper, self.separable = markov.lower, markov.upper, True

    def model(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        decay = self.markov.decay(t.real)
        a = decay.a + (1j * t.imag[0] * decay.slope if np.iscomplexobj(t) else 0.0)
        return a[:, None, None], np.ones((1, 1), dtype=a.dtype)

    def starts(self, moment: float) -> list[np.ndarray]:
        if self.name == "ar1":
            return [np.array([x]) for x in (1.2, 0.5, *(() if self.lower[0] == 0 else (-0.5,)))]
        return [np.array([x]) for x in (1.5, 3.0, 0.3)]

    def natural(self, t: np.ndarray) -> np.ndarray:
        return self.markov.natural(t)

    def coordinates(self, natural: np.ndarray) -> np.ndarray:
        return self.markov.coordinates(natural)

    def edges(self, t: np.ndarray) -> list[tuple[int, str]]:
        return self.markov.edges(t)


def with_nugget(layout: Layout, sorted_rows: Series, markov: Markov) -> StateSpace:
    """ar1 or ou beside (1 | units)."""
    gap_of = np.zeros(layout.n, dtype=np.int64)
    gap_of[markov.later] = markov.gap_of
    return StateSpace(layout, sorted_rows, MarkovSignal(markov), gap_of)


def distinct_gaps(sorted_rows: Series) -> tuple[np.ndarray, np.ndarray]:
    """The gaps that occur (u,), and which of them is before each row (n,)."""
    gap_of = np.zeros(len(sorted_rows.gaps), dtype=np.int64)
    gaps, gap_of[~sorted_rows.first] = np.unique(sorted_rows.gaps[~sorted_rows.first], return_inverse=True)
    return gaps, gap_of

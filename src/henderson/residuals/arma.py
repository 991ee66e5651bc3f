"""arma(p, q): autoregressive moving-average correlation in whole steps of time, with gaps.

    e_t = phi1 e_{t-1} + ... + phip e_{t-p} + a_t + theta1 a_{t-1} + ... + thetaq a_{t-q}

t is arctanh of the partial autocorrelations of either part, so that the process is stationary and invertible for every t
(Barndorff-Nielsen & Schou 1973). The state is Harvey's, of max(p, q + 1) elements.
"""

from __future__ import annotations

import numpy as np

from ..errors import ModelError
from .base import Layout, NotPositiveDefinite, Parameter, Structure
from .dense_series import LaggedSignal, fitting
from .order import one_time, require_whole, series
from .statespace import distinct_gaps

MAX_ORDER = 12
_EDGE = 1e-6
_PERTURBED, _SPREAD = 8, 0.8
"""Starts at random where p + q > 2 makes several maxima likely, and their standard deviation."""


class Arma(LaggedSignal):
    """The state-space form."""

    name = "arma"

    def __init__(self, p: int, q: int, gaps: np.ndarray, text: str):
        self.p, self.q, self.gaps, self.text = p, q, gaps.astype(int), text
        names = [f"phi{i + 1}" for i in range(p)] + [f"theta{i + 1}" for i in range(q)]
        self.parameters = tuple(map(Parameter, names))
        self.lower, self.upper = np.full(p + q, -np.inf), np.full(p + q, np.inf)
        self.separable = p <= 1 and q <= 1
        self.followed = 3 if p + q <= 2 else 3 + _PERTURBED

    def natural(self, t: np.ndarray) -> np.ndarray:
        partial = np.tanh(t)
        return np.append(_coefficients(partial[: self.p]), -_coefficients(partial[self.p :]))

    def coordinates(self, natural: np.ndarray) -> np.ndarray:
        return np.append(
            self._partial(natural[: self.p], "phi", "stationary"),
            self._partial(-natural[self.p :], "theta", "invertible"),
        )

    def _partial(self, coefficients: np.ndarray, name: str, wanted: str) -> np.ndarray:
        phi, out = np.array(coefficients, dtype=np.float64), np.zeros(len(coefficients))
        for i in range(len(phi) - 1, -1, -1):
            a = out[i] = phi[i]
            if not abs(a) < 1:
                raise ModelError(
                    f"{self.text}: the {name} given are not those of a process that is {wanted}."
                )
            phi = (phi[:i] + a * phi[:i][::-1]) / (1.0 - a * a)
        return np.arctanh(out)

    def starts(self, moment: float) -> list[np.ndarray]:
        out = []
        for first, theta in ((moment, 0.0), (0.8, -0.4), (0.4, 0.4), (-0.4, 0.2)):
            partial = np.zeros(self.p + self.q)
            partial[: min(self.p, 1)] = first
            partial[self.p : self.p + 1] = -theta if self.p else -moment
            out.append(np.arctanh(partial))
        if self.p + self.q > 2:
            out += list(np.random.default_rng(0).normal(0.0, _SPREAD, (_PERTURBED, len(out[0]))))
        return out

    def edges(self, t: np.ndarray) -> list[tuple[int, str]]:
        close = np.abs(np.tanh(t)) > 1.0 - _EDGE
        out: list[tuple[int, str]] = []
        if close[: self.p].any():
            said = f"the autoregressive part of {self.text} is estimated as not stationary, on the boundary"
            out += [(j, said) for j in range(self.p)]
        if close[self.p :].any():
            said = f"the moving-average part of {self.text} is estimated as not invertible, on the boundary"
            out += [(self.p + j, said) for j in range(self.q)]
        return out

    def model(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        step, stationary = self._state(t)
        powers = np.stack([np.linalg.matrix_power(step, int(d)) for d in self.gaps])
        return powers, stationary

    def correlations(self, t: np.ndarray, longest: int) -> np.ndarray:
        step, stationary = self._state(t)
        out = np.empty(longest + 1, dtype=step.dtype)
        state = stationary[:, 0]
        for lag in range(longest + 1):
            out[lag] = state[0]
            state = step @ state
        return out

    def _state(self, t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The transition over one step and the variance of the state, (r, r)."""
        natural = self.natural(t)
        r = max(self.p, self.q + 1)
        step = np.zeros((r, r), dtype=natural.dtype)
        step[: self.p, 0] = natural[: self.p]
        step[np.arange(r - 1), np.arange(1, r)] = 1.0
        shock = np.zeros(r, dtype=natural.dtype)
        shock[0] = 1.0
        shock[1 : self.q + 1] = natural[self.p :]
        equations = np.eye(r * r) - np.kron(step, step)
        try:
            stationary = np.linalg.solve(equations, np.outer(shock, shock).ravel()).reshape(r, r)
        except np.linalg.LinAlgError:
            raise NotPositiveDefinite("the process is not stationary") from None
        return step, 0.5 * (stationary + stationary.T) / stationary[0, 0]


def _coefficients(partial: np.ndarray) -> np.ndarray:
    """Coefficients of an autoregression with these partial autocorrelations (Durbin and Levinson's recursion)."""
    phi = partial[:0]
    for a in partial:
        phi = np.append(phi - a * phi[::-1], a)
    return phi


def build(layout: Layout) -> Structure:
    """arma(0 + time | group, p=1, q=1)."""
    factor = one_time(layout)
    p, q = int(factor.options.get("p", 0)), int(factor.options.get("q", 0))
    if p + q == 0:
        raise ModelError(f"{layout.text}: arma needs its orders: write arma(... | ..., p=1, q=1).")
    if max(p, q) > MAX_ORDER:
        raise ModelError(f"{layout.text}: orders are at most {MAX_ORDER}.")
    require_whole(layout, factor, "ou takes any time: write ou in place of arma.")
    sorted_rows = series(layout)
    gaps, gap_of = distinct_gaps(sorted_rows)
    return fitting(layout, sorted_rows, Arma(p, q, gaps, layout.text), gap_of)

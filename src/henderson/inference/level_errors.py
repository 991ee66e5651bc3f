"""Prediction errors of one effect over the levels of a term: variances of differences between levels, and whole matrices.

    PEV = Var(u^ - u) = s2 W' C^-1 W,     W: which equations make the effect of each level

The mean over all pairs of n levels needs two numbers alone, not the pairs:

    mean_{i<j} Var(d_i - d_j) = 2 / (n - 1) (tr P - 1'P 1 / n),     P = Var(d)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ModelError
from ..sparse.threads import one_blas_thread
from .components import is_structured
from .genetic import Group

Array = np.ndarray
MOST = 4_000
"""Levels up to which a whole matrix among them is made."""
_CHUNK = 20_000_000
"""Numbers of right sides solved for at once."""


class LevelErrors:
    """Effect number j of a group of terms.

    levels : (n,) numbers of the levels that are looked at.
    """

    def __init__(self, fit: Any, group: Group, j: int, levels: Array):
        self.fit, self.group, self.j, self.levels = fit, group, j, levels
        self.solution = fit.solution
        self.system = fit.solution.problem.system
        self.structured = is_structured(fit)

    # -- sums over pairs -------------------------------------------------------------------------------------------

    def mean_prediction_error(self) -> float:
        """Mean over the pairs of Var((u^_i - u^_j) - (u_i - u_j))."""
        return mean_of_differences(self._trace(), self._quadratic(), len(self.levels))

    def mean_prior(self) -> float:
        """Mean over the pairs of Var(u_i - u_j): 2 sigma^2 for independent levels."""
        trace = total = 0.0
        ones = np.zeros(len(self.group.levels))
        ones[self.levels] = 1.0
        for k in self.group.terms:
            variance = float(self.solution.covariances[k][self.j, self.j])
            if variance == 0.0:
                continue
            diagonal = self.prior_diagonal(k)
            trace += variance * float(diagonal[self.levels].sum())
            total += variance * float(ones @ self.prior_times(k, ones[:, None])[:, 0])
        return mean_of_differences(trace, total, len(self.levels))

    def _trace(self) -> float:
        if len(self.group.terms) == 1:
            blocks = self.solution.prediction_error[self.group.terms[0]]
            return float(blocks[self.levels, self.j, self.j].sum())
        out = 0.0
        with self.system.lock, one_blas_thread():
            self.solution.factorised()
            for chunk in self._chunks():
                half = self.system.half_solve(self.weights(self._identity(chunk)))
                out += float(np.vdot(half, half))
        return out * self.solution.scale2 + self._untold_sums()[0]

    def _quadratic(self) -> float:
        row = np.zeros((1, len(self.group.levels)))
        row[0, self.levels] = 1.0
        with self.system.lock, one_blas_thread():
            self.solution.factorised()
            half = self.system.half_solve(self.weights(row))
        return float(np.vdot(half, half)) * self.solution.scale2 + self._untold_sums()[1]

    def _untold_sums(self) -> tuple[float, float]:
        """Trace and sum over the levels of what `_untold` is."""
        trace = total = 0.0
        for variance, unseen, between in self._untold():
            mine = np.isin(unseen, self.levels)
            block = between[np.ix_(mine, mine)]
            trace, total = trace + variance * float(np.trace(block)), total + variance * float(block.sum())
        return trace, total

    def _untold(self) -> list[tuple[float, Array, Array]]:
        """Of each term with levels without records beside a rotated K: its variance, those levels, and the covariance (relative to
        it) that the levels with records do not tell of them."""
        out = []
        for k in self.group.terms if self.structured else ():
            term = self.solution.terms[k]
            if term.alone is not None:
                variance = float(self.solution.covariances[k][self.j, self.j])
                out.append((variance, np.flatnonzero(term.alone), term.between))
        return out

    # -- matrices --------------------------------------------------------------------------------------------------

    def prediction_error(self) -> Array:
        """PEV among the levels, (n, n), by solves in chunks."""
        self.require_few()
        out = np.empty((len(self.levels), len(self.levels)))
        with self.system.lock, one_blas_thread():
            self.solution.factorised()
            at = 0
            for chunk in self._chunks():
                solved = self.system.solve(self.weights(self._identity(chunk)))
                out[:, at : at + len(chunk)] = self.solution.scale2 * self._gather(solved)[self.levels]
                at += len(chunk)
        place = np.full(len(self.group.levels), -1)
        place[self.levels] = np.arange(len(self.levels))
        for variance, unseen, between in self._untold():
            mine = np.flatnonzero(place[unseen] >= 0)
            out[np.ix_(place[unseen[mine]], place[unseen[mine]])] += variance * between[np.ix_(mine, mine)]
        return 0.5 * (out + out.T)

    def prior(self) -> Array:
        """Var(u) among the levels, (n, n)."""
        self.require_few()
        out = np.zeros((len(self.levels), len(self.levels)))
        for k in self.group.terms:
            variance = float(self.solution.covariances[k][self.j, self.j])
            for a in range(0, len(self.levels), 500):
                chunk = self.levels[a : a + 500]
                out[:, a : a + len(chunk)] += (
                    variance * self.prior_times(k, self._identity(chunk).T)[self.levels]
                )
        return 0.5 * (out + out.T)

    def require_few(self) -> None:
        """Refuse matrices of too many levels.

        Raises
        ------
        ModelError.
        """
        if len(self.levels) > MOST:
            raise ModelError(
                f"heritability: {self.group.text} has {len(self.levels)} levels, and the whole matrix of their prediction errors "
                f'is made for up to {MOST}. method="cullis" needs no such matrix.'
            )

    def _chunks(self) -> list[Array]:
        step = max(1, _CHUNK // max(self.system.q + self.system.p, 1))
        return [self.levels[a : a + step] for a in range(0, len(self.levels), step)]

    def _identity(self, chunk: Array) -> Array:
        out = np.zeros((len(chunk), len(self.group.levels)))
        out[np.arange(len(chunk)), chunk] = 1.0
        return out

    # -- equations -------------------------------------------------------------------------------------------------

    def _row_of(self, k: int) -> Array:
        """How the columns of T make the effect, (r,), in units of the residual standard deviation."""
        solution = self.solution
        back = solution.terms[k].back if self.structured else solution.coordinates.back[k]
        return np.asarray(back @ solution.point.factors[k])[self.j]

    def _places(self, k: int) -> tuple[int, Array | None]:
        lift = self.solution.terms[k].lift if self.structured else None
        offsets = self.system.offsets if self.structured else self.solution.products.offsets
        return int(offsets[k]), lift

    def weights(self, rows: Array) -> Array:
        """w (q + p, n) of combinations of the effect over the levels, rows (n, all levels): Var = s2 w' C^-1 w."""
        out = np.zeros((self.system.q + self.system.p, len(rows)))
        for k in self.group.terms:
            lo, lift = self._places(k)
            own = rows if lift is None else rows @ lift
            row = self._row_of(k)
            q, r = own.shape[1], len(row)
            out[lo : lo + q * r] = (own[:, :, None] * row).reshape(len(rows), -1).T
        return out

    def _gather(self, solved: Array) -> Array:
        """The effect of each level from solutions (q + p, n): (levels, n)."""
        out = np.zeros((len(self.group.levels), solved.shape[1]))
        for k in self.group.terms:
            lo, lift = self._places(k)
            row = self._row_of(k)
            q = len(self.group.levels) if lift is None else lift.shape[1]
            own = np.einsum("r,qrn->qn", row, solved[lo : lo + q * len(row)].reshape(q, len(row), -1))
            out += own if lift is None else lift @ own
        return out

    # -- K ---------------------------------------------------------------------------------------------------------

    def prior_diagonal(self, k: int) -> Array:
        """K_ii of all levels."""
        if not self.structured:
            return np.ones(len(self.group.levels))
        return np.asarray(self.solution.prior_diagonals[k])

    def prior_times(self, k: int, v: Array) -> Array:
        """K v for v (levels, n)."""
        if not self.structured:
            return v
        term = self.solution.terms[k]
        if term.lift is not None:
            out = np.asarray(term.lift @ (term.lift.T @ v))
            if term.alone is not None:
                unseen = np.flatnonzero(term.alone)
                out[unseen] += term.between @ v[unseen]
            return out
        if term.precision is None:
            return v
        return np.asarray(term.precision.times(self.solution.precision_parameters(k), v))


def mean_of_differences(trace: float, quadratic: float, n: int) -> float:
    """Mean variance of a difference of two of n, from tr P and 1'P 1."""
    return 2.0 * (trace - quadratic / n) / (n - 1)


def level_counts(fit: Any, group: Group, j: int) -> Array:
    """Records that hold effect j of each level, (levels,)."""
    out = np.zeros(len(group.levels))
    k = group.terms[0]
    if is_structured(fit):
        term = fit.design.structured[k]
        entries = np.bincount(term.z.indices[term.z.data != 0.0], minlength=term.z.shape[1])
        return out + entries[j :: term.block.m]
    block = fit.design.blocks[k]
    here = np.ones(len(block.codes), dtype=bool) if block.values is None else block.values[:, j] != 0.0
    return out + np.bincount(block.codes[here], minlength=len(out))


def rows_of(fit: Any, group: Group, j: int) -> Array:
    """(n,) bool: rows of the fit that hold effect j of some level."""
    k = group.terms[0]
    if is_structured(fit):
        term = fit.design.structured[k]
        z, m = term.z.tocoo(), term.block.m
        out = np.zeros(z.shape[0], dtype=bool)
        out[z.row[(z.col % m == j) & (z.data != 0.0)]] = True
        return out
    block = fit.design.blocks[k]
    return np.ones(len(block.codes), dtype=bool) if block.values is None else block.values[:, j] != 0.0

"""A design on its way: its extended rows, the inverse of its information, and the steps that improve it."""

from __future__ import annotations

import numpy as np

from .board import Board
from .changes import NO_GAIN, Objective, exchange_gains, swap_gains, updated

SMALLEST_GAIN = 1e-9
_REFRESH = 20
_RIDGE = 1e-6
_CONDITION = 1e-11
_PAIRS = 20_000_000


class Runs:
    """n runs in blocks. The first `held` of them stay as they are.

    Attributes
    ----------
    f : (n, p) factor parts; block (n,).
    D : inverse of the extended information (with a small ridge while `ridged`).
    value : of the board's objective; infinite while `ridged`.
    """

    def __init__(self, board: Board, f: np.ndarray, block: np.ndarray, held: int):
        self.board, self.block, self.held = board, block, held
        self.f = np.array(f)
        self.steps = 0
        self.history: list[float] = []
        self.refresh()

    @property
    def rows(self) -> np.ndarray:
        return self.board.extended(self.f, self.block)

    def refresh(self) -> None:
        """The inverse from the rows themselves; with a ridge where they are singular."""
        rows = self.rows
        information = self.board.prior + rows.T @ rows
        values, vectors = np.linalg.eigh(information)
        size = values[-1]
        self.ridged = bool(values[0] <= _CONDITION * size)
        if self.ridged:
            values = np.maximum(values, 0.0) + _RIDGE * size
        self.D = (vectors / values) @ vectors.T
        self.value = np.inf
        if not self.ridged:
            self.value = self.board.objective.value(self.D, float(np.log(values).sum()))

    def copy(self) -> Runs:
        """The same design, to be changed apart."""
        other = Runs.__new__(Runs)
        other.__dict__.update(self.__dict__)
        other.f, other.D, other.history = self.f.copy(), self.D.copy(), []
        return other

    def take(self, other: Runs) -> None:
        """Become another design of the same board; its value ends the history."""
        self.f, self.D, self.value, self.ridged = other.f, other.D, other.value, other.ridged
        self.history.append(other.value)

    @property
    def objective(self) -> Objective:
        return self.board.on("D") if self.ridged else self.board.objective

    def gains(self, enter: np.ndarray, block: int, runs: np.ndarray) -> np.ndarray:
        """Gain (runs, candidates) of candidates f (k, p) in the places of runs of one block."""
        leave = self.board.extended(self.f[runs], self.block[runs])
        into = self.board.extended(enter, np.full(len(enter), block))
        step = max(1, _PAIRS // max(len(enter), 1))
        parts = [
            exchange_gains(self.D, self.objective, leave[at : at + step], into)
            for at in range(0, len(runs), step)
        ]
        return np.concatenate(parts)

    def exchange(self, run: int, f: np.ndarray) -> None:
        """Put a row in the place of a run."""
        at = self.block[[run]]
        old, new = self.board.extended(self.f[[run]], at)[0], self.board.extended(f[None], at)[0]
        self.f[run] = f
        self._changed(new, old, swap=False)

    def best_swap(self) -> tuple[float, int, int]:
        """Gain, and the two runs of different blocks that should change places."""
        free = np.arange(self.held, len(self.f))
        i, k = (free[a] for a in np.triu_indices(len(free), 1))
        apart = self.block[i] != self.block[k]
        i, k = i[apart], k[apart]
        if not len(i):
            return NO_GAIN, -1, -1
        gains = swap_gains(self.D, self.objective, *self._swap_vectors(i, k))
        best = int(np.argmax(gains))
        return float(gains[best]), int(i[best]), int(k[best])

    def swap(self, i: int, k: int) -> None:
        """Two runs change their blocks."""
        u, v = self._swap_vectors(np.array([i]), np.array([k]))
        self.f[[i, k]] = self.f[[k, i]]
        self._changed(u[0], v[0], swap=True)

    def _swap_vectors(self, i: np.ndarray, k: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        code, b = self.board.code, self.board.code.shape[1]
        u, v = np.zeros((len(i), self.board.m)), np.zeros((len(i), self.board.m))
        u[:, :b] = code[self.block[i]] - code[self.block[k]]
        v[:, b:] = self.f[k] - self.f[i]
        return u, v

    def _changed(self, u: np.ndarray, v: np.ndarray, swap: bool) -> None:
        self.steps += 1
        if self.ridged or self.steps % _REFRESH == 0:
            self.refresh()
            return
        half_u, half_v = self.D @ u, self.D @ v
        self.D = updated(self.D, u, v, swap)
        if self.board.objective.name == "D":
            k11, k12, k22 = u @ half_u, u @ half_v, v @ half_v
            k11, k12, k22 = (k11, k12 + 1.0, k22) if swap else (k11 + 1.0, k12, k22 - 1.0)
            self.value -= float(np.log(k12**2 - k11 * k22)) / self.board.objective.parameters
        else:
            self.value = self.board.objective.value(self.D, 0.0)

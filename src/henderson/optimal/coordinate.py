"""Coordinate exchange: one factor of one run at a time takes the level that gains most.

A factor has levels, or a range. A range is first searched on a grid; when nothing gains any more, on ever finer grids around
where each run stands, so that the values are as sharp as rounding lets the criterion tell. No list of candidates is made, so
that many factors cost little.

Meyer & Nachtsheim (1995).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from .changes import NO_GAIN
from .runs import SMALLEST_GAIN, Runs

GRID = 11
_FINER = 5.0
_FINEST = 1e-5
_SWEEPS = 200


@dataclass(frozen=True, eq=False)
class Factor:
    """One column that a search sets.

    Attributes
    ----------
    values : its levels as numbers, or the numbers 0, 1 ... of its labels; for a range its two ends.
    labels : the labels, or None for numbers.
    continuous : whether everything between the two values is allowed.
    """

    name: str
    values: np.ndarray
    labels: tuple | None
    continuous: bool

    def grid(self) -> np.ndarray:
        """Values of the first search."""
        return np.linspace(self.values[0], self.values[1], GRID) if self.continuous else self.values

    def around(self, at: np.ndarray, step: float) -> np.ndarray:
        """Finer values (n, k) around where runs stand; `step` as a share of the range."""
        reach = step * (self.values[1] - self.values[0])
        near = at[:, None] + reach * np.linspace(-1.0, 1.0, GRID)
        return np.clip(near, self.values[0], self.values[1])


Rows = Callable[[np.ndarray], np.ndarray]
"""Points (k, factors) -> f (k, p)."""


def random_points(rng: np.random.Generator, factors: Sequence[Factor], n: int) -> np.ndarray:
    """Values (n, factors) of a first design."""
    columns = [
        rng.uniform(f.values[0], f.values[1], n) if f.continuous else rng.choice(f.values, n) for f in factors
    ]
    return np.column_stack(columns)


def climb(runs: Runs, points: np.ndarray, factors: Sequence[Factor], rows: Rows) -> None:
    """Improve the runs in place; `points` (n - held, factors) changes with them."""
    step = 1.0
    while True:
        for _ in range(_SWEEPS):
            if not _sweep(runs, points, factors, rows, step):
                break
        if not any(f.continuous for f in factors) or step < _FINEST:
            return
        step = 1.0 / (GRID - 1) if step == 1.0 else step / _FINER


def _sweep(runs: Runs, points: np.ndarray, factors: Sequence[Factor], rows: Rows, step: float) -> bool:
    """Every coordinate of every free run once, and swaps between blocks; whether anything gained."""
    gained = False
    for j, factor in enumerate(factors):
        if step < 1.0 and not factor.continuous:
            continue
        if step == 1.0:
            tried = np.broadcast_to(factor.grid(), (len(points), len(factor.grid())))
        else:
            tried = factor.around(points[:, j], step)
        many = np.repeat(points, tried.shape[1], axis=0)
        many[:, j] = tried.ravel()
        f = rows(many).reshape(len(points), tried.shape[1], -1)
        for i in range(len(points)):
            run = i + runs.held
            gains = runs.gains(f[i], int(runs.block[run]), np.array([run]))[0]
            best = int(np.argmax(gains))
            if gains[best] > SMALLEST_GAIN:
                runs.exchange(run, f[i, best])
                points[i, j] = tried[i, best]
                runs.history.append(runs.value)
                gained = True
    while runs.board.code.shape[1]:
        gain, i, k = runs.best_swap()
        if gain <= max(SMALLEST_GAIN, NO_GAIN):
            break
        a, b = i - runs.held, k - runs.held
        points[[a, b]] = points[[b, a]]
        runs.swap(i, k)
        runs.history.append(runs.value)
        gained = True
    return gained

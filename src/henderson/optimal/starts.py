"""The starts of a search: where runs may be put, and the best design that exchanges from random starts came to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..design.aliasing import describe
from ..errors import ModelError
from ..formula import Formula
from ..frame import Frame
from ..linear.qr import Basis, orthonormal_basis
from . import coordinate, fedorov
from .asked import seed_of
from .board import Board
from .places import frame_of, grid_of, read_candidates, read_factors
from .precision import whitened
from .progress import line
from .reading import build, coded, ranges_of, rows_of_frame
from .runs import Runs


class Place:
    """The candidates, or the factors of a coordinate exchange, and the model's columns on them."""

    def __init__(
        self,
        formula: str,
        parsed: Formula,
        candidates: Any,
        method: str,
        contrasts: Any,
        coding: Any,
        seed: int | None,
    ):
        self.method = method
        self.seed = seed_of(seed)
        self.rng = np.random.default_rng(self.seed)
        self.factors: list[coordinate.Factor] = []
        if method == "fedorov":
            self.frame = read_candidates(parsed, candidates, "candidates")
        else:
            self.factors = read_factors(parsed, candidates)
            points = grid_of(self.factors, np.random.default_rng(7))
            self.frame = frame_of(points, self.factors, "pandas")
        ranges = ranges_of(coding, parsed, self.frame)
        self.reading = build(formula, parsed, coded(self.frame, ranges), ranges, None, contrasts)
        design = self.reading.design
        if design.n_dropped:
            raise ModelError(f"candidates: {design.dropped}. Leave them out of the candidates.")
        self.X = np.array(design.X)
        self.intercept = parsed.intercept
        self.basis = self._basis(candidates)

    def _basis(self, candidates: Any) -> Basis:
        basis = orthonormal_basis(self.X)
        if len(basis.dropped):
            space = whitened(self.reading.design.x_names, self.X, 1.0, True).space
            why = "\n".join(describe(space, self.reading.design))
            raise ModelError(
                f"No design of these candidates can estimate all {self.X.shape[1]} coefficients; they can estimate "
                f"{len(basis.kept)}.\n{why}" + self._said_of_ranges(candidates)
            )
        return basis

    def _said_of_ranges(self, candidates: Any) -> str:
        if self.method == "fedorov" and isinstance(candidates, Mapping):
            return "\nThe mapping was read as a table, a row for each candidate; method='coordinate' reads ranges and levels."
        return ""

    def points_frame(self, points: np.ndarray) -> Frame:
        return frame_of(points, self.factors, "pandas")

    def rows(self, points: np.ndarray) -> np.ndarray:
        """X of candidates by number, or of points of the factors."""
        if self.method == "fedorov":
            return self.X[points]
        frame = coded(self.points_frame(points), self.reading.ranges)
        return rows_of_frame(self.reading, frame, "candidates")


class Search:
    """The starts, and the best of them."""

    def __init__(self, board: Board, place: Place, fixed: np.ndarray, block: np.ndarray, repeats: bool):
        self.board, self.place, self.fixed, self.block, self.repeats = board, place, fixed, block, repeats
        self.values: list[float] = []
        self.best: Runs | None = None
        self.best_points = np.zeros(0, dtype=np.int64)
        self.interrupted = False
        self.candidates = place.X @ board.to_f if place.method == "fedorov" else np.zeros((0, 0))

    def run(self, starts: int, progress: bool) -> None:
        with line("searching", starts, progress) as shown:
            for start in range(starts):
                runs: Runs | None = None
                try:
                    points, runs = self._start()
                    self._climb(runs, points)
                except KeyboardInterrupt:
                    self.interrupted = True
                    if runs is None:
                        break
                self._keep(runs, points)
                shown.say(start + 1)
                if self.interrupted:
                    break
        if self.interrupted and self.best is None:
            raise KeyboardInterrupt

    def _start(self) -> tuple[np.ndarray, Runs]:
        free, held = len(self.block) - len(self.fixed), len(self.fixed)
        if self.place.method == "fedorov":
            points = fedorov.random_start(self.place.rng, len(self.candidates), free, self.repeats)
            f = self.candidates[points]
        else:
            points = coordinate.random_points(self.place.rng, self.place.factors, free)
            f = self._f(points)
        return points, Runs(self.board, np.vstack([self.fixed, f]), self.block, held)

    def _f(self, points: np.ndarray) -> np.ndarray:
        return self.place.rows(points) @ self.board.to_f

    def _climb(self, runs: Runs, points: np.ndarray) -> None:
        if self.place.method == "fedorov":
            fedorov.search_from(runs, points, self.candidates, self.repeats, self.place.rng)
        else:
            coordinate.climb(runs, points, self.place.factors, self._f)

    def _keep(self, runs: Runs, points: np.ndarray) -> None:
        runs.refresh()
        self.values.append(float("nan") if runs.ridged else runs.value)
        if not runs.ridged and (
            self.best is None or self.board.objective.better(runs.value, self.best.value)
        ):
            self.best, self.best_points = runs, points.copy()

    def order(self) -> np.ndarray:
        """Free runs by block, and within it by candidate."""
        block = self.block[len(self.fixed) :]
        keys = self.best_points if self.best_points.ndim == 1 else self.best_points.T[::-1]
        return np.lexsort((*np.atleast_2d(keys), block))

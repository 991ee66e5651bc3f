"""`hd.design.search`: exact designs by exchange, from several random starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.linalg import lapack, solve_triangular

from ..design.aliasing import describe
from ..errors import ModelError
from ..formula import Formula
from ..frame import Frame, give_back
from ..linear.qr import Basis, orthonormal_basis
from ..models.covariance_input import RESIDUAL
from ..sparse.threads import one_blas_thread
from . import coordinate, fedorov
from .board import Board, make_board
from .criteria import LARGER_IS_BETTER, NAMES
from .evaluation import Evaluation, evaluation_of
from .places import (
    frame_of,
    grid_of,
    read_candidates,
    read_factors,
    take_rows,
    values_of,
    with_block,
)
from .precision import whitened
from .progress import line
from .reading import Reading, build, coded, hint, parse, ranges_of, rows_of_frame
from .runs import Runs

METHODS = ("fedorov", "coordinate")
_SAME = 1e-6
"""Relative difference of the criterion up to which two starts have found the same."""


@dataclass(frozen=True, eq=False)
class ExactDesign:
    """The best design that a search found.

    Attributes
    ----------
    design : its runs, a table in the caller's library: a column for the blocks where there are any, and the candidates'
        columns. Included runs come first. The order is not randomised.
    candidates : (n - included,) the candidate (row number, from 0) of each run; None for a coordinate exchange.
    criterion : "D", "A", "I", "E" or "G"; `value` is the design's, as `evaluate` defines it.
    evaluation : everything else about it; I and G over the candidates (or `region`).
    starts, n_best, n_singular : starts made, how many of them came within 1e-6 of the best, how many stayed singular.
    values : the criterion that each start came to (NaN where it stayed singular).
    history : the criterion of the best start after each exchange.
    interrupted : whether the search was stopped (Ctrl-C) before its last start.
    seed : makes the same search again.
    """

    formula: str
    design: Any
    candidates: np.ndarray | None
    criterion: str
    value: float
    evaluation: Evaluation
    n_best: int
    n_singular: int
    values: np.ndarray
    history: np.ndarray
    interrupted: bool
    seed: int
    method: str
    library: str = field(repr=False)

    @property
    def starts(self) -> int:
        """Starts made."""
        return len(self.values)

    @property
    def n(self) -> int:
        """Runs."""
        return self.evaluation.n

    def to_frame(self) -> Any:
        """start, value, best: what each start came to."""
        return give_back(
            {
                "start": np.arange(1, len(self.values) + 1),
                "value": self.values,
                "best": self._is_best(),
            },
            self.library,
        )

    def _is_best(self) -> np.ndarray:
        return np.abs(self.values - self.value) <= _SAME * abs(self.value)

    def summary(self) -> str:
        """The search and its design's evaluation as text."""
        how = "Fedorov exchange" if self.method == "fedorov" else "coordinate exchange"
        found = f"{self.n_best} of {self.starts} starts came to it"
        if self.n_singular:
            found += f", {self.n_singular} stayed singular"
        if self.interrupted:
            found += "; interrupted"
        head = f"{self.criterion}-optimal design by {how}: {self.criterion} = {self.value:.6g}; {found} (seed {self.seed})"
        return f"{head}\n\n{self.evaluation.summary()}"

    def __repr__(self) -> str:
        return (
            f"<ExactDesign {self.formula} | {self.n} runs, {self.criterion} {self.value:.6g}, "
            f"{self.n_best} of {self.starts} starts>"
        )


def search(
    formula: str,
    candidates: Any,
    n: int | None = None,
    *,
    criterion: str = "D",
    method: str = "fedorov",
    blocks: Sequence[int] | None = None,
    theta: Mapping[str, Any] | None = None,
    include: Any = None,
    region: Any = None,
    contrasts: Mapping[str, Any] | None = None,
    coding: Mapping[str, tuple[float, float]] | None = None,
    repeats: bool = True,
    starts: int = 20,
    seed: int | None = None,
    progress: bool = True,
) -> ExactDesign:
    """An exact design of n runs that is optimal for a criterion, as far as exchanges from several starts can tell.

    Parameters
    ----------
    formula : "~ terms" without random terms.
    candidates : for "fedorov" a table, a row for each run that may be made (a constraint is a row that is not there:
        mixtures, forbidden combinations); for "coordinate" a mapping of each factor to a range (low, high) or a list of
        levels, or a table whose columns' values are the levels.
    n : runs, included ones counted; the sum of the blocks where it is not given.
    criterion : "D", "A", "I", "E" or "G", as `evaluate` defines them.
    method : "fedorov" (Fedorov 1972: the best exchange of a run and a candidate, until none gains) or "coordinate"
        (Meyer & Nachtsheim 1995: one factor of one run at a time).
    blocks : sizes of the blocks. They are fixed: the criterion is about the coefficients that are left when block means
        have been estimated, so that D seeks orthogonal blocks. The column of the blocks is called "Block".
    theta : makes the blocks random: {"Day": 0.5, "Residual": 1.0}, the variance of the blocks by the name that their
        column shall have.
    include : a table of runs that are kept as they are (augmentation); they come first, and fill the first blocks.
    region : a table: the rows that I and G are about. The candidates where it is not given.
    contrasts : coding of factors by column.
    coding : column -> (low, high) that become -1 and 1 for the criteria; the design is in the caller's units.
    repeats : whether a candidate may be run more than once.
    starts : random starts; from each, exchanges are made until none gains.
    seed : of the random starts. The same seed gives the same design.
    progress : show a bar on the terminal when it takes more than a second.

    Returns
    -------
    ExactDesign. Ctrl-C ends the search with the best design so far.

    Raises
    ------
    FormulaError, DataError : the formula cannot be read, a column is missing among candidates or included runs.
    ModelError : fewer runs than coefficients, block sizes that do not add up, candidates that cannot estimate the model,
        an unknown criterion or method, no start that came to a design that can estimate it.
    """
    criterion = _one_of("criterion", criterion, NAMES)
    method = _one_of("method", method, METHODS)
    parsed = parse(formula)
    if parsed.random:
        raise ModelError(
            f"{parsed.random[0].text}: a search has fixed terms only. Random blocks are asked for by their sizes and their "
            f'variance: blocks=[4, 4], theta={{"{parsed.random[0].group}": 1.0, "Residual": 1.0}}.'
        )
    place = _Place(formula, parsed, candidates, method, contrasts, coding, seed)
    name, ratio, residual = _random_blocks(theta, blocks)
    sizes, n = _sizes(n, blocks)
    held = _included(place.reading, parsed, include)
    count = 0 if held is None else held.nrow
    _require_runs(n, count, place, sizes, ratio, repeats)
    rows = place.X if region is None else _region_rows(place.reading, parsed, region)
    board = make_board(place.basis, criterion, rows, sizes, ratio, place.intercept)
    fixed = np.zeros((0, place.X.shape[1]))
    if held is not None:
        fixed = rows_of_frame(place.reading, coded(held, place.reading.ranges), "include")
    work = _Search(
        board, place, fixed @ board.to_f, np.repeat(np.arange(max(len(sizes), 1)), sizes or (n,)), repeats
    )
    with one_blas_thread():
        work.run(_whole("starts", starts, 1), progress)
    if work.best is None:
        raise ModelError(
            f"None of {len(work.values)} starts came to a design of {n} runs that can estimate {place.X.shape[1]} "
            "coefficients"
            + (f" in blocks of {', '.join(map(str, sizes))}" if sizes else "")
            + ". Give more runs."
        )
    X = np.vstack([fixed, place.rows(work.best_points)])
    evaluation = _evaluation(formula, X, work.block, name, ratio, residual, place, rows)
    order = np.concatenate([np.arange(count), count + work.order()])
    table = _table(place, candidates, held, work, name if sizes else None, order)
    value = evaluation.criteria[criterion]
    values = _in_user_units(criterion, np.array(work.values), work.best.value, value)
    history = np.array([v for v in work.best.history if np.isfinite(v)])
    return ExactDesign(
        formula=formula,
        design=table,
        candidates=None if method == "coordinate" else work.best_points[work.order()],
        criterion=criterion,
        value=value,
        evaluation=evaluation,
        n_best=int(np.sum(np.abs(values - value) <= _SAME * abs(value))),
        n_singular=int(np.isnan(values).sum()),
        values=values,
        history=_in_user_units(criterion, history, work.best.value, value),
        interrupted=work.interrupted,
        seed=place.seed,
        method=method,
        library=place.reading.design.library,
    )


class _Place:
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
        self.seed = _seed(seed)
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


class _Search:
    """The starts, and the best of them."""

    def __init__(self, board: Board, place: _Place, fixed: np.ndarray, block: np.ndarray, repeats: bool):
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


# -- what was asked ------------------------------------------------------------------------------------------------------


def _one_of(what: str, given: Any, known: Sequence[str]) -> str:
    for name in known:
        if isinstance(given, str) and given.casefold() == name.casefold():
            return name
    raise ModelError(
        f"{what} is one of {', '.join(map(repr, known))}, not {given!r}." + _closest(given, known)
    )


def _closest(given: Any, known: Sequence[str]) -> str:
    said = hint(given, known)
    return said if "closest" in said else ""


def _whole(what: str, given: Any, least: int) -> int:
    if isinstance(given, bool) or not isinstance(given, (int, np.integer)) or given < least:
        raise ModelError(f"{what} is a whole number, {least} or more, not {given!r}.")
    return int(given)


def _seed(seed: Any) -> int:
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1)[0])
    return _whole("seed", seed, 0)


def _sizes(n: Any, blocks: Any) -> tuple[tuple[int, ...], int]:
    if blocks is None:
        if n is None:
            raise ModelError("n, the number of runs, is needed.")
        return (), _whole("n", n, 1)
    if isinstance(blocks, (int, np.integer, str)) or not len(blocks):
        raise ModelError(f"blocks is a list of sizes, such as [4, 4, 4], not {blocks!r}.")
    sizes = tuple(_whole("a block's size", size, 1) for size in blocks)
    if n is not None and sum(sizes) != _whole("n", n, 1):
        raise ModelError(
            f"blocks of {', '.join(map(str, sizes))} have {sum(sizes)} runs together, but n is {n}."
        )
    return sizes, sum(sizes)


def _random_blocks(theta: Any, blocks: Any) -> tuple[str, float | None, float]:
    """Name of the blocks' column, Var(block) / Var(e) (None for fixed blocks), Var(e)."""
    if theta is None:
        return "Block", None, 1.0
    if not isinstance(theta, Mapping):
        raise ModelError(f'theta is a mapping such as {{"Block": 0.5, "Residual": 1.0}}, not {theta!r}.')
    names = [key for key in theta if key != RESIDUAL]
    if len(names) != 1 or blocks is None:
        raise ModelError(
            'theta of a search is the variance of its random blocks: give blocks= their sizes and theta={"Block": 0.5, '
            '"Residual": 1.0}.'
        )
    values = []
    for key, least in ((names[0], 0.0), (RESIDUAL, None)):
        value = theta.get(key, 1.0)
        good = isinstance(value, (int, float, np.number)) and np.isfinite(value)
        if not good or value < 0 or (least is None and value == 0):
            raise ModelError(
                f"theta: the variance of '{key}' is a number that is not negative, not {value!r}."
            )
        values.append(float(value))
    return str(names[0]), values[0] / values[1], values[1]


def _included(reading: Reading, parsed: Formula, include: Any) -> Frame | None:
    return None if include is None else read_candidates(parsed, include, "include")


def _region_rows(reading: Reading, parsed: Formula, region: Any) -> np.ndarray:
    frame = read_candidates(parsed, region, "region")
    return rows_of_frame(reading, coded(frame, reading.ranges), "region")


def _require_runs(
    n: int, included: int, place: _Place, sizes: tuple[int, ...], ratio: float | None, repeats: bool
) -> None:
    p = place.X.shape[1]
    lost = len(sizes) - 1 if len(sizes) > 1 and ratio is None else 0
    if n < p + lost:
        raise ModelError(
            f"{n} runs cannot estimate {p} coefficients"
            + (f" and the differences among {len(sizes)} blocks" if lost else "")
            + f": {p + lost} runs are needed at least."
        )
    if included >= n:
        raise ModelError(f"n counts the {included} included runs: n = {n} leaves none to search for.")
    if not isinstance(repeats, bool | np.bool_):
        raise ModelError(f"repeats is True or False, not {repeats!r}.")
    if not repeats and place.method == "coordinate":
        raise ModelError("repeats=False needs a list of candidates: use method='fedorov'.")
    if not repeats and n - included > len(place.X):
        raise ModelError(f"repeats=False: {n - included} runs are wanted of {len(place.X)} candidates.")


# -- what was found ------------------------------------------------------------------------------------------------------


def _evaluation(
    formula: str,
    X: np.ndarray,
    block: np.ndarray,
    name: str,
    ratio: float | None,
    residual: float,
    place: _Place,
    region: np.ndarray,
) -> Evaluation:
    names, count = place.reading.design.x_names, int(block.max()) + 1
    library = place.reading.design.library
    if count == 1:
        return evaluation_of(formula, whitened(names, X, 1.0, True), 0, region, library=library)
    indicators = np.equal.outer(block, np.arange(count)).astype(np.float64)
    if ratio is not None:
        V = residual * (np.eye(len(X)) + ratio * indicators @ indicators.T)
        factor, _ = lapack.dpotrf(V, lower=1)
        white = solve_triangular(np.tril(factor), X, lower=True)
        notes = (f"random blocks: {name} ({count}), variance {ratio * residual:g} beside {residual:g}",)
        return evaluation_of(
            formula, whitened(names, white, residual, False), 0, region, library=library, notes=notes
        )
    first = int(place.intercept)
    labels = [f"{name}[{b + 1}]" for b in range(1, count)]
    average = np.tile(indicators[:, 1:].mean(axis=0), (len(region), 1))
    whole = np.hstack([X[:, :first], indicators[:, 1:], X[:, first:]])
    rows = np.hstack([region[:, :first], average, region[:, first:]])
    found = whitened((*names[:first], *labels, *names[first:]), whole, 1.0, True)
    notes = (f"fixed blocks: {name} ({count}), estimated beside the coefficients below",)
    return evaluation_of(formula, found, first + count - 1, rows, library=library, notes=notes)


def _table(
    place: _Place, candidates: Any, held: Frame | None, work: _Search, name: str | None, order: np.ndarray
) -> Any:
    chosen = work.best_points[work.order()]
    block = work.block[order] + 1
    if held is None and place.method == "fedorov":
        native = take_rows(candidates, chosen)
        if native is not None:
            return native if name is None else with_block(native, name, block)
    if place.method == "fedorov":
        frame, rows = place.frame, chosen
    else:
        frame, rows = place.points_frame(chosen), np.arange(len(chosen))
    columns: dict[str, Any] = {} if name is None else {name: block}
    for key, column in frame.columns.items():
        values = values_of(column, rows)
        if held is not None:
            values = np.concatenate([values_of(held[key], np.arange(held.nrow)), values])
        columns[key] = values
    return give_back(columns, place.reading.design.library)


def _in_user_units(criterion: str, values: np.ndarray, best: float, value: float) -> np.ndarray:
    """Values that were made small -> the criterion as `evaluate` defines it, from the best one in both."""
    if criterion == "D":
        return value * np.exp(best - values)
    return value * (best / values if criterion in LARGER_IS_BETTER else values / best)

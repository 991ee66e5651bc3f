"""What a search found: `ExactDesign`, its evaluation and its table in the caller's units."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.linalg import lapack, solve_triangular

from ..frame import Frame, give_back
from .asked import Blocks
from .criteria import LARGER_IS_BETTER
from .evaluation import Evaluation, evaluation_of
from .places import take_rows, values_of, with_block
from .precision import whitened
from .starts import Place, Search

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
    def n_best(self) -> int:
        """Starts that came within 1e-6 of the best."""
        return int(np.count_nonzero(self._is_best()))

    @property
    def n_singular(self) -> int:
        """Starts that stayed singular."""
        return int(np.count_nonzero(np.isnan(self.values)))

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


def exact_design(
    formula: str,
    criterion: str,
    work: Search,
    blocks: Blocks,
    candidates: Any,
    held: Frame | None,
    fixed: np.ndarray,
    region: np.ndarray,
) -> ExactDesign:
    """The best design of a search that has found one.

    Parameters
    ----------
    held, fixed : the included runs and their X. region : rows of X that I and G are about.
    """
    place, best = work.place, work.best
    assert best is not None
    chosen, free = work.best_points, work.order()
    X = np.vstack([fixed, place.rows(chosen)])
    evaluation = _evaluation(formula, X, work.block, blocks, place, region)
    value = evaluation.criteria[criterion]
    history = np.array([v for v in best.history if np.isfinite(v)])
    return ExactDesign(
        formula=formula,
        design=_table(place, candidates, held, work, blocks),
        candidates=None if place.method == "coordinate" else chosen[free],
        criterion=criterion,
        value=value,
        evaluation=evaluation,
        values=_in_user_units(criterion, np.array(work.values), best.value, value),
        history=_in_user_units(criterion, history, best.value, value),
        interrupted=work.interrupted,
        seed=place.seed,
        method=place.method,
        library=place.reading.design.library,
    )


def _evaluation(
    formula: str,
    X: np.ndarray,
    block: np.ndarray,
    blocks: Blocks,
    place: Place,
    region: np.ndarray,
) -> Evaluation:
    name, ratio, residual = blocks.name, blocks.ratio, blocks.residual
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


def _table(place: Place, candidates: Any, held: Frame | None, work: Search, blocks: Blocks) -> Any:
    """The runs, included ones first, then by block and candidate."""
    count = 0 if held is None else held.nrow
    order = np.concatenate([np.arange(count), count + work.order()])
    chosen = work.best_points[work.order()]
    name = blocks.name if blocks.sizes else None
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

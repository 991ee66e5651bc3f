"""`hd.design.search`: exact designs by exchange, from several random starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import ModelError
from ..frame import Frame
from ..sparse.threads import one_blas_thread
from .asked import Blocks, one_of, read_blocks, whole_number
from .board import make_board
from .criteria import NAMES
from .exact_design import ExactDesign, exact_design
from .places import read_candidates
from .reading import coded, parse, rows_of_frame
from .starts import Place, Search

METHODS = ("fedorov", "coordinate")


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
    criterion = one_of("criterion", criterion, NAMES)
    method = one_of("method", method, METHODS)
    parsed = parse(formula)
    if parsed.random:
        raise ModelError(
            f"{parsed.random[0].text}: a search has fixed terms only. Random blocks are asked for by their sizes and their "
            f'variance: blocks=[4, 4], theta={{"{parsed.random[0].group}": 1.0, "Residual": 1.0}}.'
        )
    place = Place(formula, parsed, candidates, method, contrasts, coding, seed)
    shared, n = read_blocks(n, blocks, theta)
    held = None if include is None else read_candidates(parsed, include, "include")
    _require_runs(n, 0 if held is None else held.nrow, place, shared, repeats)
    rows = place.X if region is None else _rows(place, read_candidates(parsed, region, "region"), "region")
    board = make_board(place.basis, criterion, rows, shared.sizes, shared.ratio, place.intercept)
    fixed = np.zeros((0, place.X.shape[1])) if held is None else _rows(place, held, "include")
    work = Search(board, place, fixed @ board.to_f, shared.of_runs(n), repeats)
    with one_blas_thread():
        work.run(whole_number("starts", starts, 1), progress)
    if work.best is None:
        raise ModelError(
            f"None of {len(work.values)} starts came to a design of {n} runs that can estimate {place.X.shape[1]} "
            "coefficients"
            + (f" in blocks of {', '.join(map(str, shared.sizes))}" if shared.sizes else "")
            + ". Give more runs."
        )
    return exact_design(formula, criterion, work, shared, candidates, held, fixed, rows)


def _rows(place: Place, frame: Frame, what: str) -> np.ndarray:
    """X of the rows of a table that is read already."""
    return rows_of_frame(place.reading, coded(frame, place.reading.ranges), what)


def _require_runs(n: int, included: int, place: Place, blocks: Blocks, repeats: bool) -> None:
    p = place.X.shape[1]
    if n < p + blocks.lost:
        raise ModelError(
            f"{n} runs cannot estimate {p} coefficients"
            + (f" and the differences among {len(blocks.sizes)} blocks" if blocks.lost else "")
            + f": {p + blocks.lost} runs are needed at least."
        )
    if included >= n:
        raise ModelError(f"n counts the {included} included runs: n = {n} leaves none to search for.")
    if not isinstance(repeats, bool | np.bool_):
        raise ModelError(f"repeats is True or False, not {repeats!r}.")
    if not repeats and place.method == "coordinate":
        raise ModelError("repeats=False needs a list of candidates: use method='fedorov'.")
    if not repeats and n - included > len(place.X):
        raise ModelError(f"repeats=False: {n - included} runs are wanted of {len(place.X)} candidates.")

"""`hd.lm`: ordinary and weighted least squares from a formula and a table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import design as designs
from .. import formula as formulas
from .. import frame as frames
from ..design.estimability import ColumnSpace
from ..errors import DataError, ModelError, NotAvailableError
from ..inference.sandwich import read_vcov
from ..linear.coordinates import require_peak, require_size
from ..linear.least_squares import LeastSquares, least_squares
from ..linear.rows import DesignRows
from ..linear.solution import Coordinates, LinearSolution
from ..memory import machine_memory
from ..report.progress import rows_line
from ..sparse.threads import one_blas_thread
from ..stream import Batches, FileRows, bytes_of, scan, size_in_memory
from .labels import labels_of
from .linear_fit import LinearFit
from .saved import Saved

if TYPE_CHECKING:
    from ..design import Design
    from ..formula import Formula
    from ..frame import Frame


def lm(
    formula: str,
    data: Any,
    *,
    weights: Any = None,
    offset: Any = None,
    contrasts: Mapping[str, Any] | None = None,
    vcov: str | None = None,
    memory_limit: Any = None,
) -> LinearFit:
    """Fit a linear model by ordinary or weighted least squares.

    Parameters
    ----------
    formula : `response ~ fixed terms` (docs/formula.md). X may have more columns than its rank: those that depend on the ones
        before them are dropped, named in `fit.dropped`, and whatever is not estimable is refused with the reason.
    data : any DataFrame (pandas, polars, pyarrow ...), a dict of arrays, or the path of a CSV or Parquet file.
    weights : precision weights, Var(e_i) = sigma^2 / w_i: an array or the name of a column. Positive.
    offset : added to the mean with coefficient 1: an array or the name of a column.
    contrasts : coding of factors by column name, for example {"Machine": "Sum"} or, with a reference level,
        {"Machine": ("Treatment", "B")}.
    vcov : covariance of the coefficients. None is sigma^2 (X'X)^-1; "HC0" to "HC4" allow for unequal variances (White 1980,
        MacKinnon & White 1985), "cluster(g)" for correlation within the levels of column g.
    memory_limit : bytes, or a text such as "200 MB". A Parquet file whose columns are larger is read a few rows at a time,
        three times; so is one larger than half of the machine's memory. The estimates are the same; the fit then has no rows.

    Returns
    -------
    LinearFit. Standard errors use sigma^2 = RSS / (n - rank X).

    Raises
    ------
    FormulaError, DataError, ModelError : what is wrong with the formula, the table, or the model for these data.

    References
    ----------
    Searle (1971) Linear Models; Golub & Van Loan (2013), ch. 5; Bjorck (1996).
    """
    parsed = formulas.parse(formula)
    if parsed.random:
        term = parsed.random[0]
        raise ModelError(
            f"{term.text} is a random term: hd.lmm fits models that have one, hd.lm those with fixed terms alone."
        )
    if len(parsed.responses) > 1:
        formulas.require_available(parsed)
    limit = None if memory_limit is None else bytes_of(memory_limit)
    if limit is not None and not isinstance(data, (str, Path)):
        raise ModelError(
            "memory_limit= is for the path of a Parquet file; this table is in memory already: leave it out."
        )
    if isinstance(data, (str, Path)) and _larger_than_limit(
        Path(data).expanduser(), parsed, weights, offset, limit
    ):
        return _from_file(formula, parsed, Path(data).expanduser(), limit, weights, offset, contrasts, vcov)
    clusters = () if vcov is None else read_vcov(vcov).clusters
    names = {**designs.needed(parsed, weights, offset)}
    frame = frames.read(data, names | {name: None for name in clusters if name not in names}, parsed.text)
    design = designs.build(parsed, frame, weights=weights, offset=offset, contrasts=contrasts)
    fit = fit_rows(formula, design, frame)
    return fit if vcov is None else fit.with_vcov(vcov)


def _larger_than_limit(path: Path, parsed: Formula, weights: Any, offset: Any, limit: int | None) -> bool:
    from ..frame.files import file_kind

    if limit is None and (not path.is_file() or file_kind(path) != "parquet"):
        return False
    size = size_in_memory(path, list(designs.needed(parsed, weights, offset)))
    return size > (machine_memory() // 2 if limit is None else limit)


def _from_file(
    formula: str,
    parsed: Formula,
    path: Path,
    limit: int | None,
    weights: Any,
    offset: Any,
    contrasts: Mapping[str, Any] | None,
    vcov: str | None,
) -> LinearFit:
    """Least squares of a Parquet file, a few rows at a time: one pass to know its columns, then least squares' own."""
    _require_columns(weights, offset, vcov)
    room = limit or machine_memory() // 2
    names = frames.check_columns(path, designs.needed(parsed, weights, offset), parsed.text)
    with rows_line(f"reading {path.name}") as tick:
        batches = Batches(path, names, _batch(room, len(names)))
        found = scan(parsed, batches, room, weights=weights, offset=offset, contrasts=contrasts, tick=tick)
        spec, x_names = found.design.spec, found.design.x_names
        rows = FileRows(
            spec,
            Batches(path, names, _batch(room, len(names) + len(x_names))),
            found.n,
            weights,
            0 if found.design.columns.intercept == 0 else None,
            tick,
            require_peak,
        )
        with one_blas_thread():
            solved = least_squares(rows)
    if parsed.offsets:
        spec["offset_mean"] = rows.offset / found.n
    solution = linear_solution(solved, found.n, rows.log_weights)
    saved = Saved(
        spec,
        found.n_read - found.n,
        found.dropped,
        (
            *((f"weights: {weights}",) if weights else ()),
            *((f"offset: {offset}",) if offset else ()),
            f"rows: {found.n_read:,} read from {path.name} in parts",
        ),
        None,
        solved.aliases,
        "This fit read its rows from a file in parts and holds none of them",
    )
    labels = labels_of(formula, found.design.response, x_names, solved.kept, solved.dropped)
    return LinearFit(labels, solution, space_of(x_names, solved), "pandas", saved=saved)


def _require_columns(weights: Any, offset: Any, vcov: str | None) -> None:
    """Refuse what a file that is read in parts cannot give."""
    for name, given in (("weights", weights), ("offset", offset)):
        if given is not None and not isinstance(given, str):
            raise DataError(
                f"{name}: a file that is read in parts has its {name} in a column: give its name."
            )
    if vcov is not None:
        raise ModelError(
            f"vcov={vcov!r} needs the rows, and a file that is read in parts leaves none. Raise memory_limit, or leave vcov out."
        )


def _batch(room: int, columns: int) -> int:
    """Rows read at a time: several copies of them must fit."""
    return int(min(2**18, max(1024, room // (64 * columns))))


def fit_rows(formula: str, design: Design, frame: Frame | None) -> LinearFit:
    """Least squares of a design's rows."""
    assert design.y is not None
    y = design.y if design.offset is None else design.y - design.offset
    require_size(y)
    with one_blas_thread():
        found = least_squares(DesignRows(design.columns, y, design.weights))
    log_weights = 0.0 if design.weights is None else float(np.sum(np.log(design.weights)))
    solution = linear_solution(found, design.n, log_weights)
    return LinearFit(
        labels_of(formula, design.response, design.x_names, found.kept, found.dropped),
        solution,
        space_of(design.x_names, found),
        design.library,
        design,
        frame,
    )


def refit(fit: LinearFit, response: np.ndarray) -> LinearFit:
    """Least squares of the same design with another response (n,), one value a row of the fit."""
    if fit.generalised:
        raise NotAvailableError(
            "refit: a generalised fit is not fitted again to another response yet; call hd.gls."
        )
    return fit_rows(fit.formula, replace(fit.design, y=response), fit.frame)


def linear_solution(found: LeastSquares, n: int, log_weights: float) -> LinearSolution:
    """The statistics of a least-squares solution."""
    rank = len(found.kept)
    with np.errstate(divide="ignore"):
        deviance = n * (1.0 + np.log(2.0 * np.pi * found.rss / n)) - log_weights
    scale2 = found.rss / (n - rank) if n > rank else np.nan
    return LinearSolution(
        Coordinates(n, found.kept, found.dropped),
        found.beta,
        found.root,
        found.rss,
        scale2,
        float(deviance),
        total=found.total,
    )


def space_of(names: tuple[str, ...], found: LeastSquares) -> ColumnSpace:
    return ColumnSpace(names, found.kept, found.dropped, found.aliases)

"""`hd.lm`: ordinary and weighted least squares from a formula and a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from .. import design as designs
from .. import formula as formulas
from .. import frame as frames
from ..design.estimability import ColumnSpace
from ..errors import ModelError
from ..linear.least_squares import LeastSquares, least_squares
from ..linear.rows import DesignRows
from ..linear.solution import Coordinates, LinearSolution
from ..mixed.standardise import LARGEST
from ..sparse.threads import one_blas_thread
from .labels import Labels
from .linear_fit import LinearFit

if TYPE_CHECKING:
    from ..design import Design
    from ..frame import Frame


def lm(
    formula: str,
    data: Any,
    *,
    weights: Any = None,
    offset: Any = None,
    contrasts: Mapping[str, Any] | None = None,
) -> LinearFit:
    """Fit a linear model by ordinary or weighted least squares."""
    parsed = formulas.parse(formula)
    if parsed.random:
        raise ModelError(
            f"'{parsed.random[0].text}' is a random term: hd.lmm fits it, hd.lm has fixed terms only."
        )
    frame = frames.read(data, designs.needed(parsed, weights, offset), parsed.text)
    design = designs.build(parsed, frame, weights=weights, offset=offset, contrasts=contrasts)
    return fit_rows(formula, design, frame)


def fit_rows(formula: str, design: Design, frame: Frame | None) -> LinearFit:
    """Least squares of a design's rows."""
    y = design.y if design.offset is None else design.y - design.offset
    assert y is not None
    _require_size(y)
    with one_blas_thread():
        found = least_squares(DesignRows(design.columns, y, design.weights))
    log_weights = 0.0 if design.weights is None else float(np.sum(np.log(design.weights)))
    solution = linear_solution(found, design.n, log_weights)
    return LinearFit(
        labels_of(formula, design, found),
        solution,
        space_of(design.x_names, found),
        design.library,
        design,
        frame,
    )


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


def labels_of(formula: str, design: Design, found: LeastSquares) -> Labels:
    names = design.x_names
    return Labels(
        formula,
        design.response,
        tuple(names[j] for j in found.kept),
        tuple(names[j] for j in found.dropped),
        (),
    )


def space_of(names: tuple[str, ...], found: LeastSquares) -> ColumnSpace:
    return ColumnSpace(names, found.kept, found.dropped, found.aliases)


def _require_size(y: np.ndarray) -> None:
    peak = float(max(y.max(initial=0.0), -y.min(initial=0.0)))
    if peak > 0 and not 1.0 / LARGEST < peak < LARGEST:
        raise ModelError(
            f"The response is of size {peak:.1g}: its squares cannot be held in double precision. "
            "Divide it by a power of ten near its size."
        )

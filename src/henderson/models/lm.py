"""`hd.lm`: ordinary and weighted least squares from a formula and a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from .. import design as designs
from .. import formula as formulas
from .. import frame as frames
from ..design.estimability import ColumnSpace
from ..errors import ModelError
from ..linear.qr import orthonormal_basis
from ..linear.solution import Coordinates, LinearSolution
from ..sparse.threads import one_blas_thread
from .labels import Labels
from .linear_fit import LinearFit


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
    root = None if design.weights is None else np.sqrt(design.weights)
    x = design.X if root is None else design.X * root[:, None]
    y = design.y if design.offset is None else design.y - design.offset
    y = y if root is None else y * root
    with one_blas_thread():
        basis = orthonormal_basis(x)
    n, rank = basis.q.shape
    from scipy.linalg import solve_triangular

    sign = np.where(np.diagonal(basis.r) < 0, -1.0, 1.0)
    q, r = basis.q * sign, basis.r * sign[:, None]
    projection = q.T @ y
    residual = y - q @ projection
    extra = q.T @ residual
    residual -= q @ extra
    beta = solve_triangular(r, projection + extra) if rank else projection
    aliases = solve_triangular(r, q.T @ x[:, basis.dropped]) if rank else np.zeros((0, len(basis.dropped)))
    rss = float(residual @ residual)
    log_weights = 0.0 if root is None else 2.0 * float(np.sum(np.log(root)))
    deviance = n * (1.0 + np.log(2.0 * np.pi * rss / n)) - log_weights
    names = design.x_names
    space = ColumnSpace(names, basis.kept, basis.dropped, aliases)
    labels = Labels(
        formula,
        design.response,
        tuple(names[j] for j in basis.kept),
        tuple(names[j] for j in basis.dropped),
        (),
    )
    solution = LinearSolution(
        Coordinates(n, basis.kept, basis.dropped), beta, r, rss, rss / max(n - rank, 1), float(deviance)
    )
    return LinearFit(labels, solution, space, design.library, design, frame)

"""Random draws from the model: effects of covariance K (x) Sigma, residuals of covariance s2 R."""

from __future__ import annotations

import numpy as np

from ... import sparse
from .solution import Solution


def _of_precision(rows: np.ndarray, cols: np.ndarray, values: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """K^(1/2) normals for K^-1 given by its lower triangle: L^-T of its Cholesky factor."""
    n = len(normals)
    dense = len(rows) > 0.2 * n * n
    symbolic = sparse.analyze(n, rows, cols, method="dense" if dense else "amd")
    panels = np.zeros(symbolic.stored)
    panels[symbolic.positions(rows, cols)] = values
    sparse.factor(symbolic, panels)
    return np.asarray(sparse.backward(symbolic, panels, normals, drop=0))


def draw(solution: Solution, n: int, rng: np.random.Generator, new_effects: bool) -> np.ndarray:
    """Responses (rows of the data, n) in the user's units, without the offset and without X beta."""
    model, point = solution.problem.model, solution.point
    size = np.sqrt(solution.scale2)
    total = np.zeros((len(model.y), n))
    for k, term in enumerate(solution.terms):
        if not new_effects:
            continue
        normals = rng.normal(size=(term.q, term.r * n))
        if term.precision is not None:
            values = point.image.values.precisions[k]
            assert values is not None
            normals = _of_precision(term.precision.rows, term.precision.cols, values, normals)
        u = np.einsum("er,qrn->qen", point.factors[k], normals.reshape(term.q, term.r, n))
        total += size * np.asarray(term.z @ u.reshape(-1, n))
    normals = rng.normal(size=(len(model.y), n))
    if model.residual is not None:
        assert point.image.values.residual is not None
        normals = _of_precision(
            model.residual.rows, model.residual.cols, point.image.values.residual, normals
        )
    total += size * normals
    if model.rotation is not None:
        total = model.rotation.backward(total)
    if model.places is not None:
        total = total[model.places]
    return total if model.root_weights is None else total / model.root_weights[:, None]

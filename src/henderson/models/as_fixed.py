"""A random term's levels made fixed, everything else as it was: adjusted means (BLUEs) of a fit that had predicted them."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np

from ..errors import ModelError
from ..inference.components import is_structured
from ..inference.genetic import Group
from ..inference.level_errors import mean_of_differences
from ..linear.collinear import combinations
from ..linear.coordinates import basis_with_rows_left
from ..mixed.structured.criterion import Problem
from ..mixed.structured.equations import Equations
from ..mixed.structured.model import Model, RawTerm, standardise
from ..mixed.structured.parameters import Control, layout
from ..mixed.structured.solution import Solution
from ..precisions.residual_absolute import Absolute
from ..sparse.threads import one_blas_thread
from ..structures import make

Array = np.ndarray
_MOST = 200_000_000
"""Numbers of the dense X up to which the second fit is made."""


def mean_variance_of_blues(fit: Any, group: Group, levels: Array) -> float:
    """Mean variance of a difference of two levels' BLUEs, the variances estimated again by REML.

    Parameters
    ----------
    group : a term of one effect. levels : numbers of the levels with records.

    Raises
    ------
    ModelError : variances held by the user, too many levels for a dense X, levels whose differences are not estimable.
    """
    n = fit.nobs
    if (len(levels) + fit.solution.coordinates.rank) * n > _MOST:
        raise ModelError(
            f"heritability: {len(levels)} levels of {group.text} fixed in {n} rows are too many for a second fit. "
            'method="cullis" needs none.'
        )
    if len(levels) >= n - 1:
        raise ModelError(
            f"heritability: {n} records of {len(levels)} levels of {group.text}: where the levels are fixed nothing is left to "
            "estimate a variance from. method='cullis' and 'oakey' compare their BLUPs."
        )
    _require_free(fit)
    parts = _of_structured if is_structured(fit) else _of_plain
    with one_blas_thread():
        before, z, model, log_s2 = parts(fit, group, levels)
        variance = _variance(model, log_s2)
        _require_comparable(model, before, z, group)
    kept = model.coordinates.kept
    mine = kept >= before
    block = np.zeros((len(levels), len(levels)))
    places = kept[mine] - before
    block[np.ix_(places, places)] = variance[np.ix_(mine, mine)]
    return mean_of_differences(float(np.trace(block)), float(block.sum()), len(levels))


def _require_free(fit: Any) -> None:
    problem = fit.solution.problem
    held = (
        bool(np.any(problem.layout.source < 0))
        if is_structured(fit)
        else any(t is not None for t in problem.held)
    )
    if held or (problem.log_s2 is not None and not is_structured(fit)):
        raise ModelError(
            "heritability: method='piepho' fits again with the levels fixed, which it cannot with parameters held by the user."
        )


def _of_plain(fit: Any, group: Group, levels: Array) -> tuple[int, Array, Model, float | None]:
    """Columns of X before those of the levels, Z, the model, and log s2 where it is known."""
    design = fit.design
    raw = []
    for k, block in enumerate(design.blocks):
        if k in group.terms:
            continue
        z = _sparse(block)
        raw.append(
            RawTerm(z, block.q, make(block.structure, block.m), None, block.text, tuple(block.effects))
        )
    z = np.asarray(_sparse(design.blocks[group.terms[0]])[:, levels].toarray())
    x = np.column_stack([design.X, z])
    model = standardise(x, design.y, design.offset, design.weights, tuple(raw), None)
    return design.X.shape[1], z, model, None


def _sparse(block: Any) -> Any:
    import scipy.sparse as sp

    n, m = len(block.codes), block.m
    values = np.ones((n, m)) if block.values is None else block.values
    rows = np.repeat(np.arange(n), m)
    cols = (block.codes.astype(np.int64)[:, None] * m + np.arange(m)).ravel()
    return sp.csr_matrix((values.ravel(), (rows, cols)), shape=(n, block.q * m))


def _of_structured(fit: Any, group: Group, levels: Array) -> tuple[int, Array, Model, float | None]:
    from .structured import known_scale

    given, design = fit.input[0], fit.design
    raw = tuple(term for k, term in enumerate(given.terms) if k not in group.terms)
    z = np.asarray(design.structured[group.terms[0]].z[:, levels].toarray())
    x = np.column_stack([design.X, z])
    # It remembers the size of the response's sections.
    residual = copy(given.residual)
    scale = None
    if isinstance(residual, Absolute):
        q = basis_with_rows_left(x).q
        y = design.y if design.offset is None else design.y - design.offset
        scale = residual.scaled_rows(y - q @ (q.T @ y))
    model = standardise(x, design.y, design.offset, design.weights, raw, residual, scale)
    return design.X.shape[1], z, model, known_scale(residual, model.coordinates.y_scale)


def _variance(model: Model, log_s2: float | None) -> Array:
    """Var(beta^) at the REML estimates of the model's variances, (rank, rank)."""
    from .structured import climb, require_rows

    if not model.terms and model.residual is None:
        nu = model.n - model.x.shape[1]
        s2 = float(model.y @ model.y) / nu if log_s2 is None else float(np.exp(log_s2))
        half = model.coordinates.coefficient_rows(np.eye(model.x.shape[1]))
        return np.asarray(half @ half.T) * s2 * model.coordinates.y_scale**2
    control = Control()
    control.log_s2 = log_s2
    problem = Problem(model, Equations(model), layout(model, control), True)
    require_rows(problem)
    optimum, _, _ = climb(problem, None)
    if not optimum.converged:
        raise ModelError("heritability: the second fit, with the levels fixed, did not converge.")
    return Solution(problem, optimum.theta, optimum.average_information).vcov


def _require_comparable(model: Model, before: int, z: Array, group: Group) -> None:
    """Refuse levels whose differences are not estimable: more than one dropped column, or one that is more than their sum."""
    dropped = [int(j) for j in model.coordinates.dropped if j >= before]
    if not dropped:
        return
    why = (
        f"heritability: the levels of {group.text} cannot all be compared where they are fixed: they are confounded with the fixed "
        "effects, or fall into sets that no block connects. method='cullis' compares their BLUPs."
    )
    if len(dropped) > 1:
        raise ModelError(why)
    kept = model.coordinates.kept
    x = model.x if model.places is None else model.x[model.places]
    column = z[:, dropped[0] - before]
    inside = x.T @ (column if model.root_weights is None else column * model.root_weights)
    found = combinations(model.coordinates.r, inside[:, None])[:, 0]
    mine = found[kept >= before]
    # The null vector has -1 at the dropped column: the differences are estimable where it is constant over the levels.
    if len(mine) != z.shape[1] - 1 or np.abs(mine + 1.0).max(initial=0.0) > 1e-6:
        raise ModelError(why)

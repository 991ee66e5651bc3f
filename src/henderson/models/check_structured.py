"""What `hd.check` finds in a model with covariance structures: what the design tells apart, whatever the response.

The average information of responses drawn at random, at the parameters a fit would start from, says in which directions the
covariance of the rows does not move (`mixed.structured.flat`).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ..design.combination import listed
from ..errors import ModelError
from ..mixed.structured.blocks import Block, blocks_of
from ..mixed.structured.criterion import Point, Problem, evaluate
from ..mixed.structured.derivatives import derivatives
from ..mixed.structured.equations import Equations
from ..mixed.structured.flat import flat_directions
from ..mixed.structured.parameters import Control, layout
from ..mixed.structured.start import default_start
from ..sparse.threads import one_blas_thread
from .labels import labels_of
from .parameter_names import Names
from .structured import StructuredInput, known_scale, model_of, require_rows

_FEW_LEVELS = 5
_MOVES = 1e-3


def structured_findings(given: StructuredInput) -> tuple[list[str], list[str]]:
    """(problems, notes) of the covariances of a model, in words."""
    notes = _few(given)
    drawn = replace(given, design=replace(given.design, y=_response(given), offset=None))
    try:
        with one_blas_thread():
            model = model_of(drawn)
    except ModelError as error:
        return [str(error)], notes
    labels = labels_of(
        "", "", given.design.x_names, model.coordinates.kept, model.coordinates.dropped, given.labels
    )
    control = Control(log_s2=known_scale(given.residual, model.coordinates.y_scale))
    blocks = blocks_of(model, [t.effects for t in labels.terms], control.log_s2)
    problem = Problem(model, Equations(model), layout(model, control), True)
    try:
        require_rows(problem)
    except ModelError as error:
        return [str(error)], notes
    return _apart(problem, blocks, Names(blocks, labels)), notes


def _response(given: StructuredInput) -> np.ndarray:
    """A response in which every term has a part."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=given.design.n)
    for term in given.terms:
        part = np.asarray(term.z @ rng.normal(size=term.z.shape[1]))
        size = float(np.sqrt(np.mean(part**2)))
        y = y + (part / size if size > 0 else 0.0)
    return y


def _apart(problem: Problem, blocks: list[Block], names: Names) -> list[str]:
    """Directions along which nothing can be seen, by the names of what moves."""
    with problem.system.lock, one_blas_thread():
        theta = default_start(problem)
        point = evaluate(problem, theta)
        if point is None or not problem.n_parameters:
            return []
        information = derivatives(problem, point).average_information
        found = flat_directions(problem, point, information, np.ones(problem.layout.n_free, dtype=bool))
    said = []
    for direction in found:
        changes = _changes(problem, blocks, point, direction)
        moved = [names.said(row) for row in names.rows if abs(changes[row.block][row.j]) > _MOVES]
        if moved:
            said.append(
                f"{listed(moved)} cannot be told apart: these rows have the same covariance wherever they are along a combination of them."
                " Leave a term out, or hold one of them (fixed_parameters=)."
            )
    return list(dict.fromkeys(said))


def _changes(
    problem: Problem, blocks: list[Block], point: Point, direction: np.ndarray
) -> dict[Block, np.ndarray]:
    """How the reported numbers move along a direction of (theta, log s2), relative to their own size; the largest of all is 1."""
    layout, k = problem.layout, problem.layout.n_free
    padded = np.append(direction[:k], np.zeros(problem.n_parameters - k))
    by_phi = layout.jacobian(point.theta) @ padded
    size, half = np.sqrt(point.s2), 0.5 * direction[k]
    out = {}
    for block in blocks:
        c, change = point.phi[block.at], by_phi[block.at]
        if block.kind == "T":
            scaled = layout.scaling[block.at]
            change = np.where(scaled, size * (change + half * c), change)
            c = np.where(scaled, size * c, c)
        if block.owns_scale:
            c, change = np.append(c, np.log(size)), np.append(change, half)
        values = np.abs(block.natural(c))
        out[block] = block.slopes(c) @ change / np.maximum(values, 1e-3 * float(values.max(initial=1e-300)))
    largest = max((float(np.abs(v).max(initial=0.0)) for v in out.values()), default=0.0)
    return {block: v / largest if largest > 0 else v for block, v in out.items()}


def _few(given: StructuredInput) -> list[str]:
    """Terms with few levels, or with more parameters or effects than their levels tell."""
    said = []
    for term, labels in zip(given.terms, given.labels, strict=True):
        m = term.structure.m
        seen = len(np.unique(term.z.indices[term.z.data != 0] // m)) if term.lift is None else term.q
        levels = len(labels.levels)
        if seen < levels and term.lift is None:
            said.append(
                f"{labels.text}: {seen} of {levels} levels have rows; the effects of the others are predicted from theirs"
                + ("." if term.precision is not None or given.dense is not None else ", and are 0.")
            )
        if levels < _FEW_LEVELS:
            said.append(
                f"{labels.text} has {levels} levels: a variance from so few is rough. Fixed effects may serve as well."
            )
        elif term.structure.n_parameters > seen:
            said.append(
                f"{labels.text} has {term.structure.n_parameters} parameters for the effects of {seen} levels: they will be poorly known. "
                "Take a structure with fewer: fa, rr, csh, diag."
            )
        elif m > 1 and m * seen >= given.design.n:
            said.append(
                f"{labels.text} has {m * seen} random effects for {given.design.n} rows: its covariances will be poorly known."
            )
    return said

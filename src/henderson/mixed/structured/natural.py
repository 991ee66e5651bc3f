"""What is reported of the parameters: variances, covariances, correlations, ranges, loadings, in the user's units, each with its
slope in (theta, log s2) for the delta method, and the bound it sits on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from .solution import Solution


@dataclass(frozen=True, eq=False)
class Reported:
    """One row of `variance_components`.

    `term` is the number of the random term, -1 for the residual. `bound` is "P" (a variance, inside its range), "U" (a covariance,
    correlation, loading or range, free), "B" (at the edge of its range), "F" (held by the user), "C" (tied to another).
    """

    term: int
    kind: str
    name: str
    value: float
    slope: np.ndarray
    bound: str
    apart: bool = True
    """False where these data cannot tell it from others: it has no standard error."""


def reported(solution: Solution, effects: list[tuple[str, ...]]) -> list[Reported]:
    """All rows, the residual last. `effects` are the names of each term's effects."""
    out: list[Reported] = []
    information = solution.information
    for k in range(len(solution.terms)):
        out += _of_factor(solution, k, effects[k], information)
        out += _of_precision(solution, k, information)
    out += _of_precision(solution, -1, information)
    residual = solution.problem.model.residual
    if residual is None or not residual.has_variances:
        value, by_phi = _residual_variance(solution)
        slope = (value * by_phi) @ information.phi_slopes[_at(solution, "R", -1)]
        slope[-1] += value
        layout = solution.problem.layout
        bound = "P" if layout.log_s2 is None else layout.scale_as
        out.append(Reported(-1, "R", "Residual", value, slope, bound))
    return [replace(row, apart=not _moves(row, information)) for row in out]


def _residual_variance(solution: Solution) -> tuple[float, np.ndarray]:
    """The residual variance, where variance functions are 1 as they are defined, and d log of it / d phi of R. They are calculated
    with relative to a constant that depends on their parameters (`precisions.base.Precision.log_scale`)."""
    from ...precisions.residual_base import numerical_slopes

    residual = solution.problem.model.residual
    at = _at(solution, "R", -1)
    if residual is None:
        return solution.scale2, np.zeros(0)
    t = solution.point.phi[at]
    slopes = numerical_slopes(
        lambda v: np.array([residual.log_scale(v)]), t, residual.lower, residual.upper, 1
    )
    return solution.scale2 * float(np.exp(-2.0 * residual.log_scale(t))), -2.0 * slopes[0]


def _moves(row: Reported, information) -> bool:
    """Whether the row's value changes along a direction that the data say nothing of."""
    slope = row.slope
    size = max(abs(row.value), 1e-300)
    return bool(
        np.any(
            np.abs(information.flat @ slope) > 1e-6 * max(float(np.abs(slope).max(initial=0.0)), 1e-12 * size)
        )
    )


def user_theta(solution: Solution, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Parameters of T_k in the user's units, and what each was multiplied by: structures are closed under the scaling of their
    effects, and the parameters that scale carry it row by row."""
    structure = solution.terms[k].structure
    at = _at(solution, "T", k)
    theta = solution.point.phi[at]
    b = np.diag(solution.terms[k].back)
    rows = np.any(structure.derivatives(theta) != 0, axis=2)
    of_row = np.array([b[row][0] if row.any() else b[0] for row in rows])
    size = np.sqrt(solution.scale2)
    multiplier = np.where(structure.scaling, size * of_row, 1.0)
    return theta * multiplier, multiplier


def _at(solution: Solution, kind: str, k: int) -> slice:
    part = next((p for p in solution.problem.layout.parts if p.kind == kind and p.term == k), None)
    return slice(0, 0) if part is None else part.at


def _of_factor(solution: Solution, k: int, effects: tuple[str, ...], information) -> list[Reported]:
    structure = solution.terms[k].structure
    at = _at(solution, "T", k)
    theta, multiplier = user_theta(solution, k)
    values, slopes = structure.natural(theta), structure.natural_slopes(theta)
    to_phi = slopes * multiplier
    whole = to_phi @ information.phi_slopes[at]
    whole[:, -1] += slopes @ (0.5 * theta * structure.scaling)
    edges = {i for i, _ in structure.edges(solution.point.phi[at])}
    # A variance of zero has no slope: what it is made of shows beside it.
    beside = structure.natural_slopes(np.clip(theta + 0.1, structure.lower, structure.upper))
    out = []
    for i, parameter in enumerate(structure.parameters_of(effects)):
        used = np.flatnonzero(slopes[i] if slopes[i].any() else beside[i]) + at.start
        variance = parameter.unit == 2 and not parameter.name.startswith("cov(")
        bound = _bound(solution, used, i in edges, variance, information)
        out.append(Reported(k, "T", parameter.name, float(values[i]), whole[i], bound))
    return out


def _of_precision(solution: Solution, k: int, information) -> list[Reported]:
    precision = solution.terms[k].precision if k >= 0 else solution.problem.model.residual
    if precision is None or not precision.parameters:
        return []
    at = _at(solution, "K" if k >= 0 else "R", k)
    t = solution.point.phi[at]
    values, slopes = precision.natural(t), precision.natural_slopes(t)
    edges = {i for i, _ in precision.edges(t)}
    scale2, by_phi = _residual_variance(solution) if k < 0 else (1.0, np.zeros(len(t)))
    out = []
    for i, parameter in enumerate(precision.parameters):
        unit = parameter.unit if k < 0 else 0
        size = scale2 ** (0.5 * unit)
        value = float(values[i] * size)
        slope = (slopes[i] * size + 0.5 * unit * value * by_phi) @ information.phi_slopes[at]
        slope[-1] += 0.5 * unit * value
        used = np.flatnonzero(slopes[i]) + at.start
        variance = unit == 2 and not parameter.name.startswith("cov(")
        bound = _bound(solution, used, i in edges, variance, information)
        if variance and not len(used):
            bound = "P" if solution.problem.log_s2 is None else solution.problem.layout.scale_as
        out.append(Reported(k, "K" if k >= 0 else "R", parameter.name, value, slope, bound))
    return out


def _bound(solution: Solution, used: np.ndarray, at_edge: bool, variance: bool, information) -> str:
    layout = solution.problem.layout
    if len(used) and np.all(layout.source[used] < 0):
        as_what = set() if layout.held_as is None else set(layout.held_as[used].tolist())
        return "B" if "B" in as_what else "C" if "C" in as_what else "F"
    if at_edge:
        return "B"
    sources = layout.source[used][layout.source[used] >= 0]
    if len(sources) and not information.regular[sources].all():
        return "B"
    tied = np.bincount(layout.source[layout.source >= 0], minlength=max(layout.n_free, 1)) > 1
    if len(sources) and tied[sources].all():
        return "C"
    return "P" if variance else "U"

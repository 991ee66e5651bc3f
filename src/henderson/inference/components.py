"""Variance components as what is derived from them needs them: value, slope in the parameters (theta, log s2), range.

A `MixedFit` has variances and covariances alone; a `StructuredFit` correlations, ranges and loadings too (`natural.Reported`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray
_CORRELATIONS = ("phi", "rho", "cor", "ar1(")
_SHARES = ("share(", "nugget")
_POSITIVE = ("range", "nu", "ou(", "exp(", "gau(", "mat(", "sph(", "ident(", "power(", "const(")


@dataclass(frozen=True, eq=False)
class Component:
    """A row of `variance_components`.

    Attributes
    ----------
    number : of the random term, -1 for the residual.
    unit : power of the standard deviation in its unit: 2 variances and covariances, 1 loadings, 0 the rest.
    variance : whether it is a variance, which is never negative.
    slope : (k + 1,) in (theta, log s2). bound, apart : as `natural.Reported` has them.
    """

    number: int
    group: str
    term: str
    value: float
    slope: Array
    unit: int
    variance: bool
    bound: str
    apart: bool = True

    @property
    def range(self) -> tuple[float, float]:
        """Least and greatest value it can have."""
        if self.variance:
            return 0.0, np.inf
        if self.unit == 0:
            name = self.term.split(":")[-1].strip()
            if name.startswith(_CORRELATIONS):
                return -1.0, 1.0
            if name.startswith(_SHARES):
                return 0.0, 1.0
            if name.startswith(_POSITIVE):
                return 0.0, np.inf
        return -np.inf, np.inf


def is_structured(fit: Any) -> bool:
    """Whether the numbers are those of `mixed.structured`."""
    return hasattr(fit.solution.problem, "layout")


def components(fit: Any) -> list[Component]:
    """All rows, in the order of `variance_components`."""
    columns = fit.variance_components_columns()
    made = (
        structured(fit.labels, fit.solution, fit._reported)
        if is_structured(fit)
        else plain(fit.labels, fit.solution)
    )
    return [
        Component(c.number, c.group, c.term, c.value, c.slope, c.unit, c.variance, bound, c.apart)
        for c, bound in zip(made, columns["bound"], strict=True)
    ]


def plain(labels: Any, solution: Any) -> list[Component]:
    """Of `mixed.solution`: the entries of each Sigma, and the residual variance."""
    out = []
    slopes = solution.information.component_slopes
    for k, (term, sigma) in enumerate(zip(labels.terms, solution.covariances, strict=True)):
        for name, i, j in term.parameters:
            out.append(Component(k, term.group, name, float(sigma[i, j]), slopes[k][:, i, j], 2, i == j, "P"))
    slope = np.zeros(len(solution.information.covariance))
    slope[-1] = solution.scale2
    return [*out, Component(-1, "Residual", "Residual", solution.scale2, slope, 2, True, "P")]


def structured(labels: Any, solution: Any, rows: list[Any]) -> list[Component]:
    """Of `mixed.structured.solution`, from its reported rows."""
    out: list[Component] = []
    units: dict[tuple[int, str, str], int] = {}
    for k, (term, engine) in enumerate(zip(labels.terms, solution.terms, strict=True)):
        units |= {(k, "T", p.name): p.unit for p in engine.structure.parameters_of(term.effects)}
        if engine.precision is not None:
            # Inside the correlation of levels nothing has a unit.
            units |= {(k, "K", p.name): 0 for p in engine.precision.parameters}
    residual = solution.problem.model.residual
    if residual is not None:
        units |= {(-1, "R", p.name): p.unit for p in residual.parameters}
    for row in rows:
        unit = units.get((row.term, row.kind, row.name), 2)
        group = labels.terms[row.term].group if row.term >= 0 else "Residual"
        variance = unit == 2 and "cov(" not in row.name
        out.append(
            Component(row.term, group, row.name, row.value, row.slope, unit, variance, row.bound, row.apart)
        )
    return out


def flat_directions(fit: Any) -> Array:
    """(d, k + 1): directions of (theta, log s2) that these data say nothing of."""
    information = fit.solution.information
    return getattr(information, "flat", np.zeros((0, len(information.covariance))))


def covariance_slopes(solution: Any, k: int) -> Array:
    """d Sigma_k / d (theta, log s2) in the user's units, (k + 1, m, m)."""
    information = solution.information
    if hasattr(information, "component_slopes"):
        found: Array = information.component_slopes[k]
        return found
    term, t = solution.terms[k], solution.point.factors[k]
    out = np.zeros((len(information.covariance), term.m, term.m))
    part = next((p for p in solution.problem.layout.parts if p.kind == "T" and p.term == k), None)
    if part is not None:
        half = term.back @ (term.structure.derivatives(solution.point.phi[part.at]) @ t.T) @ term.back.T
        by_phi = solution.scale2 * (half + half.transpose(0, 2, 1))
        out += np.einsum("aij,ak->kij", by_phi, information.phi_slopes[part.at])
    out[-1] += solution.covariances[k]
    return out

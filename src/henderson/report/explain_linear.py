"""A least-squares fit in matrix form: y = X b^ + e^, Var(e) = s2 V, X'V^-1X b^ = X'V^-1y."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..design.aliasing import describe
from ..formula import read_residual
from ..residuals.layout import product_codes
from .explain_page import legend, offset, response, section, title, wrapped
from .matrices import matrix, number, side_by_side

if TYPE_CHECKING:
    from ..models.linear_fit import LinearFit

_WHOLE_V = 12
"""Rows up to which the covariance of the residuals is shown whole."""


def explain_linear(fit: LinearFit) -> dict[str, list[str]]:
    """y, X, b^, e^; the covariance of the residuals; the normal equations and their solution; s2; Var(b^)."""
    design, space, solution = fit.design, fit.columns, fit.solution
    X, y = design.X, response(fit)
    names = space.names
    n, p = X.shape
    beta = np.zeros(p)
    beta[space.kept] = solution.beta
    fitted = X @ beta
    weighted = fit.generalised or design.weights is not None
    white = fit.whiten(X)
    cross, right = white.T @ white, white.T @ fit.whiten(y[:, None])[:, 0]
    inverse = np.zeros((p, p))
    inverse[np.ix_(space.kept, space.kept)] = solution.unscaled
    xx, xy = ("X'V^-1X", "X'V^-1y") if weighted else ("X'X", "X'y")
    labels = [name if j in set(space.kept.tolist()) else f"{name} (set to 0)" for j, name in enumerate(names)]
    observed, rest = matrix("y", y), matrix("e^", y - fitted)
    return {
        "title": [*title(fit, f"{n} rows, {p} columns of X, rank {space.rank}"), *offset(fit)],
        "model": [
            *section("The model: y = X b^ + e^"),
            *legend("columns of X", names),
            *side_by_side(observed, "=", matrix("X", X), matrix("b^", beta, labels), "+", rest),
        ],
        "fitted": [
            *section("Fitted values y^ = X b^, and residuals"),
            *side_by_side(observed, "=", matrix("y^", fitted), "+", rest),
        ],
        "V": _residual_covariance(fit),
        "equations": [
            *section(f"The normal equations: {xx} b^ = {xy}"),
            *side_by_side(matrix(xx, cross), matrix("b^", beta), "=", matrix(xy, right)),
        ],
        "solution": _inverse(fit, xx, xy, inverse, beta),
        "s2": _scale(fit, weighted),
        "variance": _variance_of_coefficients(fit, xx, inverse, names),
    }


def _residual_covariance(fit: LinearFit) -> list[str]:
    design = fit.design
    n = design.n
    if not fit.generalised and design.weights is None:
        return [*section("The residuals: Var(e) = s2 I"), f"independent, of one variance; I is {n} x {n}"]
    if not fit.generalised:
        assert design.weights is not None
        out = section("The residuals: Var(e) = s2 V, V = diag(1 / weights)")
        return out + side_by_side(matrix("diagonal of V", 1.0 / design.weights))
    out = section("The residuals: Var(e) = s2 V")
    components = fit.variance_components_columns()
    out += [
        f"{term} = {number(value)}"
        for term, value in zip(components["term"], components["estimate"], strict=True)
    ]
    rows, said = _block_rows(fit)
    chosen = np.zeros((n, len(rows)))
    chosen[rows, np.arange(len(rows))] = 1.0
    half = fit.whiten(chosen)
    return (
        [*out, said, *side_by_side(matrix("V", np.linalg.inv(half.T @ half)))] if len(rows) else [*out, said]
    )


def _block_rows(fit: LinearFit) -> tuple[np.ndarray, str]:
    """Rows among which V is shown: all, or those of the first group that rows of no other are correlated with."""
    n = fit.design.n
    if n <= _WHOLE_V:
        return np.arange(n), "among all rows:"
    residual: Any = fit.solution.residual
    text = getattr(residual.covariance.structure, "text", "V=")
    if text != "V=" and fit.frame is not None:
        groups = read_residual(text).groups
        codes, labels = product_codes(groups, fit.frame, fit.design.rows, n)
        rows = np.flatnonzero(codes == codes[0])
        if groups and len(rows) <= 2 * _WHOLE_V:
            said = f"among the rows of {':'.join(groups)} {labels[int(codes[0])]}; rows of different levels are independent:"
            return rows, said
    sd = residual.standard_deviations
    if residual.covariance.structure.name == "independent":
        return np.zeros(0, dtype=np.intp), "\n".join(side_by_side(matrix("diagonal of V", sd**2)))
    return np.zeros(0, dtype=np.intp), (
        f"V is {n} x {n}; its diagonal is "
        + (f"{number(sd[0] ** 2)}." if np.ptp(sd) < 1e-12 * sd[0] else "not constant.")
    )


def _inverse(fit: LinearFit, xx: str, xy: str, inverse: np.ndarray, beta: np.ndarray) -> list[str]:
    space = fit.columns
    if not len(space.dropped):
        out = section(f"Their solution: b^ = ({xx})^-1 {xy}")
        return out + side_by_side(matrix(f"({xx})^-1", inverse), " ", matrix("b^", beta, space.names))
    out = section(f"Their solution: b^ = ({xx})^- {xy}, one of many")
    out += [
        f"{xx} is singular: rank {space.rank} of {len(space.names)}. ({xx})^- is a generalised inverse: the inverse over the",
        "columns that have a coefficient, 0 elsewhere. Fitted values are the same whichever is taken.",
    ]
    out += side_by_side(matrix(f"({xx})^-", inverse), " ", matrix("b^", beta, space.names))
    out += section("The null space: X N = 0")
    out += side_by_side(matrix("N", space.null_space, space.names))
    return [*out, "l'b can be estimated where l'N = 0.", *wrapped(describe(space, fit.design))]


def _scale(fit: LinearFit, weighted: bool) -> list[str]:
    n, rank = fit.nobs, fit.columns.rank
    sum_of_squares = "e^'V^-1e^" if weighted else "e^'e^"
    s2, rss = fit.sigma**2, fit.rss
    out = section("The residual variance")
    if fit.solution.scale_known:
        return [*out, f"s2 = {number(s2)}, held; {sum_of_squares} = {number(rss)}"]
    below, said = (n - rank, f"({n} - {rank})") if not fit.generalised or fit.reml else (n, str(n))
    if below == 0:
        return [*out, f"{sum_of_squares} = {number(rss)}; n - rank = 0, so s2 cannot be estimated"]
    how = "(n - rank)" if below != n else "n"
    return [*out, f"s2 = {sum_of_squares} / {how} = {number(rss)} / {said} = {number(s2)}"]


def _variance_of_coefficients(
    fit: LinearFit, xx: str, inverse: np.ndarray, names: tuple[str, ...]
) -> list[str]:
    space = fit.columns
    kept = [names[j] for j in space.kept]
    error = np.sqrt(np.diag(fit.vcov))
    if fit.solution.robust is not None:
        out = section("Var(b^), robust")
    else:
        out = section(
            f"Var(b^) = s2 ({xx})^-1" + (" over the columns with a coefficient" if len(space.dropped) else "")
        )
    return out + side_by_side(matrix("Var(b^)", fit.vcov), " ", matrix("std. error", error, kept))

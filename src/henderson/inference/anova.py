"""Tests of the fixed terms, of types I, II and III.

With X = Q R (R the fit's `sequential_root`; dropped columns with their aliases), the columns of a term T are R_T in the
coordinates of Q. Type I takes the part of R_T that is orthogonal to the terms before it, type II the part orthogonal to
every term that does not contain T (Fox 2016, ch. 8); a basis W of it gives the hypothesis W'R b = 0, whose sum of squares in a
linear model is |W'R b|^2. Type III tests that the coefficients of T are 0 where every factor is coded by sums to zero,
whatever the user's coding is: cells count alike however many rows they have (Searle 1987, ch. 12; SAS's type III where every
cell has rows). What of it is not estimable is left out, and said.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..design.sum_coded import assign_of, both_codings
from ..errors import ModelError
from ..formula import parse
from .protocol import LinearEstimates
from .wald import NOTHING, Wald, wald

_NOTHING_LEFT = 1e-8
"""Share of a column's length below which it adds nothing to those before it."""


def anova(fit: LinearEstimates, type: int | str = 2, df: str | None = None) -> dict[str, Any]:
    """F tests of the fixed terms.

    Parameters
    ----------
    type : 1 (each term given those before it), 2 (given every term that does not contain it) or 3 (see the head of this file).
    df : denominator degrees of freedom, one of `protocol.DF_METHODS`; None takes the fit's own.

    Returns
    -------
    term, df, den_df, statistic, p_value. Least squares with the usual covariance have sum_sq and mean_sq besides, and a line
    Residuals. A term with nothing left to test has df 0 and NaN.

    Raises
    ------
    ModelError : another type.
    """
    number = {"1": 1, "2": 2, "3": 3, "I": 1, "II": 2, "III": 3}.get(str(type).upper())
    if number is None or isinstance(type, bool):
        raise ModelError(f"anova: type is 1, 2 or 3, not {type!r}.")
    hypotheses = type_three(fit) if number == 3 else _by_space(fit, number)
    found = {name: wald(fit, rows, None, df) if len(rows) else NOTHING for name, rows in hypotheses.items()}
    return _table(fit, found)


def _table(fit: LinearEstimates, found: dict[str, Wald]) -> dict[str, Any]:
    names, tests = list(found), list(found.values())
    out: dict[str, Any] = {"term": names, "df": np.array([t.df for t in tests], dtype=np.int64)}
    squares = getattr(fit, "has_sums_of_squares", False)
    if squares:
        mean = np.array([t.statistic for t in tests]) * fit.sigma**2
        out |= {"sum_sq": mean * out["df"], "mean_sq": mean}
    out |= {
        "den_df": np.array([t.den_df for t in tests]),
        "statistic": np.array([t.statistic for t in tests]),
        "p_value": np.array([t.p_value for t in tests]),
    }
    if squares:
        last = {
            "term": "Residuals",
            "df": fit.df_residual,
            "sum_sq": fit.sigma**2 * fit.df_residual,
            "mean_sq": fit.sigma**2,
        }
        out = {name: [*values, last.get(name, float("nan"))] for name, values in out.items()}
    return out


def terms_of(fit: LinearEstimates) -> tuple[tuple[str, ...], ...]:
    """The fixed terms as tuples of factors; () is the intercept."""
    return parse(fit.formula).terms


def term_label(term: tuple[str, ...]) -> str:
    return ":".join(term)


def _by_space(fit: LinearEstimates, number: int) -> dict[str, np.ndarray]:
    space, root = fit.columns, fit.sequential_root
    wide = np.zeros((space.rank, len(space.names)))
    wide[:, space.kept] = root
    wide[:, space.dropped] = root @ space.aliases
    terms, assign = terms_of(fit), assign_of(fit.spec)
    out = {}
    for k, term in enumerate(terms):
        if not term:
            continue
        if number == 1:
            others = [j for j in range(len(terms)) if j < k]
        else:
            others = [j for j, other in enumerate(terms) if j != k and not set(term) < set(other)]
        basis = _basis(wide[:, np.isin(assign, others)], np.zeros((space.rank, 0)))
        out[term_label(term)] = _basis(wide[:, assign == k], basis).T @ root
    return out


def _basis(columns: np.ndarray, beside: np.ndarray) -> np.ndarray:
    """Orthonormal basis of what the columns add to the orthonormal columns `beside`."""
    size = np.linalg.norm(columns, axis=0)
    unit = columns[:, size > 0] / size[size > 0]
    for _ in range(2):
        unit = unit - beside @ (beside.T @ unit)
    if not unit.shape[1]:
        return np.zeros((len(columns), 0))
    u, values, _ = np.linalg.svd(unit, full_matrices=False)
    return u[:, values > _NOTHING_LEFT]


def type_three(fit: LinearEstimates) -> dict[str, np.ndarray]:
    """Type III hypotheses over the kept coefficients, by term: the estimable part of each."""
    space, coded = fit.columns, both_codings(fit.spec)
    # X b = S c for every row: c, the coefficients of the columns coded by sums, is a linear function of b
    to_sums = coded.to_sums
    out = {}
    for k, term in enumerate(terms_of(fit)):
        if term:
            rows = to_sums[coded.sums_assign == k]
            out[term_label(term)] = _estimable_part(rows, space.null_space)[:, space.kept]
    return out


def _estimable_part(rows: np.ndarray, null_space: np.ndarray) -> np.ndarray:
    """Combinations of the rows that are zero on the null space."""
    if not null_space.shape[1] or not len(rows):
        return rows
    scale = np.linalg.norm(null_space, axis=0)
    moved = rows @ (null_space / scale) / np.maximum(np.linalg.norm(rows, axis=1), 1e-300)[:, None]
    u, values, _ = np.linalg.svd(moved)
    rank = int(np.sum(values > _NOTHING_LEFT))
    return u[:, rank:].T @ (rows / np.maximum(np.linalg.norm(rows, axis=1), 1e-300)[:, None])

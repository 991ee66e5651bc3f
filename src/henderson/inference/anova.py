"""Tests of the fixed terms, of types I, II and III.

**I**: each term given those before it. With X = Q R, the rows of R (the fit's `sequential_root`) that belong to the term.

**II**: each term given every term that does not contain it (Fox 2016, ch. 8; a product contains its factors, covariates
too). The same rows of R after its columns are put in the order: other terms, the term, the terms that contain it; where none
does, that its coefficients are 0. For least squares these are the sums of squares by which the models with and without the term
differ.

**III**: every cell counts alike, however many rows it has, and however the user codes the factors (Searle 1987, ch. 12). Where
all columns of X have a coefficient these are the differences between levels when all other factors are averaged with equal
weights (`design.margins`). Otherwise, as in SAS (Goodnight 1978): of all estimable functions of the term and of those that
contain it, those that are orthogonal to the estimable functions of the latter alone. They depend on which cells have rows.

Without an intercept the first factor has a column for each level: of types II and III its test is that all its means are 0, those
of all others that there are no differences (for III as car has it with contr.sum for the others).

Goodnight (1978) "Tests of hypotheses in fixed effects linear models", SAS Technical Report R-101.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .. import design as designs
from ..design.columns import INTERCEPT, ModelColumns
from ..design.margins import Blocks, margins, margins_of_levels
from ..design.values import Numbers
from ..errors import ModelError
from ..formula import parse
from ..frame import Column, Frame
from .protocol import LinearEstimates
from .wald import Wald, require_df, wald

_NOTHING_LEFT = 1e-8
"""Share of a column's length below which it adds nothing to those before it."""
Term = tuple[str, ...]


class _Asked(NamedTuple):
    """The hypothesis of a term: rows (k, rank) over the kept coefficients, how many there would be if all could be estimated,
    and whether it depends on which cells have rows."""

    rows: np.ndarray
    full: int
    holes: bool = False


def anova(
    fit: LinearEstimates, type: int | str = 2, df: str | float | None = None, intercept: bool = False
) -> dict[str, Any]:
    """F tests of the fixed terms. See `Questions.anova`."""
    number = {"1": 1, "2": 2, "3": 3, "I": 1, "II": 2, "III": 3}.get(str(type).upper())
    if number is None or isinstance(type, bool):
        raise ModelError(f"anova: type is 1, 2 or 3, not {type!r}.")
    if intercept and number == 2:
        raise ModelError(
            "anova: every term contains the intercept, so type 2 does not test it. Use type 3, or 1."
        )
    require_df(df)
    terms, columns = parse(fit.formula).terms, columns_of(fit)
    asked = {1: _sequential, 2: _partial, 3: _equal_weights}[number](fit, terms, columns)
    if number > 1 and len(terms) == 2 and not terms[0]:
        # One term and the intercept: the three hypotheses are one, written as type I writes it.
        asked[1] = _sequential(fit, terms, columns)[1]
    shown = [k for k, term in enumerate(terms) if term or intercept]
    labels = [":".join(terms[k]) or INTERCEPT for k in shown]
    return _table(fit, labels, [asked[k] for k in shown], df)


def _table(
    fit: LinearEstimates, labels: list[str], asked: list[_Asked], method: str | float | None
) -> dict[str, Any]:
    tests = [wald(fit, each.rows, None, method) for each in asked]
    notes = [_note(each, test) for each, test in zip(asked, tests, strict=True)]
    out: dict[str, list] = {"term": labels, "df": [t.df for t in tests]}
    squares = getattr(fit, "has_sums_of_squares", False)
    if squares:
        out["sum_sq"] = [t.squares for t in tests]
        out["mean_sq"] = [t.squares / t.df if t.df else np.nan for t in tests]
    for name in ("den_df", "statistic", "p_value"):
        out[name] = [getattr(t, name) for t in tests]
    if squares:
        rss = fit.sigma**2 * fit.df_residual if fit.df_residual else 0.0
        last = {"term": "Residuals", "df": fit.df_residual, "sum_sq": rss, "mean_sq": fit.sigma**2}
        out = {name: [*values, last.get(name, np.nan)] for name, values in out.items()}
    if any(notes):
        out["note"] = [*notes, *[""] * squares]
    return out


def _note(asked: _Asked, test: Wald) -> str:
    if test.singular:
        return f"no test: the covariance of the coefficients is singular along these {test.df} combinations"
    if test.df == 0 < asked.full:
        return "nothing of it can be told from the other terms"
    said = []
    if test.df < asked.full:
        said.append(f"{asked.full - test.df} of {asked.full} degrees of freedom cannot be estimated")
    if asked.holes:
        said.append("the hypothesis depends on which cells have rows")
    return "; ".join(said)


def columns_of(fit: LinearEstimates) -> ModelColumns:
    """How the columns of X are made of factors and numbers; of a fit without rows, for a table of none."""
    try:
        return fit.design.columns
    except ModelError:
        pass
    records, made = fit.spec["columns"], {}
    for name in designs.needed_again(fit.spec, random=False):
        record = records.get(name, {"kind": "numeric"})
        factor = record["kind"] == "factor"
        none = np.zeros(0, dtype=np.int32 if factor else np.float64)
        made[name] = Column(name, record["kind"], none, tuple(record["levels"]) if factor else ())
    return designs.rebuild({**fit.spec, "offset": None}, Frame(made, 0), random=False).columns


# -- types I and II ------------------------------------------------------------------------------------------


def _sequential(fit: LinearEstimates, terms: tuple[Term, ...], columns: ModelColumns) -> list[_Asked]:
    root, term_of = fit.sequential_root, columns.assign[fit.columns.kept]
    return [
        _Asked(_leading_one(root, term_of == k), int(np.sum(columns.assign == k))) for k in range(len(terms))
    ]


def _partial(fit: LinearEstimates, terms: tuple[Term, ...], columns: ModelColumns) -> list[_Asked]:
    root, space = fit.sequential_root, fit.columns
    wide = np.zeros((space.rank, len(space.names)))
    wide[:, space.kept], wide[:, space.dropped] = root, root @ space.aliases
    out = []
    for k, term in enumerate(terms):
        own = columns.assign == k
        others = np.isin(
            columns.assign, [j for j, other in enumerate(terms) if j != k and not set(term) < set(other)]
        )
        if _kept_span(space, others) and (others | own).all():
            rows = np.eye(space.rank)[own[space.kept]]
        elif _kept_span(space, others) and _kept_span(space, others | own):
            order = [*_kept(space, others), *_kept(space, own), *_kept(space, ~(others | own))]
            again = np.asarray(np.linalg.qr(root[:, order], mode="r"))
            start = int(np.sum(others[space.kept]))
            mine = np.zeros(space.rank, dtype=bool)
            mine[start : start + int(np.sum(own[space.kept]))] = True
            rows = np.empty((int(mine.sum()), space.rank))
            rows[:, order] = _leading_one(again, mine)
        else:
            beside = _basis(wide[:, others], np.zeros((space.rank, 0)))
            rows = _basis(wide[:, own], beside).T @ root
        out.append(_Asked(rows, int(own.sum())))
    return out


def _leading_one(root: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Rows of an upper triangular matrix, over their diagonal (as SAS and lmerTest write them)."""
    chosen = np.triu(root)[rows]
    return chosen / np.diagonal(root)[rows, None]


def _kept(space: Any, columns: np.ndarray) -> list[int]:
    """Places among the kept columns."""
    return [int(i) for i in np.flatnonzero(columns[space.kept])]


def _kept_span(space: Any, columns: np.ndarray) -> bool:
    """Whether the kept ones of some columns of X span all of them."""
    outside = space.aliases[~columns[space.kept]][:, columns[space.dropped]]
    return not (np.abs(outside) > 1e-9 * np.abs(space.aliases).max(initial=1.0)).any()


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


# -- type III ------------------------------------------------------------------------------------------------


def _equal_weights(fit: LinearEstimates, terms: tuple[Term, ...], columns: ModelColumns) -> list[_Asked]:
    blocks = margins(columns)
    own = {frozenset(term): [frozenset(term)] for term in terms}
    if () not in terms and frozenset() in blocks and (first := _first_of_factors(terms, columns)):
        own[first].insert(0, frozenset())
    if not len(fit.columns.dropped) and set(blocks) == {s for sets in own.values() for s in sets}:
        tested = [np.vstack([blocks[s] for s in own[frozenset(term)]]) for term in terms]
        return [_Asked(rows, len(rows)) for rows in tested]
    return _by_estimable_functions(fit, terms, columns, blocks)


def _first_of_factors(terms: tuple[Term, ...], columns: ModelColumns) -> frozenset[str] | None:
    """The first term without covariates: its columns hold the constant where there is no intercept."""
    numbers = {name for name, value in columns.values.items() if isinstance(value, Numbers)}
    return next((frozenset(term) for term in terms if not set(term) & numbers), None)


def _by_estimable_functions(
    fit: LinearEstimates, terms: tuple[Term, ...], columns: ModelColumns, blocks: Blocks
) -> list[_Asked]:
    """Goodnight's type III. The columns Z of all levels of all factors are X_kept B, so that the rows of B span the estimable
    functions of their coefficients, and w'B of these is w'b of the kept ones."""
    levels, term_of = margins_of_levels(terms, columns)
    space = fit.columns
    reduce = np.zeros((space.rank, len(space.names)))
    reduce[np.arange(space.rank), space.kept] = 1.0
    reduce[:, space.dropped] = space.aliases
    spanning = reduce @ _in_columns(blocks, levels)
    spanning = np.where(np.abs(spanning) < 1e-11 * np.abs(spanning).max(initial=1.0), 0.0, spanning)
    scale = np.abs(spanning).max(axis=1, keepdims=True)
    spanning = spanning / np.where(scale > 0, scale, 1.0)
    numbers = {name for name, value in columns.values.items() if isinstance(value, Numbers)}
    out = []
    for k, term in enumerate(terms):
        above = [j for j, other in enumerate(terms) if _contains(other, term, numbers)]
        outside = ~np.isin(term_of, [k, *above])
        own, beyond = _left_null(spanning[:, outside]), _left_null(spanning[:, outside | (term_of == k)])
        mixed = (beyond.T @ spanning) @ (own.T @ spanning).T
        rows = (own @ _left_null(mixed.T)).T / np.where(scale > 0, scale, 1.0).T
        # Without an intercept the constant is nobody's difference; whoever tests it has more, not others less.
        full = sum(
            len(blocks[s]) for s in blocks if s <= set(term) and _new(s, term, terms) and (s or not term)
        )
        products = [j for j in above if len(terms[j]) > 1]
        lost = bool(np.isin(columns.assign[space.dropped], products).any())
        out.append(_Asked(rows, full, lost))
    return out


def _in_columns(blocks: Blocks, levels: Blocks) -> np.ndarray:
    """(p, P): the columns of all levels as combinations of those of X."""
    p = next(iter(blocks.values())).shape[1]
    many = next(iter(levels.values())).shape[1]
    sets = list(dict.fromkeys([*blocks, *levels]))
    size = {s: len((blocks if s in blocks else levels)[s]) for s in sets}
    x = np.vstack([blocks.get(s, np.zeros((size[s], p))) for s in sets])
    z = np.vstack([levels.get(s, np.zeros((size[s], many))) for s in sets])
    found = np.linalg.lstsq(x, z, rcond=1e-12)[0]
    if np.abs(x @ found - z).max(initial=0.0) > 1e-8 * np.abs(z).max(initial=1.0):
        raise ModelError(
            "type 3: the coding of the factors does not span the differences of their levels. Use type 2."
        )
    return found


def _contains(other: Term, term: Term, numbers: set[str]) -> bool:
    """SAS: the same covariates, and more factors."""
    return set(term) < set(other) and set(term) & numbers == set(other) & numbers


def _new(s: frozenset[str], term: Term, terms: tuple[Term, ...]) -> bool:
    """Whether a set within a term is not within another term that the term contains."""
    return not any(set(other) < set(term) and s <= set(other) for other in terms)


def _left_null(matrix: np.ndarray) -> np.ndarray:
    """Orthonormal columns w with w'matrix = 0."""
    size = np.linalg.norm(matrix, axis=0)
    unit = matrix[:, size > 0] / size[size > 0]
    if not unit.shape[1]:
        return np.eye(len(matrix))
    u, values, _ = np.linalg.svd(unit, full_matrices=True)
    return u[:, int(np.sum(values > _NOTHING_LEFT)) :]

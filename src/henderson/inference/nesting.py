"""Whether one model is a special case of another, and what of it lies on the edge of the parameters.

Fixed parts: every column of the smaller X (and the difference of the offsets) is a combination of the columns of the larger.
Random parts: every term of the smaller one is within a term of the larger: the same groups, no effect that the larger lacks,
no covariance that it lacks.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from .protocol import rows_or_none

_SAME = 1e-8
"""Share of its length that a column may have outside a space that holds it."""
_AT_AN_EDGE = ("nugget", "range")
"""Parameters of residuals that are 0, the least they can be, in the model without them."""
_FREE = {"id": 0, "diag": 1, "us": 2}


@dataclass(frozen=True)
class Nesting:
    """`fixed`: columns that the larger model has more. `variances`: of random effects, nuggets and ranges, that it has and the
    smaller lacks (each at 0 in the smaller one, the edge of its range). `why_not`: "" where the smaller model is within the larger; `unsure`: what
    was not checked."""

    fixed: int
    variances: int = 0
    why_not: str = ""
    unsure: str = ""


def nesting(small: Any, large: Any) -> Nesting:
    """How the model of one fit lies within that of another."""
    fixed = large.columns.rank - small.columns.rank
    if not fixed_within(small, large):
        return Nesting(fixed, why_not="the fixed part of one is not within that of the other")
    if not _same_weights(small, large):
        return Nesting(fixed, why_not="their weights differ")
    terms, more = random_terms(small), random_terms(large)
    correlated = residual_parameters(small)
    if correlated and more:
        return Nesting(fixed, unsure="correlated residuals are compared with random effects")
    if missing := correlated - residual_parameters(large):
        return Nesting(
            fixed,
            unsure=f"whether the residual covariance with {', '.join(sorted(missing))} is within the other",
        )
    for term in terms:
        if not _within(term, more):
            return Nesting(fixed, why_not=f"the other has no term that contains {term.text}")
    edge = [name for name in residual_parameters(large) - correlated if name.startswith(_AT_AN_EDGE)]
    return Nesting(fixed, len(_variances(more) - _variances(terms)) + len(edge))


def same_fixed_part(one: Any, two: Any) -> bool:
    """Whether two fits have the same columns of X, in the same coding."""
    if one.columns.names != two.columns.names or not np.array_equal(one.columns.kept, two.columns.kept):
        return False
    rows = rows_or_none(one), rows_or_none(two)
    if None in rows:
        return _codings(one) == _codings(two)
    first, second = rows[0].X, rows[1].X  # type: ignore[union-attr]
    return bool(np.all(np.abs(first - second) <= 1e-12 * np.abs(first).max(initial=0.0)))


def fixed_within(small: Any, large: Any) -> bool:
    """Whether the means that one model allows are among those of another."""
    rows = rows_or_none(small), rows_or_none(large)
    names = set(large.columns.names)
    by_name = set(small.columns.names) <= names and _codings(small) == _codings(large)
    if None in rows:
        return by_name
    one, two = rows
    assert one is not None and two is not None
    extra = (one.offset if one.offset is not None else 0.0) - (two.offset if two.offset is not None else 0.0)
    if by_name and not np.any(extra):
        return True
    inside = one.X[:, small.columns.kept]
    if np.any(extra):
        inside = np.column_stack([inside, np.broadcast_to(extra, one.n)])
    x = two.X[:, large.columns.kept]
    size = np.linalg.norm(inside, axis=0)
    basis, _ = np.linalg.qr(x / np.linalg.norm(x, axis=0)) if x.shape[1] else (x, None)
    for _ in range(2):
        inside = inside - basis @ (basis.T @ inside)
    return bool(np.all(np.linalg.norm(inside, axis=0) <= _SAME * size))


def random_terms(fit: Any) -> tuple:
    """Labels of the random terms."""
    return tuple(fit.labels.terms)


def residual_parameters(fit: Any) -> set[str]:
    """Names of the parameters of the covariance of the residuals, the residual variance apart."""
    if not getattr(fit, "generalised", False):
        return set()
    return {str(name) for name in fit.variance_components_columns()["term"][:-1]}


def _codings(fit: Any) -> dict[str, Any]:
    records = fit.spec["columns"]
    return {name: (tuple(r["levels"]), r["contrast"]) for name, r in records.items() if "levels" in r}


def _same_weights(one: Any, two: Any) -> bool:
    rows = rows_or_none(one), rows_or_none(two)
    if None in rows:
        return one.spec["weights"] == two.spec["weights"]
    given = [r.weights if r.weights is not None else np.ones(r.n) for r in rows]  # type: ignore[union-attr]
    return bool(np.array_equal(given[0], given[1]))


def _within(term: Any, others: tuple) -> bool:
    same = [other for other in others if _groups(other) == _groups(term)]
    if _FREE.get(term.structure, 3) < 2 or len(term.effects) == 1:
        return set(term.effects) <= {effect for other in same for effect in other.effects}
    return any(set(term.effects) <= set(o.effects) and o.structure == term.structure for o in same)


def _groups(term: Any) -> tuple[str, ...]:
    return tuple(sorted(term.group.split(":")))


def _variances(terms: tuple) -> set[tuple]:
    return {(_groups(term), effect) for term in terms for effect in term.effects}

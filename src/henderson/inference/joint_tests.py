"""F tests of the terms in marginal means: of a variable averaged over the others, of its interactions, and of both within the
levels of others ("simple effects").
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import ModelError
from .asked import read_groups, require_df, require_weights
from .columns import fixed_names
from .functions import Functions, cleaned, crossed
from .grid import ReferenceGrid, require_variable
from .joint import JointTest, zero_together
from .nested_factors import Nested, with_nests
from .protocol import LinearEstimates
from .words import terms_of

if TYPE_CHECKING:
    from .estimates import Estimates

_NEAR = 0.05
"""Share of its range to both sides of its mean between which a covariate is tested."""


_COLUMNS = ("term", "df1", "df2", "statistic", "p_value", "note")
_NOTE = "some of it cannot be estimated and is not tested"


def joint_tests(
    fit: LinearEstimates,
    *,
    by: str | Sequence[str] | None = None,
    at: Mapping[str, Any] | None = None,
    weights: str = "equal",
    df: Any = None,
    nesting: Any = None,
) -> dict[str, list[Any]]:
    """F tests of each term in marginal means, within the levels of `by`. See `Questions.joint_tests`."""
    require_weights(weights)
    require_df(fit, df)
    groups = read_groups(by, "joint_tests")
    for name in groups:
        require_variable(fit, name, fixed_names(fit.spec), "joint_tests")
    grid = ReferenceGrid(fit, {**_near_means(fit, (*groups, *(at or {}))), **(at or {})}, nesting)
    _, groups = with_nests((), groups, grid.nested)
    for name in groups:
        if grid[name].reduced:
            raise ModelError(
                f"joint_tests: '{name}' is a covariate: say at which values with at={{'{name}': [...]}}."
            )
    rows = []
    for names in _tested(fit, grid, groups):
        margins = grid.margins((*names, *groups), weights)
        functions = Functions(margins.rows, margins.offset, margins.labels, names, groups, margins.empty)
        for places in functions.families(groups):
            mixed = _within_nests(functions, places, names, grid.nested)
            rows.append(_row(functions, places, groups, names, zero_together(fit, *mixed, df)))
    if not rows:
        raise ModelError("joint_tests: the fixed part has no variable with two levels or more to test.")
    return _table(_together(rows, groups), groups)


def joint_tests_of(means: Estimates, by: tuple[str, ...], names: tuple[str, ...]) -> dict[str, list[Any]]:
    """F tests of no differences among estimates, within each combination of `by`: of each of the variables `names` averaged over
    the others, and of each of their interactions.
    """
    functions = means.functions
    rows = []
    for places in functions.families(by):
        levels = crossed(functions, places, names)
        varying = [name for name in names if len(levels[name]) > 1]
        for size in range(1, len(varying) + 1):
            for subset in combinations(varying, size):
                mixed, offset = _mixed(functions, places, names, subset)
                test = zero_together(means.fit, mixed, offset, means.options.df)
                if test.df1 or test.reduced:
                    rows.append(_row(functions, places, by, subset, test))
    return _table(rows, by)


def _near_means(fit: LinearEstimates, without: Sequence[str]) -> dict[str, list[float]]:
    """Two values of each covariate at both sides of its mean, by which its slope is tested."""
    ends = {}
    for name in fixed_names(fit.spec):
        record = fit.spec["columns"][name]
        if name in without or "levels" in record or "values" in record or "least" not in record:
            continue
        half = _NEAR * (record["greatest"] - record["least"])
        if half > 0:
            ends[name] = [record["mean"] - half, record["mean"] + half]
    return ends


def _tested(fit: LinearEstimates, grid: ReferenceGrid, groups: Sequence[str]) -> list[tuple[str, ...]]:
    """Variables of each term of the formula that vary over the grid, less those of `groups`; each set once."""
    varying = {v.name for v in grid.variables if len(v.values) > 1}
    whole = (term.union(*(grid.nested.get(name, ()) for name in term)) for term in terms_of(fit))
    terms = (tuple(n for n in grid.names if n in term and n not in groups) for term in whole)
    return list(dict.fromkeys(names for names in terms if names and set(names) <= varying))


def _within_nests(
    functions: Functions, places: np.ndarray, names: tuple[str, ...], nested: Nested
) -> tuple[np.ndarray, np.ndarray]:
    """`_mixed` of all variables of a term; of those nested in others of it, within each combination of these alone."""
    nests = tuple(n for n in names if any(n in nested.get(name, ()) for name in names))
    inside = tuple(n for n in names if n not in nests)
    keys = [tuple(functions.labels[name][i] for name in nests) for i in places]
    families = [places[[key == one for key in keys]] for one in dict.fromkeys(keys)]
    parts = [_mixed(functions, family, inside, inside) for family in families]
    return np.vstack([rows for rows, _ in parts]), np.concatenate([offset for _, offset in parts])


def _mixed(
    functions: Functions, places: np.ndarray, names: tuple[str, ...], subset: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and offsets of the products, over the variables `names` of a family, of differences of neighbours in those of `subset`
    and of means over the others."""
    levels = crossed(functions, places, names)
    weights: np.ndarray = np.ones((1, 1))
    for name in names:
        k = len(levels[name])
        part = np.diff(np.eye(k), axis=0) if name in subset else np.full((1, k), 1.0 / k)
        weights = np.kron(part, weights)
    rows = functions.rows[places]
    return cleaned(weights @ rows, weights, rows), weights @ functions.offset[places]


def _row(
    functions: Functions, places: np.ndarray, by: Sequence[str], names: Sequence[str], test: JointTest
) -> dict[str, Any]:
    return {
        **{name: functions.labels[name][places[0]] for name in by},
        "term": ":".join(names),
        "df1": test.df1,
        "df2": test.df2,
        "statistic": test.statistic,
        "p_value": test.p_value,
        "note": _NOTE if test.reduced else "",
    }


def _together(rows: list[dict[str, Any]], by: Sequence[str]) -> list[dict[str, Any]]:
    """Rows of one combination of `by` together, in the order they come."""
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(tuple(row[name] for name in by), []).append(row)
    return [row for group in groups.values() for row in group]


def _table(rows: list[dict[str, Any]], by: Sequence[str]) -> dict[str, list[Any]]:
    """The rows as columns, without the notes where there are none."""
    out = {name: [row[name] for row in rows] for name in (*by, *_COLUMNS)}
    if not any(out["note"]):
        out.pop("note")
    return out

"""The random effects of a structured model as text: every parameter of every covariance with its standard error and the bound
it sits on, as ASReml lists its components, under lme4's names.

    Groups         Name                 Estimate Std.Error z ratio
    vm(animal, A)  (Intercept)            12.31     3.205    3.84
    Residual                               9.87     1.112    8.87

Parameters of factors (loadings, specific variances) are a matrix: a row for each effect, a column for each factor.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from .numbers import column, table

_SHOWN = 12
"""Effects of one term whose covariances are listed; of more, variances alone."""
_LOADING = re.compile(r"loading (\d+) (.+)", re.DOTALL)
_SPECIFIC = "specific "
_BOUNDS = {
    "B": "B: at the boundary of its range",
    "F": "F: held, not estimated",
    "C": "C: tied to another",
    "?": "?: these data cannot tell it from others",
}


def structured_random(fit: Any) -> str:
    """The block "Covariance parameters" of `fit.summary()`."""
    columns: dict[str, Any] = fit.variance_components_columns()
    found = zip(*(columns[name] for name in ("group", "term", "estimate", "std_error", "bound")), strict=True)
    rows = [
        _Row(group, term, estimate, error, bound, each.apart)
        for (group, term, estimate, error, bound), each in zip(found, fit._reported, strict=True)
    ]
    plain: list[_Row] = []
    matrices: list[list[str]] = []
    hidden: list[str] = []
    for k, mine in _by_term(fit, rows):
        factors = [row for row in mine if _LOADING.fullmatch(row.term) or row.term.startswith(_SPECIFIC)]
        if factors:
            matrices.append(_factor_table(fit, k, factors))
            mine = [row for row in mine if row not in factors]
        many = k >= 0 and len(fit.labels.terms[k].effects) > _SHOWN
        covariances = [row for row in mine if row.term.startswith(("cov(", "cor(")) and many]
        if covariances:
            hidden.append(f"{len(covariances)} covariances of {mine[0].group} are not printed")
            mine = [row for row in mine if row not in covariances]
        plain += mine
    parts = ["Covariance parameters:"]
    for lines in matrices:
        parts += lines
    if plain:
        parts += _listed(plain)
    if hidden:
        parts.append(f"{'; '.join(hidden)}: see fit.variance_components.")
    marks = sorted({row.mark for row in rows if row.mark}, key=list(_BOUNDS).index)
    if marks:
        parts.append("; ".join(_BOUNDS[mark] for mark in marks))
    return "\n".join([*parts, _sizes(fit)])


class _Row:
    """A row of `variance_components`."""

    def __init__(self, group: str, term: str, estimate: float, std_error: float, bound: str, apart: bool):
        self.group, self.term, self.estimate, self.std_error = group, term, estimate, std_error
        self.mark = bound if bound in "BFC" else "" if apart else "?"


def _by_term(fit: Any, rows: list[_Row]) -> list[tuple[int, list[_Row]]]:
    """Rows of each random term, -1 for the residual."""
    out: dict[int, list[_Row]] = {}
    for row, each in zip(rows, fit._reported, strict=True):
        out.setdefault(each.term, []).append(row)
    return list(out.items())


def _listed(rows: list[_Row]) -> list[str]:
    groups, names, before = ["Groups"], ["Name"], None
    for row in rows:
        groups.append("" if row.group == before else row.group)
        names.append("" if row.term == row.group == "Residual" else row.term)
        before = row.group
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = [row.estimate / row.std_error for row in rows]
    columns = [
        groups,
        names,
        ["Estimate", *_numbers([row.estimate for row in rows])],
        ["Std.Error", *_numbers([row.std_error for row in rows])],
        ["z ratio", *("" if not np.isfinite(z) else f"{z:.2f}" for z in ratio)],
    ]
    if any(row.mark for row in rows):
        columns.append(["", *(row.mark for row in rows)])
    return [f" {line}".rstrip() for line in table(columns, {0, 1, 5})]


def _numbers(values: list[float]) -> list[str]:
    """Four digits of each where they are of many sizes; a common number of decimals where they are not; nothing for NaN."""
    numbers = np.asarray(values, dtype=np.float64)
    finite = np.abs(numbers[np.isfinite(numbers) & (numbers != 0)])
    if len(finite) and finite.max() > 1e3 * finite.min():
        texts = [f"{v:.4g}" for v in numbers]
    else:
        texts = column(_rounded(numbers))
    return ["" if np.isnan(v) else text for v, text in zip(numbers, texts, strict=True)]


def _rounded(numbers: np.ndarray) -> np.ndarray:
    """Rounded to four digits of the median size, three at least of the smallest."""
    finite = np.abs(numbers[np.isfinite(numbers) & (numbers != 0)])
    if not len(finite):
        return numbers
    middle, least = int(np.floor(np.log10(np.median(finite)))), int(np.floor(np.log10(finite.min())))
    return np.round(numbers, max(3 - middle, 2 - least, 0))


def _factor_table(fit: Any, k: int, rows: list[_Row]) -> list[str]:
    """Loadings (with standard errors in brackets), specific variances, and the variances that they make."""
    term, sigma = fit.labels.terms[k], fit.solution.covariances[k]
    loadings: dict[tuple[int, str], _Row] = {}
    specific: dict[str, _Row] = {}
    for row in rows:
        found = _LOADING.fullmatch(row.term)
        if found:
            loadings[int(found[1]), found[2]] = row
        else:
            specific[row.term.removeprefix(_SPECIFIC)] = row
    count = max((j for j, _ in loadings), default=0)
    columns = [["", *term.effects]]
    for j in range(1, count + 1):
        columns.append([f"Loading {j}", *_with_errors([loadings.get((j, e)) for e in term.effects])])
    if specific:
        columns.append(["Specific", *_with_errors([specific.get(e) for e in term.effects])])
    columns.append(["Variance", *_numbers(list(np.diag(sigma)))])
    explained = _explained(term.effects, loadings, sigma)
    columns.append(["% factors", *(f"{v:.0f}" if np.isfinite(v) else "" for v in explained)])
    return [
        f" {term.text}, estimates (standard errors):",
        *(f"  {line}".rstrip() for line in table(columns, {0})),
    ]


def _with_errors(rows: list[_Row | None]) -> list[str]:
    values = _numbers([np.nan if row is None else row.estimate for row in rows])
    errors = _numbers([np.nan if row is None else row.std_error for row in rows])
    out = []
    for row, value, error in zip(rows, values, errors, strict=True):
        beside = "" if row is None else row.mark or (f"({error})" if error else "")
        out.append(f"{value} {beside}".rstrip())
    width = max(map(len, (text.partition(" ")[2] for text in out)), default=0)
    return [f"{value} {rest.ljust(width)}" for value, _, rest in (text.partition(" ") for text in out)]


def _explained(effects: tuple[str, ...], loadings: dict, sigma: np.ndarray) -> np.ndarray:
    """Per cent of each effect's variance that the factors explain."""
    common = np.zeros(len(effects))
    for (_, effect), row in loadings.items():
        common[effects.index(effect)] += row.estimate**2
    variance = np.diag(sigma)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(variance > 0, 100.0 * common / variance, np.nan)


# -- sizes -------------------------------------------------------------------------------------------------


def _sizes(fit: Any) -> str:
    """Number of obs, and of levels: those with records apart where a relationship has more."""
    said = dict.fromkeys(
        f"{term.group}, {len(term.levels):,}" + _recorded(len(term.levels), recorded)
        for term, recorded in zip(fit.labels.terms, fit.recorded, strict=True)
    )
    line = f"Number of obs: {fit.nobs:,}"
    return line + (f", groups:  {'; '.join(said)}" if said else "")


def _recorded(levels: int, recorded: int) -> str:
    return "" if recorded < 0 or recorded >= levels else f" of which {recorded:,} with records"

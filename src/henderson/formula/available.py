"""What of the grammar this version fits, and by which engine. The rest is read, and refused by name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from henderson.errors import NotAvailableError
from henderson.formula.assemble import parse_residual, parse_variance
from henderson.formula.expression import Call, Name, render
from henderson.formula.functions import SMOOTHS
from henderson.formula.terms import Formula, RandomTerm

FITTED = {"us", "diag", "id"}
"""Structures left of the bar of which groupings are columns: these make a mixed model without correlated levels."""

STRUCTURED = FITTED | {
    "cs", "csh", "cor", "ar1", "ar1h", "toep", "toeph", "ante1", "ou", "exp", "gau", "mat", "sph", "ratio", "lin", "fa", "rr",
}  # fmt: skip
"""Structures left of the bar that this version fits."""

CORRELATIONS = {"id", "vm", "mm", "ar1", "ou", "exp", "gau", "mat", "sph", "ratio", "lin", "car", "leroux"}
"""Correlations among levels that this version fits."""

MEASURED = {"ou", "exp", "gau", "mat", "sph", "ratio", "lin"}
"""Correlations that measure distances between levels."""

ON_ONE_COLUMN = {"ar1", "ar1h", "toep", "toeph", "ante1"} | MEASURED
"""Structures whose effects are the values of columns."""


def is_structured(
    formula: Formula,
    residual: Any = None,
    variance: Any = None,
    relationships: Mapping[str, Any] | None = None,
) -> bool:
    """Whether the model is more than independent levels of grouping columns with us, diag or id among their effects, and
    residuals that are independent: whether it takes terms with structures of their own (`Design.structured`)."""
    if residual is not None or variance is not None or relationships or len(formula.responses) > 1:
        return True
    return any(_missing(term) is not None for term in formula.random)


def require_available(
    formula: Formula, residual: str | None = None, variance: str | None = None, *, structured: bool = False
) -> None:
    """Refuse what is in the grammar but not fitted.

    Parameters
    ----------
    structured : whether the caller fits terms with any structure. Otherwise it fits us, diag and id on grouping columns alone.

    Raises
    ------
    NotAvailableError : names the term, and points at it.
    FormulaError : `residual` or `variance` cannot be read.
    """
    if structured:
        _require_fitted(formula)
        return
    if len(formula.responses) > 1:
        raise _not_yet(f"several responses, {formula.response_name},", formula.text, formula.response.span)
    for term in formula.random:
        missing = _missing(term)
        if missing:
            raise _not_yet(f"{missing} in {term.text}", formula.text, term.span)
    if residual is not None:
        first = parse_residual(residual)[0]
        raise _not_yet(f'residual="{first.text}"', residual, first.span)
    if variance is not None:
        function = parse_variance(variance)[0]
        raise _not_yet(f'variance="{function.text}"', variance, function.span)


def _missing(term: RandomTerm) -> str | None:
    if term.structure in SMOOTHS:
        return f"the penalised spline {term.structure}(...)"
    if term.structure not in FITTED:
        return f"the structure {term.structure}(... | ...)"
    if term.at:
        return f"the section at({term.at[0]}):"
    if term.members:
        return f"the sum of groupings {term.group}"
    for level in term.levels:
        if isinstance(level, Call):
            return f"the correlation {render(level)} among levels"
        assert isinstance(level, Name)
    return None


def _require_fitted(formula: Formula) -> None:
    for term in formula.random:
        why = None
        if term.structure in SMOOTHS:
            continue
        if term.structure not in STRUCTURED:
            why = f"the structure {term.structure}(... | ...) of random effects in {term.text}"
        elif term.members and term.structure in ON_ONE_COLUMN:
            why = f"a sum of groupings with the structure {term.structure} in {term.text}"
        for level in term.levels:
            if isinstance(level, Call) and level.name not in CORRELATIONS:
                why = f"the correlation {render(level)} among levels in {term.text}"
        if why:
            raise _not_yet(
                why,
                formula.text,
                term.span,
                f"Left of the bar it fits {', '.join(sorted(STRUCTURED))}; right of it {', '.join(sorted(CORRELATIONS))}.",
            )


def _not_yet(what: str, text: str, span: tuple[int, int], fitted: str | None = None) -> NotAvailableError:
    pointed = "    " + " " * span[0] + "^" * max(1, span[1] - span[0])
    said = fitted or (
        "This version fits (x | g), (x || g), diag(x | g) and id(x | g) on columns and products of columns."
    )
    return NotAvailableError(
        f"{what} is part of the grammar but is not available yet.\n    {text}\n{pointed}\n{said}"
    )

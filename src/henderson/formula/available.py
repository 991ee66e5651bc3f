"""What of the grammar this version fits. The rest is read, and refused by name."""

from __future__ import annotations

from henderson.errors import NotAvailableError
from henderson.formula.assemble import parse_residual, parse_variance
from henderson.formula.expression import Call, Name, render
from henderson.formula.terms import Formula, RandomTerm

FITTED = {"us", "diag", "id"}
"""Structures left of the bar that this version fits."""


def require_available(formula: Formula, residual: str | None = None, variance: str | None = None) -> None:
    """Refuse what is in the grammar but not fitted yet.

    Raises
    ------
    NotAvailableError : names the term, and points at it.
    FormulaError : `residual` or `variance` cannot be read.
    """
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
    if term.structure in ("spl", "spl2d"):
        return f"the penalised spline {term.structure}(...)"
    if term.structure not in FITTED:
        return f"the structure {term.structure}(... | ...)"
    if term.at:
        return f"the section at({term.at[0]}):"
    for level in term.levels:
        if isinstance(level, Call):
            return f"the correlation {render(level)} among levels"
        assert isinstance(level, Name)
    return None


def _not_yet(what: str, text: str, span: tuple[int, int]) -> NotAvailableError:
    pointed = "    " + " " * span[0] + "^" * max(1, span[1] - span[0])
    return NotAvailableError(
        f"{what} is part of the grammar but is not available yet.\n    {text}\n{pointed}\n"
        "This version fits (x | g), (x || g), diag(x | g) and id(x | g) on columns and products of columns."
    )

"""`residual=` as one record: the correlated term, the nugget beside it, and what each column of it is for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from henderson.errors import FormulaError
from henderson.formula.assemble import parse_residual_names
from henderson.formula.expression import Call, Name, Node, Span, strip
from henderson.formula.functions import FUNCTIONS
from henderson.formula.structures import column_arguments, right_options
from henderson.formula.terms import RandomTerm
from henderson.formula.tokens import one_line

UNITS = "units"
"""The grouping of which every row is a level of its own; with several traits, the rows of one record."""
KNOWN = "vm"
"""vm(id, V): a known covariance, matched by id. V is in the options as "relationship"."""


@dataclass(frozen=True)
class Correlated:
    """One factor of the correlation: `ar1` of `time`."""

    structure: str
    columns: tuple[Name, ...]
    options: dict[str, Any]
    as_factor: bool = False
    """Whether the column was written C(time): its levels in order."""


@dataclass(frozen=True)
class Residual:
    """A residual term read.

    Attributes
    ----------
    text : all of `residual=`, on one line; term, span : the correlated term in it, as the user wrote it.
    factors : its correlations; () for independent rows.
    groups : columns whose product are the independent groups of rows; at : columns of sections.
    nugget : whether (1 | units) stands beside it.
    names : every column, with its place in `text`.
    """

    text: str
    term: str
    span: Span
    factors: tuple[Correlated, ...]
    groups: tuple[str, ...]
    at: tuple[str, ...]
    nugget: bool
    names: dict[str, Span]


def read_residual(text: str) -> Residual:
    """Read `residual=`: a term such as ar1(0 + time | subject) or (1 | ar1(row):ar1(col)), and (1 | units) beside it; vm(id, V)
    alone is (1 | vm(id, V)).

    Raises
    ------
    FormulaError : with the place in the text.
    """
    if not isinstance(text, str):
        raise FormulaError(
            f"residual= is a text such as 'ar1(0 + time | subject)', not {type(text).__name__}."
        )
    text = one_line(text)
    if text.startswith(f"{KNOWN}(") and "|" not in text:
        text = f"(1 | {text})"
    terms, effects, names = parse_residual_names(text)
    names.pop(UNITS, None)
    units = [term for term in terms if _is_units(term)]
    others = [term for term in terms if not _is_units(term)]
    if len(others) > 1 or len(units) > 1:
        raise FormulaError(
            "a residual is one term, and (1 | units) may stand beside it.", text, terms[1].span
        )
    if not others:
        return Residual(text, units[0].text, units[0].span, (), (), units[0].at, False, names)
    term = others[0]
    factors, groups = _factors(term, effects, text)
    if term.members:
        raise FormulaError("a residual has one grouping.", text, term.span)
    if term.nested:
        raise FormulaError("a residual has one grouping.", text, term.span, "Write (... | a:b).")
    return Residual(text, term.text, term.span, factors, groups, term.at, bool(units), names)


def _is_units(term: RandomTerm) -> bool:
    return [level.name for level in term.levels] == [UNITS] and term.effect_terms == ((),)


def _factors(
    term: RandomTerm, effects: dict[str, Node], text: str
) -> tuple[tuple[Correlated, ...], tuple[str, ...]]:
    calls = [level for level in term.levels if isinstance(level, Call)]
    groups = tuple(level.name for level in term.levels if isinstance(level, Name))
    if calls and term.effect_terms == ((),) and term.structure == "us":
        return tuple(_right(call, text) for call in calls), groups
    if calls:
        raise FormulaError(
            "the correlation stands left or right of the bar, not on both sides.",
            text,
            term.span,
            "As in ar1(0 + time | subject), or (1 | ar1(row):ar1(col)).",
        )
    if term.effect_terms == ((),):
        if term.structure in ("us", "id", "diag"):
            raise FormulaError(
                "this gives all rows of a group one residual: rows differ in a residual.",
                text,
                term.span,
                f"Rows of a group that are correlated alike are cs(1 | {term.group}).",
            )
        return (Correlated(term.structure, (), term.options),), groups
    columns, as_factor = [], False
    for effect in term.effect_terms:
        node = strip(effects[effect[0]]) if len(effect) == 1 else None
        if isinstance(node, Call) and node.name in FUNCTIONS and FUNCTIONS[node.name].factor:
            node, as_factor = strip(node.args[0]), True
        if not isinstance(node, Name):
            raise FormulaError(
                f"left of the bar of {term.structure}(... | {term.group}) stands the column that orders the rows.",
                text,
                term.span,
                f"As in {term.structure}(0 + time | {term.group})."
                if () in term.effect_terms
                else "Make a column of it first.",
            )
        columns.append(node)
    return (Correlated(term.structure, tuple(columns), term.options, as_factor),), groups


def _right(call: Call, text: str) -> Correlated:
    columns = column_arguments(call, 1, 3, text)
    if call.name == KNOWN:
        return Correlated(KNOWN, columns[:1], {"relationship": columns[1].name})
    return Correlated(call.name, columns, right_options(call, text))

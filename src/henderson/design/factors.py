"""The columns of a formula on the rows used: numbers, and factors with their contrasts."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from henderson.design.contrasts import custom
from henderson.design.grouping import used_labels
from henderson.design.suspicious import refuse_numbers_as_text
from henderson.design.values import Evaluator, Labels
from henderson.errors import DataError, ModelError, closest
from henderson.formula import Formula
from henderson.formula.expression import Call, Name, Node
from henderson.formula.functions import CONTRASTS, arithmetic_names, makes_factor
from henderson.frame import Frame

Array = NDArray[np.float64]
Rows = NDArray[np.intp] | None
Contrasts = dict[str, tuple[str, Any]]


def nodes_of(formula: Formula, response: bool, random: bool) -> list[Node]:
    """The response (if wanted), the factors of fixed terms (and of effects, if wanted), the offsets."""
    used = {name for term in formula.terms for name in term}
    if random:
        used |= {name for term in formula.random for effect in term.effect_terms for name in effect}
    nodes = [node for name, node in formula.factors.items() if name in used]
    return [*([formula.response] if response else []), *nodes, *formula.offsets]


def names_of(nodes: list[Node]) -> list[str]:
    """The columns that trees read, each once, in order."""
    return list(dict.fromkeys(n.name for node in nodes for n in arithmetic_names(node)))


def chosen_contrasts(contrasts: Mapping[str, Any] | None, formula: Formula) -> Contrasts:
    """`contrasts=` checked: column -> (our name, reference level or None), or ("given", what the user gave) until the levels
    are known. A reference is given as ("Treatment", level) or "Treatment(level)".

    Raises
    ------
    DataError : a column the formula does not name, or contrasts we do not know (the closest is named).
    """
    if contrasts is not None and not isinstance(contrasts, Mapping):
        raise DataError(
            f"contrasts: a dict is wanted, such as {{'f': 'Sum'}}, not {type(contrasts).__name__}."
        )
    chosen: Contrasts = {}
    for column, name in (contrasts or {}).items():
        if column not in formula.names:
            near = closest(str(column), formula.names)
            hint = f"\nThe closest is '{near}'." if near else ""
            raise DataError(f"contrasts: the formula names no column '{column}'.{hint}")
        name, reference = _with_reference(name)
        if not isinstance(name, str):
            chosen[column] = ("given", name)
            continue
        if reference is not None and CONTRASTS.get(name) not in ("treatment", None):
            raise DataError(
                f"contrasts: only Treatment has a reference level; '{column}' was given {name} with {reference!r}."
            )
        if name not in CONTRASTS:
            near = closest(str(name), CONTRASTS)
            hint = (
                f"The closest is '{near}'."
                if near
                else "There are Treatment, Sum, Helmert, Poly, SAS and Diff."
            )
            raise DataError(f"contrasts: there are no contrasts called '{name}'.\n{hint}")
        chosen[column] = (CONTRASTS[name], reference)
    return chosen


def _with_reference(given: Any) -> tuple[Any, Any]:
    """Contrasts and their reference level, of ("Treatment", level) and "Treatment(level)"; None where there is none."""
    if isinstance(given, tuple) and len(given) == 2 and isinstance(given[0], str):
        return given
    called = re.fullmatch(r"\s*(\w+)\s*\((.+)\)\s*", given) if isinstance(given, str) else None
    return (called[1], called[2].strip().strip("'\"")) if called else (given, None)


def evaluator_of(formula: Formula, frame: Frame, rows: Rows, contrasts: Contrasts) -> Evaluator:
    """An evaluator of the formula's factors on the rows used, with transforms that remember.

    Raises
    ------
    ModelError : a fixed factor with one level left.
    DataError : contrasts for numbers, or a text column that looks like numbers read wrongly.
    """

    def as_labels(name: str) -> Labels:
        return _with_contrasts(frame, name, rows, contrasts)

    numbers: dict[str, Array] = {}
    labels: dict[str, Labels] = {}
    as_factors = _made_factors(formula)
    effects = set(names_of(nodes_of(formula, False, True)))
    bare = {node.name for node in formula.factors.values() if isinstance(node, Name)}
    for name in names_of(nodes_of(formula, True, True)):
        column = frame[name]
        if column.kind == "numeric":
            if name in contrasts and name not in as_factors:
                raise DataError(
                    f"contrasts: column '{name}' holds numbers.\n"
                    f"Write C({name}) in the formula to make a factor of it."
                )
            numbers[name] = column.values if rows is None else column.values[rows]
        elif name in effects:
            if name in bare:
                refuse_numbers_as_text(column)
            labels[name] = as_labels(name)
        else:
            labels[name] = used_labels(column, rows)
    nrow = frame.nrow if rows is None else rows.size
    return Evaluator(formula.text, nrow, numbers, labels, as_labels, {}, rows)


def _with_contrasts(frame: Frame, name: str, rows: Rows, contrasts: Contrasts) -> Labels:
    used = used_labels(frame[name], rows)
    if len(used.levels) < 2:
        raise ModelError(
            f"the factor '{name}' has one level only ({used.levels[0]}) in the rows used, so no contrasts.\n"
            "Leave it out of the formula."
        )
    default = ("poly", None) if frame[name].ordered else ("treatment", None)
    kind, given = contrasts.get(name, default)
    return Labels(
        used.codes, used.levels, custom(name, used.levels, given) if kind == "given" else (kind, given)
    )


def _made_factors(formula: Formula) -> set[str]:
    """Columns inside C(...) or factor(...)."""
    calls = [n for n in formula.factors.values() if isinstance(n, Call) and makes_factor(n)]
    return set(names_of(list(calls)))

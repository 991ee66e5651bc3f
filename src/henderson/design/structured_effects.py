"""The left side of a bar: the effects within a level, which of them each row has, and with which coefficient."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from henderson.design.columns import INTERCEPT
from henderson.design.grouping import combine, regroup, unknown_labels, used_labels
from henderson.design.matrices import Structure, effect_matrix, structure_of
from henderson.design.record import ProductLabels
from henderson.design.structured_levels import require_numbers, steps
from henderson.design.values import Evaluator, Labels
from henderson.errors import FormulaError, ModelError
from henderson.formula import Formula, RandomTerm
from henderson.formula.available import MEASURED
from henderson.formula.expression import Call, Name, strip
from henderson.formula.functions import makes_factor
from henderson.frame import Frame, Label

Array = NDArray[np.float64]
Rows = NDArray[np.intp] | None

STEPPED = ("ar1", "ar1h", "toep", "toeph", "ante1")
"""Structures whose effects are the values of one column, in their order."""
OF_LEVELS = ("cor", "cs", "csh", "fa", "rr")
"""Structures of several effects: of the levels of a factor, mostly."""
MOST_EFFECTS = 1000
"""Effects within a level for which a matrix among them is made."""


@dataclass(frozen=True)
class Effects:
    """The effects of a term within one level, as they were learned.

    Either each row has one of them with coefficient 1 (`columns` and `parts` say which), or its coefficients are columns of
    a model matrix (`structure`).

    Attributes
    ----------
    names : of the m effects.
    columns, parts, combinations : of the table, its levels and their combinations, as in `structured_levels.Side`.
    structure : how the columns of a model matrix are coded; None for the other kind.
    coordinates : (m, d) numbers of the effects, or None.
    """

    names: tuple[str, ...]
    columns: tuple[str, ...] = ()
    parts: tuple[tuple[Label, ...], ...] = ()
    combinations: NDArray[np.int32] | None = None
    structure: Structure | None = None
    coordinates: Array | None = None

    @property
    def m(self) -> int:
        return len(self.names)

    def codes(self, frame: Frame, rows: Rows) -> NDArray[np.int32] | None:
        """(n,) which effect each row has, -1 for one the model never saw; None where rows have coefficients."""
        if self.structure is not None:
            return None
        return regroup([frame[name] for name in self.columns], self.parts, self.combinations, rows)[0]

    def values(self, formula: Formula, evaluator: Evaluator) -> Array | None:
        """(n, m) coefficients; None for 1 alone."""
        assert self.structure is not None
        return effect_matrix(self.structure, formula, evaluator)[1]

    def unknown(self, codes: NDArray[np.int32], frame: Frame, rows: Rows) -> list[str]:
        """Effects the model never saw, "Days 12"."""
        found = unknown_labels([frame[name] for name in self.columns], codes, rows)
        return [f"{', '.join(self.columns)} {'missing' if label is None else label}" for label in found]


def learn_effects(
    term: RandomTerm, formula: Formula, evaluator: Evaluator, frame: Frame, rows: Rows
) -> Effects:
    """The effects of a term on the rows used.

    Raises
    ------
    FormulaError : a structure of the values of a column without such a column.
    DataError, ModelError : labels where distances are measured, steps that are not whole, one effect alone.
    """
    if term.structure in STEPPED or term.structure in MEASURED:
        effects = _of_values(term, formula, frame, rows)
    else:
        effects = _of_terms(term, formula, evaluator, frame, rows)
        if term.structure in OF_LEVELS and effects.m == 1:
            raise _one_effect(term, formula)
    if effects.m > MOST_EFFECTS:
        raise ModelError(
            f"{term.label} has {effects.m:,} effects within a level, and a structure left of the bar is for up to "
            f"{MOST_EFFECTS:,}.\nA long series stands on the right of the bar: (1 | ar1(time)), (1 | exp(x, y))."
        )
    return effects


def _of_terms(term: RandomTerm, formula: Formula, evaluator: Evaluator, frame: Frame, rows: Rows) -> Effects:
    if len(term.effect_terms) == 1 and len(term.effect_terms[0]) == 1:
        (name,) = term.effect_terms[0]
        value = evaluator.factor(name, formula.factors[name])
        if isinstance(value, Labels):
            column = _column_of(formula.factors[name])
            assert column is not None
            labels = used_labels(frame[column], rows)
            return Effects(tuple(f"{name}[{level}]" for level in labels.levels), (column,), (labels.levels,))
    structure = structure_of(term.effect_terms, formula, evaluator)
    names, _ = effect_matrix(structure, formula, evaluator)
    return Effects(names, structure=structure)


def _column_of(node) -> str | None:
    """The column of `f`, C(f) or factor(f); None for anything else."""
    node = strip(node)
    if makes_factor(node):
        node = strip(node.args[0])
    return node.name if isinstance(node, Name) else None


def _of_values(term: RandomTerm, formula: Formula, frame: Frame, rows: Rows) -> Effects:
    """One effect for each value of a column, or for each point."""
    named = [effect for effect in term.effect_terms if effect]
    columns = [_column_of(formula.factors[e[0]]) if len(e) == 1 else None for e in named]
    most = 1 if term.structure in STEPPED or term.structure == "ou" else 3
    if () in term.effect_terms or not 1 <= len(columns) <= most or None in columns:
        what = "a column" if most == 1 else "one to three columns"
        raise FormulaError(
            f"left of the bar of {term.structure}(... | {term.group}) {what} of coordinates stands alone: its values are the "
            "effects.",
            formula.text,
            term.span,
            f"As in {term.structure}(0 + time | {term.group})."
            + (" The intercept is taken away by '0 +'." if () in term.effect_terms and named else ""),
        )
    factors = [isinstance(strip(formula.factors[e[0]]), Call) for e in named]
    parts, measured = [], True
    for column, as_factor in zip(columns, factors, strict=True):
        part, numbers = _values_of(term, str(column), as_factor, frame, rows)
        parts.append(part)
        measured &= numbers
    names = tuple(e[0] for e in named)
    made = tuple(str(column) for column in columns)
    combinations = None
    if len(parts) > 1:
        combinations = combine([used_labels(frame[name], rows) for name in made])[1]
    levels: Sequence[Label] = parts[0] if combinations is None else ProductLabels(parts, combinations)
    if len(levels) < 2:
        raise ModelError(
            f"{term.label}: '{', '.join(made)}' has one value only ({levels[0]}) in the rows used, so that there is no "
            "correlation to estimate."
        )
    coordinates = _coordinates(parts, combinations) if measured else None
    labelled = ",".join(names)
    shown = [str(level).replace(":", ",") if len(parts) > 1 else str(level) for level in levels]
    return Effects(
        tuple(f"{labelled}[{level}]" for level in shown), made, tuple(parts), combinations, None, coordinates
    )


def _values_of(
    term: RandomTerm, column: str, as_factor: bool, frame: Frame, rows: Rows
) -> tuple[tuple[Label, ...], bool]:
    """Levels, and whether they are numbers that distances are measured by."""
    levels = used_labels(frame[column], rows).levels
    if as_factor and frame[column].kind != "factor":
        return levels, False
    if term.structure in MEASURED:
        require_numbers(frame[column], term.label, term.structure)
    whole = term.structure in ("ar1", "ar1h")
    return levels, steps(frame[column], rows, term.label, term.structure, ordered_factor=True, whole=whole)


def _coordinates(parts: Sequence[Sequence[Label]], combinations: NDArray[np.int32] | None) -> Array:
    numbers = [np.array(part, dtype=np.float64) for part in parts]
    if combinations is None:
        return numbers[0][:, None]
    return np.column_stack([part[codes] for part, codes in zip(numbers, combinations.T, strict=True)])


def _one_effect(term: RandomTerm, formula: Formula) -> FormulaError | ModelError:
    (effect,) = term.effect_terms
    column = _column_of(formula.factors[effect[0]]) if len(effect) == 1 else None
    inside = f"0 + C({column})" if column is not None else "0 + env"
    why = (
        f"'{column}' holds numbers, so that it is one covariate"
        if column is not None
        else f"there is one effect only ({effect[0] if effect else INTERCEPT})"
    )
    return FormulaError(
        f"{term.structure} is a structure of several effects, and {why}.",
        formula.text,
        term.span,
        f"The levels of a factor are effects: {term.structure}({inside} | {term.group}"
        + "".join(f", {key}={value}" for key, value in term.options.items())
        + ").",
    )

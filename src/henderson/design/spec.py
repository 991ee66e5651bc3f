"""What is kept of a design so that new data get the same columns: dict, list, text and numbers, nothing else.

version, formula
columns     column -> kind; for factors levels and contrast; of the fixed part also counts of the levels, or mean, least, greatest
            and, where there are no more than two, values
state       call -> what its transform remembers (means, knots, recurrence coefficients)
structure   how the factors of each fixed term are coded
x_names
blocks      group, effects, factors, levels of each factor, combinations, structure of the effects; of structured terms what
            `structured_record.to_plain` keeps
weights, offset   names of columns, or null
offset_array      whether the offset was given as an array, which new rows must then be given too
weights_array     the same of the weights (for prediction intervals)
cells       of the factors of the fixed part: factors, codes of the cells that occur, weights (sums over their rows); or null
offset_mean, given_offset_mean   means of the whole offset and of the part that offset= gave, or null
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from henderson.design.factors import names_of, nodes_of
from henderson.design.matrices import Structure
from henderson.design.record import RandomBlock
from henderson.design.values import Evaluator
from henderson.formula import Formula

VERSION = 1


def column_records(formula: Formula, evaluator: Evaluator) -> dict[str, dict[str, Any]]:
    """Kind of each column, and levels and contrast of the factors."""
    return {name: _column(evaluator, name) for name in names_of(nodes_of(formula, True, True))}


def make_spec(
    formula: Formula,
    columns: dict[str, dict[str, Any]],
    state: dict[str, dict[str, Any]],
    structure: Structure,
    x_names: tuple[str, ...],
    blocks: Sequence[RandomBlock],
    structures: Sequence[Structure],
    weights: str | None,
    offset: str | None,
    offset_array: bool,
    weights_array: bool,
) -> dict[str, Any]:
    """The record of a built design; equal to itself after a round trip through JSON."""
    return {
        "version": VERSION,
        "formula": formula.text,
        "columns": columns,
        "state": state,
        "structure": plain_structure(structure),
        "x_names": list(x_names),
        "blocks": [_block(block, each) for block, each in zip(blocks, structures, strict=True)],
        "weights": weights,
        "offset": offset,
        "offset_array": offset_array,
        "weights_array": weights_array,
    }


def _column(evaluator: Evaluator, name: str) -> dict[str, Any]:
    """A numeric column inside C(...) has levels besides."""
    record: dict[str, Any] = {"kind": "factor" if name in evaluator.labels else "numeric"}
    labels = evaluator.labels.get(name) or evaluator.as_levels.get(name)
    if labels is not None:
        record |= {"levels": list(labels.levels), "contrast": list(labels.contrast)}
    return record


def _block(block: RandomBlock, structure: Structure) -> dict[str, Any]:
    return {
        "group": block.group,
        "effects": list(block.effects),
        "factors": list(block.factors),
        "parts": [list(levels) for levels in block.parts],
        "combinations": None if block.combinations is None else block.combinations.tolist(),
        "structure": plain_structure(structure),
    }


def plain_structure(structure: Structure) -> list[Any]:
    """A structure as nested lists."""
    return [[[[name, reduced] for name, reduced in scoped] for scoped in term] for term in structure]


def read_structure(plain: Sequence[Any]) -> Structure:
    """A structure out of nested lists."""
    return tuple(
        tuple(tuple((name, bool(reduced)) for name, reduced in scoped) for scoped in term) for term in plain
    )

"""Terms -> X, random terms -> blocks, with what is needed to make them again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from henderson.design.columns import INTERCEPT, ModelColumns
from henderson.design.grouping import group, used_labels
from henderson.design.record import RandomBlock
from henderson.design.rows import given_numbers
from henderson.design.structure import Scoped, scope
from henderson.design.values import Evaluator, Labels, Value
from henderson.errors import ModelError
from henderson.formula import Formula
from henderson.frame import Frame

Array = NDArray[np.float64]
Rows = NDArray[np.intp] | None
Structure = tuple[tuple[Scoped, ...], ...]
_ONLY_INTERCEPT: Structure = (((),),)


def values_of(names: Iterable[str], formula: Formula, evaluator: Evaluator) -> dict[str, Value]:
    """The values of the named factors of the formula."""
    return {name: evaluator.factor(name, formula.factors[name]) for name in dict.fromkeys(names)}


def structure_of(terms: tuple[tuple[str, ...], ...], formula: Formula, evaluator: Evaluator) -> Structure:
    """How each term's factors are coded (see `structure.scope`)."""
    values = values_of((name for term in terms for name in term), formula, evaluator)
    return scope(terms, frozenset(name for name, value in values.items() if isinstance(value, Labels)))


def fixed_columns(structure: Structure, formula: Formula, evaluator: Evaluator) -> ModelColumns:
    """The columns of X, their names, and the term of each; no row is made yet."""
    values = values_of(_factors(structure), formula, evaluator)
    return ModelColumns(evaluator.nrow, structure, values)


def effect_matrix(
    structure: Structure, formula: Formula, evaluator: Evaluator
) -> tuple[tuple[str, ...], Array | None]:
    """Names of the effects of a random term and their (n, m) values in C order: None for 1 alone."""
    if structure == _ONLY_INTERCEPT:
        return (INTERCEPT,), None
    values = values_of(_factors(structure), formula, evaluator)
    columns = ModelColumns(evaluator.nrow, structure, values)
    return columns.names, columns.matrix("C")


def random_blocks(
    formula: Formula, evaluator: Evaluator, frame: Frame, rows: Rows
) -> tuple[tuple[RandomBlock, ...], list[Structure]]:
    """The random terms as blocks, and how the effects of each are coded.

    Raises
    ------
    ModelError : a grouping with one level, or one effect of one grouping in two terms.
    """
    blocks, structures = [], []
    known: dict[str, Labels] = {}
    for term in formula.random:
        names = tuple(level.name for level in term.levels)
        for name in names:
            if name not in known:
                known[name] = used_labels(frame[name], rows)
        grouping = group(names, [known[name] for name in names], term.label)
        structure = structure_of(term.effect_terms, formula, evaluator)
        effects, values = effect_matrix(structure, formula, evaluator)
        block = RandomBlock(
            group=term.group,
            effects=effects,
            levels=grouping.levels,
            codes=grouping.codes,
            values=values,
            structure=term.structure,
            text=term.label,
            factors=names,
            parts=grouping.parts,
            combinations=grouping.combinations,
        )
        blocks.append(block)
        structures.append(structure)
    _refuse_overlaps(blocks)
    return tuple(blocks), structures


def total_offset(
    formula: Formula, evaluator: Evaluator, given: Any, frame: Frame, rows: Rows
) -> Array | None:
    """The sum of the formula's offset(...) terms and of `offset=`, or None where there is neither."""
    parts = [evaluator.numeric(node) for node in formula.offsets]
    if given is not None:
        parts.append(given_numbers("offset", given, frame, rows))
    return np.sum(parts, axis=0) if parts else None


def _factors(structure: Structure) -> list[str]:
    return [name for term in structure for scoped in term for name, _ in scoped]


def _refuse_overlaps(blocks: list[RandomBlock]) -> None:
    """One effect of one grouping in two terms: only the sum of the two variances could be estimated."""
    seen: dict[tuple[frozenset[str], str], RandomBlock] = {}
    for block in blocks:
        for effect in block.effects:
            first = seen.setdefault((frozenset(block.factors), effect), block)
            if first is not block:
                example = " Write (0 + x | g) beside (1 | g)." if effect == INTERCEPT and block.m > 1 else ""
                raise ModelError(
                    f"the effect {effect} of '{block.group}' is in two random terms, {first.text}"
                    f" and {block.text}: their variances cannot be told apart.\n"
                    f"Take it out of one of them.{example}"
                )

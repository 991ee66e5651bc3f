"""Random terms with any structure on either side of the bar: levels, rows and coordinates, as arrays.

`build_terms` learns what a term's levels and effects are (`structured_levels`, `structured_effects`) and makes it from the
columns; `rebuild_terms` makes it again, from the record of what was learned and new columns (`structured_record`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from henderson.design.record import RandomBlock

if TYPE_CHECKING:
    import scipy.sparse as sp

    from henderson.design.structured_record import TermRecord
    from henderson.design.structured_splines import SmoothRecord
    from henderson.design.values import Evaluator
    from henderson.formula import Formula
    from henderson.frame import Frame
    from henderson.genetics.relationship import Relationship


@dataclass(frozen=True, eq=False)
class LevelFactor:
    """One factor of the right side of a bar: how its levels are correlated.

    Attributes
    ----------
    kind : "id", "vm", "ar1", "ou", "exp", "gau", "mat", "sph", "car", "spl" ...
    names : its columns. Neighbouring grouping columns are one factor of kind "id", whose levels are the combinations that occur.
    levels : its labels, in order.
    coordinates : (levels, d) numbers of the levels, for the structures that measure; None otherwise.
    relationship : of "vm"; None in terms made again for new data.
    options : constants given with it, such as {"nu": 1.5}; of "car" {"neighbours": what the user gave}.
    """

    kind: str
    names: tuple[str, ...]
    levels: tuple[Any, ...]
    coordinates: np.ndarray | None = None
    relationship: Relationship | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class StructuredTerm:
    """One random term: Z, the structure of the effects within a level, and the correlation among levels.

    A row may belong to several levels (mm(sire, dam)) and a term may have several groupings (us(1 | vm(animal, A) + vm(dam,
    A)), whose effects are those of the first, then those of the second ...). Then `block` has the first membership of each
    row alone, and `z` all of them. Rows outside of the section of an at(env): term have code -1 and no entry in z.

    Attributes
    ----------
    block : names, levels (all of K's, those without records too: the product of the factors' levels, last fastest), codes and
        values, as `RandomBlock` has them.
    z : (n, q m) CSR: column (level, effect) is level * m + effect.
    options : of the structure left of the bar, such as {"k": 2}.
    coordinates : (m, d) numbers of the effects, for structures that measure along the effects (ou, exp ...); None otherwise.
    factors : of the right side. All of kind "id": independent levels.
    unseen : for new data: of each membership (n, m), the coefficients of rows whose level the model never saw, 0 for others;
        () where every level is known. Their prior variance is that of a level related to no other.
    undefined : for new data: effects and sections the model never saw, for which it has no variance either: "Days 12".
    """

    block: RandomBlock
    z: sp.csr_matrix
    options: Mapping[str, Any]
    coordinates: np.ndarray | None
    factors: tuple[LevelFactor, ...]
    unseen: tuple[np.ndarray, ...] = ()
    undefined: tuple[str, ...] = ()


def build_terms(
    formula: Formula,
    frame: Frame,
    rows: np.ndarray | None,
    evaluator: Evaluator,
    relationships: Mapping[str, Any] | None = None,
) -> tuple[StructuredTerm, ...]:
    """The random terms of a formula on the rows used (`rows` of the table, or None for all).

    Parameters
    ----------
    evaluator : of the same formula, frame and rows (`factors.evaluator_of`).
    relationships : name -> what `relationships.read_relationships` made of it.

    Raises
    ------
    FormulaError, DataError, ModelError : a relationship that is not given, ids it does not have, labels where numbers are
        needed, one level only, terms whose variances cannot be told apart.
    """
    return learn_terms(formula, frame, rows, evaluator, relationships)[1]


def learn_terms(
    formula: Formula,
    frame: Frame,
    rows: np.ndarray | None,
    evaluator: Evaluator,
    relationships: Mapping[str, Any] | None = None,
) -> tuple[tuple[TermRecord | SmoothRecord, ...], tuple[StructuredTerm, ...]]:
    """`build_terms`, and the records of what was learned."""
    from henderson.design.structured_record import learn, light, make, refuse_overlaps

    known = relationships or {}
    records = learn(formula, frame, rows, evaluator, known)
    terms = tuple(make(record, formula, evaluator, frame, rows, known) for record in records)
    refuse_overlaps(terms, records)
    return tuple(light(record) for record in records), terms


def rebuild_terms(
    records: Sequence[TermRecord | SmoothRecord],
    formula: Formula,
    evaluator: Evaluator,
    frame: Frame,
    rows: np.ndarray | None,
) -> tuple[StructuredTerm, ...]:
    """The same terms for new data: a level that the model never saw is code -1, has no entry in z, and is listed in
    `RandomBlock.unknown`; effects and sections it never saw are in `StructuredTerm.undefined`."""
    from henderson.design.structured_record import make, mark_unknown_sections

    terms = tuple(make(record, formula, evaluator, frame, rows, {}) for record in records)
    return mark_unknown_sections(terms, records, frame, rows)

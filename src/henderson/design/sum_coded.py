"""The columns of a model under its own coding of factors, and under sums to zero, on made rows that span both.

Rows are drawn at random, every cell of every term several times, covariates between their least and greatest values; that they
span what the model can say is checked on others. No row of the data is needed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np

from henderson.design.columns import ModelColumns
from henderson.design.factors import names_of, nodes_of
from henderson.design.matrices import Structure, values_of
from henderson.design.rebuild import evaluator_again
from henderson.design.spec import read_structure
from henderson.design.values import Labels
from henderson.errors import ModelError
from henderson.formula import Formula, parse
from henderson.frame import Column, Frame

_REPEATS = (3, 12, 48)
_SPANS = 1e-8


@dataclass(frozen=True)
class Codings:
    """The same rows in two codings: X = columns (m, p), S = sums (m, p'), and the term of each column."""

    columns: np.ndarray
    assign: np.ndarray
    sums: np.ndarray
    sums_assign: np.ndarray

    @property
    def to_sums(self) -> np.ndarray:
        """(p', p): the coefficients of S from those of X."""
        found = np.linalg.lstsq(self.sums, self.columns, rcond=1e-10)[0]
        return np.where(np.abs(found) < 1e-12 * np.abs(found).max(initial=1.0), 0.0, found)


def both_codings(spec: Mapping[str, Any]) -> Codings:
    """See the head of this file.

    Parameters
    ----------
    spec : `Design.spec`, also of a fit that was loaded.
    """
    formula, structure = parse(spec["formula"]), read_structure(spec["structure"])
    rng = np.random.default_rng(1)
    for repeats in _REPEATS:
        codings = _codings(spec, formula, structure, _rows(spec, formula, repeats, rng))
        others = _codings(spec, formula, structure, _rows(spec, formula, 3, rng))
        error = np.abs(others.sums @ codings.to_sums - others.columns).max(initial=0.0)
        if error <= _SPANS * np.abs(others.columns).max(initial=1.0):
            return codings
    raise ModelError(
        "type III: the coding of the factors of this model by sums to zero does not span the same columns. Use type 2."
    )


def assign_of(spec: Mapping[str, Any]) -> np.ndarray:
    """(p,): the number of the fixed term that each column of X belongs to."""
    formula = parse(spec["formula"])
    rows = _rows(spec, formula, 1, np.random.default_rng(1))
    return _codings(spec, formula, read_structure(spec["structure"]), rows).assign


def _rows(spec: Mapping[str, Any], formula: Formula, repeats: int, rng: np.random.Generator) -> Frame:
    """Made rows: for every term all cells of its factors, `repeats` times; whatever else at random."""
    names = names_of(nodes_of(formula, False, False))
    records = {name: spec["columns"][name] for name in names}
    levels = {name: tuple(record["levels"]) for name, record in records.items() if "levels" in record}
    codes: dict[str, list[int]] = {name: [] for name in levels}
    for term in formula.terms:
        inside = [n for n in names_of([formula.factors[f] for f in term]) if n in levels]
        for cell in product(*(range(len(levels[name])) for name in inside)):
            fixed = dict(zip(inside, cell, strict=True))
            for _ in range(repeats):
                for name in levels:
                    codes[name].append(fixed.get(name, int(rng.integers(len(levels[name])))))
    nrow = max([*(len(each) for each in codes.values()), 0]) or repeats
    nrow = max(nrow, repeats * (len(spec["x_names"]) + 2))
    columns = {}
    for name, record in records.items():
        if name not in levels:
            columns[name] = Column(name, "numeric", rng.uniform(record["least"], record["greatest"], nrow))
            continue
        given = np.array(codes[name], dtype=np.int32)
        more = rng.integers(len(levels[name]), size=nrow - len(given), dtype=np.int32)
        made = np.concatenate([given, more])
        if record["kind"] == "factor":
            columns[name] = Column(name, "factor", made, levels[name])
        else:
            columns[name] = Column(name, "numeric", np.array(levels[name], dtype=np.float64)[made])
    return Frame(columns, nrow)


def _codings(spec: Mapping[str, Any], formula: Formula, structure: Structure, frame: Frame) -> Codings:
    names = names_of(nodes_of(formula, False, False))
    evaluator = evaluator_again(spec, formula, frame, None, names)
    factors = [name for term in structure for scoped in term for name, _ in scoped]
    values = values_of(factors, formula, evaluator)
    sums = {
        name: replace(value, contrast=("sum", None)) if isinstance(value, Labels) else value
        for name, value in values.items()
    }
    x, s = ModelColumns(frame.nrow, structure, values), ModelColumns(frame.nrow, structure, sums)
    return Codings(x.whole, x.assign, s.whole, s.assign)

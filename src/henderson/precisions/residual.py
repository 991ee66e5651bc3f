"""`residual=` and `variance=` of a mixed model -> the precision of its rows. See `of_residual`.

The structures are those of hd.gls (`residuals/`), with the same parameters and names; here each is given by its inverse on a sparse
pattern. A nugget beside a correlated residual is split off: the correlated part becomes a random term (`fields`), and the nugget
is the residual.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ModelError, NotAvailableError
from ..formula.residual import KNOWN, Residual
from ..formula.terms import VarianceTerm
from ..frame import Frame
from ..residuals import catalogue, grid
from ..residuals.base import Layout, Structure
from ..residuals.independent import Independent as IndependentStructure
from ..residuals.lattice import Lattice
from ..residuals.layout import layout_of
from ..residuals.read_variances import variance_functions
from ..residuals.serial import Markov
from ..residuals.statespace import StateSpace
from .base import Precision
from .residual_base import Independent, RowPrecision
from .residual_blocks import blocks_of
from .residual_known import known_of
from .residual_lattice import Grid
from .residual_markov import Chain
from .residual_sections import InSections
from .residual_variances import Scaled

if TYPE_CHECKING:
    from ..genetics.relationship import Relationship

Rows = np.ndarray | None
_SPARSE, _DENSE_ROWS = 16.0, 400
"""Cells of a lattice for each row up to which it is taken, and rows from which it always is (`residuals.grid.build`)."""


def of_residual(
    residual: Residual | None,
    variance: Sequence[VarianceTerm] | None,
    frame: Frame,
    rows: Rows,
    n: int,
    weights: np.ndarray | None = None,
    relationships: Mapping[str, Relationship] | None = None,
) -> Precision | None:
    """The precision of the n rows used; None for independent rows of one variance.

    Parameters
    ----------
    residual, variance : of `residual=` and `variance=`, read; None.
    frame : the columns they name. `units` groups rows where it is one of them; otherwise every row is a unit.
    rows : rows of the table that are used, or None for all n.
    weights : (n,) precision weights, by which variances are divided, where the caller does not scale the rows himself.
    relationships : what vm(id, V) names.

    Raises
    ------
    DataError, ModelError : rows, parameters or a matrix that the structure cannot have.
    NotAvailableError : power(fitted); a nugget, which `split_nugget` takes off before.
    """
    if residual is not None and residual.nugget:
        raise NotAvailableError(
            f"{residual.text}: the correlated part is a random term, and (1 | units) the residual: see split_nugget."
        )
    functions = _functions(variance, frame, rows)
    inner = None
    if residual is not None and (residual.factors or residual.at):
        inner = _of_term(residual, frame, rows, n, relationships)
    if functions or weights is not None:
        return Scaled(inner or Independent(n), functions, weights)
    return inner


def _functions(variance: Sequence[VarianceTerm] | None, frame: Frame, rows: Rows) -> list:
    if not variance:
        return []
    for term in variance:
        if term.fitted:
            raise NotAvailableError(
                f"variance: {term.text}: in a mixed model the variance cannot depend on the fitted values, which hold the predicted random "
                "effects. Take a covariate, as in power(x), or the fitted values of a first fit as a column."
            )
    return variance_functions(variance, " * ".join(term.text for term in variance), frame, rows, None)


# -- one term --------------------------------------------------------------------------------------------


def _of_term(
    residual: Residual,
    frame: Frame,
    rows: Rows,
    n: int,
    relationships: Mapping[str, Relationship] | None,
) -> RowPrecision:
    if any(factor.structure == KNOWN for factor in residual.factors):
        return known_of(residual, frame, rows, n, relationships or {})
    catalogue.require_known(residual)
    if not residual.at:
        return precision_of(_structure(layout_of(residual, frame, rows, n)))
    from ..residuals.sections import Sections

    parts, labels = catalogue.sections_of(residual, frame, rows, n)
    inner: list[Structure] = []
    for part in parts:
        if not residual.factors:
            inner.append(IndependentStructure(len(part)))
            continue
        inner.append(_structure(layout_of(residual, frame, part if rows is None else rows[part], len(part))))
    whole = Sections(":".join(residual.at), labels, parts, inner, residual.text)
    return InSections(whole, parts, [precision_of(each) for each in inner])


def _structure(layout: Layout) -> Structure:
    """As hd.gls has it, but lattices where cells are cheap, and arma by dense matrices."""
    if len(layout.factors) > 1:
        catalogue.require_layout(layout)
        return grid.build(layout, _SPARSE, _DENSE_ROWS)
    structure = catalogue.build_layout(layout)
    if type(structure) is StateSpace:
        from ..residuals.dense_series import dense
        from ..residuals.order import series
        from ..residuals.statespace import distinct_gaps

        sorted_rows = series(layout)
        _, gap_of = distinct_gaps(sorted_rows)
        return dense(layout, sorted_rows, structure.signal, gap_of)  # type: ignore[arg-type]
    return structure


def precision_of(structure: Structure) -> RowPrecision:
    """The precision of a structure of `residuals/`, without a nugget."""
    if isinstance(structure, IndependentStructure):
        return Independent(structure._n_rows)
    if isinstance(structure, Markov):
        return Chain(structure)
    if isinstance(structure, Lattice):
        return Grid(structure)
    return blocks_of(structure)


# -- a nugget --------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Field:
    """The correlated part of a residual with a nugget, as a random term of one effect for each level.

    Attributes
    ----------
    text : the term as the user wrote it, "(1 | ar1(row):ar1(col))"; group : the name of its levels, "ar1(row):ar1(col)", or
        "ar1(time):subject" of ar1(0 + time | subject).
    section : "env1" where it is one of several sections at(env), each with a variance of its own; "" otherwise.
    precision : of the levels; their number is `precision.n`. Its own `places` is None.
    places : (n,) level of each row of the design; -1 for rows of other sections. Two rows may share one.
    """

    text: str
    group: str
    section: str
    precision: Precision
    places: np.ndarray


def split_nugget(residual: Residual) -> tuple[Residual, Residual]:
    """A residual with (1 | units) beside it -> its correlated part (for `fields`), and the nugget alone (for `of_residual`): at(env):
    goes with both, so that each section has two variances."""
    field = replace(residual, nugget=False)
    plain = replace(residual, term="(1 | units)", factors=(), groups=(), nugget=False)
    return field, plain


def fields(residual: Residual, frame: Frame, rows: Rows, n: int) -> list[Field]:
    """The random terms of the correlated part of a residual with a nugget.

    Raises
    ------
    DataError, ModelError, NotAvailableError : as `of_residual`; a structure that cannot have a nugget.
    """
    catalogue.require_known(residual)
    if not residual.at:
        return [_field(residual, "", frame, rows, np.arange(n), n)]
    parts, labels = catalogue.sections_of(residual, frame, rows, n)
    name = ":".join(residual.at)
    return [
        _field(residual, f"{name}{label}", frame, rows, part, n)
        for part, label in zip(parts, labels, strict=True)
    ]


def _field(residual: Residual, section: str, frame: Frame, rows: Rows, part: np.ndarray, n: int) -> Field:
    layout = layout_of(residual, frame, part if rows is None else rows[part], len(part))
    catalogue.require_layout(replace(layout, nugget=True))
    layout, level = _distinct_places(layout)
    precision = precision_of(_structure(layout))
    if precision.has_variances:
        raise ModelError(
            f"{residual.text}: {precision.name} has variances of its own and cannot have (1 | units) beside it."
        )
    if precision.places is not None:
        level = precision.places[level]
        precision.places = None
    places = np.full(n, -1)
    places[part] = level
    return Field(residual.term, _group(residual), section, precision, places)


def _group(residual: Residual) -> str:
    calls = [f"{f.structure}({', '.join(c.name for c in f.columns)})" for f in residual.factors]
    return ":".join([*calls, *residual.groups])


def _distinct_places(layout: Layout) -> tuple[Layout, np.ndarray]:
    """The layout of the distinct places of its rows, and the place of each row."""
    coordinates = [c for factor in layout.factors for c in factor.coordinates]
    if not coordinates:
        return replace(layout, nugget=False), np.arange(layout.n)
    points = np.column_stack([layout.groups.astype(np.float64), *coordinates])
    _, first, level = np.unique(points, axis=0, return_index=True, return_inverse=True)
    factors = tuple(replace(f, coordinates=tuple(c[first] for c in f.coordinates)) for f in layout.factors)
    out = replace(
        layout,
        n=len(first),
        factors=factors,
        groups=layout.groups[first],
        nugget=False,
        rows=first if layout.rows is None else layout.rows[first],
    )
    return out, level.reshape(-1)


__all__ = ["Field", "fields", "of_residual", "precision_of", "split_nugget"]

"""Correlations among the levels of a term, and among rows, by their precision: one a file, one contract (`base.Precision`).

of_term(term)         the precision of a random term's levels; None where they are independent
of_factors(factors)   the same from the factors of its right side

identity   id                               fields       exp, gau, mat, sph of distances
known      vm: a relationship               neighbours   car, leroux: who is next to whom
serial     ar1, ou, exp along a line        kronecker    products of those
splines    the columns of spl and spl2d, whose coefficients are independent
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import NotAvailableError, closest
from .base import At, NotPositiveDefinite, Parameter, Precision

if TYPE_CHECKING:
    from ..design.structured import LevelFactor, StructuredTerm

__all__ = ["At", "NotPositiveDefinite", "Parameter", "Precision", "of_factors", "of_term"]

_KINDS = ("id", "vm", "ar1", "ou", "exp", "gau", "mat", "sph", "ratio", "lin", "car", "leroux")


def of_term(term: StructuredTerm) -> Precision | None:
    """The correlation among the levels of a random term; None where all its factors are independent levels.

    Raises
    ------
    SingularRelationship : a relationship without an inverse (`known.root_of` has its root).
    ModelError, DataError : positions that occur twice, one level only, a relationship that does not fit.
    """
    return of_factors(term.factors)


def of_factors(factors: Sequence[LevelFactor]) -> Precision | None:
    """The Kronecker product of the factors' correlations, levels of the last fastest; None where all are "id".

    Raises as `of_term`.
    """
    if all(factor.kind == "id" for factor in factors):
        return None
    parts = [_of_factor(factor) for factor in factors]
    if len(parts) == 1:
        return parts[0]
    from .kronecker import Kronecker

    return Kronecker(parts)


def _of_factor(factor: LevelFactor) -> Precision:
    if factor.kind == "id":
        from .identity import Identity

        return Identity(len(factor.levels))
    if factor.kind == "spl":
        made: Precision = factor.options["precision"]
        return made
    if factor.kind == "vm":
        from . import known

        return known.build(factor)
    if factor.kind in ("ar1", "ou") or (factor.kind == "exp" and len(factor.names) == 1):
        from . import serial

        return serial.build(factor)
    if factor.kind in ("exp", "gau", "mat", "sph", "ratio", "lin"):
        from . import fields

        return fields.build(factor)
    if factor.kind in ("car", "leroux"):
        from . import neighbours

        return neighbours.build(factor)
    near = closest(factor.kind, _KINDS)
    raise NotAvailableError(
        f"{factor.kind}({', '.join(factor.names)}): there is no such correlation among levels."
        + (f" The closest is {near}." if near else f" There are {', '.join(_KINDS)}.")
    )

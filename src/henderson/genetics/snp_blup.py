"""From genomic breeding values to effects of markers, and back for other individuals.

    u = W a,  a ~ N(0, I s2),  K = W W':     a^ = W' K^- u^

(Stranden & Garrick 2009, J. Dairy Sci. 92: 2971-2975). What predicts u and what predicts a are one model (SNP-BLUP).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..errors import DataError, closest
from ..frame import give_back
from . import tables
from .basis import MarkerBasis
from .coding import ADDITIVE
from .genomic import GenomicRelationship, grm
from .ids import id_array, match
from .markers import Markers, as_markers
from .relationship import Relationship, as_relationship

Array = np.ndarray


def marker_effects(
    u: Any, markers: Any, relationship: Any = None, share: float = 1.0, library: str = "pandas"
) -> Any:
    """Effects of the markers that breeding values imply.

    Parameters
    ----------
    u : breeding values of all individuals of the relationship: a mapping or pandas Series by id, a table with columns level and
        estimate (the rows of one term of `fit.random_effects`), or an array in the order of the relationship's ids.
    markers : the `Markers` that the relationship was made of.
    relationship : with which u was predicted: what `grm(markers)` gave (left out: VanRaden's method 1), or that blended.
    share : of the markers in the relationship, where it was blended: 0.95 after `blend(G, A, 0.05)`.
    library : of the table that is given back.

    Returns
    -------
    A table: marker, frequency (of the counted allele), effect (of one copy of it).

    Raises
    ------
    DataError : individuals without a value, a dominance relationship.
    """
    genotypes = as_markers(markers)
    made = grm(genotypes) if relationship is None else as_relationship(relationship, "relationship")
    basis = (
        made.basis
        if isinstance(made, GenomicRelationship) and made.basis is not None
        else grm(genotypes).basis
    )
    assert basis is not None
    if basis.coding not in ADDITIVE.values():
        raise DataError(f"marker_effects: effects of allele copies are wanted, and this is {made.what}.")
    if not 0 < share <= 1:
        raise DataError(f"marker_effects: share lies between 0 and 1, not {share!r}.")
    values = _by_id(u, made)
    scaled = share * _transposed_times(basis, genotypes, made, values)
    columns = {"marker": basis.names, "frequency": basis.frequencies, "effect": scaled / basis.divisor}
    return give_back(columns, library)


def genomic_values(effects: Any, markers: Any, library: str = "pandas") -> Any:
    """Breeding values of individuals, known or new, by the effects of their markers: sum of effect (x - v p).

    Parameters
    ----------
    effects : the table of `marker_effects`.
    markers : `Markers` of the individuals, with at least those markers; a missing genotype counts as the mean.
    library : of the table that is given back.

    Returns
    -------
    A table: id, value.

    Raises
    ------
    DataError : columns that are not there, markers that the individuals lack.
    """
    genotypes = as_markers(markers)
    names, columns = tables.columns_of(effects)
    found = {str(name): column for name, column in zip(names, columns, strict=True)}
    for wanted in ("marker", "frequency", "effect"):
        if wanted not in found:
            near = closest(wanted, found)
            raise DataError(
                f"effects: no column is called '{wanted}'." + (f" The closest is '{near}'." if near else "")
            )
    p = np.asarray(found["frequency"], dtype=np.float64)
    basis = MarkerBasis(
        ADDITIVE["vanraden1"], genotypes.ploidy, id_array(found["marker"]), p, np.ones(len(p)), {}
    )
    value = basis.columns(genotypes) @ np.asarray(found["effect"], dtype=np.float64)
    return give_back({"id": genotypes.ids, "value": value}, library)


def _by_id(u: Any, made: Relationship) -> Array:
    """The values in the order of the relationship's ids."""
    if tables.is_table(u) and not isinstance(u, Mapping):
        names, columns = tables.columns_of(u)
        found = {str(name): column for name, column in zip(names, columns, strict=True)}
        if "level" not in found or "estimate" not in found:
            raise DataError(
                f"u: a table has columns level and estimate; this one has {', '.join(map(repr, names[:6]))}."
            )
        labels, values = list(found["level"]), found["estimate"]
    elif hasattr(u, "keys"):
        labels = list(u.keys())
        values = [u[label] for label in labels]
    else:
        values = np.asarray(u, dtype=np.float64)
        if values.shape != (made.q,):
            raise DataError(
                f"u: {made.q} values are wanted, in the order of the relationship's ids; there are {values.size}."
            )
        return values
    ids = id_array(labels)
    if len(set(ids)) < len(ids):
        raise DataError("u: some individuals have several values: give the rows of one term.")
    return np.asarray(values, dtype=np.float64)[match(ids, made.ids, "u", "the relationship")]


def _transposed_times(basis: MarkerBasis, markers: Markers, made: Relationship, u: Array) -> Array:
    """W' K^- u."""
    at = match(markers.ids, made.ids, "these markers", "the relationship")
    w = basis.columns(markers)[at]
    if made.root is not None and made.root.shape == w.shape and np.array_equal(made.root, w):
        return np.linalg.lstsq(w, u, rcond=None)[0]
    return w.T @ _solved(made, u)


def _solved(made: Relationship, u: Array) -> Array:
    """K^- u, for u in the range of K."""
    import scipy.linalg as sl

    if made.precision is not None:
        return made.precision @ u
    k = made.dense()
    if np.isfinite(made.log_determinant):
        return sl.cho_solve(sl.cho_factor(k, lower=True), u)
    rows = np.abs(k.sum(axis=1)).max()
    size = float(np.mean(made.diagonal))
    if rows <= 1e-10 * made.q * size:
        # Only 1 is missing from the range, as it is from that of u: K + 1 1' has an inverse, the same on all the rest.
        lower, info = sl.lapack.dpotrf(k + size / made.q, lower=1)
        if info == 0 and np.square(np.diag(lower)).min() > 1e-10 * size:
            return sl.cho_solve((lower, True), u - u.mean())
    w = made.square_root()
    return w @ (np.linalg.solve(w.T @ w, np.linalg.lstsq(w, u, rcond=None)[0]))

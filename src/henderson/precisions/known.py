"""vm: a relationship known up to its variance, by its sparse inverse or as a dense matrix."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ..errors import DataError, ModelError
from ..memory import machine_memory
from .base import At, Precision

if TYPE_CHECKING:
    from ..design.structured import LevelFactor
    from ..genetics.relationship import Relationship
    from ..sparse import Symbolic

Array = np.ndarray
SINGULAR = 1e-9
"""Share of its own variance that a level has left, given the levels before it, at or below which K counts as singular."""
CONDITION = 1e-10
"""Reciprocal condition number of K below which its inverse has lost the digits that a likelihood needs."""
NULL = 1e-10
"""Eigenvalue over the largest at or below which `root_of` drops a direction."""


class SingularRelationship(ModelError):
    """K has no inverse: it enters by a root (`root_of`)."""

    def __init__(self, message: str, relationship: Relationship):
        super().__init__(message)
        self.relationship = relationship


class Known(Precision):
    """Constant Q; subclasses say how K is multiplied."""

    name = "vm"

    def __init__(self, rows: Array, cols: Array, values: Array, log_det: float, diagonal: Array):
        self.n = len(diagonal)
        self.rows, self.cols = rows, cols
        self.lower = self.upper = np.zeros(0)
        self._values, self._log_det, self._diagonal = values, float(log_det), diagonal

    def at(self, t: Array, slopes: bool = False) -> At:
        if not slopes:
            return At(self._values, self._log_det)
        return At(self._values, self._log_det, np.zeros((0, len(self.rows))), np.zeros(0))

    def diagonal(self, t: Array) -> Array:
        return self._diagonal


class SparseKnown(Known):
    """Q sparse, as of a pedigree: K v by a factor of Q, made when it is first asked for."""

    def times(self, t: Array, v: Array) -> Array:
        from ..sparse import solve

        symbolic, panels = self._factor
        return solve(symbolic, panels, np.asarray(v, dtype=np.float64), drop=0)

    @cached_property
    def _factor(self) -> tuple[Symbolic, Array]:
        from ..sparse import analyze, factor
        from ..sparse.symbolic import PLAIN_ORDER

        method = "dense" if self.n <= PLAIN_ORDER else "amd"
        symbolic = analyze(self.n, self.rows, self.cols, method=method)
        panels = np.zeros(symbolic.stored)
        panels[symbolic.positions(self.rows, self.cols)] = self._values
        bad = factor(symbolic, panels)
        if bad >= 0:
            raise ModelError(
                f"The precision of the relationship is not positive definite (found at its row {int(symbolic.perm[bad])})."
            )
        return symbolic, panels


class DenseKnown(Known):
    """K dense and positive definite; Q is the whole lower triangle."""

    def __init__(self, covariance: Array, inverse: Array, log_det: float):
        rows, cols = np.tril_indices(len(covariance))
        super().__init__(rows, cols, inverse[rows, cols], log_det, np.diag(covariance).copy())
        self._covariance = covariance

    def times(self, t: Array, v: Array) -> Array:
        return self._covariance @ v


def build(factor: LevelFactor) -> Known:
    """The precision of a `vm` factor.

    Raises
    ------
    SingularRelationship : K is positive semi-definite.
    ModelError : K is not that; a dense K beyond the memory.
    DataError : levels that are not the relationship's, in its order.
    """
    relationship, text = factor.relationship, f"vm({', '.join(factor.names)})"
    if relationship is None:
        raise ModelError(f"{text}: no relationship was given for it; give relationships={{...}}.")
    _require_levels(factor, relationship, text)
    return of_relationship(relationship, text)


def of_relationship(relationship: Relationship, text: str = "vm") -> Known:
    """The precision of a relationship. Raises as `build`."""
    if relationship.precision is not None:
        return _sparse(relationship, text)
    if relationship.covariance is None:
        raise SingularRelationship(
            f"{text}: {relationship.what} is given by a root of low rank.", relationship
        )
    return _dense(relationship, text)


def _require_levels(factor: LevelFactor, relationship: Relationship, text: str) -> None:
    if len(factor.levels) == relationship.q and all(
        a is b or str(a) == b for a, b in zip(factor.levels, relationship.ids, strict=True)
    ):
        return
    raise DataError(
        f"{text}: the term has {len(factor.levels)} levels and the relationship, {relationship.what}, has {relationship.q} "
        "individuals, or their order is not the same: the levels of a term are the individuals of its relationship."
    )


def _sparse(relationship: Relationship, text: str) -> SparseKnown:
    if not np.isfinite(relationship.log_determinant):
        raise ModelError(
            f"{text}: the precision of {relationship.what} is singular: it is of no relationship."
        )
    lower = relationship.precision.tocoo()  # type: ignore[union-attr]
    rows, cols = lower.row.astype(np.int64), lower.col.astype(np.int64)
    keep = rows >= cols
    rows, cols, values = rows[keep], cols[keep], lower.data[keep].astype(np.float64)
    if np.count_nonzero(rows == cols) < relationship.q:
        raise ModelError(
            f"{text}: the precision of {relationship.what} has no entry at some places of its diagonal: it is not positive definite."
        )
    return SparseKnown(rows, cols, values, relationship.log_determinant, relationship.diagonal)


def _dense(relationship: Relationship, text: str) -> DenseKnown:
    from scipy.linalg.lapack import dpocon, dpotrf, dpotri

    k = np.asarray(relationship.covariance, dtype=np.float64)
    q = len(k)
    needed, there = 8.0 * 6.0 * q * q, machine_memory()
    if needed > 0.6 * there:
        raise ModelError(
            f"{text}: a dense {q} x {q} relationship needs {needed / 2**30:.0f} GiB of memory "
            f"(this machine has {there / 2**30:.0f}). Give its sparse inverse."
        )
    factor, info = dpotrf(k, lower=1)
    done = q if info == 0 else info - 1
    pivots, variances = np.diag(factor)[:done], np.diag(k)
    told = np.flatnonzero(pivots**2 <= SINGULAR * variances[:done])
    if info == 0 and not told.size and dpocon(factor, np.abs(k).sum(axis=0).max(), uplo="L")[0] > CONDITION:
        inverse, _ = dpotri(factor, lower=1)
        return DenseKnown(k, inverse, 2.0 * float(np.log(pivots).sum()))
    why = "combinations of its individuals have next to no variance"
    if told.size or info:
        label = relationship.ids[int(told[0]) if told.size else done]
        why = f"'{label}' is told by the individuals before it (as clones, or markers fewer than individuals, make it)"
    raise SingularRelationship(
        f"{text}: {relationship.what} is singular: {why}. Blend it, K + 0.01 I, or give a pedigree.",
        relationship,
    )


class Root(NamedTuple):
    """L with L L' = K."""

    l: Array
    """(q, r): r directions that K has."""
    lengths: Array
    """(r,): squared lengths of the columns of l; the eigenvalues of K, ascending, where l was made of them."""


def root_of(relationship: Relationship, tolerance: float = NULL) -> Root:
    """A root of a positive semi-definite K: u = L b with b independent.

    Parameters
    ----------
    tolerance : eigenvalues up to this share of the largest are directions that K does not have, and are dropped.

    Raises
    ------
    ModelError : K has an eigenvalue below -tolerance times the largest; a relationship given by its inverse.
    """
    if relationship.root is not None:
        return Root(relationship.root, np.einsum("ij,ij->j", relationship.root, relationship.root))
    if relationship.covariance is None:
        raise ModelError(
            f"{relationship.what} is given by its inverse: it is not singular, and needs no root."
        )
    from scipy.linalg import eigh

    values, vectors = eigh(np.asarray(relationship.covariance, dtype=np.float64), driver="evd")
    largest = float(values[-1])
    if largest <= 0 or values[0] < -tolerance * largest:
        count = int(np.sum(values < -tolerance * max(largest, 0.0)))
        raise ModelError(
            f"{relationship.what} is not a covariance: {count} of its {len(values)} eigenvalues "
            f"{'is' if count == 1 else 'are'} negative, the lowest {values[0]:.3g} (the largest is {largest:.3g}). "
            "Bend it first, or correct the data it was made of."
        )
    keep = values > tolerance * largest
    return Root(vectors[:, keep] * np.sqrt(values[keep]), values[keep])

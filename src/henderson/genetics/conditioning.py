"""Relationship matrices made fit for use: blended with a pedigree, tuned to it, bent to be positive definite."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ..errors import DataError, closest
from . import positive
from .relationship import Relationship, as_relationship

Array = np.ndarray
BENDING = ("raise", "shrink")
TUNING = ("means", "average")


def blend(G: Any, A: Any = None, weight: float = 0.05) -> Relationship:
    """(1 - weight) G + weight A22: markers explain a part of the variance, descent the rest, and G becomes positive definite.

    Parameters
    ----------
    G : a `Relationship`, `Markers`, a table or (K, ids).
    A : the pedigree, or relationships in which every id of G is found; None: unrelated individuals, (1 - weight) G + weight I.
    weight : 0 ... 1, share of the variance that the markers do not explain.

    Raises
    ------
    DataError : ids of G that A does not have, a weight out of range.

    Source: Aguilar et al. (2010), J. Dairy Sci. 93: 743-752; Christensen & Lund (2010), Genet. Sel. Evol. 42: 2.
    """
    g = as_relationship(G, "G")
    _check_weight(weight)
    if A is None:
        other, with_what = np.eye(g.q), "an identity"
    else:
        from .pedigree_block import block_among

        other, with_what = block_among(A, g.ids, "A").covariance, as_relationship(A, "A").what
    return _made(
        (1 - weight) * g.dense() + weight * other, g.ids, f"{g.what}, blended with {weight:g} of {with_what}"
    )


def tune(G: Any, A: Any, method: str = "means") -> Relationship:
    """G on the scale and the base of A22.

        means     a + b G, with a and b such that the mean of the diagonal and the mean of the others are those of A22
                  (Chen et al. 2011; Christensen et al. 2012)
        average   (1 - d / 2) G + d 11', with d the mean of A22 less that of G, twice the drift between the two bases
                  (Vitezica et al. 2011)

    Parameters
    ----------
    G, A : as `blend`.

    Raises
    ------
    DataError : ids of G that A does not have; a G whose diagonal and other entries have one mean.

    Source: Chen et al. (2011), J. Anim. Sci. 89: 2673-2679; Christensen et al. (2012), Animal 6: 1565-1571; Vitezica et al.
    (2011), Genet. Res. 93: 357-366.
    """
    from .pedigree_block import block_among

    g = as_relationship(G, "G")
    tuned, said = tuned_to(g.dense(), block_among(A, g.ids, "A").covariance, method)
    return _made(tuned, g.ids, f"{g.what}, {said}")


def tuned_to(g: Array, a: Array, method: str) -> tuple[Array, str]:
    """G on the scale of A22, and what was done, in words."""
    if method not in TUNING:
        near = closest(method, TUNING)
        raise DataError(
            f"tuning is one of {', '.join(TUNING)}, not {method!r}."
            + (f" Is '{near}' meant?" if near else "")
        )
    if method == "average":
        drift = float(a.mean() - g.mean())
        return (1 - drift / 2) * g + drift, f"tuned to the pedigree by {drift:.4g}"
    inside, outside = _means(g)
    wanted_inside, wanted_outside = _means(a)
    if not inside > outside:
        raise DataError(
            f"G cannot be tuned: the mean of its diagonal is {inside:.4g} and that of the rest {outside:.4g}."
        )
    slope = (wanted_inside - wanted_outside) / (inside - outside)
    start = wanted_outside - slope * outside
    return start + slope * g, f"tuned to the pedigree ({start:.4g} + {slope:.4g} G)"


def _means(k: Array) -> tuple[float, float]:
    """Mean of the diagonal, and of the rest."""
    n, trace = len(k), float(np.trace(k))
    if n == 1:
        return trace, 0.0
    return trace / n, float((k.sum() - trace) / (n * (n - 1)))


def bend(
    K: Any,
    ids: Iterable[Any] | None = None,
    least: float = 1e-4,
    method: str = "raise",
    keep_mean: bool = False,
) -> Relationship:
    """K with all eigenvalues at least `least` times the greatest.

        raise    lower eigenvalues are set to that (the nearest such matrix in the Frobenius norm)
        shrink   all eigenvalues move toward their mean, by the same share, as far as the lowest needs it (Hayes & Hill 1981)

    Parameters
    ----------
    K : a dense matrix with `ids`, or whatever `relationships=` takes; it need not be positive definite.
    ids : of the rows of a matrix.
    least : relative to the greatest eigenvalue, above 0.
    keep_mean : scale the result so that its diagonal has the mean of K's ("shrink" keeps it anyway).

    `.what` says how many eigenvalues were raised, and by how much. A K that needs nothing is given back as it is.

    Raises
    ------
    DataError : as `Relationship.from_covariance`, but for the eigenvalues; no eigenvalue above 0.

    Source: Hayes & Hill (1981), Biometrics 37: 483-493; Higham (1988), Linear Algebra Appl. 103: 103-118.
    """
    if method not in BENDING:
        raise DataError(f"bend: method is one of {', '.join(BENDING)}, not {method!r}.")
    if not 0 < least < 1:
        raise DataError(
            f"bend: least is relative to the greatest eigenvalue, above 0 and below 1, not {least!r}."
        )
    k, known, what = _any_symmetric(K, ids)
    values, vectors = np.linalg.eigh(k)
    if values[-1] <= 0:
        raise DataError(
            f"bend: K has no positive eigenvalue (the greatest is {values[-1]:.4g}); it is no relationship."
        )
    low = int(np.count_nonzero(values < least * values[-1]))
    if not low:
        return Relationship.from_covariance(k, known, "bend")
    changed = _bent(values, least, method)
    if keep_mean:
        changed *= values.sum() / changed.sum()
    bent = (vectors * changed) @ vectors.T
    said = f"{what}, bent: {low} of {len(values)} eigenvalues were below {least:g} of the greatest, the least {values[0]:.3g}"
    return _made((bent + bent.T) / 2, known, said)


def _bent(values: Array, least: float, method: str) -> Array:
    if method == "raise":
        return np.maximum(values, least * values[-1])
    # (1 - w) low + w mean = least ((1 - w) high + w mean)
    mean, away = values.mean(), least * values[-1] - values[0]
    if mean <= 0:
        raise DataError(
            f"bend: the mean of the eigenvalues is {mean:.4g}: 'shrink' has nothing to shrink to; method='raise' has."
        )
    weight = away / (away + mean * (1 - least))
    return (1 - weight) * values + weight * mean


def _any_symmetric(K: Any, ids: Any) -> tuple[Array, Array, str]:
    """Matrix, ids and what it is, of a symmetric matrix that may be indefinite."""
    from . import tables
    from .ids import read_ids

    if ids is None and isinstance(K, tuple) and len(K) == 2 and not hasattr(K[0], "tocoo"):
        K, ids = K
    if ids is None and tables.is_table(K):
        k, known = tables.square(K, "K")
    elif ids is None:
        given = as_relationship(K, "K")
        return given.dense(), given.ids, given.what
    else:
        k = np.asarray(K.toarray() if hasattr(K, "tocoo") else K, dtype=np.float64)
        if k.ndim != 2 or k.shape[0] != k.shape[1] or not len(k):
            raise DataError(f"bend: K is a square matrix; this is {' x '.join(map(str, k.shape))}.")
        known = read_ids(ids, len(k), "K")
    return positive.check_dense(k, known, "K"), known, f"a dense {len(k)} x {len(k)} matrix"


def _check_weight(weight: float) -> None:
    if not 0 <= weight <= 1:
        raise DataError(f"weight is a share from 0 to 1, not {weight!r}.")


def _made(k: Array, ids: Array, what: str) -> Relationship:
    return Relationship(ids, None, k, positive.dense_log_determinant(k), np.diag(k).copy(), what)

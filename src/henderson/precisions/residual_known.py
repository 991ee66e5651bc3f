"""vm(id, V): a known covariance of the rows, matched by id: sampling variances of a meta-analysis, the weights of a second stage.

V is known with its scale: the residual variance is 1 and not estimated (`holds_scale`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..errors import DataError, ModelError, NotAvailableError, closest
from ..formula.residual import KNOWN, UNITS, Residual
from ..frame import Frame
from .base import At
from .residual_base import RowPrecision

if TYPE_CHECKING:
    import scipy.sparse as sp

    from ..genetics.relationship import Relationship

Array = np.ndarray
_EIGENVALUES = 3000
"""Order up to which the smallest eigenvalue is computed for an error."""
_NAMED = 5


class Known(RowPrecision):
    """Q of a matrix that has no parameters."""

    holds_scale = True
    own_order = True
    lower = upper = np.zeros(0)

    def __init__(
        self,
        precision: sp.spmatrix | None,
        covariance: Array | sp.spmatrix | None = None,
        *,
        name: str = "vm",
        log_det: float | None = None,
        places: Array | None = None,
    ):
        """precision : (n, n) sparse, both triangles; or covariance : (n, n) dense or sparse, or its diagonal (n,).

        Raises
        ------
        DataError : not positive definite (with the smallest eigenvalue).
        """
        from scipy import sparse as sps

        self.name = self.text = name
        self.places = places
        self._covariance = covariance
        if precision is None:
            assert covariance is not None
            self.rows, self.cols, self._values, self._log_det = _inverse(covariance, name)
            self.n = covariance.shape[0]
        else:
            lower = sps.tril(precision, format="coo")
            self.n = precision.shape[0]
            self.rows, self.cols = lower.row.astype(np.int64), lower.col.astype(np.int64)
            self._values = np.asarray(lower.data, dtype=np.float64)
            self._log_det = float("nan") if log_det is None else log_det
        self.classes, self.n_classes = np.arange(len(self.rows)), len(self.rows)
        self._solve: Callable[[Array], Array] | None = None
        self._diagonal: Array | None = None

    def distinct(self, t: Array, slopes: bool = False) -> At:
        if not slopes:
            return At(self._values, self._log_det)
        return At(self._values, self._log_det, np.zeros((0, len(self._values))), np.zeros(0))

    def times(self, t: Array, v: Array) -> Array:
        c = self._covariance
        if c is None:
            if self._solve is None:
                self._solve = _factor(self)
            return self._solve(v)
        return v * c[:, None] if c.ndim == 1 else c @ v

    def diagonal(self, t: Array) -> Array:
        if self._diagonal is None:
            c = self._covariance
            if c is None:
                raise ModelError(f"{self.name}: the diagonal of a matrix given by its inverse was not given.")
            self._diagonal = c if c.ndim == 1 else np.asarray(c.diagonal(), dtype=np.float64)
        return self._diagonal


def _factor(known: Known) -> Callable[[Array], Array]:
    from scipy import sparse as sps
    from scipy.sparse.linalg import splu

    off = known.rows != known.cols
    rows = np.append(known.rows, known.cols[off])
    cols = np.append(known.cols, known.rows[off])
    values = np.append(known._values, known._values[off])
    return splu(sps.csc_matrix((values, (rows, cols)), shape=(known.n, known.n))).solve


def _inverse(v: Array | sp.spmatrix, name: str) -> tuple[Array, Array, Array, float]:
    """Entries of V^-1 in its lower triangle, by the connected blocks of V, and log|V|."""
    from scipy import sparse as sps
    from scipy.linalg.lapack import dpotri
    from scipy.sparse.csgraph import connected_components

    if v.ndim == 1:
        bad = np.flatnonzero(~(v > 0))
        if bad.size:
            raise DataError(f"{name}: a variance is {v[bad[0]]:g}: variances are positive.")
        own = np.arange(len(v))
        return own, own, 1.0 / v, float(np.log(v).sum())
    sparse = sps.csr_matrix(v)
    count, label = connected_components(sparse, directed=False)
    order = np.argsort(label, kind="stable")
    rows, cols, values, log_det = [], [], [], 0.0
    start = 0
    for size in np.bincount(label, minlength=count):
        at = np.sort(order[start : start + size])
        start += size
        block = sparse[at][:, at].toarray() if count > 1 or sps.issparse(v) else np.asarray(v)
        try:
            factor = np.linalg.cholesky(block)
        except np.linalg.LinAlgError:
            lowest = f"{np.linalg.eigvalsh(block)[0]:.6g}" if size <= _EIGENVALUES else "not positive"
            raise DataError(
                f"{name} is not positive definite: its smallest eigenvalue is {lowest}. A covariance of residuals has positive "
                "eigenvalues only; where rows repeat one another exactly, keep one of them."
            ) from None
        inverse, _ = dpotri(factor, lower=1)
        i, j = np.tril_indices(size)
        rows.append(at[i])
        cols.append(at[j])
        values.append(inverse[i, j])
        log_det += 2.0 * float(np.log(np.diagonal(factor)).sum())
    return np.concatenate(rows), np.concatenate(cols), np.concatenate(values), log_det


# -- from the text ----------------------------------------------------------------------------------------


def known_of(
    residual: Residual,
    frame: Frame,
    rows: Array | None,
    n: int,
    relationships: Mapping[str, Relationship],
) -> Known:
    """The precision of `residual="vm(id, V)"`: each of the n rows used is a level of V of its own.

    Raises
    ------
    ModelError : V is not in relationships=; a term that holds more than vm(id, V).
    DataError : ids that are not in V, or occur twice; V not positive definite.
    """
    if len(residual.factors) > 1 or residual.groups or residual.at:
        raise NotAvailableError(
            f'{residual.text}: a known covariance of the residuals stands alone: residual="vm(id, V)".'
        )
    factor = residual.factors[0]
    name, column = factor.options["relationship"], factor.columns[0].name
    if name not in relationships:
        near = closest(name, list(relationships))
        raise ModelError(
            f"{residual.text}: {name} is not in relationships=. "
            + (f"The closest is '{near}'." if near else f'Give relationships={{"{name}": a matrix}}.')
        )
    v = relationships[name]
    where = f"{KNOWN}({column}, {name})"
    at = (
        _by_row(v, frame, rows, n, where)
        if column == UNITS and UNITS not in frame
        else _by_id(v, frame, rows, column, where)
    )
    if v.precision is not None and len(at) == v.q:
        p = v.precision.tocsr()[at][:, at]
        out = Known(p, name=where, log_det=v.log_determinant)
        out._diagonal = v.diagonal[at]
        return out
    if v.precision is not None:
        out = Known(v.precision, name=where, log_det=v.log_determinant, places=at)
        out._diagonal = v.diagonal
        return out
    assert v.covariance is not None
    return Known(None, v.covariance[np.ix_(at, at)], name=where)


def _by_row(v: Relationship, frame: Frame, rows: Array | None, n: int, where: str) -> Array:
    if v.q != frame.nrow:
        raise DataError(
            f"{where}: the table has {frame.nrow} rows, and {v.what} has {v.q} levels: for units they are the rows of the table, "
            "in its order. Match by a column of ids otherwise: vm(id, V)."
        )
    return np.arange(n) if rows is None else np.asarray(rows)


def _by_id(v: Relationship, frame: Frame, rows: Array | None, column: str, where: str) -> Array:
    factor = frame[column].factor
    codes = factor.values if rows is None else factor.values[rows]
    ids = np.array([str(level) for level in factor.levels], dtype=object)
    counts = np.bincount(codes, minlength=len(ids))
    twice = np.flatnonzero(counts > 1)
    if twice.size:
        first = np.flatnonzero(codes == twice[0])[:2]
        a, b = (int(i if rows is None else rows[i]) for i in first)
        raise DataError(
            f"{where}: {column} {ids[twice[0]]} occurs twice, in rows {a} and {b} (the first row is 0)"
            + (f", and {twice.size - 1} more such ids" if twice.size > 1 else "")
            + ": each row is a level of its own of the residuals' covariance."
        )
    place = {str(each): i for i, each in enumerate(v.ids)}
    unknown = [ids[c] for c in np.flatnonzero(counts) if ids[c] not in place]
    if unknown:
        shown = ", ".join(unknown[:_NAMED]) + (" ..." if len(unknown) > _NAMED else "")
        raise DataError(
            f"{where}: {len(unknown)} of the levels of {column} are not in {v.what}: {shown}. Ids are matched by their text."
        )
    of_level = np.array([place.get(each, -1) for each in ids])
    return of_level[codes]

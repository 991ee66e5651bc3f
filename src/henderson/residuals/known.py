"""V=: a known covariance of the residuals up to the factor s2, dense, sparse, or a diagonal."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import sparse
from ..errors import DataError, ModelError
from ..memory import machine_memory
from .base import CrossProducts, Layout, Structure

Array = np.ndarray
_ASYMMETRY = 1e-8
_EIGENVALUES = 3000
"""Order up to which the smallest eigenvalue is computed for an error."""


def build(given: Any, layout: Layout, nrow: int | None = None) -> Structure:
    """The structure of V (nrow, nrow), dense or sparse, or its diagonal (nrow,), in the order of the table's rows.

    nrow : rows of the table; rows that are left out for missing values are left out of V too.

    Raises
    ------
    DataError : not numbers, wrong size, not finite, not symmetric, not positive definite (with the smallest eigenvalue).
    """
    nrow = layout.n if nrow is None else nrow
    rows = layout.rows
    if np.iscomplexobj(given):
        raise DataError("V= holds complex numbers: a covariance is real.")
    if hasattr(given, "tocoo"):
        return KnownSparse(layout.n, *_sparse_entries(given, rows, nrow))
    try:
        v = np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(
            f"V= is an array of numbers, ({nrow}, {nrow}) or ({nrow},), not {type(given).__name__}."
        ) from None
    if v.shape not in ((nrow,), (nrow, nrow)):
        raise DataError(_wrong_size(v.shape, nrow, layout.n))
    if rows is not None:
        v = v[rows] if v.ndim == 1 else v[np.ix_(rows, rows)]
    _require_finite(v, layout)
    if v.ndim == 1:
        return KnownDiagonal(layout, v)
    _require_symmetric(v, layout)
    return KnownDense(v)


def _wrong_size(shape: tuple[int, ...], nrow: int, n: int) -> str:
    said = " x ".join(map(str, shape)) or "one number"
    tail = (
        f" V follows the rows of the table as it is; the {nrow - n} rows left out for missing values are left out of V too."
        if n < nrow
        else ""
    )
    return f"V= is {said}; the table has {nrow} rows, so that V is ({nrow}, {nrow}), or ({nrow},) variances.{tail}"


def _require_finite(v: Array, layout: Layout) -> None:
    bad = np.argwhere(~np.isfinite(v))
    if len(bad):
        where = ", ".join(str(layout.row(int(i))) for i in bad[0])
        raise DataError(
            f"V= is {v[tuple(bad[0])]} in row {where} (the first row is 0): it must be a finite number."
            if v.ndim == 1
            else f"V[{where}] is {v[tuple(bad[0])]}: it must be a finite number."
        )


def _require_symmetric(v: Array, layout: Layout) -> None:
    away = np.abs(v - v.T)
    at = int(np.argmax(away))
    i, j = divmod(at, len(v))
    if away[i, j] > _ASYMMETRY * float(np.abs(v).max()):
        a, b = layout.row(i), layout.row(j)
        raise DataError(
            f"V= is not symmetric: V[{a}, {b}] is {v[i, j]:.10g} and V[{b}, {a}] is {v[j, i]:.10g}. "
            "Give (V + V.T) / 2 if the difference is rounding."
        )


def _sparse_entries(given: Any, rows: Array | None, nrow: int) -> tuple[Array, Array, Array]:
    """Lower-triangle entries of the rows used."""
    if given.shape != (nrow, nrow):
        raise DataError(_wrong_size(given.shape, nrow, nrow if rows is None else len(rows)))
    v = given.tocsr()
    if rows is not None:
        v = v[rows][:, rows]
    away = abs(v - v.T)
    largest = float(abs(v).max()) if v.nnz else 0.0
    if not np.isfinite(largest):
        raise DataError("V= holds a value that is not a finite number.")
    if away.nnz and float(away.max()) > _ASYMMETRY * largest:
        found = away.tocoo()
        at = int(np.argmax(found.data))
        i, j = int(found.row[at]), int(found.col[at])
        a, b = (i, j) if rows is None else (int(rows[i]), int(rows[j]))
        raise DataError(
            f"V= is not symmetric: V[{a}, {b}] is {v[i, j]:.10g} and V[{b}, {a}] is {v[j, i]:.10g}. "
            "A sparse V has both triangles."
        )
    entries = v.tocoo()
    entries.sum_duplicates()
    below = entries.row >= entries.col
    return entries.row[below], entries.col[below], entries.data[below].astype(np.float64)


def _not_positive(smallest: float | None) -> DataError:
    said = "" if smallest is None else f": its smallest eigenvalue is {smallest:.6g}"
    return DataError(
        f"V= is not positive definite{said}. A covariance matrix has positive eigenvalues only; where rows are exact repeats of one "
        "another, keep one of them."
    )


class _Known(Structure):
    """No coordinates."""

    name = "V"
    parameters = ()
    lower = upper = np.zeros(0)
    _diagonal: Array
    _log_det: float

    def starts(self, residual: Array) -> list[Array]:
        return [np.zeros(0)]

    def natural(self, t: Array) -> Array:
        return np.zeros(0)

    def coordinates(self, natural: Array) -> Array:
        return np.zeros(0)

    def diagonal(self, t: Array) -> Array:
        return self._diagonal

    def cross_products(self, t: Array, m: Array, slopes: bool) -> CrossProducts:
        white, log_det = self.whiten(t, m)
        k = m.shape[1]
        products = white.T @ white
        if not slopes:
            return CrossProducts(products, log_det)
        return CrossProducts(products, log_det, np.zeros((0, k, k)), np.zeros(0))


class KnownDiagonal(_Known):
    """Variances (n,)."""

    def __init__(self, layout: Layout, v: Array):
        bad = np.flatnonzero(v <= 0)
        if bad.size:
            i = int(bad[0])
            raise DataError(
                f"V= is {v[i]:g} in row {layout.row(i)} (the first row is 0): variances are positive."
            )
        self._n_rows, self._diagonal, self._log_det = len(v), v, float(np.log(v).sum())

    def whiten(self, t: Array, m: Array) -> tuple[Array, float]:
        return m / np.sqrt(self._diagonal)[:, None], self._log_det


class KnownDense(_Known):
    """V (n, n)."""

    def __init__(self, v: Array):
        from scipy.linalg import cholesky, eigvalsh

        self._n_rows, self._diagonal = len(v), np.diagonal(v).copy()
        needed, there = 24.0 * v.size, machine_memory()
        if needed > 0.8 * there:
            raise ModelError(
                f"V= is dense and {len(v)} x {len(v)}: {needed / 2**30:.0f} GiB are needed to factorise it. Give it as a scipy sparse "
                "matrix if most of it is 0."
            )
        try:
            self._factor = cholesky(v, lower=True, check_finite=False)
        except np.linalg.LinAlgError:
            small = len(v) <= _EIGENVALUES
            raise _not_positive(float(eigvalsh(v, subset_by_index=[0, 0])[0]) if small else None) from None
        self._log_det = 2.0 * float(np.log(np.diagonal(self._factor)).sum())

    def whiten(self, t: Array, m: Array) -> tuple[Array, float]:
        from scipy.linalg import solve_triangular

        return solve_triangular(self._factor, m, lower=True, check_finite=False), self._log_det


class KnownSparse(_Known):
    """V by its entries of the lower triangle; rows in the order in which it is factorised."""

    def __init__(self, n: int, rows: Array, cols: Array, values: Array):
        self._n_rows = n
        self._symbolic = sparse.analyze(n, rows, cols, method="dense" if n <= 400 else "amd")
        self._panels = np.zeros(self._symbolic.stored)
        self._panels[self._symbolic.positions(rows, cols)] = values
        diagonal = np.zeros(n)
        own = rows == cols
        diagonal[rows[own]] = values[own]
        if sparse.factor(self._symbolic, self._panels) >= 0:
            raise _not_positive(_smallest(n, rows, cols, values) if n <= _EIGENVALUES else None)
        self.order = self._symbolic.perm
        self._diagonal = diagonal[self.order]
        self._log_det = 2.0 * float(np.log(sparse.diagonal(self._symbolic, self._panels)).sum())

    def whiten(self, t: Array, m: Array) -> tuple[Array, float]:
        back = np.empty(m.shape)
        back[self.order] = m
        return sparse.forward(self._symbolic, self._panels, back, drop=0), self._log_det


def _smallest(n: int, rows: Array, cols: Array, values: Array) -> float:
    dense = np.zeros((n, n))
    dense[rows, cols] = values
    return float(np.linalg.eigvalsh(dense)[0])

"""Is a matrix symmetric, finite and positive definite, and if not: how far from it and where?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError

if TYPE_CHECKING:
    import scipy.sparse as sp

Array = np.ndarray
ASYMMETRY = 1e-8
"""Greatest |K - K'| taken for rounding, relative to the greatest |K|."""
ROUNDING = 1e-8
"""A negative eigenvalue no larger than this, relative to the greatest, is taken for rounding of a 0."""
NEGLIGIBLE = 1e-10
"""The same, where it needs no care."""
_EIGENVALUES = 3000
"""Order up to which all eigenvalues are computed for a message; beyond it only the two extreme ones."""
_PLAIN = 400
"""Order up to which a sparse precision is factored as a dense matrix, without compiled code."""


def check_dense(matrix: Array, ids: Array, name: str) -> Array:
    """The matrix with rounding differences between its triangles averaged out.

    Raises
    ------
    DataError : NaN or infinite, not symmetric; says which individuals.
    """
    bad = np.argwhere(~np.isfinite(matrix))
    if len(bad):
        i, j = bad[0]
        raise DataError(
            f"{name}: the relationship of '{ids[i]}' and '{ids[j]}' is {matrix[i, j]} (row {i}, column {j}; the first is 0)"
            + (
                f", and {len(bad) - 1} more are not finite."
                if len(bad) > 1
                else ": it must be a finite number."
            )
        )
    away = np.abs(matrix - matrix.T)
    at = int(np.argmax(away))
    i, j = sorted(divmod(at, len(matrix)))
    if away[i, j] == 0.0:
        return matrix
    if away[i, j] > ASYMMETRY * float(np.abs(matrix).max()):
        raise DataError(_not_symmetric(matrix[i, j], matrix[j, i], ids[i], ids[j], name, _triangle(matrix)))
    return (matrix + matrix.T) / 2


def _triangle(matrix: Any) -> str | None:
    """The only triangle that holds anything, where there is one."""
    import scipy.sparse as sp

    upper, lower = (
        (sp.triu(matrix, 1), sp.tril(matrix, -1))
        if sp.issparse(matrix)
        else (np.triu(matrix, 1), np.tril(matrix, -1))
    )
    above, below = bool(abs(upper).max()), bool(abs(lower).max())
    return "lower" if below and not above else "upper" if above and not below else None


def _not_symmetric(a: float, b: float, row: str, col: str, name: str, triangle: str | None) -> str:
    said = (
        f"{name}: the matrix is not symmetric. The greatest difference is between '{row}' and '{col}': {a:.10g} in one "
        f"triangle and {b:.10g} in the other."
    )
    if triangle:
        return said + f" Only its {triangle} triangle is filled: add the other one, K + K.T - diag(K)."
    return said + " Are its rows in the order of its columns?"


def check_sparse(matrix: Any, ids: Array, name: str) -> sp.csc_matrix:
    """A sparse precision as CSC float64 with sorted indices, both triangles.

    Raises
    ------
    DataError : as `check_dense`.
    """
    import scipy.sparse as sp

    q = sp.csc_matrix(matrix, dtype=np.float64)
    q.sum_duplicates()
    if not np.isfinite(q.data).all():
        entries = q.tocoo()
        k = int(np.argmin(np.isfinite(entries.data)))
        i, j = entries.row[k], entries.col[k]
        raise DataError(
            f"{name}: the entry of '{ids[i]}' and '{ids[j]}' is {entries.data[k]}: it must be a finite number."
        )
    away = abs(q - q.T).tocoo()
    largest = float(abs(q).max()) if q.nnz else 0.0
    if away.nnz and away.data.max() > ASYMMETRY * largest:
        k = int(np.argmax(away.data))
        i, j = sorted((int(away.row[k]), int(away.col[k])))
        raise DataError(_not_symmetric(q[i, j], q[j, i], ids[i], ids[j], name, _triangle(q)))
    if away.nnz and away.data.max() > 0:
        q = sp.csc_matrix((q + q.T) / 2)
    q.sort_indices()
    return q


def semidefinite_root(matrix: Array, name: str) -> Array | None:
    """W with K = W W' where K, singular, has negative eigenvalues that are rounding (of a file, say); None where it has none.

    Raises
    ------
    DataError : a negative eigenvalue beyond rounding; gives its size.
    """
    if not matrix.any():
        raise DataError(
            f"{name}: every entry of the matrix is 0: levels with no variance have no effects. Leave the term out."
        )
    if is_semidefinite(matrix, NEGLIGIBLE):
        return None
    if is_semidefinite(matrix, ROUNDING):
        return root_of(matrix)
    least, largest = extreme_eigenvalues(matrix)
    if largest > 0 and least >= -ROUNDING * largest:
        return root_of(matrix)
    raise DataError(
        f"{name}: the matrix is not positive definite. Its least eigenvalue is {least:.4g}, "
        + (
            f"{abs(least) / largest:.2g} of its greatest ({largest:.4g}) below 0. "
            if largest > 0
            else "and none is positive. "
        )
        + "hd.genetics.bend(K, ids) gives the nearest matrix that is; for a genomic matrix, hd.genetics.blend(G, A)."
    )


def root_of(matrix: Array) -> Array:
    """W, (q, rank) with K = W W'. Directions count as null whose eigenvalue is 0 within rounding (the most negative one says how
    much that is).
    """
    from scipy.linalg import eigh

    values, vectors = eigh(matrix, driver="evd")
    noise = max(len(matrix) * np.finfo(float).eps * values[-1], -2 * values[0])
    kept = values > noise
    return vectors[:, kept] * np.sqrt(values[kept])


def dense_log_determinant(matrix: Array) -> float:
    """log|K| by Cholesky; NaN where a pivot is 0 within rounding, or negative."""
    lower = _cholesky(matrix)
    return float("nan") if lower is None else float(2 * np.log(np.diag(lower)).sum())


def dense_inverse(matrix: Array) -> tuple[Array, float] | None:
    """K^-1 and log|K|; None where K is singular within rounding, or indefinite."""
    import scipy.linalg as sl

    lower = _cholesky(matrix)
    if lower is None:
        return None
    log_det = float(2 * np.log(np.diag(lower)).sum())
    inverse = sl.lapack.dpotri(lower, lower=1, overwrite_c=1)[0]
    return np.tril(inverse) + np.tril(inverse, -1).T, log_det


def _cholesky(matrix: Array) -> Array | None:
    """The factor in the lower triangle, anything above it; None where a pivot is 0 within rounding, or negative."""
    import scipy.linalg as sl

    diagonal = np.diag(matrix)
    if not (diagonal > 0).all():
        return None
    lower, info = sl.lapack.dpotrf(matrix, lower=1, clean=0)
    if info != 0 or (np.diag(lower) ** 2 / diagonal).min() <= 10 * max(len(matrix), 10) * np.finfo(float).eps:
        return None
    return lower


def is_semidefinite(matrix: Array, tolerance: float) -> bool:
    """Whether no eigenvalue is below -tolerance times the greatest, by a Cholesky of K with that added; a few are wrongly refused."""
    import scipy.linalg as sl

    # The greatest eigenvalue is no less than the greatest diagonal entry: the shift is on the safe side.
    shift = tolerance * float(np.diag(matrix).max(initial=0.0))
    if shift <= 0:
        return bool(not matrix.any())
    shifted = matrix.copy()
    shifted[np.diag_indices_from(shifted)] += shift
    return bool(sl.lapack.dpotrf(shifted, lower=1, clean=0, overwrite_a=1)[1] == 0)


def extreme_eigenvalues(matrix: Array) -> tuple[float, float]:
    """The least and the greatest eigenvalue."""
    if len(matrix) <= _EIGENVALUES:
        values = np.linalg.eigvalsh(matrix)
        return float(values[0]), float(values[-1])
    from scipy.sparse.linalg import eigsh

    least = eigsh(matrix, k=1, which="SA", return_eigenvectors=False, tol=1e-6)
    greatest = eigsh(matrix, k=1, which="LA", return_eigenvectors=False, tol=1e-6)
    return float(least[0]), float(greatest[0])


def precision_summary(precision: sp.csc_matrix, ids: Array, name: str) -> tuple[float, Array]:
    """log|K| and the diagonal of K, from one factor of K^-1 and its selected inverse.

    Raises
    ------
    DataError : K^-1 is not positive definite; names the individual at which it shows.
    """
    n = precision.shape[0]
    if n <= _PLAIN:
        return _summary_dense(precision.toarray(), ids, name)
    from .. import sparse

    entries = precision.tocoo()
    below = entries.row >= entries.col
    rows, cols, values = entries.row[below], entries.col[below], entries.data[below]
    filled = 2 * len(values) > 0.3 * float(n) ** 2
    symbolic = sparse.analyze(n, rows, cols, method="dense" if filled else "amd")
    panels = np.zeros(symbolic.stored)
    panels[symbolic.positions(rows, cols)] = values
    bad = sparse.factor(symbolic, panels)
    if bad >= 0:
        raise _precision_not_positive(ids[symbolic.perm[bad]], name)
    pivots = sparse.diagonal(symbolic, panels)
    if _tiny(pivots, precision.diagonal()):
        raise _precision_not_positive(ids[int(np.argmin(pivots))], name)
    inverse = np.zeros_like(panels)
    sparse.selected_inverse(symbolic, panels, inverse, drop=0)
    return float(-2 * np.log(pivots).sum()), sparse.diagonal(symbolic, inverse)


def _summary_dense(precision: Array, ids: Array, name: str) -> tuple[float, Array]:
    import scipy.linalg as sl

    lower, info = sl.lapack.dpotrf(precision, lower=1, clean=1)
    if info > 0:
        raise _precision_not_positive(ids[info - 1], name)
    pivots = np.diag(lower)
    if _tiny(pivots, np.diag(precision)):
        raise _precision_not_positive(ids[int(np.argmin(pivots))], name)
    half = sl.solve_triangular(lower, np.eye(len(lower)), lower=True)
    return float(-2 * np.log(pivots).sum()), np.square(half).sum(axis=0)


def _tiny(pivots: Array, diagonal: Array) -> bool:
    return bool((pivots**2 / diagonal).min() <= 10 * np.finfo(float).eps)


def _precision_not_positive(label: str, name: str) -> DataError:
    return DataError(
        f"{name}: the precision K^-1 is not positive definite; its Cholesky factor breaks down at '{label}'. "
        "A sparse matrix is read as K^-1 and a dense one as K: if this is K itself, give "
        "Relationship.from_covariance(K, ids)."
    )

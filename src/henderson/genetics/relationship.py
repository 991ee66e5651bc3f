"""A relationship among the levels of a random term: what `vm(animal, A)` looks up by id."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import DataError
from . import positive
from .ids import match, read_ids

if TYPE_CHECKING:
    import scipy.sparse as sp

__all__ = ["Relationship", "as_relationship", "match"]


@dataclass(frozen=True, eq=False)
class Relationship:
    """K among q individuals, known up to a variance, by its sparse inverse or as a dense matrix.

    Attributes
    ----------
    ids : (q,) object array of str, unique.
    precision : K^-1, (q, q) sparse CSC, symmetric (both triangles), or None.
    covariance : K, (q, q) dense symmetric, or None where `precision` is given. It may be positive semi-definite.
    log_determinant : log|K|; NaN where K is singular.
    diagonal : (q,) K_ii: 1 + inbreeding for a pedigree.
    what : for messages: "a pedigree of 8 animals", "a dense 599 x 599 matrix".
    root : W, (q, s) with K = W W', for K of low rank (marker models); None otherwise. Where K would not fit in memory it is
        given alone, with neither `precision` nor `covariance`.
    """

    ids: np.ndarray
    precision: sp.csc_matrix | None
    covariance: np.ndarray | None
    log_determinant: float
    diagonal: np.ndarray
    what: str
    root: np.ndarray | None = None

    @property
    def q(self) -> int:
        return len(self.ids)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.what})"

    def positions(
        self, levels: Sequence[Any], name: str = "the relationship", what: str = "the data"
    ) -> np.ndarray:
        """The row of K of each level: see `match`."""
        return match(self.ids, levels, name, what)

    def dense(self) -> np.ndarray:
        """K, (q, q): the array held, W W', or the inverse of the precision (small q)."""
        if self.covariance is not None:
            return self.covariance
        if self.root is not None:
            return self.root @ self.root.T
        assert self.precision is not None
        import scipy.linalg as sl

        inverse = sl.cho_solve(sl.cho_factor(self.precision.toarray(), lower=True), np.eye(self.q))
        return (inverse + inverse.T) / 2

    def square_root(self) -> np.ndarray:
        """W, (q, rank) with K = W W': `root`, or from an eigendecomposition with the null directions left out.

        Directions count as null whose eigenvalue is 0 within rounding (the most negative one says how much that is).
        """
        return self.root if self.root is not None else positive.root_of(self.dense())

    @classmethod
    def from_covariance(cls, matrix: Any, ids: Iterable[Any], name: str = "the relationship") -> Relationship:
        """K itself, (q, q), an array or a sparse matrix, in the order of `ids`.

        Raises
        ------
        DataError : not square, ids that are not q or occur twice, NaN, not symmetric, not positive semi-definite.
        """
        values = _numbers(matrix.toarray() if hasattr(matrix, "tocoo") else matrix, name)
        known = read_ids(ids, _order(values, name), name)
        values = positive.check_dense(values, known, name)
        log_det = positive.dense_log_determinant(values)
        root = None if np.isfinite(log_det) else positive.semidefinite_root(values, name)
        q = len(known)
        return cls(known, None, values, log_det, np.diag(values).copy(), f"a dense {q} x {q} matrix", root)

    @classmethod
    def from_precision(cls, matrix: Any, ids: Iterable[Any], name: str = "the relationship") -> Relationship:
        """K^-1, (q, q), sparse or an array, both triangles, in the order of `ids`. It must be positive definite.

        Raises
        ------
        DataError : not square, ids that are not q or occur twice, NaN, not symmetric, not positive definite.
        """
        given = matrix if hasattr(matrix, "tocoo") else _numbers(matrix, name)
        known = read_ids(ids, _order(given, name), name)
        precision = positive.check_sparse(given, known, name)
        log_det, diagonal = positive.precision_summary(precision, known, name)
        return cls(known, precision, None, log_det, diagonal, f"a sparse inverse of order {len(known)}")


def as_relationship(value: Any, name: str, expected: Sequence[Any] | None = None) -> Relationship:
    """What the user gives in `relationships={name: value}`, as a `Relationship`.

    Parameters
    ----------
    value : one of
        a `Pedigree`, a `Relationship`, or `Markers` (VanRaden's G);
        a table (pandas, polars ...) that is square, its ids in the index or the first column, and in the names of its columns;
        a table with the columns of a pedigree (animal, sire, dam);
        a tuple (matrix, ids): a dense matrix is K, a scipy sparse matrix is K^-1;
        a path to a CSV of either table.
    name : for messages: "A".
    expected : levels of the data, for the message where ids are wanted.

    Raises
    ------
    DataError : no ids, or as `Relationship.from_covariance` and `from_precision`.
    """
    from . import tables

    if isinstance(value, Relationship):
        return value
    if isinstance(value, (str, Path)):
        value = tables.read_file(value)
    if isinstance(value, tuple):
        return _from_pair(value, name)
    if isinstance(value, np.ndarray) or hasattr(value, "tocoo"):
        raise DataError(_without_ids(value, name, expected))
    if tables.is_table(value):
        columns = tables.pedigree_columns(value)
        if columns is not None:
            return as_relationship(tables.pedigree(value, columns), name)
        return Relationship.from_covariance(*tables.square(value, name), name)
    held = getattr(value, "relationship", None)
    held = held() if callable(held) else held
    if isinstance(held, Relationship):
        return held
    raise DataError(
        f"{name}: a Pedigree, a square table with ids, (K, ids), (sparse K^-1, ids), Markers, or a path to a CSV is wanted, "
        f"not {type(value).__name__}."
    )


def _from_pair(pair: tuple, name: str) -> Relationship:
    if len(pair) != 2:
        raise DataError(f"{name}: a tuple is (matrix, ids), two things; it has {len(pair)}.")
    matrix, ids = pair
    if not (hasattr(matrix, "ndim") or hasattr(matrix, "tocoo") or isinstance(matrix, list)):
        raise DataError(
            f"{name}: the first of (matrix, ids) is an array or a sparse matrix, not {type(matrix).__name__}."
        )
    make = Relationship.from_precision if hasattr(matrix, "tocoo") else Relationship.from_covariance
    return make(matrix, ids, name)


def _without_ids(value: Any, name: str, expected: Sequence[Any] | None) -> str:
    shape = " x ".join(map(str, value.shape))
    example = ", ".join(repr(level) for level in list(expected or ())[:2]) or "'id1', 'id2'"
    kind = "sparse K^-1" if hasattr(value, "tocoo") else "K"
    return (
        f"{name}: a {shape} matrix without ids. Its rows are matched to the data by id and never by order: give "
        f'relationships={{"{name}": ({kind}, ids)}} with ids = [{example}, ...] in the order of its rows, or a table with '
        "the ids as its index and columns."
    )


def _numbers(matrix: Any, name: str) -> np.ndarray:
    if np.iscomplexobj(matrix):
        raise DataError(f"{name}: the matrix holds complex numbers: a relationship is real.")
    try:
        return np.asarray(matrix, dtype=np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{name}: the matrix holds something that is not a number.") from None


def _order(matrix: Any, name: str) -> int:
    shape = matrix.shape
    if len(shape) != 2 or shape[0] != shape[1]:
        said = " x ".join(map(str, shape)) or "one number"
        raise DataError(f"{name}: a relationship is a square matrix; this is {said}.")
    if shape[0] == 0:
        raise DataError(f"{name}: the matrix is empty.")
    return int(shape[0])

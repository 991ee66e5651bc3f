"""One dense K, every level with the same records: the eigenvectors of K make the levels independent.

With Z = I (x) Z0 and R = I (x) R0 over the levels, K = U D U', and rows rotated by U' (x) I,

    V = K (x) Z0 Sigma Z0' + I (x) R0    becomes    D (x) Z0 Sigma Z0' + I (x) R0,

blocks of the size of one level's records: one eigendecomposition for a model, and nothing of the order of K afterwards. The effects
become independent ones with rows scaled by the root of an eigenvalue; a singular K needs nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from ...precisions.base import Precision
from .model import Model, Term

if TYPE_CHECKING:
    import scipy.sparse as sp

_NULL = 1e-10
"""Eigenvalues up to this share of the largest are directions that K does not have."""
_SAME = 1e-12


@dataclass(frozen=True, eq=False)
class Rotation:
    """rows (levels, records of a level): numbers of the rows; u (levels, levels) orthogonal."""

    rows: np.ndarray
    u: np.ndarray

    def forward(self, v: np.ndarray) -> np.ndarray:
        """(U' (x) I) v."""
        return self._times(v, self.u.T)

    def backward(self, v: np.ndarray) -> np.ndarray:
        """(U (x) I) v."""
        return self._times(v, self.u)

    def _times(self, v: np.ndarray, u: np.ndarray) -> np.ndarray:
        levels, records = self.rows.shape
        out = np.empty_like(v)
        block = v[self.rows.ravel()].reshape(levels, -1)
        out[self.rows.ravel()] = (u @ block).reshape((levels * records, *v.shape[1:]))
        return out


def rotated(model: Model, covariance: np.ndarray | None) -> Model:
    """The model in the coordinates of K's eigenvectors, where it allows that; the model itself otherwise.

    Parameters
    ----------
    covariance : K among the levels of the only random term, dense; None where there is no such.
    """
    if covariance is None or len(model.terms) != 1 or model.places is not None:
        return model
    term = model.terms[0]
    found = _balanced(term)
    if found is None:
        return model
    levels, rows, z0 = found
    if not _alike(model.residual, rows, len(model.y)):
        return model
    from scipy.linalg import eigh

    from ...sparse.parallel import thread_count
    from ...sparse.threads import blas_threads

    observed = np.ascontiguousarray(covariance[np.ix_(levels, levels)])
    with blas_threads(thread_count()):
        values, u = eigh(observed, driver="evd", overwrite_a=True, check_finite=False)
    keep = values > _NULL * values[-1]
    rotation = Rotation(rows, u)
    root = np.sqrt(np.where(keep, values, 0.0))
    q = int(keep.sum())
    number = np.cumsum(keep) - 1
    # K[all, observed] U D^-1/2: the observed levels' own root, and what they tell of the others.
    lift = covariance[:, levels] @ (u[:, keep] / root[keep])
    z = _scaled_rows(z0, rows, root, np.where(keep, number, -1), q, len(model.y))
    alone = np.maximum(np.diag(covariance) - np.einsum("ij,ij->i", lift, lift), 0.0)
    alone[levels] = 0.0
    unseen = np.flatnonzero(alone)
    between = covariance[np.ix_(unseen, unseen)] - lift[unseen] @ lift[unseen].T if len(unseen) else None
    moved = replace(
        term, z=z, q=q, precision=None, lift=lift, alone=None if between is None else alone, between=between
    )
    return replace(
        model, x=rotation.forward(model.x), y=rotation.forward(model.y), terms=(moved,), rotation=rotation
    )


def _balanced(term: Term) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """Levels with records, their rows (levels, c) and Z0 (c, m) where every level has the same records, each row in one level."""
    z, m = term.z, term.m
    counts = np.diff(z.indptr)
    if not len(counts) or counts.min() < 1:
        return None
    level = z.indices // m
    first = level[z.indptr[:-1]]
    if np.any(level != np.repeat(first, counts)):
        return None
    levels, index, size = np.unique(first, return_inverse=True, return_counts=True)
    if np.ptp(size) or len(levels) < 2:
        return None
    c = int(size[0])
    dense = np.zeros((len(counts), m))
    dense[np.repeat(np.arange(len(counts)), counts), z.indices % m] = z.data
    # Records of a level in an order that all levels share: by their coefficients.
    order = np.lexsort((*dense.T[::-1], index))
    rows = order.reshape(len(levels), c)
    z0 = dense[rows]
    if np.abs(z0 - z0[0]).max() > _SAME * np.abs(z0).max():
        return None
    return levels, rows, z0[0]


def _alike(residual: Precision | None, rows: np.ndarray, n: int) -> bool:
    """Whether R is I (x) R0 over the levels, at any parameters (tried at two)."""
    if residual is None:
        return True
    levels, c = rows.shape
    level_of, within = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    level_of[rows] = np.arange(levels)[:, None]
    within[rows] = np.arange(c)
    if np.any(level_of[residual.rows] != level_of[residual.cols]):
        return False
    a, b = within[residual.rows], within[residual.cols]
    cell = np.maximum(a, b) * c + np.minimum(a, b)
    start = residual.starts()[0]
    for t in (start, np.clip(start + 0.37, residual.lower, residual.upper)):
        values = residual.at(t).values
        table = np.full((levels, c * c), np.nan)
        table[level_of[residual.rows], cell] = values
        known = ~np.isnan(table)
        if np.any(known != known[0]):
            return False
        block = table[:, known[0]]
        if np.abs(block - block[0]).max(initial=0.0) > _SAME * np.abs(block).max(initial=1.0):
            return False
    return True


def _scaled_rows(
    z0: np.ndarray, rows: np.ndarray, root: np.ndarray, number: np.ndarray, q: int, n: int
) -> sp.csr_matrix:
    """Row (i, j): root_i Z0[j] at level number_i; nothing where K has no such direction."""
    import scipy.sparse as sp

    m = z0.shape[1]
    kept = number >= 0
    values = root[kept, None, None] * z0[None]
    row = np.broadcast_to(rows[kept][:, :, None], values.shape)
    column = np.broadcast_to(number[kept][:, None, None] * m + np.arange(m), values.shape)
    z = sp.csr_matrix((values.ravel(), (row.ravel(), column.ravel())), shape=(n, q * m))
    z.eliminate_zeros()
    return z

"""A^-1 of a pedigree by Henderson's rules, with inbreeding, and with genetic groups by Westell's.

    A^-1 = (I - P)' D^-1 (I - P),     log|A| = sum log D

Henderson (1976), "A simple method for computing the inverse of a numerator relationship matrix used in
prediction of breeding values", Biometrics 32: 69-83; Quaas (1976), Biometrics 32: 949-953. Groups: Westell,
Quaas & Van Vleck (1988), J. Dairy Sci. 71: 1310-1318; Quaas (1988), "Additive genetic model with groups and
relationships", J. Dairy Sci. 71: 1338-1345.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .ancestry import Ancestry

if TYPE_CHECKING:
    import scipy.sparse as sp


def contributions(
    pedigree: Ancestry, groups: NDArray[np.int32] | None = None, n_groups: int = 0
) -> sp.csr_matrix:
    """I - P, (n, n + n_groups): 1 for the animal itself, less the share of each parent or of the group that
    stands for it.

    Parameters
    ----------
    groups : (n, 2), the group of each unknown parent, -1 for none.
    """
    import scipy.sparse as sp

    n = pedigree.n
    columns = np.empty((n, 3), np.int32)
    values = np.empty((n, 3))
    for k, (parent, share) in enumerate(zip((pedigree.first, pedigree.second), pedigree.shares, strict=True)):
        columns[:, k] = parent
        if groups is not None:
            columns[:, k] = np.where(groups[:, k] >= 0, n + groups[:, k], parent)
        values[:, k] = -share
    columns[:, 2] = np.arange(n, dtype=np.int32)
    values[:, 2] = 1.0
    there = columns >= 0
    start = np.zeros(n + 1, np.int32)
    np.cumsum(there.sum(axis=1), out=start[1:])
    matrix = sp.csr_matrix((values[there], columns[there], start), shape=(n, n + n_groups))
    matrix.sum_duplicates()
    return matrix


def inverse(
    pedigree: Ancestry,
    variances: NDArray[np.float64],
    groups: NDArray[np.int32] | None = None,
    n_groups: int = 0,
) -> sp.csc_matrix:
    """A^-1 (n, n), or with groups A*^-1 (n + n_groups, n + n_groups), animals first; both triangles, sorted.

    Parameters
    ----------
    variances : (n,) Mendelian variances, all above 0.
    """
    import scipy.sparse as sp

    own = contributions(pedigree, groups, n_groups)
    weighted = own.copy()
    weighted.data /= np.repeat(variances, np.diff(own.indptr))
    out = sp.csc_matrix(own.T @ weighted)
    out.sort_indices()
    return out

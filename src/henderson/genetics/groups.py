"""Genetic groups for unknown parents (phantom parent groups): who has how much of which group.

    u* = Q g + u,     Q = T P_g,     P_g (n, g): the share of each animal that comes directly from a group

Quaas (1988), "Additive genetic model with groups and relationships", J. Dairy Sci. 71: 1338-1345; Westell,
Quaas & Van Vleck (1988), "Genetic groups in an animal model", J. Dairy Sci. 71: 1310-1318.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .ainverse import inverse
from .ancestry import Ancestry

if TYPE_CHECKING:
    import scipy.sparse as sp


def fractions(pedigree: Ancestry, groups: NDArray[np.int32], n_groups: int) -> NDArray[np.float64]:
    """Q, (n, n_groups). A row sums to 1 where every unknown parent of the animal's ancestors has a group."""
    direct = np.zeros((pedigree.n, n_groups))
    for k, share in enumerate(pedigree.shares):
        rows = np.flatnonzero(groups[:, k] >= 0)
        direct[rows, groups[rows, k]] += share
    return pedigree.down(direct)


def random_groups_precision(
    pedigree: Ancestry,
    variances: NDArray[np.float64],
    groups: NDArray[np.int32],
    n_groups: int,
    variance: float,
) -> sp.csc_matrix:
    """Inverse of the covariance of (u*, g) where the groups are random, var(g) = variance I: A*^-1 + diag(0,
    I / variance).

    It is positive definite, and A*^-1, which has a null space of dimension n_groups, in the limit.
    """
    import scipy.sparse as sp

    own = np.zeros(pedigree.n + n_groups)
    own[pedigree.n :] = 1.0 / variance
    out = sp.csc_matrix(inverse(pedigree, variances, groups, n_groups) + sp.diags(own))
    out.sort_indices()
    return out

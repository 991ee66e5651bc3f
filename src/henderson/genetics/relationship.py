"""A relationship among the levels of a random term: what `vm(animal, A)` looks up by id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import scipy.sparse as sp


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
    """

    ids: np.ndarray
    precision: sp.csc_matrix | None
    covariance: np.ndarray | None
    log_determinant: float
    diagonal: np.ndarray
    what: str

    @property
    def q(self) -> int:
        return len(self.ids)

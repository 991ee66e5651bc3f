"""The contract of a covariance structure among the effects within one level.

A structure of order m maps its parameters theta to a factor T (m x m) so that the relative covariance of the
effects of one level is Sigma = T T' (docs/theory.md: "left of the bar is T"). T may be singular: a variance of exactly zero
is a value like any other, so nothing here divides by T.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np


class Structure(Protocol):
    """What the engine asks of a covariance structure."""

    name: str
    m: int
    n_parameters: int
    basis: str
    """The changes of effects the structure is closed under: "any" invertible m x m matrix, "diagonal", or "scalar"."""

    def factor(self, theta: np.ndarray) -> np.ndarray:
        """T (m, m), lower triangular, at theta (n_parameters,)."""
        ...

    def derivatives(self, theta: np.ndarray) -> np.ndarray:
        """dT/dtheta, (n_parameters, m, m)."""
        ...

    def parameters(self, sigma: np.ndarray) -> np.ndarray:
        """The theta whose T T' is nearest to the covariance `sigma` (m, m); exact where the structure holds it."""
        ...


def psd_cholesky(sigma: np.ndarray) -> np.ndarray:
    """Lower-triangular T with T T' = sigma for a positive *semi*-definite sigma (m, m); zero pivots give zero columns.

    Pivots below 1e-14 of their variance are zero: rounding, not variance.
    """
    m = sigma.shape[0]
    factor = np.zeros((m, m))
    for j in range(m):
        row = factor[j, :j]
        pivot = sigma[j, j] - row @ row
        if pivot <= 1e-14 * abs(sigma[j, j]):
            continue
        factor[j, j] = pivot**0.5
        factor[j + 1 :, j] = (sigma[j + 1 :, j] - factor[j + 1 :, :j] @ row) / factor[j, j]
    return factor

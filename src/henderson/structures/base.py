"""The contract of a covariance structure among the effects within one level.

A structure of m effects maps its parameters theta to a factor T (m x r) so that the relative covariance of the
effects of one level is Sigma = T T' (docs/theory.md: "left of the bar is T"). T may be singular, and r may be less than m
(reduced rank) or more (loadings beside specific variances): a variance of exactly zero is a value like any other, so nothing
here divides by T.

theta is free or boxed (`lower`, `upper`). The parameters that `scaling` marks carry the size of T: multiplied by c they
multiply T by c. The others (correlations, ranges) have no unit. What users see are `parameters_of(effects)` at
`natural(theta)`: variances, covariances, correlations, loadings.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np

from ..residuals.base import Parameter


class Structure(Protocol):
    """What the engine asks of a covariance structure."""

    name: str
    m: int
    n_parameters: int
    basis: str
    """The changes of effects the structure is closed under: "any" invertible m x m matrix, "diagonal", or "scalar"."""
    pattern: np.ndarray
    """(m, r) bool: where T may differ from zero. r is the number of columns of T."""
    scaling: np.ndarray
    """(n_parameters,) bool: factor(c on these, 1 on the others) = c factor(theta)."""
    lower: np.ndarray
    upper: np.ndarray

    def factor(self, theta: np.ndarray) -> np.ndarray:
        """T (m, r) at theta (n_parameters,)."""
        ...

    def derivatives(self, theta: np.ndarray) -> np.ndarray:
        """dT/dtheta, (n_parameters, m, r)."""
        ...

    def second(self, theta: np.ndarray, slope: np.ndarray) -> np.ndarray:
        """sum over T of slope (m, r) times d2T/dtheta2: (n_parameters, n_parameters); zeros where T is linear in theta."""
        ...

    def parameters(self, sigma: np.ndarray) -> np.ndarray:
        """The theta whose T T' is nearest to the covariance `sigma` (m, m); exact where the structure holds it. Where the
        nearest is not to be had in closed form, a good start. Never at a boundary if sigma is not."""
        ...

    def parameters_of(self, effects: tuple[str, ...]) -> tuple[Parameter, ...]:
        """What is reported: name and unit (2 variances and covariances, 1 loadings, 0 correlations and ranges)."""
        ...

    def natural(self, theta: np.ndarray) -> np.ndarray:
        """The reported numbers at theta."""
        ...

    def natural_slopes(self, theta: np.ndarray) -> np.ndarray:
        """d natural / d theta, (reported, n_parameters)."""
        ...

    def from_natural(self, values: np.ndarray) -> np.ndarray:
        """theta of reported numbers, the inverse of `natural`. Raises ModelError, in words, outside the range."""
        ...

    def edges(self, theta: np.ndarray) -> list[tuple[int, str]]:
        """Reported parameters at the edge of their range at theta: (index, "estimated as 0") ..."""
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

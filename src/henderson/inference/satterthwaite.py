"""Satterthwaite's degrees of freedom for linear combinations of the fixed effects.

    df(l) = 2 (l'V l)^2 / (g' A g),   V = Var(beta^),  g = d(l'V l)/d(variance parameters),  A = their covariance

Giesbrecht & Burns (1985); Kuznetsova, Brockhoff & Christensen (2017). Invariant to how the variances are parametrised.
"""

from __future__ import annotations

import numpy as np


def degrees_of_freedom(
    rows: np.ndarray, vcov: np.ndarray, slopes: np.ndarray, covariance: np.ndarray
) -> np.ndarray:
    """df of each row of `rows` (k, p); infinite where its variance does not depend on any estimated parameter.

    Parameters
    ----------
    vcov : (p, p), Var(beta^).
    slopes : (r, p, p), its derivatives in the variance parameters.
    covariance : (r, r), covariance of the variance parameters.
    """
    variance = np.einsum("ki,ij,kj->k", rows, vcov, rows)
    gradient = np.einsum("ki,rij,kj->kr", rows, slopes, rows)
    spread = np.einsum("kr,rs,ks->k", gradient, covariance, gradient)
    with np.errstate(divide="ignore"):
        return np.where(spread > 0, 2.0 * variance**2 / np.where(spread > 0, spread, 1.0), np.inf)

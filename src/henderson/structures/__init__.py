"""Covariance structures left of the bar, one a file, behind the contract of `base.Structure`.

`registry` knows their names. Those with entries of T as parameters (us, diag, fa, rr) start from `entries`; those that are
correlations times standard deviations (cs, ar1, toep, exp ...) from `correlated`, each with a `correlation.Correlation` of its own.
"""

from __future__ import annotations

from .base import Parameter, Structure, psd_cholesky
from .correlated import Correlated
from .correlation import Correlation
from .diagonal import Diagonal
from .identity import Identity
from .registry import make, names, register, unregister
from .unstructured import Unstructured

__all__ = [
    "Correlated",
    "Correlation",
    "Diagonal",
    "Identity",
    "Parameter",
    "Structure",
    "Unstructured",
    "make",
    "names",
    "psd_cholesky",
    "register",
    "unregister",
]

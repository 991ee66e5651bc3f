"""Confidence intervals of the coefficients."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ModelError, NotAvailableError, closest
from .protocol import LinearEstimates
from .student import quantile, require_level

METHODS = ("wald", "profile", "bootstrap")


def confint(fit: LinearEstimates, level: float = 0.95, method: str = "wald") -> dict[str, Any]:
    """estimate +- quantile of t times its standard error, with the fit's own degrees of freedom. In `hd.lm` with its own
    covariance this is the profile interval too.

    See `Questions.confint`.
    """
    require_level(level, "confint")
    if method not in METHODS:
        near = closest(str(method), METHODS)
        raise ModelError(
            f"confint: method is 'wald', not {method!r}." + (f" The closest is '{near}'." if near else "")
        )
    if method != "wald":
        raise NotAvailableError(
            f'confint: {method} intervals are not available yet in this version; there is method="wald".'
        )
    half = quantile(level, fit.denominator_df(np.eye(len(fit.coefficients)))) * np.sqrt(np.diagonal(fit.vcov))
    return {
        "term": [fit.columns.names[j] for j in fit.columns.kept],
        "estimate": fit.coefficients,
        "conf_low": fit.coefficients - half,
        "conf_high": fit.coefficients + half,
    }

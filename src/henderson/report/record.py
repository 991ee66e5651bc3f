"""A fit as one JSON object, for other programs."""

from __future__ import annotations

import json
from typing import Any

import numpy as np


def record(fit: Any) -> str:
    """The facts and tables of a mixed model as JSON; NaN and infinite numbers are null."""
    status = fit.status
    content = {
        "formula": fit.formula,
        "method": "REML" if fit.reml else "ML",
        "nobs": fit.nobs,
        "rows_dropped": fit.n_dropped,
        "rows_note": fit.rows_note,
        "columns_dropped": list(fit.dropped),
        "groups": fit.groups,
        "deviance": fit.deviance,
        "loglik": fit.loglik,
        "aic": fit.aic,
        "bic": fit.bic,
        "npar": fit.npar,
        "df_residual": fit.df_residual,
        "sigma": fit.sigma,
        "theta": fit.theta,
        "status": {
            "verdict": status.verdict,
            "converged": status.converged,
            "predicted_decrease": status.predicted_decrease,
            "iterations": status.iterations,
            "notes": list(status.notes),
        },
        "fixed_effects": _rows(fit.fixed_effects_columns()),
        "vcov": fit.vcov,
        "variance_components": _rows(fit.variance_components_columns()),
    }
    return json.dumps(_plain(content), indent=1, allow_nan=False)


def _rows(columns: dict[str, Any]) -> list[dict[str, Any]]:
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [_plain(each) for each in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value

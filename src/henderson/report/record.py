"""A fit as one JSON object, for other programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from ..models.linear_fit import LinearFit
    from ..models.mixed_fit import MixedFit


def record(fit: Any, anova: int | None = None, emmeans: Sequence[str] = ()) -> str:
    """The facts and tables of a fit as JSON; NaN and infinite numbers are null.

    Parameters
    ----------
    anova, emmeans : tests of this type, and marginal means of these factors, to add.
    """
    from ..models.mixed_fit import MixedFit

    content = _facts(fit) | (_mixed(fit) if isinstance(fit, MixedFit) else _linear(fit))
    if anova is not None:
        content["anova"] = _rows(_columns(fit.anova(type=anova)))
    if emmeans:
        content["emmeans"] = {spec: _rows(_columns(fit.emmeans(spec))) for spec in emmeans}
    return json.dumps(_plain(content), indent=1, allow_nan=False)


def _facts(fit: Any) -> dict[str, Any]:
    """What every fit has."""
    status = fit.status
    return {
        "formula": fit.formula,
        "method": "REML" if fit.reml else "ML",
        "nobs": fit.nobs,
        "rows_dropped": fit.n_dropped,
        "rows_note": fit.rows_note,
        "columns_dropped": list(fit.dropped),
        "deviance": fit.deviance,
        "loglik": fit.loglik,
        "aic": fit.aic,
        "bic": fit.bic,
        "npar": fit.npar,
        "df_residual": fit.df_residual,
        "sigma": fit.sigma,
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


def _mixed(fit: MixedFit) -> dict[str, Any]:
    return {"groups": fit.groups, "theta": fit.theta}


def _linear(fit: LinearFit) -> dict[str, Any]:
    more: dict[str, Any] = {"rss": fit.rss}
    if not fit.generalised:
        value, df, df_residual = fit.f_statistic
        more |= {
            "method": "least squares",
            "r_squared": fit.r_squared,
            "adj_r_squared": fit.adj_r_squared,
            "f_statistic": {"value": value, "df": df, "df_residual": df_residual},
        }
    if fit.dropped:
        more["null_space"] = fit.columns.null_space
    return more


def _columns(table: Any) -> dict[str, Any]:
    """A data frame, or an object that holds one as `table`, as plain columns."""
    table = getattr(table, "table", table)
    return {str(name): list(table[name]) for name in table.columns}


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

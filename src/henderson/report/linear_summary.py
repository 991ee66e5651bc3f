"""The text of `fit.summary()` of a linear model: what R's lm prints, and what nlme prints for a generalised fit."""

from __future__ import annotations

from typing import Any

import numpy as np

from .numbers import column, p_values, table
from .summary import coefficient_table, correlations, five_numbers, rows_and_columns

_PERFECT = 1e-24
"""Share of the sum of squares of y that is rounding alone."""


def summary(fit: Any, correlation: bool = False) -> str:
    """The summary of `hd.lm` or `hd.gls`."""
    parts = [
        _head(fit),
        _criterion(fit) if fit.generalised else "",
        _residuals(fit),
        _covariance(fit) if fit.generalised else "",
        coefficient_table(fit, "Coefficients:", with_df=fit.generalised)
        if fit.labels.fixed
        else "No coefficients",
        correlations(fit, True) if correlation else "",
        _fit_lines(fit),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(fit: Any) -> str:
    if fit.generalised:
        by = "REML" if fit.reml else "maximum likelihood"
        first = f"Generalised least squares fitted by {by}"
    else:
        weighted = any(note.startswith("weights") for note in fit.model_notes)
        first = f"Linear model fitted by {'weighted' if weighted else 'ordinary'} least squares"
    return "\n".join([first, f"Formula: {fit.formula}", *(f"   {line}" for line in fit.model_notes)])


def _criterion(fit: Any) -> str:
    names = ["AIC", "BIC", "logLik"]
    numbers = [f"{v:.4f}" for v in (fit.aic, fit.bic, fit.loglik)]
    return "\n".join(table([[name, number] for name, number in zip(names, numbers, strict=True)], set()))


def _residuals(fit: Any) -> str:
    quantiles = fit.residual_quantiles
    if quantiles is None:
        return ""
    return five_numbers("Standardized residuals:" if fit.generalised else "Residuals:", column(quantiles))


def _covariance(fit: Any) -> str:
    parts = fit.variance_components_columns()
    columns = [
        ["Parameter", *parts["term"]],
        ["Estimate", *column(parts["estimate"])],
        ["Std. Error", *column(parts["std_error"])],
        ["", *("" if bound in "PU" else bound for bound in parts["bound"])],
    ]
    return "\n".join(
        ["Covariance of the residuals:", *(f" {line}".rstrip() for line in table(columns, {0, 3}))]
    )


def _fit_lines(fit: Any) -> str:
    lines = [f"Residual standard error: {fit.sigma:.4g} on {fit.df_residual} degrees of freedom"]
    if not fit.generalised and fit.rss <= _PERFECT * fit.solution.total:
        lines.append("The fit is perfect up to rounding: its standard errors and tests say nothing.")
    if not fit.generalised and fit.f_statistic[1] and np.isfinite(fit.r_squared):
        value, numerator, denominator = fit.f_statistic
        lines.append(f"Multiple R-squared: {fit.r_squared:.4g}, adjusted R-squared: {fit.adj_r_squared:.4g}")
        if np.isfinite(value):
            from scipy.special import fdtrc

            p = p_values([fdtrc(numerator, denominator, value)])[0]
            lines.append(
                f"F statistic: {value:.4g} on {numerator} and {denominator:.0f} degrees of freedom, p value: {p}"
            )
    lines += rows_and_columns(fit)
    if fit.generalised or not fit.status.converged:
        lines.append("Status: " + "\n  ".join(str(fit.status).split("\n")))
    return "\n".join(lines)

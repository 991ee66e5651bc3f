"""The text of `fit.summary()`: what R's lme4 and lmerTest print, in their order, and what they leave for
the user to find out.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .numbers import abbreviate, column, p_values, rounded, stars, table

LARGEST_CORRELATION = 12
"""Fixed effects up to which their correlations are printed."""
_LEGEND = "Signif. codes:  0 '***' 0.001 '**' 0.01 '*' 0.05 '.' 0.1 ' ' 1"


def summary(fit: Any, correlation: bool | None = None) -> str:
    """The summary of a mixed model.

    Parameters
    ----------
    correlation : print the correlations of the fixed effects; None prints them up to LARGEST_CORRELATION
        effects.
    """
    parts = [
        _head(fit),
        _criterion(fit),
        _residuals(fit),
        _random(fit),
        _fixed(fit),
        correlations(fit, correlation),
        _notes(fit),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _head(fit: Any) -> str:
    by = "REML" if fit.reml else "maximum likelihood"
    lines = [
        f"Linear mixed model fitted by {by}; t tests with Satterthwaite's degrees of freedom"
        + (" (average information)" if fit.information_kind == "average" else ""),
        f"Formula: {fit.formula}",
    ]
    return "\n".join([*lines, *(f"   {line}" for line in fit.model_notes)])


def _criterion(fit: Any) -> str:
    if fit.reml:
        return f"REML criterion at convergence: {fit.deviance:.1f}"
    names = ["AIC", "BIC", "logLik", "-2*log(L)", "df.resid"]
    numbers = [f"{v:.1f}" for v in (fit.aic, fit.bic, fit.loglik, fit.deviance)] + [str(fit.df_residual)]
    return "\n".join(table([[name, number] for name, number in zip(names, numbers, strict=True)], set()))


def _residuals(fit: Any) -> str:
    return five_numbers("Scaled residuals:", rounded(fit.residual_quantiles, 4))


def five_numbers(title: str, numbers: list[str]) -> str:
    """Least, quartiles and greatest of the residuals."""
    names = ["Min", "1Q", "Median", "3Q", "Max"]
    lines = table([[name, number] for name, number in zip(names, numbers, strict=True)], set())
    return "\n".join([title, *lines])


def _random(fit: Any) -> str:
    if hasattr(fit, "recorded"):
        from .structured_summary import structured_random

        return structured_random(fit)
    groups, names, variances, correlations = ["Groups"], ["Name"], [], [["Corr"]]
    width = max((len(t.effects) for t in fit.labels.terms if t.structure == "us"), default=1)
    correlations += [[""] for _ in range(width - 2)]
    for term, sigma in zip(fit.labels.terms, fit.solution.covariances, strict=True):
        sd = np.sqrt(np.diag(sigma))
        for i, effect in enumerate(term.effects):
            groups.append("" if i else term.group)
            names.append(effect)
            variances.append(sigma[i, i])
            for j, texts in enumerate(correlations):
                texts.append(_correlation(sigma, sd, i, j) if term.structure == "us" and j < i else "")
    groups.append("Residual")
    names.append("")
    variances.append(fit.solution.scale2)
    for texts in correlations:
        texts.append("")
    columns = [groups, names, ["Variance", *column(variances)], ["Std.Dev.", *column(np.sqrt(variances))]]
    if width > 1:
        columns += correlations
    lines = [f" {line}".rstrip() for line in table(columns, {0, 1})]
    sizes = "; ".join(f"{group}, {count}" for group, count in fit.groups.items())
    return "\n".join(["Random effects:", *lines, f"Number of obs: {fit.nobs}, groups:  {sizes}"])


def _correlation(sigma: np.ndarray, sd: np.ndarray, i: int, j: int) -> str:
    if sd[i] == 0 or sd[j] == 0:
        return "NaN"
    return f"{sigma[i, j] / (sd[i] * sd[j]):.2f}"


def _fixed(fit: Any) -> str:
    if not fit.labels.fixed:
        return "Fixed effects: none"
    return coefficient_table(fit, "Fixed effects:", with_df=True)


def coefficient_table(fit: Any, title: str, with_df: bool) -> str:
    """Estimates, standard errors and t tests, with R's stars."""
    effects = fit.fixed_effects_columns()
    size = np.concatenate([np.abs(effects["estimate"]), effects["std_error"]])
    size = size[np.isfinite(size) & (size > 0)]
    decimals = max(1, 3 - int(np.floor(np.log10(size.min())))) if len(size) else 1
    pair = rounded([*effects["estimate"], *effects["std_error"]], decimals)
    k = len(effects["estimate"])
    codes = [stars(p) for p in effects["p_value"]]
    columns = [
        ["", *effects["term"]],
        ["Estimate", *pair[:k]],
        ["Std. Error", *pair[k:]],
        ["df", *("Inf" if np.isinf(df) else f"{df:.2f}" for df in effects["df"])],
        ["t value", *rounded(effects["statistic"], 3)],
        ["Pr(>|t|)", *p_values(effects["p_value"])],
        ["", *codes],
    ]
    if not with_df:
        del columns[3]
    lines = [line.rstrip() for line in table(columns, {0, len(columns) - 1})]
    legend = ["---", _LEGEND] if any(codes) else []
    return "\n".join([title, *lines, *legend])


def correlations(fit: Any, wanted: bool | None) -> str:
    names = list(fit.labels.fixed)
    if len(names) < 2 or wanted is False:
        return ""
    if wanted is None and len(names) > LARGEST_CORRELATION:
        return (
            f"Correlations of the {len(names)} fixed effects are not printed: "
            "see fit.vcov, or summary(correlation=True)."
        )
    sd = np.sqrt(np.diag(fit.vcov))
    matrix = fit.vcov / np.outer(sd, sd)
    short = [abbreviate(name) for name in names]
    columns = [["", *short_rows(names[1:])]]
    for j in range(len(names) - 1):
        columns.append([short[j], *(f"{matrix[i, j]:.3f}" if i > j else "" for i in range(1, len(names)))])
    lines = [line.rstrip() for line in table(columns, {0})]
    return "\n".join(["Correlation of fixed effects:", *lines])


def short_rows(names: list[str]) -> list[str]:
    """Names of rows, at most 12 characters."""
    return [abbreviate(name, 12) for name in names]


def _notes(fit: Any) -> str:
    return "\n".join([*rows_and_columns(fit), "Status: " + "\n  ".join(str(fit.status).split("\n"))])


def rows_and_columns(fit: Any) -> list[str]:
    """What was left out of the fit."""
    lines = []
    if fit.labels.dropped:
        lines.append("Dropped columns (linear combinations of the others): " + ", ".join(fit.labels.dropped))
    if fit.rows_note:
        lines.append(fit.rows_note[0].upper() + fit.rows_note[1:])
    return lines

"""broom's vocabulary with underscores: plain columns of `tidy`, `glance` and `augment`."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ModelError, closest
from ..inference.influence import influence
from ..inference.whitened import row_numbers

EFFECTS = ("fixed", "ran_pars", "ran_vals")


def tidy(fit: Any, effects: str | tuple[str, ...] = "fixed", level: float = 0.95) -> dict[str, Any]:
    """One row per fixed effect, per standard deviation and correlation ("ran_pars"), or per BLUP
    ("ran_vals").
    """
    if effects == "fixed":
        return _fixed(fit, level)
    if effects == "ran_pars":
        return _ran_pars(fit)
    if effects == "ran_vals":
        return _ran_vals(fit)
    like = closest(str(effects), EFFECTS)
    raise ModelError(
        f"tidy: effects is one of {', '.join(map(repr, EFFECTS))}, not {effects!r}."
        + (f" Did you mean '{like}'?" if like else "")
    )


def _fixed(fit: Any, level: float) -> dict[str, Any]:
    columns = fit.fixed_effects_columns(level)
    order = ("term", "estimate", "std_error", "statistic", "df", "p_value", "conf_low", "conf_high")
    return {"effect": ["fixed"] * len(columns["term"]), **{name: columns[name] for name in order}}


def _ran_pars(fit: Any) -> dict[str, Any]:
    """Standard deviations and correlations, their standard errors by the delta method (NaN on the
    boundary).
    """
    information = fit.solution.information
    if not hasattr(information, "component_slopes"):
        return _structured_pars(fit)
    out: dict[str, list] = {"effect": [], "group": [], "term": [], "estimate": [], "std_error": []}

    def add(group: str, term: str, estimate: float, slope: np.ndarray, free: bool) -> None:
        variance = float(slope @ information.covariance @ slope)
        error = np.sqrt(max(variance, 0.0)) if free else np.nan
        for key, value in zip(out, ("ran_pars", group, term, float(estimate), float(error)), strict=True):
            out[key].append(value)

    problem = fit.solution.problem
    for term, sigma, slopes, held in zip(
        fit.labels.terms, fit.solution.covariances, information.component_slopes, problem.held, strict=True
    ):
        sd = np.sqrt(np.diag(sigma))
        for name, i, j in term.parameters:
            free = held is None and sd[i] > 0 and sd[j] > 0
            if i == j:
                slope = slopes[:, i, i] / (2.0 * sd[i]) if free else np.zeros(len(slopes))
                add(term.group, f"sd__{name}", sd[i], slope, free)
                continue
            label = f"cor__{term.effects[j]}.{term.effects[i]}"
            if not (sd[i] > 0 and sd[j] > 0):
                add(term.group, label, np.nan, np.zeros(len(slopes)), False)
                continue
            r = sigma[i, j] / (sd[i] * sd[j])
            slope = slopes[:, i, j] / (sd[i] * sd[j]) - 0.5 * r * (
                slopes[:, i, i] / sigma[i, i] + slopes[:, j, j] / sigma[j, j]
            )
            add(term.group, label, r, slope, free and abs(r) < 1.0 - 1e-7)
    slope = np.zeros(len(information.covariance))
    slope[-1] = 0.5 * fit.sigma
    add("Residual", "sd__Observation", fit.sigma, slope, problem.log_s2 is None)
    return out


def _structured_pars(fit: Any) -> dict[str, Any]:
    """Of a model with structures: variances as standard deviations, covariances as correlations, the other parameters (ranges,
    loadings ...) as they are."""
    from ..inference.components import components

    covariance = fit.solution.information.covariance
    rows = components(fit)
    out: dict[str, list] = {"effect": [], "group": [], "term": [], "estimate": [], "std_error": []}
    pairs: dict[tuple[int, str], tuple[Any, Any]] = {}
    for number in {row.number for row in rows}:
        own = [row for row in rows if row.number == number and row.variance]
        pairs |= {(number, f"cov({a.term}, {b.term})"): (a, b) for a in own for b in own}
    for row in rows:
        term, estimate, slope = row.term, row.value, row.slope
        free = row.bound in "PUC" and row.apart
        if row.variance:
            term = "sd__Observation" if term == row.group == "Residual" else f"sd__{term}"
            estimate = np.sqrt(max(estimate, 0.0))
            slope, free = (slope / (2.0 * estimate), free) if estimate > 0 else (slope, False)
        elif (row.number, term) in pairs:
            a, b = pairs[row.number, term]
            term, size = f"cor__{a.term}.{b.term}", np.sqrt(max(a.value * b.value, 0.0))
            with np.errstate(divide="ignore", invalid="ignore"):
                estimate = np.float64(row.value) / size
                slope = slope / size - 0.5 * estimate * (a.slope / a.value + b.slope / b.value)
            free = free and size > 0 and abs(estimate) < 1.0 - 1e-7
        error = np.sqrt(max(float(slope @ covariance @ slope), 0.0)) if free else np.nan
        for key, value in zip(out, ("ran_pars", row.group, term, float(estimate), float(error)), strict=True):
            out[key].append(value)
    return out


def _ran_vals(fit: Any) -> dict[str, Any]:
    columns = fit.random_effects_columns()
    order = ("group", "level", "term", "estimate", "std_error")
    return {
        "effect": np.full(len(columns["estimate"]), "ran_vals", dtype=object),
        **{name: columns[name] for name in order},
    }


def glance(fit: Any) -> dict[str, list]:
    """One row: what kind of fit it is and how good."""
    return {
        "nobs": [fit.nobs],
        "npar": [fit.npar],
        "sigma": [fit.sigma],
        "loglik": [fit.loglik],
        "deviance": [fit.deviance],
        "aic": [fit.aic],
        "bic": [fit.bic],
        "df_residual": [fit.df_residual],
        "method": ["REML" if fit.reml else "ML"],
        "verdict": [fit.status.verdict],
    }


def augment(fit: Any) -> dict[str, Any]:
    """The rows of the fit (those left out are not there): the response, the fixed columns, the groups, and after them
    what was fitted.

    `row` is the number of the row in the caller's table (from 0); of several traits there is a line for each record, and `unit`
    is the row of the caller's table, `trait` the trait. Columns that say levels with structures of their own are given as they
    are. `fixed` is the prediction without random effects,
    `scaled_resid` the residual over its standard deviation. A column of the data that has one of these names keeps it;
    the new one gets an underscore at its end.
    """
    design = fit.design
    rows = row_numbers(fit)
    out = _given(design)
    for block in design.blocks:
        if design.structured is not None:
            out |= {
                name: _labels_of(fit, name) for name in block.factors if name not in out and name in fit.frame
            }
        elif block.group not in out:
            labels = np.asarray([str(v) for v in block.levels], dtype=object)
            out[block.group] = labels[block.codes]
    made = {
        "fitted": fit.fitted[rows],
        "resid": fit.residuals[rows],
        "fixed": fit.predict(random_effects=False)[rows],
        "scaled_resid": fit.residuals_as("pearson")[rows],
    }
    return _with(out, _of_records(fit) | made)


def _labels_of(fit: Any, name: str) -> np.ndarray:
    """A column of the table on the rows of the fit, numbers as they are and labels as text."""
    column = fit.frame[name]
    values = column.values if fit.design.rows is None else column.values[fit.design.rows]
    if column.kind != "factor":
        return values
    return np.asarray([str(v) for v in column.levels], dtype=object)[values]


def _of_records(fit: Any) -> dict[str, Any]:
    """`_of_rows`; of several traits the row and the trait of each record."""
    from ..design.traits import StackedFrame

    found = _of_rows(fit)
    if not isinstance(fit.frame, StackedFrame):
        return found
    rows = found.pop("row")
    names = np.asarray(fit.frame.traits, dtype=object)
    return {"unit": fit.frame.unit[rows], "trait": names[fit.frame.trait[rows]], **found}


def _given(design: Any) -> dict[str, Any]:
    """Response and columns of X."""
    out: dict[str, Any] = {design.response: design.y}
    for name, values in zip(design.x_names, design.X.T, strict=True):
        if name != "(Intercept)":
            out.setdefault(name, values)
    return out


def _of_rows(fit: Any) -> dict[str, Any]:
    design = fit.design
    return {"row": row_numbers(fit), "offset": design.offset, "weights": design.weights}


def _with(out: dict[str, Any], made: dict[str, Any]) -> dict[str, Any]:
    """New columns beside those of the data, which keep their names."""
    for name, values in made.items():
        if values is not None:
            while name in out:
                name += "_"
            out[name] = values
    return out


# -- linear models ---------------------------------------------------------------------------------------


def tidy_linear(fit: Any, effects: str, level: float) -> dict[str, Any]:
    """One row per coefficient, or per parameter of the residuals' covariance ("ran_pars")."""
    if effects == "fixed":
        return _fixed(fit, level)
    if effects == "ran_pars":
        columns = fit.variance_components_columns()
        kept = ("group", "term", "estimate", "std_error")
        return {"effect": ["ran_pars"] * len(columns["term"]), **{name: columns[name] for name in kept}}
    raise ModelError(f"tidy: effects is 'fixed' or 'ran_pars' for a linear model, not {effects!r}.")


def glance_linear(fit: Any) -> dict[str, list]:
    """One row: broom's glance of lm, and the method and verdict of a generalised fit."""
    from scipy.special import fdtrc

    value, numerator, denominator = fit.f_statistic
    return {
        "r_squared": [fit.r_squared],
        "adj_r_squared": [fit.adj_r_squared],
        "sigma": [fit.sigma],
        "statistic": [value],
        "p_value": [float(fdtrc(numerator, denominator, value)) if numerator else float("nan")],
        "df": [numerator],
        "loglik": [fit.loglik],
        "aic": [fit.aic],
        "bic": [fit.bic],
        "deviance": [fit.deviance],
        "df_residual": [fit.df_residual],
        "nobs": [fit.nobs],
        "npar": [fit.npar],
        "method": [("REML" if fit.reml else "ML") if fit.generalised else "least squares"],
        "verdict": [fit.status.verdict],
    }


def augment_linear(fit: Any) -> dict[str, Any]:
    """The rows of the fit (those left out are not there) with broom's columns: fitted, resid, hat, cooksd, std_resid."""
    design = fit.design
    rows = row_numbers(fit)
    measures = influence(fit, dfbetas=False)
    made = {
        "fitted": fit.fitted[rows],
        "resid": fit.residuals[rows],
        "hat": measures["leverage"],
        "cooksd": measures["cooks_distance"],
        "std_resid": measures["standardized"],
    }
    return _with(_given(design), _of_rows(fit) | made)

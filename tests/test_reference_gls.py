"""hd.gls against nlme::gls (reference/gls: make.R says how each number was printed)."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import henderson as hd

HERE = Path(__file__).resolve().parent / "reference" / "gls"
WAVE = "follicles ~ sin(2*pi*Time) + cos(2*pi*Time)"
GROWTH = "distance ~ Sex * I(age - 11)"
CUBIC = "rate ~ (pressure + I(pressure^2) + I(pressure^3) + I(pressure^4)) * QB"


@cache
def cases():
    return json.loads((HERE / "cases.json").read_text())


@cache
def tables():
    ovary = pd.read_csv(HERE / "Ovary.csv", dtype={"Mare": str})
    dialyzer = pd.read_csv(HERE / "Dialyzer.csv", dtype={"Subject": str, "QB": str})
    orthodont = pd.DataFrame(hd.datasets.load("Orthodont")).copy()
    orthodont["Sex"] = pd.Categorical(orthodont["Sex"].astype(str), categories=["Male", "Female"])
    orthodont["visit"] = (orthodont["age"] - 6) // 2
    row = np.arange(1, len(ovary) + 1)
    gone = np.array([2, 7, 8, 21, 40, 63, 64, 90]) - 1
    weight = pd.DataFrame(hd.datasets.load("BodyWeight")).copy()
    weight["Diet"] = pd.Categorical(weight["Diet"].astype(str), categories=["1", "2", "3"])
    cars = pd.DataFrame(
        {
            "speed": np.repeat(
                [4, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 22, 23, 24, 25],
                [2, 2, 1, 1, 3, 2, 4, 4, 4, 3, 2, 3, 4, 3, 5, 1, 1, 4, 1],
            ),
            "dist": [
                *(
                    2,
                    10,
                    4,
                    22,
                    16,
                    10,
                    18,
                    26,
                    34,
                    17,
                    28,
                    14,
                    20,
                    24,
                    28,
                    26,
                    34,
                    34,
                    46,
                    26,
                    36,
                    60,
                    80,
                    20,
                    26,
                ),
                *(
                    54,
                    32,
                    40,
                    32,
                    40,
                    50,
                    42,
                    56,
                    76,
                    84,
                    36,
                    46,
                    68,
                    32,
                    48,
                    52,
                    56,
                    64,
                    66,
                    54,
                    70,
                    92,
                    93,
                    120,
                    85,
                ),
            ],
        }
    )  # datasets::cars
    return {
        "ovary": ovary,
        "gaps": ovary[np.isin(row % 7, [0, 1, 3, 4, 5])],
        "orthodont": orthodont,
        "missing": orthodont.drop(index=orthodont.index[gone]),
        "dialyzer": dialyzer,
        "weight": weight,
        "cars": cars,
    }


MODELS = {
    "ovary_ar1": ("ovary", WAVE, "ar1(0 + Step | Mare)", None),
    "ovary_ar1_ml": ("ovary", WAVE, "ar1(1 | Mare)", None),
    "ovary_ar1_gaps": ("gaps", WAVE, "ar1(0 + Step | Mare)", None),
    "ovary_ar1_one_series": ("one", "follicles ~ sin(2*pi*Time)", "(1 | ar1(Step))", None),
    "ovary_car1_ml": ("ovary", WAVE, "ou(0 + Time | Mare)", None),
    "ovary_arma11": ("ovary", WAVE, "arma(0 + Step | Mare, p=1, q=1)", None),
    "ovary_arma20": ("ovary", WAVE, "arma(0 + Step | Mare, p=2)", None),
    "ovary_arma02": ("ovary", WAVE, "arma(0 + Step | Mare, q=2)", None),
    "ovary_arma21_gaps_ml": ("gaps", WAVE, "arma(0 + Step | Mare, p=2, q=1)", None),
    "ovary_exp_nugget": ("ovary", WAVE, "exp(0 + Time | Mare) + (1 | units)", None),
    "orthodont_cs": ("orthodont", GROWTH, "cs(1 | Subject)", None),
    "orthodont_cs_ml": ("orthodont", GROWTH, "cs(0 + age | Subject)", None),
    "orthodont_csh": ("orthodont", GROWTH, "csh(0 + age | Subject)", None),
    "orthodont_cor": ("orthodont", GROWTH, "cor(0 + age | Subject)", None),
    "orthodont_us": ("orthodont", GROWTH, "us(0 + age | Subject)", None),
    "orthodont_us_missing_ml": ("missing", GROWTH, "cor(0 + age | Subject)", "ident(age)"),
    "orthodont_toep": ("orthodont", GROWTH, "toep(0 + age | Subject)", None),
    "orthodont_toeph": ("orthodont", GROWTH, "toeph(0 + age | Subject)", None),
    "orthodont_ar1h": ("orthodont", GROWTH, "ar1h(0 + visit | Subject)", None),
    "orthodont_diag": ("orthodont", GROWTH, "diag(0 + age | Subject)", None),
    "orthodont_ar1_ident": ("orthodont", GROWTH, "ar1(0 + visit | Subject)", "ident(Sex)"),
    "dialyzer_power": ("dialyzer", CUBIC, None, "power(pressure)"),
    "dialyzer_power_strata": ("dialyzer", CUBIC, None, "power(pressure | QB)"),
    "dialyzer_power_ar1": ("dialyzer", CUBIC, "ar1(0 + index | Subject)", "power(pressure)"),
    "dialyzer_exp_ml": ("dialyzer", CUBIC, None, "exp(pressure)"),
    "dialyzer_ident_power": ("dialyzer", CUBIC, None, "ident(QB) * power(pressure)"),
    "cars_power": ("cars", "dist ~ speed", None, "power(speed)"),
    "cars_const_power": ("cars", "dist ~ speed", None, "const_power(speed)"),
    "weight_exp_nugget": ("weight", "weight ~ Time * Diet", "exp(0 + Time | Rat) + (1 | units)", None),
    "weight_car1_power": ("weight", "weight ~ Time * Diet", "ou(0 + Time | Rat)", "power(Time)"),
}
OTHER_SCALE = {"orthodont_ar1_ident"}
"""Where nlme's reference level of varIdent is another than the first level, so that its sigma is of that level."""


@cache
def fit_of(name):
    table, formula, residual, variance = MODELS[name]
    data = tables()["ovary"].query("Mare == '1'") if table == "one" else tables()[table]
    return hd.gls(formula, data, residual=residual, variance=variance, reml=cases()[name]["reml"])


@pytest.mark.parametrize("name", MODELS)
def test_the_likelihood_is_nlmes_or_better(name):
    fit, nlme = fit_of(name), cases()[name]
    assert fit.status.converged
    assert fit.loglik > nlme["loglik"] - 1e-8
    assert fit.loglik < nlme["loglik"] + 1e-6
    assert fit.npar == nlme["npar"]
    np.testing.assert_allclose([fit.aic, fit.bic], [nlme["aic"], nlme["bic"]], rtol=1e-8)


@pytest.mark.parametrize("name", MODELS)
def test_coefficients_and_their_errors(name):
    fit, nlme = fit_of(name), cases()[name]
    se = np.array(nlme["se"])
    np.testing.assert_allclose((fit.coefficients - nlme["coef"]) / se, 0.0, atol=5e-6)
    # Under ML nlme multiplies Var(b) by n / (n - p); ours has the ML variance, as lme4's.
    factor = 1.0 if nlme["reml"] else np.sqrt(fit.nobs / fit.df_residual)
    np.testing.assert_allclose(np.sqrt(np.diag(fit.vcov)) * factor, se, rtol=1e-5)
    if name not in OTHER_SCALE:
        np.testing.assert_allclose(fit.sigma, nlme["sigma"], rtol=1e-5)


def _natural(fit):
    columns = fit.variance_components_columns()
    return dict(zip(columns["term"], columns["estimate"], strict=True))


@pytest.mark.parametrize("name", MODELS)
def test_parameters_of_the_covariance(name):
    fit, nlme = fit_of(name), cases()[name]
    values = _natural(fit)
    as_list = lambda v: v if isinstance(v, list) else [] if v is None else [v]  # noqa: E731
    correlation, variance = as_list(nlme["correlation"]), as_list(nlme["variance"])
    if isinstance(nlme["variance"], dict):
        variance = [v for part in nlme["variance"].values() for v in as_list(part)]
    residual = MODELS[name][2] or ""
    if residual.startswith(("us", "csh", "toeph", "ar1h", "diag")):
        sd = np.sqrt([values[f"{'visit' if 'visit' in residual else 'age'}{k}"] for k in _ages(residual)])
        found = list(sd[1:] / sd[0])
        np.testing.assert_allclose(sd[0], nlme["sigma"], rtol=1e-5)
        if residual.startswith("us"):
            pairs = [(j, i) for j in range(4) for i in range(j + 1, 4)]
            names = _ages(residual)
            rest = [values[f"cov(age{names[j]}, age{names[i]})"] / (sd[i] * sd[j]) for j, i in pairs]
        else:
            rest = list(values.values())[4:]
    else:
        rest = list(values.values())[: len(correlation)]
        found = list(values.values())[len(correlation) : -1]
        if name == "orthodont_ar1_ident":
            found = [1.0 / found[0]]
    if residual.startswith("toep"):
        rest, correlation = [], []  # nlme prints the AR(3) coefficients of the same correlations
    np.testing.assert_allclose(rest, correlation, rtol=2e-5, atol=2e-6)
    np.testing.assert_allclose(found, variance, rtol=2e-5, atol=2e-6)


def _ages(residual):
    return [1, 2, 3, 4] if "visit" in residual else [8, 10, 12, 14]


@pytest.mark.parametrize(
    "name", ["ovary_ar1", "orthodont_us", "dialyzer_power", "cars_const_power", "ovary_arma11"]
)
def test_residuals_of_a_generalised_fit(name):
    """Normalized: whitened by the Cholesky factor of each group, in the order of its rows; pearson: over the row's sigma."""
    fit, nlme = fit_of(name), cases()[name]
    np.testing.assert_allclose((fit.fitted[:3] - nlme["fitted3"]) / fit.sigma, 0.0, atol=5e-6)
    np.testing.assert_allclose(fit.residuals_as("pearson")[:3], nlme["pearson3"], rtol=2e-5)
    np.testing.assert_allclose(np.sum(fit.residuals_as("normalized") ** 2), fit.df_residual, rtol=1e-9)
    if name != "orthodont_us":
        np.testing.assert_allclose(fit.residuals_as("normalized")[:6], nlme["normalized"], rtol=2e-5)


def test_power_of_the_fitted_values():
    """nlme's own rounds stop at a relative change of 1e-12 here; the likelihood is no maximum, so both sides are bounded."""
    nlme = cases()["cars_power_fitted"]
    fit = hd.gls("dist ~ speed", tables()["cars"], variance="power(fitted)")
    assert fit.status.converged
    np.testing.assert_allclose(fit.loglik, nlme["loglik"], atol=1e-5)
    np.testing.assert_allclose(fit.coefficients, nlme["coef"], rtol=1e-5)
    np.testing.assert_allclose(_natural(fit)["power(fitted)"], nlme["variance"], rtol=2e-5)
    np.testing.assert_allclose(fit.sigma, nlme["sigma"], rtol=5e-5)
    # The fixed point, exactly: the power that is best for the fitted values it gives.
    again = hd.gls("dist ~ speed", tables()["cars"].assign(mean=np.abs(fit.fitted)), variance="power(mean)")
    np.testing.assert_allclose(again.coefficients, fit.coefficients, rtol=1e-7)


def test_fixed_variances_are_weights():
    """varFixed(~pressure) is Var(e) proportional to pressure."""
    nlme, data = cases()["dialyzer_fixed"], tables()["dialyzer"]
    fit = hd.gls(CUBIC, data, weights=1.0 / data["pressure"].to_numpy())
    np.testing.assert_allclose(fit.loglik, nlme["loglik"], atol=1e-8)
    np.testing.assert_allclose(fit.coefficients, nlme["coef"], rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(np.sqrt(np.diag(fit.vcov)), nlme["se"], rtol=1e-8)


def test_toep_has_the_likelihood_of_an_autoregression_that_fills_its_lags():
    """AR(3) on four equally spaced visits reaches every Toeplitz correlation matrix."""
    toep = fit_of("orthodont_toep")
    arma = hd.gls(GROWTH, tables()["orthodont"], residual="arma(0 + visit | Subject, p=3)")
    np.testing.assert_allclose(toep.loglik, arma.loglik, atol=1e-8)
    np.testing.assert_allclose(
        list(_natural(arma).values())[:3], cases()["orthodont_toep"]["correlation"], rtol=2e-5
    )

"""The fit object: rows in their places, kinds of residuals, refits, tables of every kind and library."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from test_predict import FORMULA, table
from twin import incidence, twin

import henderson as hd


@pytest.fixture(scope="module")
def data():
    return table()


@pytest.fixture(scope="module")
def fit(data):
    return hd.lmm(FORMULA, data, weights="w", offset="o")


@pytest.fixture(scope="module")
def sleep():
    return hd.datasets.load("sleepstudy")


@pytest.fixture(scope="module")
def sleepfit(sleep):
    return hd.lmm("Reaction ~ Days + (Days | Subject)", sleep)


# -- rows ----------------------------------------------------------------------------------------------------


def test_left_out_rows_are_missing_and_the_others_in_their_places(data):
    holes = data.copy()
    holes.loc[[0, 17], "x"] = np.nan
    holes.loc[40, "g"] = None
    holes.loc[60, "y"] = np.nan
    fit = hd.lmm(FORMULA, holes)
    whole = hd.lmm(FORMULA, holes.dropna())
    out = [0, 17, 40, 60]
    kept = np.setdiff1d(np.arange(80), out)
    assert fit.nobs == 76 and fit.n_dropped == 4
    assert fit.rows_note == "4 of 80 rows left out: missing values in y (1), x (2), g (1)"
    for values, of_whole in (
        (fit.fitted, whole.fitted),
        (fit.residuals, whole.residuals),
        (fit.residuals_as("pearson"), whole.residuals_as("pearson")),
        (fit.predict(random_effects=False), whole.predict(random_effects=False)),
        (np.asarray(fit.predict(se=True).std_error), np.asarray(whole.predict(se=True).std_error)),
        (fit.simulate(seed=1), whole.simulate(seed=1)),
    ):
        assert np.isnan(values[out]).all()
        np.testing.assert_allclose(values[kept], of_whole, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(holes.y - fit.fitted, fit.residuals)
    assert list(fit.augment().row) == list(kept)


def test_fitted_is_offset_plus_xb_plus_zu(fit):
    design, dense = fit.design, twin(fit.design, fit.solution.covariances, fit.sigma**2)
    expected = design.offset + design.X @ dense.beta
    expected = expected + sum(incidence(b) @ u.ravel() for b, u in zip(design.blocks, dense.u, strict=True))
    np.testing.assert_allclose(fit.fitted, expected, rtol=1e-9)
    np.testing.assert_allclose(fit.residuals, design.y - expected, rtol=1e-6, atol=1e-8)
    marginal = design.y - design.offset - design.X @ dense.beta
    np.testing.assert_allclose(fit.residuals_as("marginal"), marginal, rtol=1e-6, atol=1e-8)


def test_a_row_of_leverage_one_has_no_standardized_residual(data):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        own = hd.lmm("y ~ x + own + (1 | g)", data.assign(own=np.arange(len(data)) == 7))
        values = own.residuals_as("standardized")
    assert np.flatnonzero(np.isnan(values)).tolist() == [7]


@pytest.mark.parametrize("level", [95, 0, 1.0, "a", None])
def test_a_level_is_between_0_and_1(fit, level):
    for ask in (fit.tidy, fit.fixed_effects_columns, lambda level: fit.tidy("ran_pars", level)):
        with pytest.raises(hd.ModelError, match="between 0 and 1"):
            ask(level=level)


def test_pearson_and_standardized_residuals(fit):
    # d fitted / d y from the dense model: H = R V^-1-type smoother, by perturbing y in the twin
    design, s2 = fit.design, fit.sigma**2
    np.testing.assert_allclose(
        fit.residuals_as("pearson"), fit.residuals * np.sqrt(design.weights) / fit.sigma
    )
    r = np.diag(s2 / design.weights)
    z = np.hstack([incidence(b) for b in design.blocks])
    blocks = [
        np.kron(np.eye(len(b.levels)), s)
        for b, s in zip(design.blocks, fit.solution.covariances, strict=True)
    ]
    g = np.block(
        [
            [blocks[0], np.zeros((len(blocks[0]), len(blocks[1])))],
            [np.zeros((len(blocks[1]), len(blocks[0]))), blocks[1]],
        ]
    )
    vi = np.linalg.inv(z @ g @ z.T + r)
    x = design.X
    p = vi - vi @ x @ np.linalg.solve(x.T @ vi @ x, x.T @ vi)
    leverage = 1.0 - np.diag(r @ p)
    np.testing.assert_allclose(fit._leverage, leverage, rtol=1e-8)
    np.testing.assert_allclose(
        fit.residuals_as("standardized"), fit.residuals_as("pearson") / np.sqrt(1.0 - leverage), rtol=1e-7
    )
    with pytest.raises(hd.ModelError, match="'response', 'pearson'"):
        fit.residuals_as("deviance")


def test_first_fitted_values_and_residuals_are_lme4s(sleepfit):
    # lme4 1.1-31: fitted(fm1)[1:3], residuals(fm1)[1:3] to the digits printed
    assert sleepfit.fitted[:3] == pytest.approx([253.6637, 273.3299, 292.9962], abs=5e-4)
    assert sleepfit.residuals[:3] == pytest.approx([-4.10372, -14.62524, -42.19564], abs=5e-4)


# -- refits --------------------------------------------------------------------------------------------------


def test_a_refit_is_the_fit_of_the_new_response(fit, data):
    y = fit.simulate(seed=11)
    again, fresh = fit.refit(y), hd.lmm(FORMULA, data.assign(y=y), weights="w", offset="o")
    assert again.deviance == pytest.approx(fresh.deviance, abs=1e-7)
    np.testing.assert_allclose(again.fixed_effects.estimate, fresh.fixed_effects.estimate, rtol=1e-5)
    np.testing.assert_allclose(again.fitted, fresh.fitted, rtol=1e-4, atol=1e-4)
    # and the first fit is what it was
    np.testing.assert_allclose(fit.fitted, hd.lmm(FORMULA, data, weights="w", offset="o").fitted, rtol=1e-6)


def test_a_refit_takes_rows_of_the_fit_or_of_the_data(data):
    holes = data.copy()
    holes.loc[3, "x"] = np.nan
    fit = hd.lmm(FORMULA, holes)
    y = fit.simulate(seed=2)
    assert np.isnan(y[3])
    assert fit.refit(y).deviance == fit.refit(np.delete(y, 3)).deviance
    with pytest.raises(hd.ModelError, match="79 finite numbers"):
        fit.refit(y[:10])


# -- tables --------------------------------------------------------------------------------------------------


def test_tidy_fixed_and_ran_vals_are_the_tables_by_broom_names(fit):
    tidy = fit.tidy()
    assert list(tidy.columns) == [
        "effect", "term", "estimate", "std_error", "statistic", "df", "p_value", "conf_low", "conf_high",
    ]  # fmt: skip
    np.testing.assert_array_equal(tidy.estimate, fit.fixed_effects.estimate)
    narrow = fit.tidy(level=0.5)
    assert (narrow.conf_low > tidy.conf_low).all()
    values = fit.tidy("ran_vals")
    assert len(values) == 8 * 2 + 5 and set(values.group) == {"g", "h"}
    with pytest.raises(hd.ModelError, match="Did you mean 'ran_pars'"):
        fit.tidy("ran_par")


def test_standard_deviations_and_correlations_with_delta_method_errors(sleepfit):
    # lme4 1.1-31 VarCorr(fm1) prints 24.7407, 5.9221 and 0.066, and 25.5918 for the residual
    rows = sleepfit.tidy("ran_pars").set_index("term")
    assert rows.estimate["sd__(Intercept)"] == pytest.approx(24.7407, abs=2e-3)
    assert rows.estimate["sd__Days"] == pytest.approx(5.9221, abs=2e-4)
    assert rows.estimate["cor__(Intercept).Days"] == pytest.approx(0.066, abs=5e-4)
    assert rows.estimate["sd__Observation"] == pytest.approx(25.5918, abs=2e-4)
    components = sleepfit.variance_components
    variance = components[components.term == "Days"].iloc[0]
    assert rows.std_error["sd__Days"] == pytest.approx(variance.std_error / (2 * np.sqrt(variance.estimate)))
    # the correlation by another way: differencing cov / sqrt(var var) over the covariance of the three
    information = sleepfit.solution.information
    slopes = information.component_slopes[0]
    jac = np.stack([slopes[:, 0, 0], slopes[:, 1, 1], slopes[:, 1, 0]])
    covariance = jac @ information.covariance @ jac.T
    at = np.array([sleepfit.solution.covariances[0][i, j] for i, j in ((0, 0), (1, 1), (1, 0))])
    correlation = lambda v: v[2] / np.sqrt(v[0] * v[1])  # noqa: E731
    gradient = [(correlation(at + d) - correlation(at - d)) / (2 * d.sum()) for d in np.diag(1e-5 * at)]
    assert rows.std_error["cor__(Intercept).Days"] == pytest.approx(
        np.sqrt(gradient @ covariance @ gradient), rel=1e-5
    )


def test_glance_and_counts(sleepfit):
    row = sleepfit.glance().iloc[0]
    # lme4: logLik -871.8141 (df = 6), AIC 1755.628, BIC 1774.786, df.residual 174
    assert (row.nobs, row.npar, row.df_residual) == (180, 6, 174)
    assert (row.loglik, row.aic, row.bic) == pytest.approx((-871.8141, 1755.628, 1774.786), abs=6e-4)
    assert (row.method, row.verdict) == ("REML", "converged")
    assert sleepfit.groups == {"Subject": 18}
    assert sleepfit.dropped == () and sleepfit.n_dropped == 0


def test_augment_has_the_rows_and_what_was_fitted_to_them(sleepfit, sleep):
    rows = sleepfit.augment()
    new = ["row", "fitted", "resid", "fixed", "scaled_resid"]
    assert list(rows.columns) == ["Reaction", "Days", "Subject", *new]
    np.testing.assert_array_equal(rows.Reaction, sleep.Reaction)
    assert list(rows.Subject) == [str(s) for s in sleep.Subject]
    np.testing.assert_allclose(rows.fitted + rows.resid, rows.Reaction)
    np.testing.assert_allclose(rows.fixed, sleepfit.coefficients[0] + sleepfit.coefficients[1] * sleep.Days)
    np.testing.assert_allclose(rows.scaled_resid, rows.resid / sleepfit.sigma)


@pytest.mark.parametrize("library", ["polars", "pyarrow"])
def test_every_table_comes_back_in_the_callers_library(library):
    module = pytest.importorskip(library)
    kind = module.DataFrame if library == "polars" else module.Table
    fit = hd.lmm("Yield ~ 1 + (1 | Batch)", hd.datasets.load("Dyestuff", library))
    for made in (
        fit.fixed_effects, fit.variance_components, fit.random_effects, fit.tidy(), fit.tidy("ran_pars"),
        fit.tidy("ran_vals"), fit.glance(), fit.augment(), fit.predict(interval="confidence"),
    ):  # fmt: skip
        assert isinstance(made, kind)


def test_a_dict_gives_pandas(data):
    fit = hd.lmm(FORMULA, {name: data[name].to_list() for name in data})
    assert isinstance(fit.fixed_effects, pd.DataFrame)


def test_many_levels_are_a_table_at_once():
    rng = np.random.default_rng(0)
    g = np.repeat(np.arange(100_000), 2)
    fit = hd.lmm("y ~ 1 + (1 | g)", {"y": rng.normal(size=200_000) + rng.normal(size=100_000)[g], "g": g})
    values = fit.random_effects
    assert len(values) == 100_000 and list(values.level[:2]) == ["0", "1"]
    known = 2 * fit.solution.covariances[0][0, 0] / (2 * fit.solution.covariances[0][0, 0] + fit.sigma**2)
    assert values.reliability.mean() == pytest.approx(known, abs=1e-4)


def test_representations(sleepfit):
    assert repr(sleepfit).startswith(
        "<MixedFit Reaction ~ Days + (Days | Subject) | REML, 180 rows, deviance 1743.62"
    )
    assert sleepfit._repr_html_().startswith("<pre>Linear mixed model")


# -- every question to every model ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def odd():
    """Names, types and collisions that a table may have."""
    rng = np.random.default_rng(0)
    n = 60
    return pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.normal(size=n),
            "g": rng.integers(0, 6, n),
            "h": rng.choice(list("abc"), n),
            "row": rng.normal(size=n),
            "fitted": rng.normal(size=n),
            "Ünï ço": rng.normal(size=n),
            "b": rng.random(n) > 0.5,
            "cat": pd.Categorical(rng.choice(list("abc"), n), ordered=True),
        }
    )


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("formula", "options"),
    [
        ("y ~ x + (x | g)", {}),
        ("y ~ x + (x || g)", {}),
        ("y ~ h * x + (1 | g:h)", {}),
        ("y ~ x + (1 | g/h)", {}),
        ("y ~ 0 + (1 | g)", {}),
        ("y ~ 0 + h + (0 + h | g)", {}),
        ("y ~ x + (0 + x | g) + (1 | g)", {}),
        ("row ~ fitted + (1 | g)", {}),
        ("y ~ `Ünï ço` + (1 | g)", {}),
        ("y ~ b + (b || g)", {}),
        ("y ~ cat + (1 | b)", {}),
        ("log(y + 10) ~ poly(x, 2) + (1 | g)", {}),
        ("y ~ C(g) + (1 | h)", {}),
        ("y ~ x + offset(row) + (1 | g)", {}),
        ("y ~ scale(x) * cat + (scale(x) | g)", {}),
        ("y ~ x + (1 | g)", {"reml": False}),
        ("y ~ x + (1 | g)", {"fixed_parameters": {"g": 1.0, "Residual": 1.0}}),
        ("y ~ x + (1 | g) + (1 | h)", {"fixed_parameters": {"g": 1.0}}),
    ],
)
def test_every_question_has_an_answer(odd, formula, options, tmp_path):
    fit = hd.lmm(formula, odd, **options)
    fit.save(tmp_path / "fit.zip")
    again = hd.load(tmp_path / "fit.zip")
    assert again.summary() == fit.summary()
    new = fit.predict(odd, interval="prediction")
    np.testing.assert_allclose(new.estimate, fit.fitted, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(new.std_error, fit.predict(se=True).std_error, rtol=1e-7)
    assert again.predict(odd, interval="prediction").equals(new)
    population = fit.predict(odd, random_effects=False, interval="confidence")
    assert (population.conf_low <= population.estimate).all()
    assert np.isfinite(fit.predict(random_effects=False, interval="prediction").to_numpy()).all()
    assert np.isfinite(fit.residuals_as("standardized")).all()
    for made in (fit.tidy(), fit.tidy("ran_pars"), fit.tidy("ran_vals"), fit.glance(), fit.augment()):
        assert len(made.columns) > 4
    np.testing.assert_allclose(fit.augment().resid, fit.residuals)
    assert fit.refit(fit.simulate(seed=1)).status.converged
    for draw in (fit.plot.fit, fit.plot.residuals, fit.plot.qq, fit.plot.random_effects):
        draw()
    assert fit.formula in repr(fit) and fit.formula in fit.summary()


def test_new_columns_of_augment_give_way_to_those_of_the_data(odd):
    rows = hd.lmm("row ~ fitted + (1 | g)", odd).augment()
    np.testing.assert_array_equal(rows.fitted, odd.fitted)
    np.testing.assert_array_equal(rows.row, odd.row)
    np.testing.assert_allclose(rows.fitted_ + rows.resid, odd.row)


def test_a_response_that_is_not_numbers_cannot_be_refitted(fit):
    with pytest.raises(hd.ModelError, match="array of numbers"):
        fit.refit(["a"] * 80)

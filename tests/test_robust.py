"""Bad and extreme input, through the front door: a clear error of ours or a right answer, never anything in between."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import henderson as hd

SLEEP = "Reaction ~ Days + (Days | Subject)"


@pytest.fixture
def sleep():
    return hd.datasets.load("sleepstudy")


@pytest.fixture(autouse=True)
def no_warnings():
    """A fit says what it has to say in its status or its error; warnings from inside are bugs."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def refused(error, formula, data, *words, **options):
    with pytest.raises(error) as caught:
        hd.lmm(formula, data, **options)
    assert isinstance(caught.value, hd.HendersonError)
    for word in words:
        assert word in str(caught.value), str(caught.value)


@pytest.mark.parametrize("column", ["Reaction", "Days", "Subject"])
def test_missing_values_are_dropped_and_counted(sleep, column):
    whole = hd.lmm(SLEEP, sleep.drop(index=[3, 40]).reset_index(drop=True))
    if column != "Subject":
        sleep[column] = sleep[column].astype(float)
    sleep.loc[[3, 40], column] = None if column == "Subject" else np.nan
    fit = hd.lmm(SLEEP, sleep)
    assert fit.nobs == 178
    assert fit.n_dropped == 2
    assert fit.deviance == pytest.approx(whole.deviance, abs=1e-8)
    text = fit.summary()
    assert f"missing values in {column} (2)" in text


@pytest.mark.parametrize("column", ["Reaction", "Days"])
@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_values_are_refused(sleep, column, value):
    sleep[column] = sleep[column].astype(float)
    sleep.loc[7, column] = value
    refused(hd.DataError, SLEEP, sleep, column, "7")


def test_infinite_group_is_refused(sleep):
    sleep["g"] = sleep["Subject"].astype(str).astype(float)
    sleep.loc[7, "g"] = np.inf
    refused(hd.DataError, "Reaction ~ Days + (1 | g)", sleep, "g")


def test_unknown_column_names_the_closest(sleep):
    refused(hd.FormulaError, "Reaction ~ Dayz + (1 | Subject)", sleep, "Dayz", "^^^^", "Days")
    refused(hd.FormulaError, "Reaction ~ Days + (1 | subject)", sleep, "subject", "Subject")


def test_one_level_is_refused(sleep):
    sleep["site"] = "A"
    refused(hd.ModelError, "Reaction ~ Days + (1 | site)", sleep, "site")


def test_one_observation_per_group_says_it_cannot_be_told_from_the_residual(sleep):
    sleep["row"] = np.arange(len(sleep))
    refused(hd.ModelError, "Reaction ~ Days + (1 | row)", sleep, "row", "residual")


def test_vector_term_confounded_with_the_residual_is_fitted_and_said(sleep):
    two = sleep[sleep["Days"] < 2].reset_index(drop=True)
    fit = hd.lmm("Reaction ~ 1 + (Days | Subject)", two)
    assert "not identifiable" in str(fit.status)
    assert "(Days | Subject)" in str(fit.status)


def test_constant_response(sleep):
    sleep["c"] = 5.0
    refused(hd.ModelError, "c ~ Days + (1 | Subject)", sleep, "constant", "5")


def test_response_among_the_fixed_terms(sleep):
    sleep["copy"] = 2 * sleep["Reaction"]
    refused(hd.ModelError, "Reaction ~ copy + (1 | Subject)", sleep, "exactly")


def test_collinear_columns_are_dropped_and_named(sleep):
    sleep["twice"] = 2.0 * sleep["Days"]
    base = hd.lmm(SLEEP, sleep)
    fit = hd.lmm("Reaction ~ Days + twice + (Days | Subject)", sleep)
    assert fit.labels.dropped == ("twice",)
    assert "twice" in fit.summary()
    assert fit.deviance == pytest.approx(base.deviance, abs=1e-8)
    np.testing.assert_allclose(fit.coefficients, base.coefficients, rtol=1e-9)


def test_no_fixed_part(sleep):
    sleep["centred"] = sleep["Reaction"] - sleep["Reaction"].mean()
    fit = hd.lmm("centred ~ 0 + (1 | Subject)", sleep)
    assert len(fit.coefficients) == 0
    assert len(fit.fixed_effects) == 0
    assert fit.status.converged
    assert "Random effects" in fit.summary()
    only_random = hd.lmm("Reaction ~ (1 | Subject)", sleep)
    assert list(only_random.fixed_effects["term"]) == ["(Intercept)"]


def test_no_random_part_points_to_lm(sleep):
    refused(hd.ModelError, "Reaction ~ Days", sleep, "no random term", "(1 | group)")


def test_empty_frame(sleep):
    refused(hd.DataError, SLEEP, sleep.iloc[:0], "no rows")


def test_all_rows_missing(sleep):
    sleep["Reaction"] = np.nan
    refused(hd.DataError, SLEEP, sleep, "Reaction")


def test_missing_file():
    refused(hd.DataError, SLEEP, "no_such_file.csv", "no_such_file.csv")


def test_text_where_a_number_is_needed(tmp_path, sleep):
    path = tmp_path / "text.csv"
    sleep["Reaction"] = sleep["Reaction"].astype(str)
    sleep.loc[4, "Reaction"] = "fast"
    sleep.to_csv(path, index=False)
    refused(hd.DataError, SLEEP, path, "Reaction", "fast")


@pytest.mark.parametrize("factor", [1e8, 1e-8])
def test_scale_of_the_response(sleep, factor):
    base = hd.lmm(SLEEP, sleep)
    sleep["y"] = sleep["Reaction"] * factor
    fit = hd.lmm("y ~ Days + (Days | Subject)", sleep)
    assert fit.iterations == base.iterations
    np.testing.assert_allclose(fit.coefficients, base.coefficients * factor, rtol=1e-9)
    np.testing.assert_allclose(fit.theta, base.theta, rtol=1e-7)


def test_origin_of_the_response(sleep):
    base = hd.lmm(SLEEP, sleep)
    sleep["y"] = sleep["Reaction"] + 1e6
    fit = hd.lmm("y ~ Days + (Days | Subject)", sleep)
    np.testing.assert_allclose(fit.theta, base.theta, rtol=1e-6)
    assert fit.deviance == pytest.approx(base.deviance, abs=1e-6)


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_units_of_a_covariate(sleep, unit):
    base = hd.lmm(SLEEP, sleep)
    sleep["t"] = sleep["Days"] * unit
    fit = hd.lmm("Reaction ~ t + (t | Subject)", sleep)
    assert fit.iterations == base.iterations
    assert fit.coefficients[1] * unit == pytest.approx(base.coefficients[1], rel=1e-9)
    np.testing.assert_allclose(
        fit.solution.covariances[0][1, 1] * unit**2, base.solution.covariances[0][1, 1], rtol=1e-6
    )


def test_origin_of_a_covariate(sleep):
    base = hd.lmm(SLEEP, sleep)
    sleep["t"] = sleep["Days"] + 1e5
    fit = hd.lmm("Reaction ~ t + (t | Subject)", sleep)
    assert fit.deviance == pytest.approx(base.deviance, abs=1e-5)
    assert fit.coefficients[1] == pytest.approx(base.coefficients[1], rel=1e-6)


def test_permuted_rows(sleep):
    base = hd.lmm(SLEEP, sleep)
    order = np.random.default_rng(1).permutation(len(sleep))
    fit = hd.lmm(SLEEP, sleep.iloc[order])
    assert fit.deviance == pytest.approx(base.deviance, abs=1e-8)
    np.testing.assert_allclose(fit.fitted, np.asarray(base.fitted)[order], rtol=1e-7)


def test_more_random_effects_than_rows():
    rng = np.random.default_rng(4)
    n = 40
    data = pd.DataFrame({"g": np.repeat(np.arange(20), 2), "a": rng.normal(size=n), "b": rng.normal(size=n)})
    data["y"] = rng.normal(size=20)[data["g"]] + rng.normal(size=n)
    fit = hd.lmm("y ~ 1 + (a + b | g)", data)
    assert fit.status.converged
    assert fit.solution.problem.system.q == 60
    assert np.isfinite(fit.deviance)


def test_unused_levels_of_a_category(sleep):
    base = hd.lmm(SLEEP, sleep)
    sleep["Subject"] = sleep["Subject"].cat.add_categories(["999"])
    fit = hd.lmm(SLEEP, sleep)
    assert len(fit.labels.terms[0].levels) == 18
    assert fit.deviance == pytest.approx(base.deviance, abs=1e-9)


def test_duplicate_column_names(sleep):
    doubled = pd.concat([sleep, sleep[["Days"]]], axis=1)
    refused(hd.DataError, SLEEP, doubled, "Days")
    spare = pd.concat(
        [sleep, sleep[["Days"]].rename(columns={"Days": "x"}), sleep[["Days"]].rename(columns={"Days": "x"})],
        axis=1,
    )
    with pytest.raises(hd.DataError, match="x"):
        hd.lmm("Reaction ~ x + (1 | Subject)", spare)


def test_a_variance_of_zero_is_a_result():
    fit = hd.lmm("Yield ~ 1 + (1 | Batch)", hd.datasets.load("Dyestuff2"))
    assert fit.status.verdict == "boundary"
    assert "the variance of (1 | Batch) is estimated as 0, on the boundary" in str(fit.status)
    components = fit.variance_components
    assert components["estimate"].iloc[0] == 0.0
    assert components["bound"].iloc[0] == "B"
    assert np.isnan(components["std_error"].iloc[0])
    assert np.all(fit.random_effects["estimate"] == 0.0)


def test_too_few_rows():
    data = pd.DataFrame({"y": [1.0, 2.0, 4.0], "x": [0.0, 1.0, 3.0], "g": ["a", "a", "b"]})
    refused(hd.ModelError, "y ~ x + I(x**2) + (1 | g)", data, "3 rows")


def test_what_is_not_available_yet_says_so(sleep):
    formula = "Reaction ~ Days + arma(0 + Days | Subject, p=1, q=1)"
    refused(hd.NotAvailableError, formula, sleep, "arma", "not available yet")
    refused(hd.NotAvailableError, SLEEP, sleep, "power(fitted)", variance="power(fitted)")


def test_effect_that_is_zero_in_every_row(sleep):
    sleep["z"] = 0.0
    refused(hd.ModelError, "Reaction ~ Days + (0 + z | Subject)", sleep, "z", "zero")


@pytest.mark.parametrize("weight, word", [(-1.0, "Days"), (np.inf, "Days")])
def test_weights_must_be_positive_and_finite(sleep, weight, word):
    w = np.ones(len(sleep))
    w[5] = weight
    refused(hd.DataError, SLEEP, sleep, "5", weights=w)


def test_weights_multiply_like_repeated_precision(sleep):
    base = hd.lmm(SLEEP, sleep)
    fit = hd.lmm(SLEEP, sleep, weights=np.full(len(sleep), 4.0))
    assert fit.sigma == pytest.approx(2.0 * base.sigma, rel=1e-7)
    assert fit.deviance == pytest.approx(base.deviance, abs=1e-7)


class TestHeldAndStarted:
    """fixed_parameters= and start=: by group, on the natural scale."""

    def test_held_covariance_is_kept(self, sleep):
        fit = hd.lmm(SLEEP, sleep, fixed_parameters={"Subject": [[600.0, 10.0], [10.0, 35.0]]})
        np.testing.assert_allclose(fit.solution.covariances[0], [[600, 10], [10, 35]], rtol=1e-9)
        assert list(fit.variance_components["bound"]) == ["F", "F", "F", "P"]

    def test_held_at_the_optimum_gives_the_optimum(self, sleep):
        base = hd.lmm(SLEEP, sleep)
        fit = hd.lmm(SLEEP, sleep, fixed_parameters={"Subject": base.solution.covariances[0]})
        assert fit.deviance == pytest.approx(base.deviance, abs=1e-8)
        assert fit.sigma == pytest.approx(base.sigma, rel=1e-6)
        residual = hd.lmm(SLEEP, sleep, fixed_parameters={"Residual": base.sigma**2})
        assert residual.deviance == pytest.approx(base.deviance, abs=1e-8)
        assert residual.npar == base.npar - 1

    def test_start_does_not_change_the_end(self, sleep):
        base = hd.lmm(SLEEP, sleep)
        fit = hd.lmm(SLEEP, sleep, start={"Subject": [5000.0, 1.0], "Residual": 100.0})
        assert fit.deviance == pytest.approx(base.deviance, abs=1e-7)
        near = hd.lmm(
            SLEEP, sleep, start={"Subject": base.solution.covariances[0], "Residual": base.sigma**2}
        )
        assert near.iterations <= 1

    @pytest.mark.parametrize(
        "given, words",
        [
            ({"Subjct": 1.0}, ["Subjct", "Subject"]),
            ({"Subject": [1.0, 2.0, 3.0]}, ["2 effects", "(3,)"]),
            ({"Subject": [[1.0, 2.0], [2.0, 1.0]]}, ["positive semi-definite", "-1"]),
            ({"Residual": -1.0}, ["positive"]),
        ],
    )
    def test_wrong_values_are_named(self, sleep, given, words):
        refused(hd.ModelError, SLEEP, sleep, *words, fixed_parameters=given)


def test_a_model_larger_than_memory_is_refused_before_it_starts(monkeypatch):
    import henderson.mixed.bordered as bordered

    monkeypatch.setattr(bordered, "machine_memory", lambda: 1e6)
    refused(
        hd.ModelError, "y ~ service + (1 | s) + (1 | d)", hd.datasets.load("InstEval"), "GB", "this machine"
    )


class TestStarts:
    """A start at zero, or far away, is a start and not an answer."""

    @pytest.mark.parametrize(
        "start",
        [
            {"Subject": 0.0},
            {"Subject": 1e-12},
            {"Subject": [[612.0, 0.0], [0.0, 0.0]]},
            {"Subject": [0.0, 35.0]},
            {"Subject": 1e300},
            {"Subject": 1.0, "Residual": 1e-300},
        ],
    )
    def test_ends_at_the_optimum(self, sleep, start):
        assert hd.lmm(SLEEP, sleep, start=start).deviance == pytest.approx(1743.6282719585, abs=1e-6)

    def test_zero_for_a_scalar_term(self, sleep):
        fit = hd.lmm("Reaction ~ Days + (1 | Subject)", sleep, start={"Subject": 0.0})
        assert fit.deviance == pytest.approx(1786.4650853949, abs=1e-6)


def test_held_covariances_must_be_of_the_structure(sleep):
    full = [[600.0, 130.0], [130.0, 35.0]]
    refused(
        hd.ModelError,
        "Reaction ~ Days + (Days || Subject)",
        sleep,
        "independent",
        fixed_parameters={"Subject": full},
    )
    refused(
        hd.ModelError,
        "Reaction ~ Days + id(Days | Subject)",
        sleep,
        "share one",
        fixed_parameters={"Subject": [600, 35]},
    )
    refused(hd.ModelError, SLEEP, sleep, "mapping", fixed_parameters=[1])
    refused(hd.ModelError, SLEEP, sleep, "one positive number", fixed_parameters={"Residual": "x"})


def test_one_row_per_level_is_identified_beside_a_known_residual(sleep):
    sleep["row"] = np.arange(len(sleep))
    fit = hd.lmm("Reaction ~ Days + (1 | row)", sleep, fixed_parameters={"Residual": 500.0})
    total = fit.variance_components["estimate"].sum()
    # beside the residual the rows are independent: together the two variances are that of a regression
    ols = np.polyfit(sleep["Days"], sleep["Reaction"], 1, full=True)[1][0] / 178
    assert total == pytest.approx(ols, rel=1e-6)
    refused(hd.ModelError, "Reaction ~ Days + (1 | row)", sleep, "row", weights=np.full(180, 2.0))


@pytest.mark.parametrize("factor", [1e60, 1e-60])
def test_far_units_of_the_response(sleep, factor):
    base = hd.lmm(SLEEP, sleep)
    fit = hd.lmm(SLEEP, sleep.assign(Reaction=sleep.Reaction * factor))
    np.testing.assert_allclose(fit.theta, base.theta, rtol=1e-6)
    np.testing.assert_allclose(fit.fixed_effects["df"], base.fixed_effects["df"], rtol=1e-5)


@pytest.mark.parametrize("factor", [1e200, 1e-200])
def test_units_beyond_double_precision_are_refused(sleep, factor):
    refused(hd.ModelError, SLEEP, sleep.assign(Reaction=sleep.Reaction * factor), "power of ten")


def test_reml_is_yes_or_no(sleep):
    refused(hd.ModelError, SLEEP, sleep, "reml", reml="ML")

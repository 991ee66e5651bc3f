"""hd.compare against R's anova of lm, lmer and gls fits (reference/anova/make.R), its laws and its refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from anova_cases import CASES, data
from scipy import stats

import henderson as hd

R = CASES["compare"]
AR1 = "ar1(1 | Subject)"


@pytest.fixture(scope="module")
def sleep():
    return hd.datasets.load("sleepstudy")


@pytest.fixture(scope="module")
def orthodont():
    return hd.datasets.load("Orthodont")


def same(table, witness, names, rtol=1e-9):
    for name in names:
        expected = [np.nan if v is None else v for v in witness[name]]
        np.testing.assert_allclose(table[name], expected, rtol=rtol, err_msg=name)


def test_least_squares_equals_r():
    d = data("three")
    fits = [hd.lm(f"y ~ {right}", d) for right in ("a*b*c + x", "a", "a + b + x")]
    table = hd.compare(*fits)
    assert list(table["model"]) == ["y ~ a", "y ~ a + b + x", "y ~ a*b*c + x"]
    assert list(table["test"]) == ["", "F", "F"] and "note" not in table
    same(table, R["lm"], ("df_residual", "rss", "df", "sum_sq", "statistic", "p_value"))
    same(table, R["lm_criteria"], ("aic", "bic"))


def test_fixed_parts_of_mixed_models_equal_lme4(sleep):
    fits = [hd.lmm(f"Reaction ~ {right} + (Days | Subject)", sleep, reml=False) for right in ("1", "Days")]
    table = hd.compare(*fits)
    same(table, R["lmm_fixed"], ("npar", "aic", "bic", "loglik", "deviance", "df"))
    same(table, R["lmm_fixed"], ("statistic", "p_value"), 1e-6)
    assert "note" not in table


def test_random_parts_equal_lme4_but_for_the_edge(sleep):
    fits = [
        hd.lmm(f"Reaction ~ Days + {term}", sleep)
        for term in ("(1 | Subject)", "(Days || Subject)", "(Days | Subject)")
    ]
    table = hd.compare(*fits)
    same(table, R["lmm_random"], ("npar", "aic", "bic", "loglik", "deviance", "df"))
    same(table.drop(columns="p_value"), R["lmm_random"], ("statistic",), 1e-6)
    # a variance at 0: half of what chi-squared of 1 gives; a covariance is not at an edge
    np.testing.assert_allclose(table["p_value"][1], R["lmm_random"]["p_value"][1] / 2, rtol=1e-6)
    np.testing.assert_allclose(table["p_value"][2], R["lmm_random"]["p_value"][2], rtol=1e-6)
    assert "mixture of chi-squared of 0 and 1 df" in table["note"][1] and table["note"][2] == ""
    # one effect more, with its covariance (Stram & Lee 1994): half chi-squared of 1, half of 2
    two = hd.compare(fits[0], fits[2])
    statistic = fits[0].deviance - fits[2].deviance
    expected = 0.5 * (stats.chi2.sf(statistic, 1) + stats.chi2.sf(statistic, 2))
    assert two["p_value"][1] == pytest.approx(expected, rel=1e-12)


def test_generalised_least_squares_equals_nlme(orthodont):
    fits = [
        hd.gls("distance ~ age + Sex", orthodont, residual=AR1, reml=False),
        hd.gls("distance ~ age*Sex", orthodont, residual=AR1, reml=False),
        hd.gls("distance ~ age*Sex", orthodont, residual=AR1, variance="ident(Sex)", reml=False),
    ]
    table = hd.compare(*fits)
    same(table, R["gls"], ("npar", "aic", "bic", "loglik"), 1e-9)
    same(table, R["gls"], ("statistic", "p_value"), 1e-6)
    assert list(table["model"][1:]) == ["distance ~ age*Sex [phi]", "distance ~ age*Sex [ident(Female), phi]"]


def test_one_likelihood_for_all_verbs(sleep):
    gls, lmm = hd.gls("Reaction ~ Days", sleep), hd.lmm("Reaction ~ Days + (1 | Subject)", sleep)
    table = hd.compare(lmm, gls, names=["with", "without"])
    assert list(table["model"]) == ["without", "with"]
    assert table["statistic"][1] == pytest.approx(gls.deviance - lmm.deviance)
    lm = hd.lm("Reaction ~ Days", sleep)
    ml = hd.lmm("Reaction ~ Days + (1 | Subject)", sleep, reml=False)
    assert hd.compare(lm, ml)["statistic"][1] == pytest.approx(lm.deviance - ml.deviance)
    cs = hd.gls("Reaction ~ Days", sleep, residual="cs(1 | Subject)", reml=False)
    assert hd.compare(lm, cs)["statistic"][1] == pytest.approx(lm.deviance - cs.deviance)


def test_a_variance_estimated_at_zero(sleep):
    rng = np.random.default_rng(5)
    d = sleep.assign(y=rng.normal(size=180) - np.resize([-1.0, 1.0], 180), Subject=sleep["Subject"])
    small, large = hd.lm("y ~ 1", d), hd.lmm("y ~ 1 + (1 | Subject)", d, reml=False)
    assert large.status.verdict == "boundary"
    row = hd.compare(small, large).iloc[1]
    assert row["statistic"] == pytest.approx(0.0, abs=1e-9) and row["p_value"] == pytest.approx(1.0, abs=1e-3)


def test_likelihoods_of_least_squares_on_request():
    d = data("three")
    small, large = hd.lm("y ~ a", d), hd.lm("y ~ a + x", d)
    row = hd.compare(small, large, test="lr").iloc[1]
    statistic = small.nobs * np.log(small.rss / large.rss)
    assert row["statistic"] == pytest.approx(statistic, rel=1e-9)
    assert row["p_value"] == pytest.approx(stats.chi2.sf(statistic, 1), rel=1e-9)


def test_codings_of_the_same_model_are_within_each_other():
    d = data("three")
    small, large = hd.lm("y ~ a", d, contrasts={"a": "Sum"}), hd.lm("y ~ a*b", d)
    assert hd.compare(small, large)["statistic"][1] == pytest.approx(
        hd.compare(hd.lm("y ~ a", d), large)["statistic"][1], rel=1e-12
    )


@pytest.mark.parametrize(
    ("one", "two", "said"),
    [
        ("y ~ a", "y ~ b*c", "the fixed part of one is not within"),
        ("y ~ a + x", "y ~ a + I(x**2)", "the fixed part of one is not within"),
        ("y ~ a", "y ~ a + b:a - a", ""),
        ("y ~ a*b", "y ~ a:b", "as many parameters"),
    ],
)
def test_no_test_of_models_that_are_not_nested(one, two, said):
    d = data("three")
    table = hd.compare(hd.lm(one, d), hd.lm(two, d))
    if said:
        assert said in table["note"][1] and table[["df", "statistic", "p_value"]].iloc[1].isna().all()
        assert np.isfinite(table["aic"]).all()
    else:
        assert np.isfinite(table["statistic"][1])


def test_random_terms_that_are_not_nested(sleep):
    d = sleep.assign(day=sleep["Days"].astype(str))
    one = hd.lmm("Reaction ~ 1 + (1 | day)", d)
    two = hd.lmm("Reaction ~ 1 + (Days | Subject)", d)
    assert "no term that contains (1 | day)" in hd.compare(one, two)["note"][1]
    both = hd.lmm("Reaction ~ 1 + (Days | Subject) + (1 | day)", d)
    assert "mixture of chi-squared of 0 and 1" in hd.compare(two, both)["note"][1]
    several = hd.compare(hd.lmm("Reaction ~ 1 + (1 | Subject)", d), both)
    assert "2 variances are tested at 0: the p-value is an upper bound" in several["note"][1]


def test_loaded_fits_are_compared_too(sleep, tmp_path):
    fits = [hd.lmm(f"Reaction ~ {right} + (Days | Subject)", sleep, reml=False) for right in ("1", "Days")]
    for i, fit in enumerate(fits):
        fit.save(tmp_path / f"{i}.zip")
    again = [hd.load(tmp_path / f"{i}.zip") for i in range(2)]
    pd.testing.assert_frame_equal(hd.compare(*again), hd.compare(*fits))


def test_tables_come_in_the_library_of_the_data():
    polars = pytest.importorskip("polars")
    d = polars.DataFrame({"y": np.arange(9.0) ** 1.5, "x": np.arange(9.0), "z": np.cos(np.arange(9.0))})
    assert isinstance(hd.compare(hd.lm("y ~ x", d), hd.lm("y ~ x + z", d)), polars.DataFrame)


# -- refusals ----------------------------------------------------------------------------------------------------


def refused(said, *fits, **options):
    with pytest.raises(hd.ModelError, match=said):
        hd.compare(*fits, **options)


def test_refused_by_name(sleep):
    d = data("three")
    lm = hd.lm("y ~ a", d)
    refused("two or more fits", lm)
    refused("argument 2 is no fit of a model, but str", lm, "y ~ a")
    refused("names are 2 texts", lm, hd.lm("y ~ a + x", d), names=["one"])
    refused("test is 'F' or 'lr', not 'f'.*'F'", lm, hd.lm("y ~ a + x", d), test="f")
    refused("sandwich covariance", lm, hd.lm("y ~ a + x", d, vcov="HC3"))
    refused("different responses", lm, hd.lm("log(y) ~ a", d.assign(y=d["y"].abs())))
    gap = d.assign(x=d["x"].where(d.index != 3))
    refused(
        r"'y ~ a' was fitted to 44 rows and 'y ~ a \+ x' to 43.*missing values in x",
        lm,
        hd.lm("y ~ a + x", gap),
    )
    ml = hd.lmm("Reaction ~ Days + (1 | Subject)", sleep, reml=False)
    reml = hd.lmm("Reaction ~ Days + (Days | Subject)", sleep)
    refused("by REML and .* by ML.*reml=False", ml, reml)
    refused("hd.gls", hd.lm("Reaction ~ Days", sleep), reml)
    refused("different fixed parts", hd.lmm("Reaction ~ 1 + (1 | Subject)", sleep), reml)
    refused("test='F' compares sums of squares of hd.lm", ml, ml, test="F")


def test_restricted_likelihoods_of_two_codings(sleep):
    d = sleep.assign(half=np.where(sleep["Days"] > 4, "late", "early"))
    one = hd.lmm("Reaction ~ half + (1 | Subject)", d)
    two = hd.lmm("Reaction ~ half + (Days | Subject)", d, contrasts={"half": "Sum"})
    refused("different fixed parts", one, two)

"""henderson against lme4 taken to the optimum of its criterion, on every model of tests/reference (README.md
there).

Tolerances are those of the issue: the criterion never more than 1e-6 above the best that any program reports;
fixed effects, standard errors and variance components within 1e-5 relative; BLUPs and standard deviations
within 1e-5 of the term's scale; Satterthwaite df within 1e-3 of lmerTest, which differentiates numerically;
at most 10 iterations.
"""

from __future__ import annotations

import numpy as np
import pytest
import reference_cases as cases

NOT_IDENTIFIED = {"shared_gcsemv"}
"""One record per level: only the sum of the residual variance and the term's variances is determined."""

RELATIVE = 1e-5


@pytest.fixture(params=cases.names())
def name(request) -> str:
    why = cases.missing(request.param)
    if why:
        pytest.skip(why)
    return request.param


@pytest.fixture
def identified(name) -> str:
    if name in NOT_IDENTIFIED:
        pytest.skip("the variances of this model are not identified one by one")
    return name


def test_criterion_is_no_worse_than_any_program(name):
    criterion = cases.fit(name).deviance
    worse = {k: criterion - v for k, v in cases.best_reported(name).items() if criterion - v > 1e-6}
    assert not worse, f"{name}: {criterion:.9f} is above {worse}"


def test_criterion_equals_the_optimum(name):
    # also from below: a criterion that is lower than lme4's optimum would be another criterion
    assert cases.fit(name).deviance == pytest.approx(cases.witness(name)["criterion"], abs=2e-6)


def test_counts_and_information_criteria(name):
    fit, w = cases.fit(name), cases.witness(name)
    assert (fit.nobs, fit.npar) == (w["nobs"], w["npar"])
    assert (fit.loglik, fit.aic, fit.bic) == pytest.approx((w["loglik"], w["aic"], w["bic"]), abs=2e-6)


def test_fixed_effects(name):
    ours, w = _fixed(name), cases.witness(name)["fixed"]
    assert set(ours) == set(w["name_ours"])
    for term, estimate, error in zip(w["name_ours"], w["estimate"], w["std_error"], strict=True):
        got = ours[term]
        assert got["estimate"] == pytest.approx(estimate, rel=RELATIVE, abs=RELATIVE * error), term
        assert got["std_error"] == pytest.approx(error, rel=RELATIVE), term


def test_dropped_columns_are_named(name):
    # of a set of dependent columns it is the last that goes, as in R; the others keep their meaning
    dropped = cases.witness(name)["fixed"]["dropped"]
    assert list(cases.fit(name).labels.dropped) == dropped


def test_covariance_of_the_fixed_effects(name):
    fit, w = cases.fit(name), cases.witness(name)
    order = [list(fit.labels.fixed).index(term) for term in w["fixed"]["name_ours"]]
    ours, error = np.asarray(fit.vcov)[np.ix_(order, order)], np.array(w["fixed"]["std_error"])
    for i, row in enumerate(w["vcov_lower"]):
        row = np.atleast_1d(row)
        np.testing.assert_allclose(
            ours[i, : i + 1], row, rtol=RELATIVE, atol=RELATIVE * error[i] * error[: i + 1].min()
        )


def test_variance_components(identified):
    fit = cases.fit(identified)
    columns = fit.variance_components_columns()
    keys = zip(columns["group"], columns["term"], strict=True)
    ours = dict(zip(keys, columns["estimate"], strict=True))
    expected = cases.components(identified)
    assert set(ours) == set(expected)
    for key, (value, scale) in expected.items():
        assert ours[key] == pytest.approx(value, abs=RELATIVE * scale + 1e-10 * fit.sigma**2), key
    assert fit.sigma == pytest.approx(cases.witness(identified)["sigma"], rel=RELATIVE)


@pytest.mark.parametrize("kind", ["blup", "conditional_sd", "pev_sd"])
def test_random_effects(identified, kind):
    fit, w = cases.fit(identified), cases.witness(identified)
    if kind == "pev_sd" and kind not in w["random"][0]:
        pytest.skip("the witness has PEV for small models only")
    columns = fit.random_effects_columns(conditional=kind == "conditional_sd")
    values = columns["estimate" if kind == "blup" else "std_error"]
    keys = zip(columns["group"], columns["level"], columns["term"], strict=True)
    ours = {(g, str(lv), t): v for (g, lv, t), v in zip(keys, values, strict=True)}
    for term in w["random"]:
        expected = np.array(term[kind])
        got = np.array(
            [[ours[term["group"], lv, e] for e in term["effects_ours"]] for lv in map(str, term["levels"])]
        )
        scale = np.maximum(np.abs(expected).max(axis=0), 1e-6 * fit.sigma)
        off = np.abs(got - expected).max(axis=0) / scale
        assert (off <= RELATIVE).all(), f"{term['group']}: {off}"


def test_satterthwaite_df(identified):
    w = cases.witness(identified)
    if "satterthwaite" not in w:
        pytest.skip("lmerTest was not run on this model")
    ours = _fixed(identified)
    for term, df in zip(w["fixed"]["name_ours"], w["satterthwaite"]["df"], strict=True):
        assert ours[term]["df"] == pytest.approx(df, rel=1e-3), term


def test_fitted_and_residuals(identified):
    fit, w = cases.fit(identified), cases.witness(identified)
    if fit.nobs != len(cases.frame(identified)):
        pytest.skip("R counts rows after leaving out the missing ones")
    np.testing.assert_allclose(np.asarray(fit.fitted)[:3], w["fitted3"], atol=RELATIVE * fit.sigma)
    np.testing.assert_allclose(np.asarray(fit.residuals)[:3], w["residuals3"], atol=RELATIVE * fit.sigma)


def test_predictions(identified):
    fit, w = cases.fit(identified), cases.witness(identified).get("predict")
    if w is None:
        pytest.skip("the witness has no predictions (offset, or rows left out)")
    rows = cases.frame(identified).iloc[w["rows"]]
    close = {"rtol": RELATIVE, "atol": RELATIVE * fit.sigma}
    population = fit.predict(rows, random_effects=False, se=True)
    np.testing.assert_allclose(population["estimate"], w["fixed"], **close)
    np.testing.assert_allclose(population["std_error"], w["se_fixed"], rtol=RELATIVE)
    own = fit.predict(rows, se="se_random" in w)
    if "se_random" in w:
        np.testing.assert_allclose(own["std_error"], w["se_random"], rtol=RELATIVE)
        own = own["estimate"]
    np.testing.assert_allclose(own, w["random"], **close)
    unseen = rows.assign(**{w["unseen_group"]: "a level never seen"})
    np.testing.assert_allclose(fit.predict(unseen, new_levels="population"), w["unseen"], **close)


def test_ten_iterations_or_fewer(name):
    assert cases.fit(name).iterations <= 10


def _fixed(name: str) -> dict[str, dict[str, float]]:
    """henderson's fixed effects by term."""
    columns = cases.fit(name).fixed_effects_columns()
    keys = ("estimate", "std_error", "df")
    return {term: {key: float(columns[key][k]) for key in keys} for k, term in enumerate(columns["term"])}

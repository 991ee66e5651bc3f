"""What a fit says of itself: boundary, rank, what cannot be told apart, which information its errors come from."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import henderson as hd
from henderson.mixed import information
from henderson.mixed.verdict import boundary_notes, singular_pairs

EFFECTS = ("(Intercept)", "x", "z")


def notes_of(covariance, effects, text):
    return boundary_notes(covariance, covariance, effects, text)


def test_notes_of_a_regular_covariance_are_none():
    assert notes_of(np.diag([1.0, 2.0, 3.0]), EFFECTS, "(x + z | g)") == []


def test_notes_name_zero_variances_correlations_and_rank():
    one = notes_of(np.zeros((1, 1)), ("(Intercept)",), "(1 | g)")
    assert one == ["the variance of (1 | g) is estimated as 0, on the boundary"]
    zero = notes_of(np.diag([1.0, 0.0, 3.0]), EFFECTS, "(x + z | g)")
    assert zero == ["the variance of x in (x + z | g) is estimated as 0, on the boundary"]
    opposite = np.array([[1.0, -2.0, 0.0], [-2.0, 4.0, 0.0], [0.0, 0.0, 1.0]])
    assert (
        "the correlation of (Intercept) and x in (x + z | g) is estimated as -1"
        in notes_of(opposite, EFFECTS, "(x + z | g)")[0]
    )
    b = np.array([[1.0, 0.0], [0.6, 0.8], [0.8, -0.6]])
    assert "rank 2 of 3" in notes_of(b @ b.T, EFFECTS, "(x + z | g)")[0]
    assert singular_pairs(b @ b.T, b @ b.T).sum() == 6


def test_a_correlation_of_one_has_no_standard_error():
    rng = np.random.default_rng(2)
    g, x = np.repeat(np.arange(30), 8), np.tile(np.arange(8.0), 30)
    u = rng.normal(size=30)
    data = pd.DataFrame({"g": g, "x": x, "y": u[g] * (1 + x) + 0.5 * rng.normal(size=240)})
    fit = hd.lmm("y ~ x + (x | g)", data)
    components = fit.variance_components.set_index("term")
    assert fit.status.verdict == "boundary"
    assert "estimated as 1, on the boundary" in str(fit.status)
    assert list(components["bound"]) == ["P", "P", "B", "P"]
    assert np.isnan(components.loc["cov((Intercept), x)", "std_error"])


def test_origin_of_a_covariate_is_not_an_edge():
    sleep = hd.datasets.load("sleepstudy")
    sleep["Days"] += 20_000
    assert hd.lmm("Reaction ~ Days + (Days | Subject)", sleep).status.verdict == "converged"


# REML criteria of lme4 1.1-31 (bobyqa): few groups for the effects, the optimum on the boundary
@pytest.mark.parametrize(
    "name, factor, formula, criterion",
    [
        ("cake", "temperature", "angle ~ f + (f | recipe)", 1854.967511),
        ("cake", "temperature", "angle ~ f + (0 + f | recipe)", 1854.967511),
        ("BodyWeight", "Time", "weight ~ f + (f | Diet)", 1684.72),
        ("Oats", "nitro", "yield ~ f + (f | Variety)", 622.05),
        ("Pastes", "batch", "strength ~ 1 + (f | cask)", 165.29),
    ],
)
def test_more_effects_than_groups(name, factor, formula, criterion):
    data = hd.datasets.load(name)
    data["f"] = data[factor].astype(str)
    fit = hd.lmm(formula, data)
    assert fit.deviance <= criterion + 1e-5
    assert fit.status.verdict == "boundary"
    assert "not identifiable" not in str(fit.status)


def test_two_terms_for_one_factor_cannot_be_told_apart():
    data = hd.datasets.load("Pastes")
    data["again"] = data["cask"].astype(str) + data["batch"].astype(str)
    fit = hd.lmm("strength ~ 1 + (1 | batch:cask) + (1 | again)", data)
    assert "not identifiable" in str(fit.status) and fit.status.converged
    alone = hd.lmm("strength ~ 1 + (1 | again)", data)
    assert fit.deviance == pytest.approx(alone.deviance, abs=1e-7)


def test_a_group_that_is_fixed_as_well_has_no_variance_to_estimate():
    sleep = hd.datasets.load("sleepstudy")
    assert "not identifiable" in str(hd.lmm("Reaction ~ Subject + (1 | Subject)", sleep).status)


@pytest.fixture
def always_average(monkeypatch):
    monkeypatch.setattr(information, "OBSERVED_FLOPS", -1.0)


def test_average_information_is_close_said_and_saved(always_average, tmp_path):
    fit = hd.lmm("Reaction ~ Days + (Days | Subject)", hd.datasets.load("sleepstudy"))
    assert fit.information_kind == "average"
    assert "(average information)" in fit.summary()
    np.testing.assert_allclose(fit.fixed_effects["df"], [17.0, 17.0], rtol=0.05)
    fit.save(tmp_path / "fit.zip")
    again = hd.load(tmp_path / "fit.zip")
    pd.testing.assert_frame_equal(again.fixed_effects, fit.fixed_effects)
    pd.testing.assert_frame_equal(again.variance_components, fit.variance_components)


def test_observed_information_is_the_usual_one():
    fit = hd.lmm("Reaction ~ Days + (Days | Subject)", hd.datasets.load("sleepstudy"))
    assert fit.information_kind == "observed"
    # lmerTest 3.1-3 prints 17.00 for both
    np.testing.assert_allclose(fit.fixed_effects["df"], [17.0, 17.0], rtol=1e-4)


def test_covariances_by_term_need_no_information():
    fit = hd.lmm("Reaction ~ Days + (Days | Subject)", hd.datasets.load("sleepstudy"))
    sigma = fit.covariances["(Days | Subject)"]
    np.testing.assert_allclose(
        fit.variance_components["estimate"][:3], [sigma[0, 0], sigma[1, 1], sigma[1, 0]], rtol=1e-12
    )


def test_predictions_of_rows_with_missing_values_are_nan():
    fit = hd.lmm("Reaction ~ Days + (Days | Subject)", hd.datasets.load("sleepstudy"))
    assert np.isnan(fit.predict({"Days": [np.nan], "Subject": ["308"]})).all()
    two = fit.predict({"Days": [np.nan, 1.0], "Subject": ["308", "308"]})
    assert np.isnan(two[0]) and np.isfinite(two[1])


def test_verbs_of_later_versions_say_so():
    with pytest.raises(AttributeError, match="not available yet"):
        _ = hd.glmm
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = hd.nonsense

"""Sandwich covariances against R's sandwich (3.0.2, R 4.2.2; tests/reference/sandwich/make.R)."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import henderson as hd

CASE = json.loads((Path(__file__).parent / "reference" / "sandwich" / "sandwich.json").read_text())


@pytest.fixture(scope="module")
def data():
    return pd.DataFrame(CASE["data"])


@pytest.mark.parametrize("weights", [None, "w"])
@pytest.mark.parametrize("kind", CASE["ols"])
def test_equal_to_r(data, weights, kind):
    fit = hd.lm("y ~ x + h", data, weights=weights, vcov=kind)
    np.testing.assert_allclose(fit.vcov, CASE["wls" if weights else "ols"][kind], rtol=1e-9, atol=1e-13)


def test_tests_and_intervals_use_it(data):
    plain, robust = hd.lm("y ~ x + h", data), hd.lm("y ~ x + h", data, vcov="HC3")
    np.testing.assert_array_equal(plain.coefficients, robust.coefficients)
    se = np.sqrt(np.diag(CASE["ols"]["HC3"]))
    np.testing.assert_allclose(robust.fixed_effects["std_error"], se, rtol=1e-9)
    half = stats.t.ppf(0.975, 38) * se
    np.testing.assert_allclose(robust.fixed_effects["conf_high"], robust.coefficients + half, rtol=1e-9)
    rows = np.array([[0, 1.0, 0, 0], [0, 0, 1.0, 0], [0, 0, 0, 1.0]])
    effect = rows @ robust.coefficients
    wald = effect @ np.linalg.solve(rows @ np.array(CASE["ols"]["HC3"]) @ rows.T, effect) / 3
    assert robust.f_statistic[0] == pytest.approx(wald, rel=1e-9)
    assert "covariance of the coefficients: HC3" in robust.summary()


def test_clusters_have_the_degrees_of_freedom_of_their_number(data):
    fit = hd.lm("y ~ x + h", data, vcov="cluster(g)")
    assert list(fit.fixed_effects["df"]) == [5.0] * 4
    assert list(hd.lm("y ~ x + h", data, vcov="cluster(g, h)").fixed_effects["df"]) == [2.0] * 4
    # a column that the model lacks, given with the table
    again = hd.lm("y ~ x + h", data).with_vcov("cluster(g)", data)
    np.testing.assert_array_equal(again.vcov, fit.vcov)


def test_every_row_a_cluster_is_unequal_variance(data):
    fit = hd.lm("y ~ x", data.assign(row=np.arange(42)), vcov="cluster(row, HC0)")
    np.testing.assert_allclose(fit.vcov, hd.lm("y ~ x", data, vcov="HC0").vcov * 42 / 41, rtol=1e-12)


@pytest.mark.parametrize(
    ("vcov", "said"),
    [
        ("HC7", "not 'HC7'"),
        ("hc33", "The closest is 'HC3'"),
        (3, "not 3"),
        ("cluster()", "one or two columns"),
        ("cluster(a, b, c)", "one or two columns"),
        ("cluster(gg)", "no column is called 'gg'"),
        ("cluster(one)", "has one cluster"),
        ("cluster(some)", "'some' is missing in row 4"),
    ],
)
def test_refused_by_name(data, vcov, said):
    d = data.assign(one="a", some=[None if i == 4 else "u" if i % 2 else "v" for i in range(42)])
    with pytest.raises(hd.HendersonError, match=said):
        hd.lm("y ~ x", d, vcov=vcov)


def test_a_row_of_leverage_one(data):
    d = data.assign(only=(np.arange(42) == 5).astype(float))
    with pytest.raises(hd.ModelError, match="row 5 of those used has leverage 1"):
        hd.lm("y ~ x + only", d, vcov="HC3")
    assert np.isfinite(hd.lm("y ~ x + only", d, vcov="HC1").vcov).all()

"""Tests of terms and hypotheses against R (4.2.2): anova, car's Anova and linearHypothesis (3.1.1), lmerTest (3.1.3), nlme's
anova of gls (3.1.162). tests/reference/terms/make.R makes the numbers.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import henderson as hd

CASE = json.loads((Path(__file__).parent / "reference" / "terms" / "terms.json").read_text())


@pytest.fixture(scope="module")
def data():
    return pd.DataFrame(CASE["data"])


def theirs(table, *names):
    """term -> numbers of R's table, without what we do not print."""
    columns = [table["table"][name] for name in names]
    rows = dict(zip(table["term"], zip(*columns, strict=True), strict=True))
    return {k: [np.nan if v == "NA" else v for v in row] for k, row in rows.items() if k != "(Intercept)"}


def ours(table, *names):
    return {row["term"].replace("**", "^"): [row[name] for name in names] for row in table.to_dict("records")}


def same(got, want, rtol):
    assert [k.replace(" ", "") for k in got] == [k.replace(" ", "") for k in want]
    for a, b in zip(got.values(), want.values(), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol)


@pytest.mark.parametrize(
    "case", CASE["lm"], ids=[f"{c['formula'][0]} {c['weighted'][0]}" for c in CASE["lm"]]
)
def test_lm_equals_r_and_car(data, case):
    fit = hd.lm(case["formula"][0], data, weights="w" if case["weighted"][0] else None)
    names = ("df", "sum_sq", "statistic", "p_value")
    for number, key in ((1, "one"), (2, "two"), (3, "three")):
        same(ours(fit.anova(number), *names), theirs(case[key], "Df", "Sum Sq", "F value", "Pr(>F)"), 1e-7)


NOT_CONTAINED = {(2, "nitro"), (2, "Variety"), (2, "age"), (2, "Sex")}


@pytest.mark.parametrize("case", CASE["lmer"], ids=[c["formula"][0] for c in CASE["lmer"]])
def test_lmm_equals_lmertest(case):
    d = hd.datasets.load(case["data"][0])
    if case["data"][0] == "cake":
        d = d.assign(temperature=d["temperature"].astype(str))
    fit = hd.lmm(case["formula"][0].replace("^", "**"), d)
    for number, key in ((1, "one"), (2, "two"), (3, "three")):
        got, want = fit.anova(number), case[key]["table"]
        # p-values of 1e-16 hang on the last digits of F and df
        np.testing.assert_array_equal(got["df"], want["NumDF"])
        # lmerTest's type II does not count a factor as contained in its product with a covariate; car's does, and so do we
        rows = [i for i, term in enumerate(got["term"]) if (number, term) not in NOT_CONTAINED]
        np.testing.assert_allclose(got["statistic"][rows], np.array(want["F value"])[rows], rtol=2e-5)
        np.testing.assert_allclose(got["den_df"][rows], np.array(want["DenDF"])[rows], rtol=1e-3)


def test_gls_equals_nlme():
    path = Path(__file__).parent / "reference" / "gls" / "Ovary.csv"
    if not path.exists():
        pytest.skip("Ovary is not shipped")
    fit = hd.gls(
        "follicles ~ sin(2*pi*Time) + cos(2*pi*Time) + Time", pd.read_csv(path), residual="ar1(1 | Mare)"
    )
    got = fit.anova(1, df="residual")
    np.testing.assert_allclose(got["statistic"], CASE["gls"]["sequential"]["F"][1:], rtol=1e-5)
    got = fit.anova(2, df="residual")
    np.testing.assert_allclose(got["p_value"], CASE["gls"]["marginal"]["p"][1:], rtol=1e-5)


def test_linear_hypothesis_equals_car(data):
    fit = hd.lm("y ~ a * x + b", data)
    got = fit.test(["a[T.q] - a[T.r] = 0.5", "x = 1"]).iloc[0]
    assert got["df"] == CASE["hypothesis"]["df"][0]
    assert got["statistic"] == pytest.approx(CASE["hypothesis"]["F"][0], rel=1e-9)
    assert got["p_value"] == pytest.approx(CASE["hypothesis"]["p"][0], rel=1e-9)


# -- laws ----------------------------------------------------------------------------------------------------


def test_type_two_and_three_do_not_depend_on_the_coding(data):
    plain = hd.lm("y ~ a * b * x", data)
    for contrasts in ({"a": "Sum", "b": "Helmert"}, {"a": "Diff"}, {"b": "SAS"}):
        coded = hd.lm("y ~ a * b * x", data, contrasts=contrasts)
        for number in (2, 3):
            np.testing.assert_allclose(
                coded.anova(number)["statistic"], plain.anova(number)["statistic"], rtol=1e-8
            )


def test_sums_of_squares_of_type_one_add_up(data):
    fit = hd.lm("y ~ a * b + x", data)
    table = fit.anova(1)
    assert table["sum_sq"].sum() == pytest.approx(np.sum((data.y - data.y.mean()) ** 2), rel=1e-10)


def test_type_two_is_a_comparison_of_models(data):
    full, without = hd.lm("y ~ a + b + x", data), hd.lm("y ~ a + x", data)
    row = full.anova(2).set_index("term").loc["b"]
    assert row["sum_sq"] == pytest.approx(without.rss - full.rss, rel=1e-9)


def test_a_single_contrast_squared_is_f(data):
    fit = hd.lm("y ~ a + x", data)
    one = fit.contrast("a[T.q] - 2*x = 1").iloc[0]
    assert fit.test("a[T.q] - 2*x = 1").iloc[0]["statistic"] == pytest.approx(
        one["statistic"] ** 2, rel=1e-12
    )


# -- empty cells -----------------------------------------------------------------------------------------------


def test_empty_cells(data):
    d = data[~((data.a == "r") & (data.b == "v"))]
    fit = hd.lm("y ~ a * b", d)
    table = fit.anova(3).set_index("term")
    # SAS's type III (tests/test_anova.py has its numbers): as many as the cells there are allow
    assert list(table.loc[["a", "b", "a:b"], "df"]) == [2, 1, 1]
    assert "depends on which cells have rows" in table.loc["a", "note"]
    check = fit.estimable(["a[T.r]", "a[T.r]:b[T.v]"])
    assert list(check["estimable"]) == [True, False] and "no row has a r with b v" in check["reason"][1]
    with pytest.raises(hd.ModelError, match=r"not estimable.*no row has a r with b v"):
        fit.contrast("b[T.v] + a[T.r]:b[T.v]")


# -- refusals --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ask", "said"),
    [
        (lambda f: f.anova(4), "type is 1, 2 or 3, not 4"),
        (lambda f: f.anova(df="satterthwait"), "satterthwait"),
        (lambda f: f.contrast("xx - x"), "no coefficient is called 'xx'. The closest is 'x'"),
        (lambda f: f.contrast("a[T.z]"), r"The closest is 'a\[T"),
        (lambda f: f.contrast("x * x"), "not a linear combination"),
        (lambda f: f.contrast("x = 1 = 2"), "more than one '='"),
        (lambda f: f.contrast("3 = 2"), "names no coefficient"),
        (lambda f: f.contrast("x +"), "not a linear combination"),
        (lambda f: f.contrast("x / 0"), "not a linear combination"),
        (lambda f: f.contrast("__import__('os')"), "no coefficient is called"),
        (lambda f: f.contrast(np.ones((1, 3))), r"4 finite numbers.*shape \(1, 3\)"),
        (lambda f: f.contrast({"d": {"x": "one"}}), "the weight of 'x' is a number, not 'one'"),
        (lambda f: f.contrast({"d": {"y": 1}}), "no coefficient is called 'y'"),
        (lambda f: f.contrast("x", level=1.5), "level is between 0 and 1"),
        (lambda f: f.contrast(["x", "a[T.q]"], names=["one"]), "names: 2 are needed"),
        (lambda f: f.confint(method="walt"), "The closest is 'wald'"),
        (lambda f: f.confint(method="profile"), "not available yet"),
    ],
)
def test_refused_by_name(data, ask, said):
    fit = hd.lm("y ~ a + x", data)
    with pytest.raises(hd.HendersonError, match="(?s)" + said):
        ask(fit)


def test_texts_are_read_as_algebra(data):
    fit = hd.lm("y ~ a + x + z", data)
    b = dict(zip(fit.labels.fixed, fit.coefficients, strict=True))
    for text, want in {
        "2*(x - z)/4": (b["x"] - b["z"]) / 2,
        "-x + .5e1 * z": -b["x"] + 5 * b["z"],
        "`a[T.q]` - a[T.r] = x": b["a[T.q]"] - b["a[T.r]"] - b["x"],
        "(Intercept) + 4*x": b["(Intercept)"] + 4 * b["x"],
    }.items():
        assert fit.contrast(text)["estimate"][0] == pytest.approx(want, rel=1e-12)


def test_confint_is_the_interval_of_fixed_effects(data):
    fit = hd.lm("y ~ a + x", data)
    np.testing.assert_allclose(fit.confint()["conf_low"], fit.fixed_effects["conf_low"])

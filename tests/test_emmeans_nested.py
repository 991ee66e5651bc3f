"""Marginal means of nested factors: R's emmeans (tests/reference/emmeans_nested/make.R), saved fits, nesting=, refusals."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import henderson as hd

WITNESS = Path(__file__).resolve().parent / "reference" / "emmeans_nested"
R = json.loads((WITNESS / "nested.json").read_text())
CASES = [(name, i) for name, model in R.items() for i in range(len(model.get("means", ())))]


def rows(name="all"):
    data = pd.read_csv(WITNESS / "nested.csv")
    return data if name == "all" else data[data["plot"] != "S2r"]


@pytest.fixture(scope="module")
def fits():
    return {name: hd.lm(model["formula"], rows(model["data"])) for name, model in R.items()}


@pytest.fixture(scope="module")
def labels(fits):
    return fits["labels"]


def number(values):
    return np.array([np.nan if v is None else v for v in values], dtype=float)


def ordered(columns, names):
    return sorted(range(len(columns["estimate"])), key=lambda i: [str(columns[name][i]) for name in names])


@pytest.mark.parametrize(("name", "i"), CASES)
def test_every_mean_of_emmeans(fits, name, i):
    wanted = R[name]["means"][i]
    specs = "" if wanted["specs"] == "1" else wanted["specs"]
    ours = fits[name].emmeans(specs, weights=wanted["weights"]).columns
    names = list(wanted["labels"]) if specs else []
    if not specs:
        wanted = {k: [v] for k, v in wanted.items()}
    assert [n for n in ours if n in ("site", "plot", "p", "tr")] == names
    theirs = (
        {**wanted.get("labels", {}), **{k: wanted[k] for k in ("estimate", "std_error", "df")}}
        if specs
        else wanted
    )
    one, two = ordered(ours, names), ordered(theirs, names)
    assert [[ours[n][k] for n in names] for k in one] == [[theirs[n][k] for n in names] for k in two]
    for column in ("estimate", "std_error", "df"):
        expected = number(theirs[column])[two]
        if column == "df":
            expected = np.where(np.isnan(number(theirs["estimate"])[two]), np.nan, expected)
        np.testing.assert_allclose(
            np.asarray(ours[column], dtype=float)[one], expected, rtol=1e-8, atol=1e-11, err_msg=column
        )


@pytest.mark.parametrize("name", list(R))
def test_every_joint_test_of_emmeans(fits, name):
    """emmeans rounds its F ratios to three decimals; its table of what is confounded is not among ours."""
    ours, theirs = fits[name].joint_tests(), R[name]["joint"]
    ours = ours.assign(term=[":".join(sorted(t.split(":"))) for t in ours["term"]]).set_index("term")
    for i, term in enumerate(theirs["term"]):
        row = ours.loc[":".join(sorted(term.split(":")))]
        assert (row["df1"], row["df2"]) == (theirs["df1"][i], theirs["df2"][i])
        assert row["statistic"] == pytest.approx(theirs["statistic"][i], abs=5.1e-4)
        assert row["p_value"] == pytest.approx(theirs["p_value"][i], rel=1e-7)
    assert len(ours) == len(theirs["term"])


def test_differences_of_nested_levels(labels):
    theirs, ours = R["labels"]["pairs"], labels.pairs("plot").table
    assert list(ours["contrast"]) == theirs["contrast"]
    np.testing.assert_allclose(ours["estimate"], theirs["estimate"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ours["std_error"], theirs["std_error"], rtol=1e-9)
    np.testing.assert_allclose(ours["p_value"], theirs["p_value"], atol=1e-6)


def test_nested_levels_are_tested_within_one_nest(labels):
    """emmeans: test(contrast(emmeans(m, "plot"), "consec", by = "site"), joint = TRUE)."""
    theirs, ours = R["labels"]["within"], labels.joint_tests(by="site")
    ours = ours[ours["term"] == "plot"]
    assert list(ours["site"]) == theirs["site"]
    assert list(ours["df1"]) == theirs["df1"]
    np.testing.assert_allclose(ours["statistic"], theirs["statistic"], atol=5.1e-4)
    np.testing.assert_allclose(ours["p_value"], theirs["p_value"], rtol=1e-7)


def test_the_notes_say_what_is_nested(labels):
    assert any(
        n.startswith("plot is nested in site and averaged within it") for n in labels.emmeans("tr").notes
    )
    assert "plot is nested in site." in labels.emmeans("plot").notes


def test_a_saved_fit_has_the_same_means(labels, tmp_path):
    labels.save(tmp_path / "fit.hd")
    loaded = hd.load(tmp_path / "fit.hd")
    for specs in ("site", "plot", "tr | site"):
        np.testing.assert_array_equal(
            loaded.emmeans(specs).columns["estimate"], labels.emmeans(specs).columns["estimate"]
        )


def test_mixed_models_find_nests_too():
    """Without a variance of the groups the means are those of the linear model."""
    fit = hd.lmm("y ~ site/plot + tr + x + (1 | g)", rows().assign(g=np.arange(60) % 10))
    plain = hd.lm("y ~ site/plot + tr + x", rows())
    assert list(fit.emmeans("plot").columns["plot"]) == list(plain.emmeans("plot").columns["plot"])
    np.testing.assert_allclose(
        fit.emmeans("site").linear_functions, plain.emmeans("site").linear_functions, atol=1e-14
    )


def test_values_of_one_nest_alone(labels):
    one = labels.emmeans("tr", at={"site": "S2"}).columns
    all_of = labels.emmeans("tr | site").columns
    np.testing.assert_allclose(one["estimate"], np.asarray(all_of["estimate"])[3:6], rtol=1e-13)


def test_nesting_as_asked(labels):
    asked = labels.emmeans("tr", nesting={"plot": "site"}).columns
    np.testing.assert_array_equal(asked["estimate"], labels.emmeans("tr").columns["estimate"])
    with pytest.raises(hd.ModelError, match="none of these can be estimated"):
        labels.emmeans("tr", nesting=False)
    crossed = hd.lm("y ~ tr/site", rows())
    free = crossed.emmeans("site", nesting=False).columns
    means = crossed.emmeans("site").columns["estimate"]
    np.testing.assert_allclose(free["estimate"], np.reshape(means, (3, 3)).mean(axis=0), rtol=1e-12)


def test_slopes_stand_beside_the_nest(labels):
    table = labels.slopes("x", by="plot").columns
    assert list(table["site"]) == ["S1"] * 3 + ["S2"] * 3 + ["S3"] * 3
    np.testing.assert_allclose(
        table["estimate"], labels.coefficients[labels.columns.names.index("x")], rtol=1e-9
    )


@pytest.mark.parametrize(
    ("nesting", "said"),
    [
        ("plot %in% site", "a dict such as"),
        ({"plott": "site"}, "The closest is 'plot'"),
        ({"plot": 3}, "a factor or a list of them"),
        ({"plot": "site", "site": "plot"}, "'plot' is nested in itself"),
    ],
)
def test_refusals(labels, nesting, said):
    with pytest.raises(hd.ModelError, match=said):
        labels.emmeans("tr", nesting=nesting)


def test_nothing_is_nested_in_a_covariate_by_a_product_with_a_function_of_it():
    """R 4.2: m <- lm(y ~ 0 + x + I(x^2) + sex:I(x^2)); emtrends(m, ~sex, var = "x", at = list(x = c(1, 4))); emmeans(m, ~sex, at = ...)."""
    data = pd.DataFrame(
        {
            "x": [1.0, 2, 3, 4] * 2,
            "sex": ["f"] * 4 + ["m"] * 4,
            "y": [1.2, 3.1, 5.8, 8.9, 1.5, 4.4, 8.7, 14.6],
        }
    )
    fit = hd.lm("y ~ 0 + x + I(x**2) + sex:I(x**2)", data)
    slopes = fit.slopes("x", by="sex", at={"x": [1, 4]})
    assert list(slopes.columns)[:2] == ["sex", "estimate"]
    np.testing.assert_allclose(slopes["estimate"], [2.60, 4.34], atol=0.005)
    np.testing.assert_allclose(fit.emmeans("sex", at={"x": [1, 4]})["estimate"], [5.08, 8.03], atol=0.005)

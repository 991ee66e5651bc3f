"""Influence: R's numbers, every row and group really left out, and exact laws."""

from __future__ import annotations

import diagnostics_cases as cases
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose

import henderson as hd
from henderson.errors import DataError, ModelError
from henderson.inference import influence as module

MEASURES = {
    "fitted": "fitted",
    "residual": "residual",
    "standardized": "standardized",
    "studentized": "studentized",
    "leverage": "leverage",
    "cooks_distance": "cooks",
    "dffits": "dffits",
    "covratio": "covratio",
}


def close(ours, theirs, rtol=1e-6):
    """Relative to the size of each number, and of the column where a number is 0 but for rounding."""
    theirs = cases.numbers(theirs)
    assert_allclose(ours, theirs, rtol=rtol, atol=1e-10 * np.nanmax(np.abs(theirs)))


def dfbetas(table):
    return table[[c for c in table if c.startswith("dfbetas[")]].to_numpy()


@pytest.mark.parametrize("name", cases.names())
def test_measures_are_those_of_r(name):
    # stats 4.2.2: rstandard, rstudent, hatvalues, cooks.distance, dffits, covratio, dfbetas
    case, table = cases.witnesses()[name], cases.fit(name).influence()
    for ours, theirs in MEASURES.items():
        close(table[ours], case[theirs])
    there = cases.numbers(case["dfbetas"])
    gone = table["leverage"] == 1.0
    # R has 0 where a row of leverage 1 is left out; without it the coefficient cannot be estimated.
    assert np.isnan(dfbetas(table)[gone]).all()
    close(dfbetas(table)[~gone], there[~gone])


@pytest.mark.parametrize("name", cases.names())
def test_flags_are_those_of_r(name):
    # stats 4.2.2: influence.measures(fit)$is.inf, whose columns are dfbetas, dffit, cov.r, cook.d, hat
    case, fit = cases.witnesses()[name], cases.fit(name)
    table = fit.influence()
    terms = [f"dfbetas[{t}]" for t in np.array(fit.columns.names)[fit.columns.kept]]
    order = [*terms, "dffits", "covratio", "cooks_distance", "leverage"]
    for flags, theirs, h in zip(table["beyond"], case["influential"], table["leverage"], strict=True):
        expected = {order[j] for j, flag in enumerate(theirs) if flag}
        if h == 1.0:
            expected.add("leverage")
        assert set(flags.split(", ")) - {""} == expected


def test_a_row_far_off_has_every_flag():
    data = pd.DataFrame({"x": [*range(10), 16.0], "y": [*np.random.default_rng(5).normal(size=10), 60.0]})
    flags = hd.lm("y ~ x", data).influence()["beyond"]
    assert set(flags.iloc[10].split(", ")) == {
        "dfbetas[(Intercept)]", "dfbetas[x]", "dffits", "covratio", "cooks_distance", "leverage"
    }  # fmt: skip
    assert (flags.iloc[:10] == "").any()


def test_rows_are_numbered_in_the_callers_table():
    data = cases.table("airquality")
    table = cases.fit("airquality").influence()
    assert_allclose(table["row"], np.flatnonzero(data.notna().all(axis=1)))


@pytest.mark.parametrize(
    ("name", "press"),
    [("cars", 12320.2707976359), ("airquality", 30.5041974828159), ("mtcars", 246.936152359329)],
)
def test_press(name, press):
    # R 4.2.2: sum((residuals(fit) / (1 - hatvalues(fit)))^2)
    assert_allclose(cases.fit(name).press()["press"], press, rtol=1e-9)


def test_predicted_r_squared_is_that_of_refitting():
    data, fit = cases.table("mtcars"), cases.fit("mtcars")
    w = data.qsec.to_numpy()
    errors = [
        data.mpg[i] - hd.lm("mpg ~ wt + hp", data.drop(index=i), weights="qsec").predict(data.loc[[i]])[0]
        for i in range(len(data))
    ]
    about = data.mpg - np.average(data.mpg, weights=w)
    assert_allclose(
        fit.press()["predicted_r_squared"], 1 - w @ np.square(errors) / (w @ about**2), rtol=1e-10
    )
    through = cases.fit("quadratic")
    y = cases.table("cars").dist
    assert_allclose(
        through.press()["predicted_r_squared"], 1 - through.press()["press"] / (y @ y), rtol=1e-12
    )


# -- dense twin: the rows really left out ----------------------------------------------------------------------


def without(name, gone):
    case, data = cases.witnesses()[name], cases.table(name)
    return hd.lm(case["formula"], data.drop(index=gone), weights=case["weights"] or None)


@pytest.mark.parametrize("name", ["cars", "stackloss", "mtcars", "warpbreaks", "prestige", "quadratic"])
def test_deletion_is_refitting_without_the_row(name):
    fit = cases.fit(name)
    table = fit.influence()
    unscaled = np.sqrt(np.diag(fit.vcov)) / fit.sigma
    w = np.ones(fit.nobs) if fit.design.weights is None else fit.design.weights
    det = np.linalg.slogdet(fit.vcov)[1]
    for i, row in enumerate(table["row"]):
        left = without(name, [row])
        change = fit.coefficients - left.coefficients
        assert_allclose(dfbetas(table)[i], change / (left.sigma * unscaled), rtol=1e-9, atol=1e-9)
        root = fit.sequential_root @ change
        assert_allclose(
            table["cooks_distance"][i], root @ root / (len(change) * fit.sigma**2), rtol=1e-9, atol=1e-12
        )
        shift = fit.design.X[i, fit.columns.kept] @ change * np.sqrt(w[i])
        h = table["leverage"][i]
        assert_allclose(table["dffits"][i], shift / (left.sigma * np.sqrt(h)), rtol=1e-9, atol=1e-12)
        assert_allclose(
            np.log(table["covratio"][i]), np.linalg.slogdet(left.vcov)[1] - det, rtol=1e-9, atol=1e-9
        )


@pytest.mark.parametrize(("name", "by"), [("warpbreaks", None), ("prestige", "type"), ("mtcars", "third")])
def test_group_deletion_is_refitting_without_the_group(name, by):
    data, case, fit = cases.table(name), cases.witnesses()[name], cases.fit(name)
    rows = fit.influence()["row"].to_numpy()
    given = data.assign(third=np.arange(len(data)) % 3, pair=np.arange(len(data)) // 2)
    by = by or "pair"
    table = fit.influence(by=by, data=given)
    unscaled = np.sqrt(np.diag(fit.vcov)) / fit.sigma
    if name == "prestige":
        # without a type its coefficient is gone
        assert np.isnan(table["cooks_distance"][1:]).all()
        return
    assert table["rows"].sum() == fit.nobs
    for i, group in enumerate(table["group"]):
        gone = rows[given[by].to_numpy()[rows] == group]
        left = hd.lm(case["formula"], data.drop(index=gone), weights=case["weights"] or None)
        change = fit.coefficients - left.coefficients
        assert_allclose(dfbetas(table)[i], change / (left.sigma * unscaled), rtol=1e-9, atol=1e-10)
        root = fit.sequential_root @ change
        assert_allclose(table["cooks_distance"][i], root @ root / (len(change) * fit.sigma**2), rtol=1e-9)
        ratio = np.linalg.slogdet(left.vcov)[1] - np.linalg.slogdet(fit.vcov)[1]
        assert_allclose(np.log(table["covratio"][i]), ratio, rtol=1e-9, atol=1e-10)


def test_groups_of_one_row_are_rows():
    data, fit = cases.table("cars"), cases.fit("cars")
    one, each = fit.influence(by="id", data=data.assign(id=np.arange(len(data)))), fit.influence()
    for name in ("cooks_distance", "covratio", "dfbetas[(Intercept)]", "dfbetas[speed]"):
        assert_allclose(one[name], each[name], rtol=1e-10)


# -- laws --------------------------------------------------------------------------------------------------------


FREE = ("standardized", "studentized", "leverage", "cooks_distance", "dffits", "covratio")


def test_measures_do_not_depend_on_units_or_on_the_basis_of_x():
    data = cases.table("stackloss").rename(
        columns={"Air.Flow": "a", "Water.Temp": "b", "Acid.Conc.": "c", "stack.loss": "y"}
    )
    first = hd.lm("y ~ a + b + c", data).influence()
    other = data.assign(
        y=1e6 * data.y + 3.0, a2=data.a - 2 * data.b, b2=1e-5 * data.b + 7, c2=data.a + data.c
    )
    second = hd.lm("y ~ a2 + b2 + c2", other).influence()
    for name in FREE:
        assert_allclose(second[name], first[name], rtol=1e-8)


def test_measures_follow_the_rows():
    data = cases.table("mtcars")
    order = np.random.default_rng(1).permutation(len(data))
    first = cases.fit("mtcars").influence()
    second = hd.lm("mpg ~ wt + hp", data.iloc[order].reset_index(drop=True), weights="qsec").influence()
    for name in FREE:
        assert_allclose(second[name], first[name].to_numpy()[order], rtol=1e-10)


def test_weights_all_multiplied_change_nothing():
    data = cases.table("mtcars")
    first, second = (hd.lm("mpg ~ wt", data, weights=data.qsec * k).influence() for k in (1.0, 1e4))
    for name in FREE:
        assert_allclose(second[name], first[name], rtol=1e-9)


def test_blocks_of_rows_give_what_one_block_gives(monkeypatch):
    fit = cases.fit("prestige")
    whole = dfbetas(fit.influence())
    monkeypatch.setattr(module, "BLOCK", 7)
    assert_allclose(dfbetas(fit.influence()), whole, rtol=1e-14)


def test_nearly_dependent_columns_keep_their_leverage():
    # the hat matrix of a polynomial does not depend on the basis; raw powers are nearly dependent
    x = np.linspace(3.0, 4.0, 60)
    data = pd.DataFrame({"x": x, "y": np.sin(5 * x) + np.random.default_rng(2).normal(size=60)})
    raw = hd.lm("y ~ x + I(x**2) + I(x**3) + I(x**4) + I(x**5)", data).influence()
    well = hd.lm("y ~ poly(x, 5)", data).influence()
    assert_allclose(raw["leverage"], well["leverage"], rtol=1e-6)
    assert_allclose(raw["leverage"].sum(), 6.0, rtol=1e-12)


# -- edges -------------------------------------------------------------------------------------------------------


def test_a_dropped_column_has_no_dfbetas():
    data = cases.table("cars").assign(twice=lambda d: 2 * d.speed)
    table = hd.lm("dist ~ speed + twice", data).influence()
    assert "dfbetas[twice]" not in table
    assert_allclose(table["cooks_distance"], cases.fit("cars").influence()["cooks_distance"], rtol=1e-10)


def test_without_dfbetas_and_in_polars():
    pl = pytest.importorskip("polars")
    data = pl.from_pandas(cases.table("cars"))
    table = hd.lm("dist ~ speed", data).influence(dfbetas=False)
    assert isinstance(table, pl.DataFrame)
    assert table.columns[-1] == "beyond"
    assert not any(c.startswith("dfbetas") for c in table.columns)


def test_few_degrees_of_freedom_and_exact_fits_give_nan():
    one = hd.lm("y ~ x", {"x": [1.0, 2, 4], "y": [1.0, 3, 2]}).influence()
    assert np.isfinite(one["standardized"]).all()
    assert one["studentized"].isna().all()
    exact = hd.lm("y ~ x", {"x": [1.0, 2, 4, 5], "y": [2.0, 4, 8, 10]}).influence()
    assert exact["standardized"].isna().all()
    assert_allclose(exact["residual"], 0.0, atol=1e-14)
    full = hd.lm("y ~ x", {"x": [1.0, 2], "y": [2.0, 5]}).influence()
    assert (full["leverage"] == 1.0).all()
    assert full["cooks_distance"].isna().all()


def test_by_a_column_that_is_not_there():
    fit = cases.fit("prestige")
    with pytest.raises(
        ModelError, match=r"by: no column of the model is called 'typ'. The closest is 'type'"
    ):
        fit.influence(by="typ")
    with pytest.raises(DataError, match="data has 50 rows, the table of the fit had 102"):
        fit.influence(by="speed", data=cases.table("cars"))
    with pytest.raises(ModelError, match="one group"):
        cases.fit("cars").influence(by="g", data=cases.table("cars").assign(g="a"))


# -- generalised least squares -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def growth():
    return hd.gls("distance ~ age * Sex", hd.datasets.load("Orthodont"), residual="ar1(0 + age | Subject)")


def test_whole_groups_of_a_generalised_fit_are_left_out_exactly(growth):
    # dense: V at the fit's parameters, written out; the rows of one subject taken out of X, y and V
    data = hd.datasets.load("Orthodont")
    w = growth.whiten(np.eye(growth.nobs))
    v = np.linalg.inv(w.T @ w)
    x, y = growth.design.X, growth.design.y
    table = growth.influence(by="Subject", data=data)
    rss = growth.sigma**2 * growth.df_residual
    for i, subject in enumerate(table["group"]):
        stay = (data.Subject != subject).to_numpy()
        inverse = np.linalg.inv(v[np.ix_(stay, stay)])
        information = x[stay].T @ inverse @ x[stay]
        b = np.linalg.solve(information, x[stay].T @ inverse @ y[stay])
        e = y[stay] - x[stay] @ b
        s = np.sqrt(e @ inverse @ e / (stay.sum() - 4))
        change = growth.coefficients - b
        scale = np.sqrt(np.diag(growth.solution.unscaled))
        assert_allclose(dfbetas(table)[i], change / (s * scale), rtol=1e-8, atol=1e-9)
        root = growth.sequential_root @ change
        assert_allclose(table["cooks_distance"][i], root @ root / (4 * rss / growth.df_residual), rtol=1e-8)


def test_rows_of_a_generalised_fit_are_those_of_the_whitened_model(growth):
    w = growth.whiten(np.column_stack([growth.design.y, growth.design.X]))
    columns = {"y": w[:, 0], "one": w[:, 1], "age": w[:, 2], "sex": w[:, 3], "both": w[:, 4]}
    plain = hd.lm("y ~ 0 + one + age + sex + both", columns).influence()
    ours = growth.influence()
    for name in FREE:
        assert_allclose(ours[name], plain[name], rtol=1e-8, atol=1e-10)
    assert_allclose(ours["residual"], growth.residuals)

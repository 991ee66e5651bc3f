"""hd.lm as its user meets it: facts, tables, text, refusals. Numbers of R are in test_reference_lm and test_nist."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import henderson as hd


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(5)
    n = 60
    d = pd.DataFrame({"x": rng.normal(size=n), "g": rng.choice(list("abc"), n), "w": rng.uniform(0.5, 2, n)})
    d["o"] = rng.normal(size=n)
    d["y"] = 1 + 2 * d.x + (d.g == "b") + d.o + rng.normal(size=n)
    return d


def dense(d, weights=None, offset=0.0):
    """The textbook, with inverses."""
    x = np.column_stack([np.ones(len(d)), d.g == "b", d.g == "c", d.x]).astype(float)
    w = np.ones(len(d)) if weights is None else weights.to_numpy()
    y = d.y.to_numpy() - offset
    inverse = np.linalg.inv(x.T @ (w[:, None] * x))
    beta = inverse @ x.T @ (w * y)
    rss = np.sum(w * (y - x @ beta) ** 2)
    n, p = x.shape
    hat = w * np.einsum("ij,jk,ik->i", x, inverse, x)
    loglik = -0.5 * (n * np.log(2 * np.pi * rss / n) + n - np.sum(np.log(w)))
    return x, beta, inverse * rss / (n - p), rss, hat, loglik


@pytest.mark.parametrize("weighted", [False, True])
def test_estimates_equal_the_textbook(data, weighted):
    arguments = {"weights": "w", "offset": "o"} if weighted else {}
    fit = hd.lm("y ~ g + x", data, **arguments)
    _, beta, vcov, rss, hat, loglik = dense(data, data.w if weighted else None, data.o if weighted else 0.0)
    np.testing.assert_allclose(fit.coefficients, beta, rtol=1e-12)
    np.testing.assert_allclose(fit.vcov, vcov, rtol=1e-11)
    np.testing.assert_allclose(fit.leverage, hat, rtol=1e-11)
    assert fit.rss == pytest.approx(rss, rel=1e-12) and fit.loglik == pytest.approx(loglik, rel=1e-12)
    assert fit.aic == pytest.approx(-2 * loglik + 2 * 5) and fit.bic == pytest.approx(
        -2 * loglik + np.log(60) * 5
    )
    table = fit.fixed_effects
    se = np.sqrt(np.diag(vcov))
    np.testing.assert_allclose(table["p_value"], 2 * stats.t.sf(np.abs(beta / se), 56), rtol=1e-9)
    np.testing.assert_allclose(table["conf_high"], beta + stats.t.ppf(0.975, 56) * se, rtol=1e-10)
    assert list(table["df"]) == [56.0] * 4


def test_laws(data):
    fit = hd.lm("y ~ g + x", data)
    scaled = hd.lm("y ~ g + x", data.assign(y=data.y * 2.0**30))
    np.testing.assert_allclose(scaled.coefficients, fit.coefficients * 2.0**30, rtol=1e-12)
    shuffled = data.sample(frac=1.0, random_state=1)
    np.testing.assert_allclose(hd.lm("y ~ g + x", shuffled).coefficients, fit.coefficients, rtol=1e-12)
    moved = hd.lm("y ~ g + x", data.assign(x=data.x + 1e6))
    np.testing.assert_allclose(moved.fitted, fit.fitted, rtol=1e-8)
    # another coding of the same space: the same fit
    coded = hd.lm("y ~ g + x", data, contrasts={"g": "Helmert"})
    np.testing.assert_allclose(coded.fitted, fit.fitted, rtol=1e-12)
    np.testing.assert_allclose(hd.lm("y ~ 0 + g + x", data).fitted, fit.fitted, rtol=1e-12)
    # residuals are orthogonal to X, and weights are rows that repeat
    np.testing.assert_allclose(fit.design.X.T @ fit.residuals, 0.0, atol=1e-11)
    twice = hd.lm("y ~ g + x", pd.concat([data, data]))
    np.testing.assert_allclose(twice.coefficients, fit.coefficients, rtol=1e-12)


def test_prediction_intervals_are_exact(data):
    fit = hd.lm("y ~ x", data)
    new = pd.DataFrame({"x": [0.0, 2.0]})
    got = fit.predict(new, interval="prediction", level=0.9)
    rows = np.column_stack([np.ones(2), new.x])
    se = np.sqrt(np.einsum("ij,jk,ik->i", rows, fit.vcov, rows))
    half = stats.t.ppf(0.95, 58) * np.sqrt(se**2 + fit.sigma**2)
    np.testing.assert_allclose(got["conf_high"] - got["estimate"], half, rtol=1e-10)
    mean = fit.predict(new, interval="confidence", level=0.9)
    np.testing.assert_allclose(mean["conf_high"] - mean["estimate"], stats.t.ppf(0.95, 58) * se, rtol=1e-10)
    np.testing.assert_allclose(fit.predict(), fit.fitted)


def test_missing_rows_are_counted_and_keep_their_place(data):
    d = data.copy()
    d.loc[[2, 7], "x"] = np.nan
    fit = hd.lm("y ~ g + x", d)
    assert (
        fit.nobs == 58 and fit.n_dropped == 2 and "x (2)" in fit.rows_note and "2 of 60 rows" in fit.summary()
    )
    assert np.isnan(fit.residuals[[2, 7]]).all() and np.isfinite(np.delete(fit.residuals, [2, 7])).all()
    assert list(fit.augment()["row"])[:4] == [0, 1, 3, 4]


def test_dropped_columns_are_named(data):
    fit = hd.lm("y ~ x + twice + g", data.assign(twice=2 * data.x))
    assert fit.dropped == ("twice",) and fit.labels.fixed == ("(Intercept)", "x", "g[T.b]", "g[T.c]")
    assert "Dropped columns (linear combinations of the others): twice" in fit.summary()
    with pytest.raises(hd.ModelError, match=r"row 1.*not estimable.*'twice'"):
        fit.predict({"x": [1.0, 1.0], "twice": [2.0, 5.0], "g": ["a", "a"]})
    assert fit.predict({"x": [1.0], "twice": [2.0], "g": ["a"]}).shape == (1,)


def test_a_perfect_fit_and_as_many_rows_as_columns_are_results():
    d = pd.DataFrame({"x": [1.0, 2.0, 4.0], "y": [1.0, 3.0, 7.0]})
    fit = hd.lm("y ~ x", d)
    np.testing.assert_allclose(fit.coefficients, [-1.0, 2.0], rtol=1e-14)
    assert fit.r_squared == pytest.approx(1.0, abs=1e-15)
    full = hd.lm("y ~ x + I(x**2)", d)
    assert full.df_residual == 0 and np.isnan(full.sigma) and np.isnan(full.fixed_effects["std_error"]).all()
    assert "on 0 degrees of freedom" in full.summary()
    only = hd.lm("y ~ 1", d)
    assert only.coefficients[0] == pytest.approx(d.y.mean()) and only.f_statistic[1] == 0
    none = hd.lm("y ~ 0", d)
    assert (
        none.coefficients.size == 0
        and none.rss == pytest.approx(np.sum(d.y**2))
        and "No coefficients" in none.summary()
    )


def test_a_constant_response_is_a_result():
    fit = hd.lm("y ~ x", {"y": [5.0, 5, 5, 5], "x": [1.0, 2, 3, 5]})
    assert np.isnan(fit.r_squared) and np.isnan(fit.f_statistic[0])
    assert "perfect up to rounding" in fit.summary() and np.isnan(fit.glance()["p_value"][0])


def test_a_perfect_fit_is_said():
    d = {"x": [1.0, 2, 3, 5, 8], "y": [3.1, 5.2, 7.3, 11.5, 17.8]}
    assert "perfect up to rounding" in hd.lm("y ~ x", d).summary()
    d["y"][0] += 1e-6
    assert "perfect" not in hd.lm("y ~ x", d).summary()


@pytest.mark.parametrize("formula", ["y ~ a*b", "y ~ b*a"])
def test_observed_cells_are_estimable_in_any_order_of_terms(formula):
    # rounding left 1e-16 in the place of 0 among the aliases, and that counted as all there was in a row
    d = {"a": list("AAAABBCC"), "b": list("11222211"), "y": [1, 2, 3, 4, 5, 6, 7, 8.5]}
    fit = hd.lm(formula, d)
    np.testing.assert_allclose(fit.predict(d), [1.5, 1.5, 3.5, 3.5, 5.5, 5.5, 7.75, 7.75], rtol=1e-13)
    assert fit.estimable("(Intercept)")["estimable"][0]
    with pytest.raises(hd.ModelError, match="not estimable"):
        fit.predict({"a": ["B"], "b": ["1"]})


def test_the_f_of_few_clusters_is_not_invented(data):
    few = data.assign(c=np.arange(60) % 3)
    fit = hd.lm("y ~ g * x", few, vcov="cluster(c)")
    assert np.isnan(fit.f_statistic[0]) and "F statistic" not in fit.summary()
    many = hd.lm("y ~ g * x", data.assign(c=np.arange(60) % 12), vcov="cluster(c)")
    assert many.f_statistic[2] == 11.0 and np.isfinite(many.f_statistic[0])


def test_simulate_and_refit(data):
    fit = hd.lm("y ~ g + x", data, weights="w")
    draws = fit.simulate(4000, seed=1)
    assert draws.shape == (60, 4000)
    np.testing.assert_allclose(draws.mean(axis=1), fit.fitted, atol=5 * fit.sigma / np.sqrt(0.5 * 4000))
    np.testing.assert_allclose(draws.var(axis=1) * data.w, fit.sigma**2, rtol=0.15)
    again = fit.refit(draws[:, 0])
    np.testing.assert_allclose(
        again.coefficients,
        hd.lm("yy ~ g + x", data.assign(yy=draws[:, 0]), weights="w").coefficients,
        rtol=1e-12,
    )


def test_a_refit_takes_a_number_for_each_row(data):
    d = data.assign(x=data.x.where(data.index != 3))
    fit = hd.lm("y ~ x", d)
    by_table = fit.refit(d.y.to_numpy() + 1.0)
    np.testing.assert_allclose(by_table.coefficients, fit.coefficients + np.array([1.0, 0.0]), rtol=1e-12)
    with pytest.raises(
        hd.ModelError, match=r"refit needs 59 finite numbers.*1 rows with missing.*shape \(5,\)"
    ):
        fit.refit(np.zeros(5))
    with pytest.raises(hd.ModelError, match="NaN or infinite"):
        fit.refit(np.full(60, np.nan))
    with pytest.raises(hd.ModelError, match="an array of numbers"):
        fit.refit(["a"] * 60)
    with pytest.raises(hd.NotAvailableError, match=r"call hd\.gls"):
        hd.gls("y ~ x", data, variance="ident(g)").refit(data.y)


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow", "dict"])
def test_any_table(data, library):
    if library == "polars":
        table = pytest.importorskip("polars").DataFrame(data.to_dict("list"))
    elif library == "pyarrow":
        table = pytest.importorskip("pyarrow").table(data.to_dict("list"))
    else:
        table = data if library == "pandas" else data.to_dict("list")
    fit = hd.lm("y ~ g + x", table)
    np.testing.assert_allclose(fit.coefficients, hd.lm("y ~ g + x", data).coefficients, rtol=1e-13)
    expected = {"polars": "polars", "pyarrow": "pyarrow"}.get(library, "pandas")
    assert type(fit.fixed_effects).__module__.startswith(expected)


@pytest.mark.parametrize("arguments", [{}, {"weights": "w", "offset": "o"}, {"vcov": "HC3"}])
def test_saved_and_loaded(data, arguments, tmp_path):
    fit = hd.lm("y ~ g + poly(x, 2)", data, **arguments)
    fit.save(tmp_path / "fit.zip")
    again = hd.load(tmp_path / "fit.zip")
    assert again.summary() == fit.summary() and again.fixed_effects.equals(fit.fixed_effects)
    assert again.glance().equals(fit.glance()) and again.tidy().equals(fit.tidy())
    assert again.predict(data, interval="prediction").equals(fit.predict(data, interval="prediction"))
    for ask in (lambda: again.fitted, lambda: again.influence(), lambda: again.augment()):
        with pytest.raises(hd.ModelError, match="holds no rows"):
            ask()


def test_the_record_for_machines(data):
    from henderson.report.record import record

    content = json.loads(record(hd.lm("y ~ g + x", data)))
    assert content["nobs"] == 60 and len(content["fixed_effects"]) == 4


@pytest.mark.parametrize(
    ("formula", "arguments", "said"),
    [
        ("y ~ xx", {}, "The closest column is 'x'"),
        ("y ~ x + (1 | g)", {}, r"\(1 \| g\) is a random term: hd.lmm fits"),
        ("y ~ x", {"weights": -np.ones(60)}, "weights: the value -1 in row 0"),
        ("y ~ x", {"weights": "v"}, "no column is called 'v'"),
        ("y ~ x", {"weights": np.full(60, 1e200)}, "divide weights by a number near their size"),
        ("y ~ x", {"vcov": "HC9"}, "HC9"),
        ("y ~ x", {"contrasts": {"g": "Sum"}}, "the formula names no column 'g'"),
        ("y ~ lgo(x)", {}, "lgo"),
        ("g ~ x", {}, "labels where numbers are needed|'g'"),
        ("y ~ one", {}, "one level only"),
        ("y ~ __import__('os')", {}, "__import__"),
    ],
)
def test_refused_by_name(data, formula, arguments, said):
    with pytest.raises(hd.HendersonError, match=said):
        hd.lm(formula, data.assign(one="a"), **arguments)


def test_no_row_left(data):
    with pytest.raises(hd.DataError, match="no row is complete"):
        hd.lm("y ~ x", data.assign(x=np.nan))
    with pytest.raises(hd.DataError, match="infinite in row 3"):
        hd.lm("y ~ x", data.assign(x=data.x.where(data.index != 3, np.inf)))


def test_a_fit_is_not_pickled(data):
    import pickle

    with pytest.raises(hd.ModelError, match=r"fit\.save"):
        pickle.dumps(hd.lm("y ~ x", data))

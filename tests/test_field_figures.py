"""Figures of fields, correlations and factors: what is drawn are the numbers of the fit."""

from __future__ import annotations

from functools import cache

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from test_derive import alpha_fit, trial_fit
from test_heritability import field_fit

import henderson as hd
from henderson.errors import DataError, ModelError
from henderson.inference.field import contribution, field_variogram, grid_of, spatial_terms
from henderson.report.figures.correlations import arranged


def images(page):
    return [np.ma.filled(a.images[0].get_array().astype(float), np.nan) for a in page.axes if a.images]


def titles(page):
    return [a.get_title(loc="left") for a in page.axes if a.images]


def on_grid(table, values):
    out = np.full((10, 9), np.nan)
    out[table["row"], table["col"]] = values
    return out


@cache
def spatial_fit(kind):
    table, residual, _ = field_fit()
    if kind == "nugget":
        return hd.lmm("y ~ 1 + (1 | gen)", table, residual=residual + " + (1 | units)")
    if kind == "term":
        return hd.lmm("y ~ 1 + (1 | gen) + (1 | ar1(row):ar1(col))", table)
    if kind == "splines":
        return hd.lmm("y ~ 1 + (1 | gen) + spl2d(row, col)", table)
    return hd.lmm("y ~ 1 + (1 | gen) + (1 | row)", table)


def test_a_field_with_a_correlated_residual():
    table, _, fit = field_fit()
    page = fit.plot.field()
    response, fitted, residual = images(page)
    assert titles(page) == ["response: y", "fitted", "residual"]
    assert_allclose(response, on_grid(table, table["y"]))
    assert_allclose(fitted, on_grid(table, fit.fitted))
    assert_allclose(residual, on_grid(table, fit.residuals))
    assert np.isnan(response).sum() == 2


@pytest.mark.parametrize("kind", ["nugget", "term", "splines", "rows"])
def test_the_trend_is_what_the_terms_of_the_place_add(kind):
    table = field_fit()[0]
    fit = spatial_fit(kind)
    page = fit.plot.field(*(("row", "col") if kind == "rows" else ()), data=table if kind == "rows" else None)
    _, trend, residual = images(page)
    assert titles(page)[1] == "spatial trend"
    lines = pd.Series(fit.solution.u[0][:, 0], index=list(fit.labels.terms[0].levels))
    # response = X beta + lines + trend + residual
    rest = table["y"].to_numpy() - lines[table["gen"]].to_numpy() - fit.residuals
    x = fit.design.X[:, fit.solution.coordinates.kept] @ fit.solution.beta
    assert_allclose(trend, on_grid(table, rest - x), atol=1e-8)
    assert_allclose(residual, on_grid(table, fit.residuals))
    grid = grid_of(fit, "row", "col", data=table)
    assert_allclose(contribution(fit, spatial_terms(fit, grid)), rest - x, atol=1e-8)


def test_several_trials_have_a_row_of_panels_each():
    table = field_fit()[0]
    both = pd.concat([table.assign(site="north"), table.assign(site="south", y=table["y"] * 2 + 1)])
    fit = hd.lmm("y ~ site + (1 | gen)", both, residual="at(site):(1 | ar1(row):ar1(col))")
    page = fit.plot.field()
    drawn = images(page)
    assert titles(page)[::3] == ["north: response: y", "south: response: y"]
    assert_allclose(drawn[0], on_grid(table, table["y"]))
    assert_allclose(drawn[3], on_grid(table, table["y"] * 2 + 1))


def test_places_that_are_not_to_be_had():
    table = field_fit()[0]
    with pytest.raises(ModelError, match="this model has no coordinates of plots"):
        alpha_fit().plot.field()
    with pytest.raises(ModelError, match="give both row= and col="):
        field_fit()[2].plot.field("row")
    with pytest.raises(ModelError, match=r"no column of the model is called 'rows'. The closest is 'row'"):
        field_fit()[2].plot.field("rows", "col")
    twice = table.assign(half=table["row"] // 5)
    with pytest.raises(ModelError, match=r"several records are in one place \(half 0, col 0\)"):
        field_fit()[2].plot.field("half", "col", data=twice)
    with pytest.raises(DataError, match="data has 3 rows"):
        field_fit()[2].plot.field("half", "col", data=twice.iloc[:3])


# -- variogram -------------------------------------------------------------------------------------------------


def by_pairs(table, values):
    """Semivariance by rows and columns apart, pair by pair."""
    found: dict[tuple[int, int], list[float]] = {}
    row, col = table["row"].to_numpy(), table["col"].to_numpy()
    for a in range(len(values)):
        for b in range(a):
            key = abs(row[a] - row[b]), abs(col[a] - col[b])
            found.setdefault(key, []).append(0.5 * (values[a] - values[b]) ** 2)
    return found


def test_the_variogram_is_the_mean_over_pairs():
    table, _, fit = field_fit()
    values = fit.residuals_as("pearson")
    out = field_variogram(fit, grid_of(fit), max_lags=(4, 3))
    expected = by_pairs(table, values)
    assert len(out["rows"]) == 5 * 4 - 1
    for i, j, v, n in zip(out["rows"], out["cols"], out["semivariance"], out["n_pairs"], strict=True):
        assert n == len(expected[i, j])
        assert_allclose(v, np.mean(expected[i, j]), rtol=1e-10)
    phi = fit.variance_components.set_index("term")["estimate"]
    assert_allclose(
        out["model"], 1 - phi["phi(row)"] ** out["rows"] * phi["phi(col)"] ** out["cols"], rtol=1e-10
    )


def test_the_variogram_figure_draws_the_table():
    _, _, fit = field_fit()
    page = fit.plot.variogram(max_lags=(4, 3))
    out = field_variogram(fit, grid_of(fit), max_lags=(4, 3))
    surface = images(page)[0]
    assert surface.shape == (5, 4)
    assert_allclose(surface[out["rows"], out["cols"]], out["semivariance"])
    right = page.axes[1]
    lines = {
        line.get_label(): line.get_xydata() for line in right.lines if not line.get_label().startswith("_")
    }
    face = out["cols"] == 0
    assert_allclose(lines["along row"], np.column_stack([out["rows"][face], out["semivariance"][face]]))
    assert_allclose(lines["fitted, row"][:, 1], out["model"][face])
    same = fit.plot.variogram(("col", "row"), max_lags=(3, 4))
    assert_allclose(images(same)[0], surface.T)
    with pytest.raises(ModelError, match="coordinates= are two columns"):
        fit.plot.variogram("row")


def test_a_linear_fit_keeps_its_variogram_by_distance():
    table, residual, _ = field_fit()
    page = hd.gls("y ~ gen", table, residual=residual).plot.variogram()
    assert not images(page)
    assert page.axes[0].get_xlabel() == "distance"


def test_a_displacement_variogram_is_the_same_of_both_kinds_of_fit():
    table, residual, _ = field_fit()
    gls = hd.gls("y ~ gen", table, residual=residual)
    mine = gls.displacement_variogram(kind="response", max_lags=(4, 3))
    expected = by_pairs(table, gls.residuals)
    for i, j, v in zip(mine["row"], mine["col"], mine["semivariance"], strict=True):
        assert_allclose(v, np.mean(expected[i, j]), rtol=1e-9)


# -- correlations and factors ----------------------------------------------------------------------------------


def test_the_heat_map_is_the_matrix_in_its_order():
    fit = trial_fit("us", "")
    sigma = fit.solution.covariances[0]
    sd = np.sqrt(np.diag(sigma))
    r = sigma / np.outer(sd, sd)
    assert_allclose(images(fit.plot.correlations(order="given"))[0], r, atol=1e-12)
    page = fit.plot.correlations()
    names = [t.get_text() for t in page.axes[0].get_xticklabels()]
    assert sorted(names) == ["E1", "E2", "E3", "E4"]
    places = [int(n[1]) - 1 for n in names]
    assert_allclose(images(page)[0], r[np.ix_(places, places)], atol=1e-12)
    with pytest.raises(ModelError, match="order is 'cluster' or 'given'"):
        fit.plot.correlations(order="name")
    with pytest.raises(ModelError, match=r"no random term of .* has two effects or more"):
        alpha_fit().plot.correlations()


def test_like_effects_are_beside_each_other():
    r = np.eye(6)
    for block in ([0, 3, 5], [1, 2]):
        r[np.ix_(block, block)] = 0.9
    np.fill_diagonal(r, 1.0)
    r[4] = r[:, 4] = np.nan
    order = arranged(r).tolist()
    assert order[-1] == 4
    at = [order.index(i) for i in (0, 3, 5)]
    assert max(at) - min(at) == 2


def test_factors_are_drawn_as_they_are():
    fit = trial_fit("rr", ", k=2")
    page = fit.plot.loadings(rotation="principal")
    out = fit.loadings(rotation="principal")
    offsets = [np.asarray(c.get_offsets()) for c in page.axes[0].collections]
    assert any(o.shape == (4, 2) and np.allclose(o, out.loadings) for o in offsets)
    assert any(o.shape == (30, 2) for o in offsets)
    one = trial_fit()
    page, out = one.plot.loadings(), one.loadings(rotation="principal")
    widths = [p.get_width() for p in page.axes[0].patches]
    assert_allclose(sorted(widths), sorted(out.loadings[:, 0]), rtol=1e-12)
    explained = [p.get_width() for p in page.axes[1].patches][:4]
    assert_allclose(sorted(explained), sorted(out.table["percent_explained"]), rtol=1e-12)
    with pytest.raises(ModelError, match="has factors"):
        alpha_fit().plot.loadings()

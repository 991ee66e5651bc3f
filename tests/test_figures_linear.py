"""Figures of linear fits: what they draw are the numbers of the fit, they can be read, and refusals name the column."""

from __future__ import annotations

import itertools

import diagnostics_cases as cases
import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from test_report import drawn

import henderson as hd
from henderson.errors import DataError, FormulaError, ModelError
from henderson.inference.added import added_variable
from henderson.inference.effects import effect, partners
from henderson.inference.influence import measures
from henderson.inference.qq import bands
from henderson.inference.whitened import whitened

FIGURES = ("fit", "check", "residuals", "qq", "scale_location", "leverage", "cooks", "added_variable")


def points(axes):
    return np.concatenate([np.asarray(c.get_offsets()) for c in axes.collections if len(c.get_offsets()) > 1])


TYPE = np.array(
    [
        [46.059675677, 42.4157644432, 49.7035869107],
        [52.0986463279, 47.3703202367, 56.826972419],
        [43.3224449587, 40.2330299352, 46.4118599822],
    ]
)
INCOME = np.array(
    [[41.9749963718, 39.255308217, 44.6946845266], [66.5175739481, 58.087525036, 74.9476228602]]
)
"""estimate, lower and upper limit"""

# -- effects -------------------------------------------------------------------------------------------------------


def test_effects_are_the_marginal_means_of_r():
    # emmeans 1.8.4.1: emmeans(lm(prestige ~ income + education + type), ~ type); ~ income at its range with
    # weights = "proportional"
    fit = cases.fit("prestige")
    out = effect(fit, "type")
    assert out.levels == ("bc", "prof", "wc")
    assert_allclose(out.estimate[0], TYPE[:, 0], rtol=1e-10)
    assert_allclose(out.low[0], TYPE[:, 1], rtol=1e-9)
    assert_allclose(out.high[0], TYPE[:, 2], rtol=1e-9)
    out = effect(fit, "income")
    assert_allclose(out.estimate[0][[0, -1]], INCOME[:, 0], rtol=1e-10)
    assert_allclose(out.low[0][[0, -1]], INCOME[:, 1], rtol=1e-9)
    assert out.held == "education at the mean; type in the mix of the rows"


def test_an_interaction_has_a_line_for_each_level():
    fit = cases.fit("warpbreaks")
    out = effect(fit, "tension")
    assert out.by == "wool"
    assert out.lines == ("A", "B")
    means = cases.table("warpbreaks").groupby(["wool", "tension"], observed=True).breaks.mean().to_numpy()
    assert_allclose(out.estimate.ravel(), means, rtol=1e-12)
    assert_allclose(out.partial, cases.table("warpbreaks").breaks, rtol=1e-12)
    alone = effect(fit, "tension", by="")
    assert alone.lines == ("",)
    assert_allclose(alone.estimate[0], means.reshape(2, 3).mean(axis=0), rtol=1e-12)


def test_partial_residuals_of_a_line_are_about_it():
    fit = cases.fit("prestige")
    out = effect(fit, "income")
    slope = fit.coefficients[1]
    assert_allclose(
        out.partial,
        fit.residuals[fit.design.rows] + out.estimate[0][0] + slope * (out.x - out.at[0]),
        rtol=1e-10,
    )
    # regressing them on the column alone, given the other columns, gives the slope back
    assert_allclose(np.diff(out.estimate[0]) / np.diff(out.at), slope, rtol=1e-8)


def test_partners_are_found_inside_calls():
    data = cases.table("prestige")
    fit = hd.lm("prestige ~ log(income)*type + poly(education, 2)", data)
    assert partners(fit, "income") == ["type"]
    assert partners(fit, "type") == ["income"]
    assert partners(fit, "education") == []
    numeric = effect(hd.lm("prestige ~ income*education", data), "income", by="education")
    assert_allclose([float(v) for v in numeric.lines], data.education.quantile([0.25, 0.5, 0.75]), rtol=1e-3)


def test_effects_of_a_mixed_fit_and_with_an_offset():
    fit = hd.lmm("Reaction ~ Days + (Days | Subject)", hd.datasets.load("sleepstudy"))
    out = effect(fit, "Days")
    assert_allclose(out.estimate[0], fit.coefficients[0] + fit.coefficients[1] * out.at, rtol=1e-10)
    data = cases.table("cars").assign(o=np.arange(50.0))
    shifted = effect(hd.lm("dist ~ speed + offset(o)", data), "speed")
    plain = effect(hd.lm("dist ~ speed", data.assign(dist=data.dist - data.o)), "speed")
    assert_allclose(shifted.estimate, plain.estimate + data.o.mean(), rtol=1e-10)


def test_where_nothing_is_estimable_there_is_no_line():
    data = pd.DataFrame(
        {"a": list("ppqqpq"), "b": list("uuuuvu"), "y": [1.0, 2, 3, 5, 4, 4], "x": [1.0, 2, 3, 4, 5, 6]}
    )
    out = effect(hd.lm("y ~ a*b", data), "a", by="b")
    assert np.isnan(out.estimate).tolist() == [[False, False], [False, True]]
    drawn(hd.lm("y ~ a*b", data).plot.effect("a", by="b"))


def test_effect_of_a_column_that_is_not_there():
    fit = cases.fit("prestige")
    with pytest.raises(
        ModelError, match=r"'incme' is no column of the right side of prestige ~ .*The closest is 'income'"
    ):
        fit.plot.effect("incme")
    with pytest.raises(ModelError, match="There are 'speed'"):
        cases.fit("cars").plot.effect("type")
    with pytest.raises(ModelError, match="is the variable itself"):
        fit.plot.effect("income", by="income")


# -- bands of the quantile plot ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["cars", "lever"])
def test_bands_hold_what_they_say(name):
    rows = whitened(cases.fit(name))
    band = bands(rows)
    rng = np.random.default_rng(99)
    e = rows.project(rng.standard_normal((rows.n, 2000)))
    e /= np.sqrt((e**2).sum(axis=0) / rows.df)
    left = rows.unleveraged
    e = np.sort((e / np.sqrt(left)[:, None])[np.isfinite(left)], axis=0)
    assert len(band.place) == len(e)
    inside = (e >= band.low[:, None]) & (e <= band.high[:, None])
    together = ((e >= band.low_all[:, None]) & (e <= band.high_all[:, None])).all(axis=0)
    # 2,000 data sets against bands of 2,000: a standard error of 0.007
    assert np.abs(inside.mean(axis=1) - 0.95).max() < 0.03
    assert abs(together.mean() - 0.95) < 0.02


def test_bands_of_many_rows_hold_all_ranks_drawn():
    n = 20_000
    rng = np.random.default_rng(3)
    fit = hd.lm("y ~ x", {"x": rng.normal(size=n), "y": rng.normal(size=n)})
    band = bands(whitened(fit))
    assert len(band.place) < 600
    z = np.sort(rng.standard_normal((300, n)), axis=1)[:, band.place]
    together = ((z >= band.low_all) & (z <= band.high_all)).all(axis=1).mean()
    assert abs(together - 0.95) < 0.04
    assert ((band.low_all < band.low) & (band.high < band.high_all)).all()


# -- added variables -----------------------------------------------------------------------------------------------


def test_added_variables_are_the_residuals_of_two_regressions():
    data, fit = cases.table("stackloss"), cases.fit("stackloss")
    x, y = added_variable(whitened(fit), fit.coefficients, 2)
    others = "Air.Flow + Acid.Conc."
    assert_allclose(x, hd.lm(f"Water.Temp ~ {others}", data).residuals, atol=1e-10)
    assert_allclose(y, hd.lm(f"stack.loss ~ {others}", data).residuals, atol=1e-10)
    panel = fit.plot.added_variable("Water.Temp").axes[0]
    assert_allclose(points(panel), np.column_stack([x, y]), atol=1e-12)
    with pytest.raises(ModelError, match=r"no coefficient 'Water'. The closest is 'Water.Temp'"):
        fit.plot.added_variable("Water")


# -- the figures ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", cases.names())
def test_every_figure_of_every_model(name):
    fit = cases.fit(name)
    for figure in FIGURES:
        drawn(getattr(fit.plot, figure)())


def test_no_text_lies_on_another_or_off_the_page():
    page = cases.fit("warpbreaks").plot.check()
    drawn(page)
    renderer = page.canvas.get_renderer()
    frame = page.bbox
    tests = page.axes[5]
    boxes = [t.get_window_extent(renderer) for t in tests.texts]
    assert len(boxes) >= 14
    for one, two in itertools.pairwise(boxes):
        assert two.y1 <= one.y0 + 3
    for box in boxes:
        assert frame.x0 <= box.x0
        assert box.x1 <= frame.x1
        assert frame.y0 <= box.y0


def test_points_of_the_figures_are_the_residuals():
    fit = cases.fit("airquality")
    table = measures(whitened(fit))
    rows = fit.design.rows
    axes = fit.plot.residuals().axes[0]
    assert_allclose(points(axes), np.column_stack([fit.fitted[rows], fit.residuals[rows] / fit.sigma]))
    axes = fit.plot.leverage().axes[0]
    assert_allclose(points(axes), np.column_stack([table["leverage"], table["standardized"]]))
    axes = fit.plot.scale_location().axes[0]
    assert_allclose(points(axes)[:, 1], np.sqrt(np.abs(table["standardized"])))
    axes = fit.plot.qq().axes[0]
    assert_allclose(points(axes)[:, 1], np.sort(table["standardized"]))


def test_contours_are_of_cooks_distance():
    fit = cases.fit("prestige")
    axes = fit.plot.leverage().axes[0]
    curve = next(line for line in axes.lines if len(line.get_xdata()) == 400)
    h, r = curve.get_xdata(), curve.get_ydata()
    assert_allclose(r**2 * h / (5 * (1 - h)), 0.5)


def test_rows_far_out_are_named_by_their_number_in_the_table():
    fit = cases.fit("airquality")
    named = {t.get_text() for t in fit.plot.residuals().axes[0].texts}
    worst = fit.influence().set_index("row")["standardized"].abs().nlargest(3).index
    assert named == {str(row) for row in worst}


def test_residuals_against_anything():
    data, fit = cases.table("prestige"), cases.fit("prestige")
    rows = fit.design.rows
    other = data.assign(other=np.arange(102.0) ** 2, sex=np.where(np.arange(102) % 2, "f", "m"))
    for against, given, x in [
        ("y", None, data.prestige[rows]),
        ("prestige", None, data.prestige[rows]),
        ("order", None, rows),
        ("income", None, data.income[rows]),
        ("other", other, rows.astype(float) ** 2),
        (np.arange(102.0), None, rows),
    ]:
        page = fit.plot.residuals(against, data=given)
        assert_allclose(points(page.axes[0])[:, 0], x)
        drawn(page)
    page = fit.plot.residuals("type", kind="studentized")
    assert [t.get_text() for t in page.axes[0].get_xticklabels()] == ["bc", "prof", "wc"]
    drawn(page)
    drawn(fit.plot.residuals("sex", data=other, kind="response"))


def test_residuals_against_a_column_that_is_not_there():
    fit = cases.fit("prestige")
    with pytest.raises(
        ModelError, match=r"'incom'. The closest is 'income'.\nFor a column that is not in the model"
    ):
        fit.plot.residuals("incom")
    with pytest.raises(FormulaError, match="no column is called 'women'"):
        fit.plot.residuals("women", data=cases.table("prestige"))
    with pytest.raises(DataError, match="data has 50 rows"):
        fit.plot.residuals("speed", data=cases.table("cars"))
    with pytest.raises(ModelError, match="102 numbers are needed, one for each row of the table, not shape"):
        fit.plot.residuals(np.ones(98))
    with pytest.raises(ModelError, match="kind is 'response', 'pearson'"):
        fit.plot.residuals(kind="raw")


def test_the_figure_of_the_fit_is_the_most_telling_one():
    data = cases.table("prestige")
    assert cases.fit("cars").plot.fit().axes[0].get_xlabel() == "speed"
    lines = hd.lm("prestige ~ income*type", data).plot.fit().axes[0]
    assert [t.get_text() for t in lines.get_legend().get_texts()] == ["bc", "prof", "wc"]
    for colour, level in zip(lines.lines, ("bc", "prof", "wc"), strict=True):
        own = data.income[data.type == level]
        assert own.min() - 300 <= colour.get_xdata().min()
        assert colour.get_xdata().max() <= own.max() + 1e-6
    assert cases.fit("warpbreaks").plot.fit().axes[0].get_xlabel() == "tension"
    assert cases.fit("prestige").plot.fit().axes[0].get_xlabel() == "fitted prestige"
    fitted = cases.fit("cars").plot.fit().axes[0]
    assert_allclose(points(fitted), cases.table("cars")[["speed", "dist"]])


def test_box_cox_figure_shows_its_maximum():
    fit = cases.fit("cars")
    page = fit.plot.box_cox()
    drawn(page)
    profile = page.axes[0].lines[0].get_xydata()
    assert profile[:, 1].max() <= fit.box_cox().loglik
    assert_allclose(page.axes[0].lines[2].get_xdata(), fit.box_cox().lambda_)


def test_figures_of_a_mixed_fit():
    fit = hd.lmm("Reaction ~ Days + (Days | Subject)", hd.datasets.load("sleepstudy"))
    for page in (
        fit.plot.check(),
        fit.plot.residuals("Days"),
        fit.plot.residuals("Subject"),
        fit.plot.residuals("order"),
        fit.plot.scale_location(),
        fit.plot.effect("Days"),
    ):
        drawn(page)
    for figure in (fit.plot.leverage, fit.plot.cooks, fit.plot.added_variable):
        with pytest.raises(ModelError, match=r"is for fits by hd.lm and hd.gls; this one has random effects"):
            figure()


def test_random_effects_of_a_linear_fit_are_refused():
    with pytest.raises(ModelError, match=r"dist ~ speed has no random effects; hd.lmm fits them"):
        cases.fit("cars").plot.random_effects()


def test_many_rows_make_small_files(tmp_path):
    rng = np.random.default_rng(1)
    n = 20_000
    x = rng.normal(size=n)
    fit = hd.lm("y ~ x + g", {"x": x, "y": x + rng.normal(size=n), "g": rng.choice(list("abc"), n)})
    for figure in FIGURES:
        getattr(fit.plot, figure)().savefig(tmp_path / "page.png")
        assert (tmp_path / "page.png").stat().st_size < 1_500_000


def test_exact_and_tiny_fits_have_figures():
    for data in ({"x": [1.0, 2, 4, 5], "y": [2.0, 4, 8, 10]}, {"x": [1.0, 2], "y": [2.0, 5]}):
        fit = hd.lm("y ~ x", data)
        for figure in FIGURES:
            drawn(getattr(fit.plot, figure)())
    drawn(hd.lm("y ~ 1", {"y": [1.0, 2, 5]}).plot.check())


# -- dependence ----------------------------------------------------------------------------------------------------


def test_autocorrelations_are_drawn_with_those_of_the_model():
    from henderson.inference.acf import acf

    fit = hd.gls("distance ~ age * Sex", hd.datasets.load("Orthodont").assign(k=lambda d: (d.age - 8) / 2), residual="ar1(0 + k | Subject)")  # fmt: skip
    page = fit.plot.acf()
    drawn(page)
    assert [a.get_title(loc="left") for a in page.axes] == ["Pearson residuals", "Normalized residuals"]
    for axes, kind in zip(page.axes, ("pearson", "normalized"), strict=True):
        bars = next(c for c in axes.collections if hasattr(c, "get_segments")).get_segments()
        assert_allclose([bar[1, 1] for bar in bars], acf(fit, kind=kind)["acf"])
        low, high = axes.get_ylim()
        assert all(low < bar[1, 1] < high for bar in bars)
    model = page.axes[0].lines[-1].get_ydata()
    assert_allclose(model[2] - model[1] ** 2, 0.0, atol=1e-12)


def test_variograms_show_every_class():
    from henderson.inference.variogram import variogram

    data = pd.DataFrame({"x": np.tile(np.arange(8.0), 8), "z": np.repeat(np.arange(8.0), 8)})
    data["y"] = data.x + data.z + np.random.default_rng(7).normal(size=64)
    fit = hd.lm("y ~ 1", data)
    page = fit.plot.variogram(["x", "z"], data=data)
    drawn(page)
    table = variogram(fit, ["x", "z"], data=data)
    shown = points(page.axes[0])
    assert_allclose(shown, np.column_stack([table["distance"], table["semivariance"]]))
    assert shown[:, 1].max() < page.axes[0].get_ylim()[1]
    mixed = hd.lmm("Reaction ~ Days + (Days | Subject)", hd.datasets.load("sleepstudy"))
    with pytest.raises(ModelError, match="this one has random effects"):
        mixed.plot.acf()
    with pytest.raises(ModelError, match="this model has no coordinates of plots"):
        mixed.plot.variogram()

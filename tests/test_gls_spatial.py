"""Spatial residuals against R's nlme, and what bad input says.

Numbers: tests/reference/gls_spatial/nlme.json, by make.R beside it: R 4.2.2, nlme 3.1-162, gls() with tolerance 1e-12, the best of
nlminb and optim from two starts. Data: the package's BodyWeight and Oxboys, and wheat2.csv (nlme's Wheat2).
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import henderson as hd
from henderson.errors import DataError, ModelError
from henderson.inference.acf import acf
from henderson.inference.variogram import variogram

HERE = Path(__file__).parent / "reference" / "gls_spatial"
NLME = json.loads((HERE / "nlme.json").read_text())


@pytest.fixture(scope="module")
def data():
    import pandas as pd

    wheat = pd.read_csv(HERE / "wheat2.csv", dtype={"Block": str})
    # In the field of 11 ranges by 22 plots latitude is the range times 4.3 m and longitude the plot times 1.2 m.
    wheat["range_"] = np.rint(wheat["latitude"] / 4.3)
    wheat["plot"] = np.rint(wheat["longitude"] / 1.2)
    return {
        "wheat2": wheat,
        "bodyweight": hd.datasets.load("BodyWeight"),
        "oxboys": hd.datasets.load("Oxboys"),
    }


# name -> formula, residual, REML, start (where nlme's optimum is not the highest).
CASES = {
    "bodyweight_exp": ("weight ~ Diet * Time", "exp(0 + Time | Rat)", True, None),
    "bodyweight_exp_nugget_ml": ("weight ~ Diet * Time", "exp(0 + Time | Rat) + (1 | units)", False, None),
    "bodyweight_ratio_nugget": ("weight ~ Diet * Time", "ratio(0 + Time | Rat) + (1 | units)", True, None),
    "bodyweight_lin_ml": ("weight ~ Diet * Time", "lin(0 + Time | Rat)", False, None),
    "oxboys_gaus_nugget": ("height ~ age", "gau(0 + age | Subject) + (1 | units)", True, None),
    "oxboys_spher": ("height ~ age", "sph(0 + age | Subject)", False, None),
    "wheat2_blocks_exp": ("yield ~ variety", "exp(0 + latitude + longitude | Block)", True, None),
    "wheat2_blocks_ratio_ml": (
        "yield ~ 1",
        "ratio(0 + latitude + longitude | Block) + (1 | units)",
        False,
        None,
    ),
    "wheat2_spher_ml": ("yield ~ 1", "(1 | sph(latitude, longitude)) + (1 | units)", False, None),
    "wheat2_exp_nonug": ("yield ~ 0 + variety", "(1 | exp(latitude, longitude))", True, None),
    "wheat2_gaus": ("yield ~ 0 + variety", "(1 | gau(latitude, longitude)) + (1 | units)", True, None),
    "wheat2_ratio": ("yield ~ 0 + variety", "(1 | ratio(latitude, longitude)) + (1 | units)", True, None),
    "wheat2_spher": (
        "yield ~ 0 + variety",
        "(1 | sph(latitude, longitude)) + (1 | units)",
        True,
        {"range": 28.0, "nugget": 0.2},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_nlme(name, data):
    formula, residual, reml, start = CASES[name]
    ref = NLME[name]
    fit = hd.gls(formula, data[name.split("_")[0]], residual=residual, reml=reml, start=start)
    assert fit.loglik == pytest.approx(ref["logLik"], abs=1e-6)
    natural = fit.solution.residual.covariance.natural(fit.solution.residual.t)
    np.testing.assert_allclose(natural, np.atleast_1d(ref["cor"]), rtol=3e-4)
    assert fit.sigma == pytest.approx(ref["sigma"], rel=3e-4)
    np.testing.assert_allclose(fit.coefficients, np.atleast_1d(ref["coef"]), rtol=1e-5, atol=1e-6)
    # Under ML nlme's standard errors take the variance over n - p in place of n.
    inflation = 1.0 if reml else np.sqrt(fit.nobs / fit.df_residual)
    errors = inflation * np.sqrt(np.diag(fit.solution.vcov))
    np.testing.assert_allclose(errors, np.atleast_1d(ref["se"]), rtol=1e-4)


def test_no_finite_optimum_is_a_result(data):
    """nlme's corExp with a nugget stops with false convergence; its best, by optim, is -533.418521110001 at range 410733."""
    fit = hd.gls(
        "yield ~ 0 + variety", data["wheat2"], residual="(1 | exp(latitude, longitude)) + (1 | units)"
    )
    assert fit.loglik >= -533.418521110001
    assert fit.status.verdict == "boundary"
    assert "grows without end" in str(fit.status)
    # The limit: the variogram without a sill. Contrasts of varieties have one there, their means have none.
    longer = hd.gls(
        "yield ~ variety",
        data["wheat2"],
        residual="(1 | sph(latitude, longitude)) + (1 | units)",
    )
    here = fit.coefficients[1:] - fit.coefficients[0]
    np.testing.assert_allclose(here, longer.coefficients[1:], atol=2e-3)


def test_spherical_finds_more_than_nlme(data):
    """nlme stops at -533.931542691951 (range 27.46), a local optimum: the likelihood is higher where the range has no end."""
    fit = hd.gls(
        "yield ~ 0 + variety", data["wheat2"], residual="(1 | sph(latitude, longitude)) + (1 | units)"
    )
    assert fit.loglik > NLME["wheat2_spher"]["logLik"] + 0.5


def test_matern_contains_exp_and_more(data):
    """mat(nu = 1/2) is exp; with nu estimated the likelihood is no lower than at any nu given, and its score is zero there."""
    wheat = data["wheat2"]
    exp = hd.gls("yield ~ 0 + variety", wheat, residual="(1 | exp(latitude, longitude))")
    half = hd.gls("yield ~ 0 + variety", wheat, residual="(1 | mat(latitude, longitude, nu=0.5))")
    assert half.loglik == pytest.approx(exp.loglik, abs=1e-9)
    free = hd.gls("yield ~ 0 + variety", wheat, residual="(1 | mat(latitude, longitude)) + (1 | units)")
    nu = float(free.solution.residual.covariance.natural(free.solution.residual.t)[1])
    for given in (0.5, 0.8 * nu, nu, 1.25 * nu, 2.5):
        residual = f"(1 | mat(latitude, longitude, nu={given})) + (1 | units)"
        other = hd.gls("yield ~ 0 + variety", wheat, residual=residual)
        assert other.loglik <= free.loglik + 1e-8
        if given == nu:
            assert other.loglik == pytest.approx(free.loglik, abs=1e-8)


def test_asreml_nin_trial(data):
    """asreml(yield ~ gen, random = ~units, residual = ~ar1(x):ar1(y)) on Stroup's NIN trial (the field of Wheat2, 224 plots of a grid
    of 242), recomputed by a dense REML optimum: logLik -533.598918794387, R 46.8322527791191, units 12.4291009917038, correlations
    0.929554545302491 and 0.849499260238175; intercept 25.7109455592919 (4.39489255656714), standard errors by the inverse information
    at those parameters."""
    fit = hd.gls("yield ~ variety", data["wheat2"], residual="(1 | ar1(plot):ar1(range_)) + (1 | units)")
    assert fit.loglik == pytest.approx(-533.598918794387, abs=1e-7)
    components = dict(zip(*(list(fit.variance_components[c]) for c in ("term", "estimate")), strict=True))
    phis = sorted((components["phi(plot)"], components["phi(range_)"]))
    np.testing.assert_allclose(phis, [0.849499260238175, 0.929554545302491], rtol=2e-5)
    total, units = 46.8322527791191 + 12.4291009917038, 12.4291009917038
    assert components["nugget"] == pytest.approx(units / total, rel=2e-5)
    assert components["Residual"] == pytest.approx(total, rel=2e-5)
    assert fit.coefficients[0] == pytest.approx(25.7109455592919, rel=1e-5)
    assert np.sqrt(fit.vcov[0, 0]) == pytest.approx(4.39489255656714, rel=1e-4)


# -- variogram and autocorrelation --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def spherical(data):
    residual = "(1 | sph(latitude, longitude)) + (1 | units)"
    return hd.gls(
        "yield ~ 0 + variety", data["wheat2"], residual=residual, start={"range": 28.0, "nugget": 0.2}
    )


@pytest.mark.parametrize(
    ("case", "options"),
    [
        ("variogram", {}),
        ("variogram_robust", {"robust": True}),
        ("variogram_fixed", {"by": "width", "max_distance": 30.0}),
    ],
)
def test_variogram_is_nlmes(case, options, spherical):
    """nlme leaves the 111 pairs at the shortest distance, 1.2, out of its first class; classes 2 to 20 are the same."""
    found, ref = variogram(spherical, **options), NLME[case]
    assert found["n_pairs"][0] == ref["n"][0] + 111
    np.testing.assert_array_equal(found["n_pairs"][1:], ref["n"][1:])
    np.testing.assert_allclose(found["distance"][1:], ref["dist"][1:], rtol=1e-10)
    np.testing.assert_allclose(found["semivariance"][1:], ref["variog"][1:], rtol=2e-6)


def test_variogram_first_class_and_curve(spherical):
    """First class with its shortest pairs by R: mean(variog[dist <= 4.8]) of Variogram(f, collapse = "none") is 0.271622650026871."""
    found = variogram(spherical)
    assert found["semivariance"][0] == pytest.approx(0.271622650026871, rel=2e-6)
    ref = NLME["variogram_model"]
    x = np.array(ref["dist"])
    curve = np.interp(x, found["distance"], found["model"])
    inside = (x > found["distance"][0]) & (x < found["distance"][-1])
    # straight lines between classes
    assert inside.sum() > 10 and np.abs(curve - ref["variog"])[inside].max() < 5e-3
    range_, nugget = spherical.solution.residual.covariance.natural(spherical.solution.residual.t)
    h = np.minimum(found["distance"] / range_, 1.0)
    np.testing.assert_allclose(
        found["model"], 1.0 - (1.0 - nugget) * (1.0 - 1.5 * h + 0.5 * h**3), rtol=1e-12
    )


def test_variogram_by_hand(spherical, data):
    wheat, r = data["wheat2"], spherical.residuals_as("pearson")
    found = variogram(spherical, "longitude", "Block", data=wheat, bins=[0.0, 1.3, 2.5, 10.0])
    sums, counts = np.zeros(3), np.zeros(3, dtype=int)
    x, block = wheat["longitude"].to_numpy(), wheat["Block"].to_numpy()
    for i in range(len(x)):
        for j in range(i):
            k = np.searchsorted([1.3, 2.5, 10.0], abs(x[i] - x[j]))
            if block[i] == block[j] and k < 3:
                sums[k] += 0.5 * (r[i] - r[j]) ** 2
                counts[k] += 1
    np.testing.assert_array_equal(found["n_pairs"], counts)
    np.testing.assert_allclose(found["semivariance"], sums / counts, rtol=1e-12)
    assert "model" not in found


def test_acf_is_nlmes(data):
    fit = hd.gls("weight ~ Diet * Time", data["bodyweight"], residual="ar1(1 | Rat)")
    found, ref = acf(fit), NLME["acf"]
    np.testing.assert_array_equal(found["lag"], ref["lag"])
    np.testing.assert_array_equal(found["n_pairs"], ref["n"])
    np.testing.assert_allclose(found["acf"], ref["acf"], rtol=1e-6)
    np.testing.assert_allclose(found["model"], np.array(ref["phi"]) ** found["lag"], rtol=1e-5)
    np.testing.assert_allclose(found["bound"][1:], 1.959963984540054 / np.sqrt(found["n_pairs"][1:]))


def test_displacement_variogram_by_hand(data):
    wheat = data["wheat2"]
    fit = hd.gls("yield ~ variety", wheat, residual="(1 | ar1(plot):ar1(range_)) + (1 | units)")
    found = fit.displacement_variogram(max_lags=(3, 2))
    r, row, col = fit.residuals_as("pearson"), wheat["plot"].to_numpy(), wheat["range_"].to_numpy()
    sums: dict = {}
    for i in range(len(r)):
        for j in range(i):
            key = (int(abs(row[i] - row[j])), int(abs(col[i] - col[j])))
            sums.setdefault(key, []).append(0.5 * (r[i] - r[j]) ** 2)
    a, b, nugget = fit.solution.residual.covariance.natural(fit.solution.residual.t)
    assert len(found["n_pairs"]) == 11
    for i, j, half, n, model in found.itertuples(index=False):
        assert n == len(sums[i, j])
        assert half == pytest.approx(np.mean(sums[i, j]), rel=1e-12)
        assert model == pytest.approx(1.0 - (1.0 - nugget) * a**i * b**j, rel=1e-12)


def test_displacements_of_decimal_coordinates_have_the_model_beside_them():
    """Steps of 0.1 are equal but for rounding: the curve is exp(-d1 / r1 - d2 / r2) of the lags in the units of the coordinates."""
    rng = np.random.default_rng(1)
    i, j = (k.ravel() for k in np.indices((8, 6)))
    y = np.repeat(rng.normal(size=8), 6) + rng.normal(size=48)
    fit = hd.gls("y ~ 1", {"a": 0.1 * i, "b": 0.7 * j, "y": y}, residual="(1 | exp(a):exp(b))")
    found = fit.displacement_variogram()
    first, second = fit.solution.residual.covariance.natural(fit.solution.residual.t)
    expected = 1.0 - np.exp(-0.1 * found["a"] / first - 0.7 * found["b"] / second)
    np.testing.assert_allclose(found["model"], expected, rtol=1e-12)


# -- grids by hd.gls ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trials():
    """Three trials of 12 x 9 plots, a tenth of them missing, rows shuffled."""
    rng = np.random.default_rng(5)
    one = [np.linalg.cholesky(0.6 ** np.abs(np.subtract.outer(np.arange(k), np.arange(k)))) for k in (12, 9)]
    fields = [one[0] @ rng.normal(size=(12, 9)) @ one[1].T for _ in range(3)]
    env, row, col = (a.ravel() for a in np.meshgrid(np.arange(3), np.arange(12), np.arange(9), indexing="ij"))
    d = {"y": np.array(fields).ravel(), "row": row + 1.0, "col": col + 1.0, "env": np.array(list("abc"))[env]}
    kept = rng.permutation(len(env))[: len(env) * 9 // 10]
    return {name: column[kept] for name, column in d.items()}


def test_ways_to_write_independent_trials(trials):
    """id(env), env as a group, and rows in another order are the same model."""
    fits = [
        hd.gls("y ~ env", trials, residual="(1 | env:ar1(row):ar1(col))"),
        hd.gls("y ~ env", trials, residual="(1 | id(env):ar1(row):ar1(col))"),
        hd.gls("y ~ env", trials, residual="(1 | ar1(col):env:ar1(row))"),
    ]
    back = {name: column[::-1] for name, column in trials.items()}
    fits.append(hd.gls("y ~ env", back, residual="(1 | env:ar1(row):ar1(col))"))
    for fit in fits[1:]:
        assert fit.loglik == pytest.approx(fits[0].loglik, abs=1e-9)
        np.testing.assert_allclose(fit.coefficients, fits[0].coefficients, rtol=1e-6, atol=1e-8)


def test_sections_are_separate_fits(trials):
    """With means, variances and correlations of their own, by ML, trials are fitted as if they were alone."""
    whole = hd.gls("y ~ 0 + env", trials, residual="at(env):(1 | ar1(row):ar1(col))", reml=False)
    alone = 0.0
    for name in "abc":
        part = {k: v[trials["env"] == name] for k, v in trials.items()}
        alone += hd.gls("y ~ 1", part, residual="(1 | ar1(row):ar1(col))", reml=False).loglik
    assert whole.loglik == pytest.approx(alone, abs=1e-7)


def test_units_of_the_response(trials):
    """100 y + 7: likelihood down by (n - p) log 100, correlations the same."""
    residual = "(1 | env:ar1(row):ar1(col)) + (1 | units)"
    fit = hd.gls("y ~ env", trials, residual=residual)
    other = hd.gls("y ~ env", {**trials, "y": 100.0 * trials["y"] + 7.0}, residual=residual)
    assert other.loglik == pytest.approx(fit.loglik - fit.df_residual * np.log(100.0), abs=1e-6)
    assert other.sigma == pytest.approx(100.0 * fit.sigma, rel=1e-5)


# -- bad input ----------------------------------------------------------------------------------------------------


def _field(n=30, seed=1):
    rng = np.random.default_rng(seed)
    return {"y": rng.normal(size=n), "x": rng.uniform(size=n), "z": rng.uniform(size=n)}


def test_two_rows_in_one_place():
    d = _field()
    d["x"][17], d["z"][17] = d["x"][4], d["z"][4]
    with pytest.raises(DataError, match=r"rows 4 and 17 .* in one place, x .*, z .*\+ \(1 \| units\)"):
        hd.gls("y ~ 1", d, residual="(1 | exp(x, z))")
    fit = hd.gls("y ~ 1", d, residual="(1 | exp(x, z)) + (1 | units)")
    assert np.isfinite(fit.loglik)


def test_two_plots_in_one_place():
    rows, cols = np.repeat(np.arange(5), 6).astype(float), np.tile(np.arange(6), 5).astype(float)
    d = {"y": np.random.default_rng(0).normal(size=30), "row": rows, "col": cols}
    d["row"][29], d["col"][29] = 2.0, 3.0
    with pytest.raises(DataError, match=r"rows 15 and 29 .* row 2, col 3"):
        hd.gls("y ~ 1", d, residual="(1 | ar1(row):ar1(col))")


def test_coordinate_of_labels():
    d = _field()
    d["x"] = np.array(["north", "south"] * 15)
    with pytest.raises(DataError, match=r"column 'x' holds labels \(north, south\), not numbers"):
        hd.gls("y ~ 1", d, residual="(1 | exp(x, z))")


def test_all_in_one_place():
    d = _field() | {"x": np.zeros(30), "z": np.ones(30)}
    with pytest.raises(ModelError, match="all rows are in one place"):
        hd.gls("y ~ 1", d, residual="(1 | gau(x, z)) + (1 | units)")


def test_every_field_has_one_row():
    d = _field() | {"g": np.arange(30).astype(str)}
    with pytest.raises(ModelError, match="every g has one row"):
        hd.gls("y ~ 1", d, residual="exp(0 + x + z | g)")


def test_one_distance_cannot_tell_range_and_nugget():
    d = {
        "y": np.random.default_rng(0).normal(size=20),
        "x": np.tile([0.0, 1.0], 10),
        "z": np.tile([0.0, 2.0], 10),
    }
    d["g"] = np.repeat(np.arange(10), 2).astype(str)
    with pytest.raises(
        ModelError, match="range and nugget cannot be told apart: rows are 1 distance apart only"
    ):
        hd.gls("y ~ 1", d, residual="exp(0 + x + z | g) + (1 | units)")


def test_missing_coordinate_drops_the_row():
    d = _field()
    full = hd.gls("y ~ 1", {k: v[:-1] for k, v in d.items()}, residual="(1 | exp(x, z)) + (1 | units)")
    d["z"] = d["z"].copy()
    d["z"][-1] = np.nan
    fit = hd.gls("y ~ 1", d, residual="(1 | exp(x, z)) + (1 | units)")
    assert fit.nobs == 29 and "z (1)" in fit.rows_note
    assert fit.loglik == pytest.approx(full.loglik, abs=1e-12)


def test_not_positive_definite_is_said():
    """A linear correlation is none in the plane: on a 12 x 12 grid with range 2 its smallest eigenvalue is negative (numpy)."""
    x, z = (a.ravel() for a in np.meshgrid(np.arange(12.0), np.arange(12.0)))
    c = np.maximum(1.0 - np.hypot(x[:, None] - x, z[:, None] - z) / 2.0, 0.0)
    assert np.linalg.eigvalsh(c)[0] < -0.01
    d = {"y": np.random.default_rng(0).normal(size=144), "x": x, "z": z}
    with pytest.raises(ModelError, match=r"not positive definite"):
        hd.gls("y ~ 1", d, residual="(1 | lin(x, z))", fixed_parameters={"range": 2.0})


def test_range_must_be_positive():
    with pytest.raises(ModelError, match="the range is positive, not -1"):
        hd.gls("y ~ 1", _field(), residual="(1 | exp(x, z))", fixed_parameters={"range": -1.0})


def test_too_many_rows_for_a_dense_matrix(monkeypatch):
    import henderson.residuals.distance as distance

    monkeypatch.setattr(distance, "machine_memory", lambda: 2**14)
    with pytest.raises(
        ModelError, match=r"has 30 rows, and a dense 30 x 30 covariance .* exp\(0 \+ x \+ z \| field\)"
    ):
        hd.gls("y ~ 1", _field(), residual="(1 | exp(x, z))")


def test_ar1_of_metres_names_ou():
    d = _field()
    with pytest.raises(DataError, match=r"write ou\(x\)"):
        hd.gls("y ~ 1", d, residual="(1 | ar1(x):ar1(z))")


def test_variogram_asks_for_coordinates():
    fit = hd.lm("y ~ 1", _field())
    with pytest.raises(ModelError, match="no coordinates"):
        variogram(fit)

"""Predictions and their variances against the dense twin; intervals, new levels, offsets, weights, refusals."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from scipy import stats
from test_engine import SYSTEMS, assert_close, models, solved
from twin import incidence, random_design, twin

import henderson as hd
from henderson.mixed.prediction import by_pattern, by_solves


@pytest.mark.parametrize("system", SYSTEMS.values(), ids=SYSTEMS)
@given(spec=models)
@settings(max_examples=25, deadline=None)
def test_pattern_of_the_inverse_gives_what_solves_give(system, spec):
    # rows of the data (levels that met) and rows with random levels (some of which never did)
    design = random_design(**spec)
    fit = solved(design, system, True)
    rng = np.random.default_rng(spec["seed"])
    n = len(design.y) + 40
    x = rng.normal(size=(n, design.X.shape[1]))
    parts = [rng.normal(size=(n, len(b.effects))) for b in design.blocks]
    levels = [np.concatenate([b.codes, rng.integers(0, len(b.levels), 40)]) for b in design.blocks]
    parts[-1][-3:] = 0.0
    assert_close(by_pattern(fit, x, parts, levels), by_solves(fit, x, parts, levels), 1e-7)


# -- whole fits ----------------------------------------------------------------------------------------------


def table(seed=3, n=80):
    rng = np.random.default_rng(seed)
    x, g, h = rng.normal(2, 1, n), rng.integers(0, 8, n), rng.integers(0, 5, n)
    y = (
        3
        + x
        + rng.normal(0, 2, 8)[g]
        + rng.normal(0, 1, 8)[g] * x
        + rng.normal(0, 1, 5)[h]
        + rng.normal(0, 1, n)
    )
    return pd.DataFrame(
        {
            "y": y,
            "x": x,
            "g": [f"g{i}" for i in g],
            "h": [f"h{i}" for i in h],
            "w": rng.uniform(0.3, 3, n),
            "o": rng.normal(0, 5, n),
        }
    )


FORMULA = "y ~ x + (x | g) + (1 | h)"


@pytest.fixture(scope="module")
def data():
    return table()


@pytest.fixture(scope="module")
def fit(data):
    return hd.lmm(FORMULA, data, weights="w", offset="o")


def joint_row(fit, x, levels):
    """The row of coefficients of (beta, u) of one prediction; a level of None leaves its term out."""
    z = [np.array([1.0, x]), np.array([1.0])]
    parts = [np.array([1.0, x])]
    for block, zk, level in zip(fit.design.blocks, z, levels, strict=True):
        part = np.zeros((len(block.levels), len(block.effects)))
        if level is not None:
            part[list(block.levels).index(level)] = zk
        parts.append(part.ravel())
    return np.concatenate(parts)


def test_predictions_and_standard_errors_are_the_twins(fit):
    dense = twin(fit.design, fit.solution.covariances, fit.sigma**2)
    estimate = np.concatenate([dense.beta, *(u.ravel() for u in dense.u)])
    new = pd.DataFrame(
        {"x": [0.3, 4.0, -7.0], "g": ["g2", "g7", "g0"], "h": ["h0", "h4", "h1"], "o": [0.0, 1.0, -2.0]}
    )
    ours = fit.predict(new, se=True)
    for i, row in new.iterrows():
        joint = joint_row(fit, row.x, [row.g, row.h])
        assert ours.estimate[i] == pytest.approx(joint @ estimate + row.o, rel=1e-9)
        assert ours.std_error[i] == pytest.approx(np.sqrt(joint @ dense.joint @ joint), rel=1e-8)
    population = fit.predict(new, random_effects=False, se=True)
    for i, row in new.iterrows():
        x = np.array([1.0, row.x])
        assert population.estimate[i] == pytest.approx(x @ dense.beta + row.o, rel=1e-9)
        assert population.std_error[i] == pytest.approx(np.sqrt(x @ dense.vcov @ x), rel=1e-8)


def test_a_new_level_is_refused_by_name_or_predicted_by_the_population(fit):
    dense = twin(fit.design, fit.solution.covariances, fit.sigma**2)
    new = pd.DataFrame({"x": [0.5], "g": ["nobody"], "h": ["h2"], "o": [0.0]})
    with pytest.raises(hd.DataError, match=r"8 levels of 'g', without 'nobody'"):
        fit.predict(new)
    ours = fit.predict(new, se=True, new_levels="population")
    z = np.array([1.0, 0.5])
    joint = joint_row(fit, 0.5, [None, "h2"])
    prior = z @ fit.solution.covariances[0] @ z
    assert ours.std_error[0] == pytest.approx(np.sqrt(joint @ dense.joint @ joint + prior), rel=1e-8)
    assert fit.predict(new.assign(g=[None]), new_levels="population") == pytest.approx(ours.estimate)


def test_intervals(fit):
    new = pd.DataFrame(
        {"x": [0.3, 4.0], "g": ["g2", "g7"], "h": ["h0", "h4"], "o": [0.0, 1.0], "w": [1.0, 4.0]}
    )
    mean = fit.predict(new, interval="confidence", level=0.9)
    half = stats.norm.ppf(0.95) * mean.std_error
    np.testing.assert_allclose(mean.conf_high - mean.estimate, half)
    record = fit.predict(new, interval="prediction", level=0.9)
    spread = stats.norm.ppf(0.95) * np.sqrt(mean.std_error**2 + fit.sigma**2 / new.w)
    np.testing.assert_allclose(record.estimate - record.conf_low, spread)
    equal = fit.predict(new, interval="prediction", level=0.9, weights=np.ones(2))
    spread = stats.norm.ppf(0.95) * np.sqrt(mean.std_error**2 + fit.sigma**2)
    np.testing.assert_allclose(equal.estimate - equal.conf_low, spread)


def test_population_intervals(fit):
    new = pd.DataFrame({"x": [0.3, 4.0], "o": [0.0, 1.0], "w": [1.0, 4.0]})
    x = np.column_stack([np.ones(2), new.x])
    mean = fit.predict(new, random_effects=False, interval="confidence")
    half = stats.t.ppf(0.975, fit.satterthwaite_df(x)) * mean.std_error
    np.testing.assert_allclose(mean.estimate - mean.conf_low, half)
    # one new record of a level nobody has seen: beta^, the random effects and the residual all vary
    record = fit.predict(new, random_effects=False, interval="prediction")
    first, second = fit.solution.covariances
    total = mean.std_error**2 + np.einsum("ij,jk,ik->i", x, first, x) + second[0, 0] + fit.sigma**2 / new.w
    np.testing.assert_allclose(record.estimate - record.conf_low, stats.norm.ppf(0.975) * np.sqrt(total))


def test_prediction_intervals_cover():
    # 300 data sets of the same model: a 90 % prediction interval holds the next record of a known group 90 % of the time
    rng = np.random.default_rng(8)
    g, x = np.repeat(np.arange(12), 8), np.tile(np.arange(8.0), 12)
    hits = 0
    for _ in range(300):
        u = rng.normal(0, 2, 12)
        y = 1 + x + u[g] + rng.normal(0, 1, 96)
        fit = hd.lmm("y ~ x + (1 | g)", {"y": y, "x": x, "g": g})
        band = fit.predict({"x": [3.0], "g": [4]}, interval="prediction", level=0.9)
        hits += band.conf_low[0] < 4 + u[4] + rng.normal() < band.conf_high[0]
    assert 0.86 < hits / 300 < 0.94


def test_rows_of_the_fit(fit, data):
    np.testing.assert_allclose(fit.predict(), fit.fitted)
    np.testing.assert_allclose(fit.predict(data), fit.fitted, rtol=1e-12)
    with_se = fit.predict(se=True)
    np.testing.assert_allclose(with_se.std_error, fit.predict(data, se=True).std_error, rtol=1e-12)
    np.testing.assert_allclose(fit.predict(random_effects=False), fit.predict(data, random_effects=False))


def test_missing_values_give_missing_predictions(fit, data):
    new = data.head(4).copy()
    new.loc[1, "x"] = np.nan
    ours = fit.predict(new, se=True)
    assert np.isnan(ours.estimate[1]) and np.isnan(ours.std_error[1])
    np.testing.assert_allclose(ours.estimate[[0, 2, 3]], fit.fitted[[0, 2, 3]])


def test_population_needs_no_groups_and_groups_no_effects():
    data = table()
    fit = hd.lmm(FORMULA, data)
    np.testing.assert_allclose(
        fit.predict(data[["x"]], random_effects=False), fit.predict(data, random_effects=False)
    )
    with pytest.raises(hd.FormulaError, match="no column is called 'g'"):
        fit.predict(data[["x", "h"]])
    only_mean = hd.lmm("y ~ 1 + (1 | g)", data)
    assert len(only_mean.predict({"anything": [1, 2, 3]}, random_effects=False)) == 3


def test_an_offset_array_must_be_given_again(data):
    fit = hd.lmm(FORMULA, data, offset=data.o.to_numpy())
    with pytest.raises(hd.ModelError, match="give offset="):
        fit.predict(data)
    np.testing.assert_allclose(fit.predict(data, offset=data.o.to_numpy()), fit.fitted, rtol=1e-12)


def test_weights_given_as_an_array_must_be_given_again_for_prediction_intervals(data):
    fit = hd.lmm(FORMULA, data, weights=data.w.to_numpy())
    assert fit.predict(data, interval="confidence").shape == (80, 4)
    with pytest.raises(hd.ModelError, match="give weights="):
        fit.predict(data, interval="prediction")
    given = fit.predict(data, interval="prediction", weights="w")
    pd.testing.assert_frame_equal(given, fit.predict(interval="prediction"))


def test_satterthwaite_takes_rows_of_the_fixed_effects(fit):
    assert fit.satterthwaite_df([[1.0, 2.0]]).shape == (1,)
    for rows in (np.eye(3), np.ones(2), "a"):
        with pytest.raises(hd.ModelError, match="satterthwaite_df"):
            fit.satterthwaite_df(rows)


@pytest.mark.parametrize(
    "arguments", [{"n": 2.5}, {"n": -1}, {"n": "a"}, {"seed": "a"}, {"random_effects": "no"}]
)
def test_wrong_arguments_of_simulate_are_named(fit, arguments):
    with pytest.raises(hd.ModelError, match=f"simulate: {next(iter(arguments))}"):
        fit.simulate(**arguments)


def test_a_table_without_columns_has_no_rows_to_predict(data):
    with pytest.raises(hd.DataError, match="no columns"):
        hd.lmm("y ~ 1 + (1 | g)", data).predict({}, random_effects=False)


def test_a_row_that_is_not_estimable_is_refused(data):
    # x2 = 2 x in the data: the fit knows one coefficient for both
    fit = hd.lmm("y ~ x + x2 + (1 | g)", data.assign(x2=2 * data.x))
    assert fit.dropped == ("x2",)
    fine = fit.predict({"x": [1.0], "x2": [2.0], "g": ["g1"]})
    assert np.isfinite(fine).all()
    with pytest.raises(hd.ModelError, match=r"row 1 .* not estimable.*'x2'"):
        fit.predict({"x": [1.0, 1.0], "x2": [2.0, 3.0], "g": ["g1", "g1"]})


def test_transforms_and_contrasts_are_those_of_the_fit(data):
    fit = hd.lmm("y ~ poly(x, 2) + C(h) + (1 | g)", data, contrasts={"h": "Sum"})
    few = data.iloc[[5, 9]]
    np.testing.assert_allclose(fit.predict(few), fit.fitted[[5, 9]], rtol=1e-10)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"interval": "both"}, "interval is None"),
        ({"level": 95}, "between 0 and 1"),
        ({"new_levels": "zero"}, "new_levels is"),
        ({"offset": np.ones(80)}, "for new data"),
        ({"weights": "w", "interval": "prediction"}, "for new data"),
        ({"weights": "w"}, "changes nothing"),
        ({"weights": "w", "interval": "confidence"}, "changes nothing"),
    ],
)
def test_wrong_arguments_are_named(fit, arguments, what):
    with pytest.raises(hd.ModelError, match=what):
        fit.predict(**arguments)


def test_tables_come_back_in_the_callers_library(data):
    polars = pytest.importorskip("polars")
    frame = polars.from_pandas(data)
    fit = hd.lmm(FORMULA, frame)
    assert isinstance(fit.predict(frame, se=True), polars.DataFrame)
    assert isinstance(fit.predict(data, se=True), pd.DataFrame)


# -- simulation ----------------------------------------------------------------------------------------------


def test_simulated_responses_have_the_mean_and_covariance_of_the_model(data):
    fit = hd.lmm(FORMULA, data.head(25), weights="w", offset="o")
    design, draws = fit.design, fit.simulate(20_000, seed=5)
    v = np.diag(fit.sigma**2 / design.weights)
    for block, sigma in zip(design.blocks, fit.solution.covariances, strict=True):
        z = incidence(block)
        v += z @ np.kron(np.eye(len(block.levels)), sigma) @ z.T
    mean = fit.predict(random_effects=False)
    error = np.sqrt(np.diag(v) / 20_000)
    assert np.abs((draws.mean(axis=1) - mean) / error).max() < 4.5
    # a sample covariance has standard error sqrt((v_ii v_jj + v_ij^2) / n)
    spread = np.sqrt((np.outer(np.diag(v), np.diag(v)) + v**2) / 20_000)
    assert np.abs((np.cov(draws) - v) / spread).max() < 5.5


def test_simulation_with_the_fitted_effects(fit):
    draws = fit.simulate(4000, seed=1, random_effects="fitted")
    error = fit.sigma / np.sqrt(fit.design.weights * 4000)
    assert np.abs((draws.mean(axis=1) - fit.fitted) / error).max() < 4.5


def test_simulation_repeats_by_seed_and_shapes(fit):
    assert fit.simulate(seed=1).shape == (80,) and fit.simulate(3, seed=1).shape == (80, 3)
    np.testing.assert_array_equal(fit.simulate(seed=1), fit.simulate(1, seed=1)[:, 0])
    assert not np.array_equal(fit.simulate(seed=1), fit.simulate(seed=2))
    with pytest.raises(hd.ModelError, match='"new" or "fitted"'):
        fit.simulate(random_effects="none")

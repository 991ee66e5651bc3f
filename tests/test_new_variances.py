"""Prediction intervals of generalised fits: the variance of a new record by the definition of its variance function."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import henderson as hd


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(3)
    n = 120
    d = pd.DataFrame(
        {"x": rng.uniform(1, 4, n), "sex": rng.choice(["f", "m"], n), "subject": np.repeat(np.arange(30), 4)}
    )
    d["visit"] = np.tile([1, 2, 3, 4], 30)
    d["w"] = rng.uniform(0.5, 2, n)
    sd = d.x**0.8 * np.where(d.sex == "m", 1.5, 1.0) * np.sqrt(d.visit)
    d["y"] = 1 + d.x + rng.normal(size=n) * sd
    return d


NEW = pd.DataFrame(
    {
        "x": [1.5, 3.0, 2.0],
        "sex": ["m", "f", "m"],
        "visit": [2, 4, 1],
        "subject": [1, 1, 1],
        "w": [1.0, 2.0, 0.5],
    }
)


def parameters(fit):
    return dict(zip(fit.variance_components["term"], fit.variance_components["estimate"], strict=True))


CASES = {
    "ident(sex)": lambda p, d, m: p["Residual"] * np.where(d.sex == "m", p["ident(m)"], 1.0) ** 2,
    "power(x)": lambda p, d, m: p["Residual"] * d.x ** (2 * p["power(x)"]),
    "exp(x)": lambda p, d, m: p["Residual"] * np.exp(2 * p["expon(x)"] * d.x),
    "const_power(x)": lambda p, d, m: p["Residual"] * (p["const(x)"] + d.x ** p["power(x)"]) ** 2,
    "power(fitted)": lambda p, d, m: p["Residual"] * m ** (2 * p["power(fitted)"]),
    "power(x | sex)": lambda p, d, m: (
        p["Residual"] * d.x ** (2 * np.where(d.sex == "m", p["power(x | m)"], p["power(x | f)"]))
    ),
    "ident(sex) * power(x)": lambda p, d, m: (
        p["Residual"] * np.where(d.sex == "m", p["ident(m)"], 1.0) ** 2 * d.x ** (2 * p["power(x)"])
    ),
}


@pytest.mark.parametrize("variance", CASES)
def test_of_a_variance_function(data, variance, tmp_path):
    fit = hd.gls("y ~ x", data, variance=variance)
    got = fit.predict(NEW, interval="prediction", level=0.9)
    want = CASES[variance](parameters(fit), NEW, fit.predict(NEW))
    half = stats.t.ppf(0.95, fit.df_residual) * np.sqrt(got["std_error"] ** 2 + want)
    np.testing.assert_allclose(got["conf_high"] - got["estimate"], half, rtol=1e-9)
    # the rows of the fit, asked for as new ones, have the variance they were fitted with
    own, again = fit.predict(interval="prediction"), fit.predict(data, interval="prediction")
    np.testing.assert_allclose(own, again, rtol=1e-8)
    fit.save(tmp_path / "fit.zip")
    loaded = hd.load(tmp_path / "fit.zip")
    assert loaded.predict(NEW, interval="prediction", level=0.9).equals(got)
    assert loaded.summary() == fit.summary() and f"variance: {variance}" in fit.summary()


@pytest.mark.parametrize("variance", ["power(fitted)", "const_power(fitted)", "exp(fitted)"])
def test_fitted_values_have_the_offset_in_them(data, variance):
    """The variance rests on the mean of the record, X b + offset, in the fit and for new rows alike."""
    d = data.assign(o=np.linspace(5.0, 9.0, len(data)))
    fit = hd.gls("y ~ x", d.assign(y=d.y + d.o), variance=variance, offset="o")
    assert fit.status.converged
    own, again = fit.predict(interval="prediction"), fit.predict(d, interval="prediction")
    np.testing.assert_allclose(own, again, rtol=1e-7)
    fixed = d.assign(y=d.y + d.o, mean=fit.fitted)
    other = hd.gls("y ~ x", fixed, variance=variance.replace("fitted", "mean"), offset="o")
    np.testing.assert_allclose(other.coefficients, fit.coefficients, rtol=1e-6)
    assert other.deviance == pytest.approx(fit.deviance, abs=1e-6)


def test_of_visits_with_variances_of_their_own(data):
    fit = hd.gls("y ~ x", data, residual="us(0 + visit | subject)")
    got = fit.predict(NEW, interval="prediction")
    p = parameters(fit)
    want = np.array([p[f"visit{v}"] for v in NEW.visit])
    half = stats.t.ppf(0.975, fit.df_residual) * np.sqrt(got["std_error"] ** 2 + want)
    np.testing.assert_allclose(got["conf_high"] - got["estimate"], half, rtol=1e-9)
    np.testing.assert_allclose(
        fit.predict(interval="prediction"), fit.predict(data, interval="prediction"), rtol=1e-8
    )
    assert "residual: us(0 + visit | subject)" in fit.summary()


def test_weights_divide(data):
    fit = hd.gls("y ~ x", data, variance="power(x)", weights="w")
    got = fit.predict(NEW, interval="prediction")
    p = parameters(fit)
    want = p["Residual"] * NEW.x ** (2 * p["power(x)"]) / NEW.w
    half = stats.t.ppf(0.975, fit.df_residual) * np.sqrt(got["std_error"] ** 2 + want)
    np.testing.assert_allclose(got["conf_high"] - got["estimate"], half, rtol=1e-9)
    np.testing.assert_allclose(
        fit.predict(interval="prediction"), fit.predict(data, interval="prediction"), rtol=1e-8
    )


def test_a_missing_value_gives_no_interval(data):
    fit = hd.gls("y ~ x", data, variance="ident(sex)")
    got = fit.predict(NEW.assign(sex=["m", None, "f"]), interval="prediction")
    assert np.isnan(got["conf_low"][1]) and np.isfinite(got["conf_low"][[0, 2]]).all()


@pytest.mark.parametrize(
    ("arguments", "new", "said"),
    [
        ({"variance": "ident(sex)"}, {"sex": ["u", "f", "f"]}, "never saw the level 'u'"),
        ({"variance": "power(x)"}, {"x": [0.0, 1.0, 2.0]}, "'x' is 0 in row 0"),
        ({"variance": "power(x)"}, {"x": [1.0, -2.0, 2.0]}, "'x' is -2 in row 1"),
        ({"variance": "const_power(x)"}, {"x": [0.0, 1.0, -2.0]}, "'x' is -2 in row 2"),
        ({"residual": "us(0 + visit | subject)"}, {"visit": [9, 1, 1]}, "no variance for 'visit' 9"),
        ({"V": np.full(120, 2.0)}, {}, "V= of the fit says nothing of new records"),
        (
            {"residual": "at(sex):ar1(0 + visit | subject)"},
            {"sex": ["u", "f", "f"]},
            "no variance for 'sex' u",
        ),
    ],
)
def test_refused_by_name(data, arguments, new, said):
    d = data.assign(sex=np.where(data.subject % 2, "m", "f"))
    fit = hd.gls("y ~ x", d, **arguments)
    with pytest.raises(hd.HendersonError, match=said):
        fit.predict(NEW.assign(**new), interval="prediction")


def test_of_sections(data):
    d = data.assign(sex=np.where(data.subject % 2, "m", "f"))
    for residual in ("at(sex):ar1(0 + visit | subject)", "at(sex):diag(0 + visit | subject)"):
        fit = hd.gls("y ~ x", d, residual=residual)
        p = parameters(fit)
        end = [f":visit{v}" if "diag" in residual else "" for v in NEW.visit]
        variance = np.array([p[f"sex{s}{e}"] for s, e in zip(NEW.sex, end, strict=True)])
        got = fit.predict(NEW, interval="prediction", level=0.9)
        half = stats.t.ppf(0.95, fit.df_residual) * np.sqrt(got["std_error"] ** 2 + variance)
        np.testing.assert_allclose((got["conf_high"] - got["conf_low"]) / 2, half, rtol=1e-8)
        whole = fit.predict(interval="prediction")
        np.testing.assert_allclose(fit.predict(d, interval="prediction"), whole, rtol=1e-8)

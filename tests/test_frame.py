"""Any table -> typed columns: each library and type, and what is refused."""

from __future__ import annotations

import datetime
import decimal
import sys
import time

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from henderson import frame
from henderson.errors import DataError, FormulaError

ROWS = {
    "x": [0.5, 1.5, None, 3.5],
    "i": [3, 1, 2, 3],
    "s": ["b", "a", None, "b"],
    "b": [True, False, True, True],
}
LIBRARIES = {
    "dict": lambda d: d,
    "dict of arrays": lambda d: {k: np.array(v) for k, v in d.items()},
    "pandas": pd.DataFrame,
    "pandas nullable": lambda d: pd.DataFrame(d).convert_dtypes(),
    "pandas object": lambda d: pd.DataFrame({k: pd.Series(v, dtype=object) for k, v in d.items()}),
    "pandas arrow": lambda d: pd.DataFrame(d).convert_dtypes(dtype_backend="pyarrow"),
    "polars": pl.DataFrame,
    "polars lazy": lambda d: pl.DataFrame(d).lazy(),
    "pyarrow": pa.table,
}


@pytest.mark.parametrize("make", LIBRARIES.values(), ids=LIBRARIES.keys())
def test_every_library_gives_the_same_columns(make):
    f = frame.read(make(ROWS), list(ROWS))
    assert f.nrow == 4
    assert f["x"].kind == "numeric"
    np.testing.assert_array_equal(f["x"].values, [0.5, 1.5, np.nan, 3.5])
    assert f["x"].values.dtype == np.float64
    assert f["i"].kind == "numeric"
    assert f["i"].values.tolist() == [3.0, 1.0, 2.0, 3.0]
    assert f["i"].factor.values.tolist() == [2, 0, 1, 2]
    assert f["i"].factor.levels == (1, 2, 3)
    assert f["s"].kind == f["b"].kind == "factor"
    assert f["s"].values.tolist() == [1, 0, -1, 1]
    assert f["s"].levels == ("a", "b")
    assert f["b"].values.tolist() == [1, 0, 1, 1]
    assert f["b"].levels == (False, True)


@pytest.mark.parametrize("end", [".csv", ".tsv", ".csv.gz", ".parquet"])
@pytest.mark.parametrize("as_text", [True, False])
def test_files_give_the_same_columns(tmp_path, end, as_text):
    path = tmp_path / ("d" + end)
    table = pd.DataFrame(ROWS)
    if end == ".parquet":
        table.to_parquet(path)
    else:
        table.to_csv(path, index=False, sep="\t" if end == ".tsv" else ",")
    f = frame.read(str(path) if as_text else path, ["x", "s", "b", "i"])
    assert f["x"].values.tolist()[0] == 0.5
    assert np.isnan(f["x"].values[2])
    assert f["s"].values.tolist() == [1, 0, -1, 1]
    assert f["b"].levels == (False, True)
    assert f["i"].factor.levels == (1, 2, 3)
    assert f.library == "pandas"


def test_csv_separators_marks_and_missing_fields(tmp_path):
    path = tmp_path / "d.csv"
    path.write_bytes("\ufeffname;x;d\nÅsa;1;None\nBo;NA;S1\nCy;3;\n".encode())
    f = frame.read(path, ["name", "x", "d"])
    assert f["name"].levels == ("Bo", "Cy", "Åsa")
    assert np.isnan(f["x"].values[1])
    assert f["d"].levels == ("None", "S1")  # a level may be called None
    assert f["d"].values.tolist() == [0, 1, -1]


def test_csv_numbers_come_back_to_the_last_digit(tmp_path):
    x = np.random.default_rng(5).normal(size=2000) * 10.0 ** np.arange(-100, 100, 0.1)
    pd.DataFrame({"x": x}).to_csv(tmp_path / "d.csv", index=False)
    assert np.array_equal(frame.read(tmp_path / "d.csv", ["x"])["x"].values, x)


def test_only_the_named_columns_are_touched():
    class Untouchable:
        def __array__(self, *a, **k):
            raise AssertionError

        def __len__(self):
            raise AssertionError

    f = frame.read({"x": [1.0, 2.0], "no": Untouchable()}, ["x"])
    assert list(f.columns) == ["x"]


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table])
def test_the_callers_table_stays_as_it_is(make):
    data = {"x": [1.0, 2.0, 3.0], "g": [2, 1, 2], "s": ["b", "a", "b"]}
    table, twin = make(data), make(data)
    f = frame.read(table, list(data))
    f["g"].factor.values.copy()
    assert table.equals(twin)
    assert type(table) is type(twin)


def test_numbers_are_not_copied():
    x = np.arange(5.0)
    assert np.shares_memory(frame.read({"x": x}, ["x"])["x"].values, x)


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_tables_come_back_in_the_callers_library(library):
    make = {"pandas": pd.DataFrame, "polars": pl.DataFrame, "pyarrow": pa.table}[library]
    f = frame.read(make({"x": [1, 2]}), ["x"])
    back = frame.give_back({"term": ("a", "b"), "estimate": np.array([1.0, 2.0])}, f.library)
    assert isinstance(back, type(make({"x": [1]})))
    assert list(back["estimate"].to_pylist() if library == "pyarrow" else back["estimate"]) == [1.0, 2.0]


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_labels_of_several_kinds_come_back_as_text(library):
    back = frame.give_back({"level": [308, "a:b", None], "n": (1, 2, 3)}, library)
    assert list(back["level"].to_pylist() if library == "pyarrow" else back["level"])[:2] == ["308", "a:b"]


def test_lazy_polars_gives_polars_and_dicts_give_pandas():
    assert frame.read(pl.LazyFrame({"x": [1]}), ["x"]).library == "polars"
    assert isinstance(frame.give_back({"x": [1]}, frame.read({"x": [1]}, ["x"]).library), pd.DataFrame)


# -- factors -----------------------------------------------------------------------------------


def levels_of(values):
    return frame.read(
        {"v": values} if not isinstance(values, pl.Series) else pl.DataFrame({"v": values}), ["v"]
    )["v"].factor


def test_categorical_keeps_its_order_and_whether_it_is_ordered():
    c = levels_of(pd.Categorical(["lo", "hi", None], categories=["lo", "mid", "hi"], ordered=True))
    assert c.levels == ("lo", "mid", "hi")
    assert c.values.tolist() == [0, 2, -1]
    assert c.ordered
    assert not levels_of(pd.Categorical(["b", "a"])).ordered


def test_categories_may_be_numbers_or_booleans():
    assert levels_of(pd.Categorical([308.0, 309.0])).levels == (308, 309)
    assert levels_of(pd.Categorical([True, False])).levels == (False, True)


def test_polars_enum_keeps_its_order_and_categorical_is_sorted():
    assert levels_of(pl.Series(["b", None, "a"], dtype=pl.Enum(["z", "b", "a"]))).levels == ("z", "b", "a")
    c = levels_of(pl.Series(["b", "a", None, "b"], dtype=pl.Categorical))
    assert c.levels == ("a", "b")
    assert c.values.tolist() == [1, 0, -1, 1]


def test_arrow_dictionaries_keep_their_order_over_chunks():
    one = pa.DictionaryArray.from_arrays(pa.array([0, 1]), pa.array(["z", "a"]))
    two = pa.DictionaryArray.from_arrays(pa.array([0, None]), pa.array(["q"]))
    table = pa.table({"v": pa.chunked_array([one, two])})
    c = frame.read(table, ["v"])["v"]
    assert c.levels == ("z", "a", "q")
    assert c.values.tolist() == [0, 1, 2, -1]


@pytest.mark.parametrize(
    "values",
    [
        np.array([310, 308, 309, 308], dtype=np.int64),
        np.array([310, 308, 309, 308], dtype=np.uint16),
        np.array([310, 308, 309, 308], dtype=np.float64),
        np.array([310, 308, 309, 308], dtype=np.float32),
        pd.array([310, 308, 309, 308], dtype="Int64"),
        [310, 308, 309, 308],
    ],
)
def test_whole_numbers_are_labelled_without_a_point(values):
    c = levels_of(values)
    assert c.levels == (308, 309, 310)
    assert all(type(v) is int for v in c.levels)
    assert c.values.tolist() == [2, 0, 1, 0]


@pytest.mark.parametrize(
    "values",
    [
        np.array([-128, 127, 0, 127], dtype=np.int8),
        np.array([-(2**62), 2**62, 0, 2**62], dtype=np.int64),
        np.array([2**64 - 1, 5, 2**63, 5], dtype=np.uint64),
        np.array([0.1, -np.inf, 2.5, np.nan]),
        np.array([0.1, np.nan, 2.5, np.nan] * 5000),
        np.random.default_rng(1).integers(0, 2**60, 20_000),
        np.random.default_rng(1).integers(-50, 50, 20_000).astype(np.int16),
        np.random.default_rng(1).normal(size=20_000).round(1),
    ],
)
def test_numbers_as_factors_agree_with_a_sort(values):
    c = frame.read({"v": values}, ["v"])["v"].factor
    expected, codes = np.unique(values, return_inverse=True)
    keep = ~np.isnan(values) if values.dtype.kind == "f" else np.ones(values.size, bool)
    assert np.array_equal(np.array(c.levels, dtype=values.dtype), expected[: len(c.levels)])
    assert np.array_equal(c.values[keep], codes[keep])
    assert (c.values[~keep] == -1).all()
    assert c.values.dtype == np.int32


def test_text_is_sorted():
    assert levels_of(["b", "B", "a", "10", "9"]).levels == ("10", "9", "B", "a", "b")


def test_masked_arrays():
    f = frame.read({"v": np.ma.masked_array([1, 2, 3], [0, 1, 0])}, ["v"])
    assert np.isnan(f["v"].values[1])


def test_decimals_are_numbers():
    values = [decimal.Decimal("1.5"), None, decimal.Decimal("2.0")]
    for table in ({"v": values}, pl.DataFrame({"v": values}), pa.table({"v": values})):
        np.testing.assert_array_equal(frame.read(table, ["v"])["v"].values, [1.5, np.nan, 2.0])


def test_structured_arrays():
    data = np.array([(1.0, 2), (3.0, 4)], dtype=[("x", "f8"), ("g", "i4")])
    assert frame.read(data, ["g"])["g"].factor.levels == (2, 4)


def test_all_missing_is_numeric():
    for table in ({"v": [None, None]}, pl.DataFrame({"v": [None, None]}), pa.table({"v": [None, None]})):
        assert np.isnan(frame.read(table, ["v"])["v"].values).all()


# -- refusals ----------------------------------------------------------------------------------

DAY = datetime.date(2020, 1, 1)
ODD = {
    "arrow dictionary": (pa.array(["b", None, "a"]).dictionary_encode(), ("b", "a")),
    "arrow string": (pa.array(["b", None, "a"]), ("a", "b")),
    "arrow decimal": (pa.array([1, None, 3], pa.decimal128(10, 2)), (1, 3)),
    "arrow bool": (pa.array([True, None]), (False, True)),
}


@pytest.mark.parametrize(("values", "levels"), ODD.values(), ids=ODD.keys())
def test_arrow_arrays_inside_pandas(values, levels):
    series = pd.Series(pd.arrays.ArrowExtensionArray(values))
    assert frame.read(pd.DataFrame({"v": series}), ["v"])["v"].factor.levels == levels


def test_integers_wider_than_numpys():
    if not hasattr(pl, "Int128"):
        pytest.skip("this polars has no 128-bit integers")
    assert levels_of(pl.Series([3, 1], dtype=pl.Int128)).levels == (1, 3)


REFUSED = {
    "dates": [DAY, DAY],
    "datetimes": np.array(["2020-01-01", "2020-01-02"], dtype="M8[D]"),
    "durations": np.array([1, 2], dtype="m8[s]"),
    "complex": np.array([1j, 2]),
    "lists": [[1, 2], [3]],
    "equal lists": [[1, 2], [3, 4]],
    "objects of lists": pd.Series([[1], [2]]),
    "dicts": [{"a": 1}, {"b": 2}],
    "mixed": ["a", 1],
    "mixed objects": pd.Series(["a", 2.5]),
    "bytes": np.array([b"a", b"b"]),
    "objects": [object(), object()],
    "one text": "abc",
    "one number": 3.0,
    "table": np.zeros((2, 2)),
    "pandas dates": pd.Series(pd.to_datetime(["2020-01-01", "2020-01-02"])),
    "periods": pd.Series(pd.period_range("2020", periods=2)),
}


@pytest.mark.parametrize("values", REFUSED.values(), ids=REFUSED.keys())
def test_columns_that_are_neither_numbers_nor_labels(values):
    with pytest.raises(DataError, match="column 'v'"):
        frame.read({"v": values}, ["v"])


@pytest.mark.parametrize(
    "dtype", [pl.Date, pl.List(pl.Int64), pl.Struct({"a": pl.Int64}), pl.Duration, pl.Binary]
)
def test_polars_types_that_are_refused(dtype):
    with pytest.raises(DataError, match="column 'v'"):
        frame.read(pl.DataFrame({"v": pl.Series([None, None], dtype=dtype)}), ["v"])


def test_arrow_types_that_are_refused():
    for values in (pa.array([DAY]), pa.array([[1]]), pa.array([b"a"])):
        with pytest.raises(DataError, match="column 'v'"):
            frame.read(pa.table({"v": values}), ["v"])


def test_mixed_kinds_are_named_with_their_rows():
    with pytest.raises(DataError, match=r"str \(row 0\), int \(row 2\)"):
        frame.read({"v": ["a", "b", 3]}, ["v"])


@pytest.mark.parametrize("make", [dict, pd.DataFrame, pl.DataFrame, pa.table])
def test_an_unknown_column_is_pointed_at_and_the_closest_offered(make):
    text = "yield ~ nitrogen + (1 | varity)"
    data = make({"yield": [1.0], "nitrogen": [1.0], "variety": ["a"]})
    with pytest.raises(FormulaError) as caught:
        frame.read(data, {"yield": (0, 5), "nitrogen": (8, 16), "varity": (24, 30)}, text)
    assert str(caught.value) == (
        "no column is called 'varity'.\n"
        "    yield ~ nitrogen + (1 | varity)\n"
        "                            ^^^^^^\n"
        "The closest column is 'variety'."
    )


def test_tables_of_a_library_that_is_not_there(monkeypatch):
    monkeypatch.setitem(sys.modules, "polars", None)
    with pytest.raises(DataError, match="given back in polars"):
        frame.give_back({"x": [1]}, "polars")
    assert frame.library_here("polars") == "pandas" and frame.library_here("pyarrow") == "pyarrow"
    assert frame.library_here("of the future") == "pandas"


def test_parquet_without_a_library_that_reads_it(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    monkeypatch.setitem(sys.modules, "polars", None)
    (tmp_path / "a.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="pip install"):
        frame.read(tmp_path / "a.parquet", ["x"])


def test_a_lazy_table_whose_columns_cannot_be_read():
    lazy = pl.LazyFrame({"x": [1]}).select("z")
    with pytest.raises(DataError, match="the columns of the table cannot be read"):
        frame.read(lazy, ["x"])


def test_numbers_too_wide_and_sparse_columns():
    with pytest.raises(DataError, match="does not fit a float64"):
        frame.read({"x": np.array([10**400, 1], dtype=object)}, ["x"])
    sparse = pd.DataFrame({"x": pd.arrays.SparseArray([0.0, 1.0, 0.0])})
    assert frame.read(sparse, ["x"])["x"].values.tolist() == [0.0, 1.0, 0.0]
    with pytest.raises(DataError, match="interval"):
        frame.read(pd.DataFrame({"x": pd.interval_range(0, 3)}), ["x"])


def test_an_unknown_column_like_no_other_gets_a_list():
    with pytest.raises(FormulaError, match="There are 'a', 'b'"):
        frame.read({"a": [1], "b": [2]}, ["zzz"])


def test_duplicate_names():
    table = pd.DataFrame([[1.0, 2.0, 3.0]], columns=["x", "x", "y"])
    with pytest.raises(DataError, match="2 columns are called 'x'"):
        frame.read(table, ["x"])
    assert frame.read(table, ["y"])["y"].values.tolist() == [3.0]


def test_duplicate_names_in_a_file(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("x,x,y\n1,2,3\n")
    with pytest.raises(DataError, match="2 columns are called 'x'"):
        frame.read(path, ["x"])
    assert frame.read(path, ["y"])["y"].values.tolist() == [3.0]


@pytest.mark.parametrize("make", [dict, pd.DataFrame, pl.DataFrame, pa.table])
def test_an_empty_table(make):
    with pytest.raises(DataError, match="no rows"):
        frame.read(make({"x": []}), ["x"])


def test_unequal_lengths():
    with pytest.raises(DataError, match="'x' has 2 values and column 'z' has 3"):
        frame.read({"x": [1, 2], "z": [1, 2, 3]}, ["x", "z"])


def test_missing_file_names_a_close_one(tmp_path):
    (tmp_path / "sleepstudy.csv").write_text("a\n1\n")
    with pytest.raises(DataError, match=r"The closest there is 'sleepstudy.csv'"):
        frame.read(tmp_path / "sleepstdy.csv", ["a"])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("d.csv", b"", "empty"),
        ("d.csv", b"a\n", "no rows"),
        ("d.csv", b"a,b\n\xff\xfe\x00,1\n", "cannot be read"),
        ("d.parquet", b"not parquet", "cannot be read"),
        ("d.csv.gz", b"not gzip", "cannot be read"),
        ("d.xlsx", b"", "neither CSV"),
        ("d.pkl", b"\x80\x04.", "neither CSV"),
        ("d", b"a\n1\n", "neither CSV"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message):
        frame.read(path, ["a"])


def test_a_folder_and_an_address_are_no_files(tmp_path):
    (tmp_path / "d.csv").mkdir()
    with pytest.raises(DataError, match="folder"):
        frame.read(tmp_path / "d.csv", ["a"])
    with pytest.raises(DataError, match=r"'https://example\.org/d' is an address"):
        frame.read("https://example.org/d", ["a"])


@pytest.mark.parametrize("data", [None, 3, [1, 2], np.zeros(3), object()])
def test_what_is_no_table(data):
    with pytest.raises(DataError, match="a table is wanted"):
        frame.read(data, ["x"])


def test_duckdb_relations():
    duckdb = pytest.importorskip("duckdb", reason="DuckDB is not installed")
    f = frame.read(
        duckdb.sql("select 1.5::double as x, 'a' as s union all select 2.5, 'b' order by 1"), ["x", "s"]
    )
    assert f["x"].values.tolist() == [1.5, 2.5]
    assert f["s"].levels == ("a", "b")
    assert isinstance(frame.give_back({"x": [1.0]}, f.library), pa.Table)


def test_a_million_rows_are_read_in_milliseconds():
    rng = np.random.default_rng(1)
    table = pd.DataFrame(
        {"y": rng.normal(size=10**6), "x": rng.normal(size=10**6), "g": rng.integers(0, 50_000, 10**6)}
    )

    def seconds():
        start = time.perf_counter()
        f = frame.read(table, ["y", "x", "g"])
        f["y"].values, f["x"].values, f["g"].factor
        return time.perf_counter() - start

    assert min(seconds() for _ in range(5)) < 0.2  # 6 ms on a quiet machine


def test_import_is_light():
    import subprocess

    code = (
        "import sys, henderson.frame, henderson.formula, henderson.design, henderson.datasets;"
        "print([m for m in ('pandas', 'numba', 'formulaic', 'scipy') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"

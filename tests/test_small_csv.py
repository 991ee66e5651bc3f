"""Small CSV files read without pandas give the columns that pandas gives."""

from __future__ import annotations

import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import henderson as hd
from henderson.frame import files as csv_files
from henderson.frame import read, small

CELLS = st.one_of(
    st.sampled_from(
        [
            "",
            "NA",
            "NaN",
            "null",
            "1",
            "-2",
            "007",
            "1.5",
            ".5",
            "3.",
            "1e3",
            "1E-400",
            "1e400",
            "+4",
            "1_000",
            "0x1A",
        ]
    ),
    st.sampled_from(
        [
            "a",
            "b c",
            "None",
            "true",
            "True",
            "FALSE",
            "inf",
            "-Infinity",
            "nan",
            " a",
            "a ",
            "é",
            "1,5",
            'q"q',
            "2020-01-02",
        ]
    ),
    st.sampled_from(
        [
            "9007199254740993",
            "123456789012345678",
            "99999999999999999999",
            "0.1234567890123456789",
            "1.",
            "-",
            "+",
            "e5",
        ]
    ),
)
"""What may stand in a field."""


def columns(path):
    """Every column of the file, or the error."""
    try:
        frame = read(path, csv_files.read_header(path, "csv"))
    except hd.HendersonError as error:
        return type(error).__name__
    return {
        n: (c.kind, c.raw.dtype.kind, c.values.tolist(), c.levels, c.text) for n, c in frame.columns.items()
    }


def by_pandas(path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(small, "LIMIT", -1)
        return columns(path)


@given(st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=6), st.booleans())
@settings(max_examples=400, deadline=None)
def test_fields_of_every_kind(tmp_path_factory, rows, alike):
    import csv

    if alike:  # columns of one kind are what the short way is for
        rows = [(rows[0][0], b) for _, b in rows]
    path = tmp_path_factory.mktemp("csv") / "d.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("p", "q"), *rows])
    with pytest.MonkeyPatch.context() as patch:
        expected = by_pandas(path, patch)
    np.testing.assert_equal(columns(path), expected)


@pytest.mark.parametrize(
    "text",
    [
        "p,q\n1,a\n\n2,b\n",
        "p,q\r\n1,a\r\n2,b",
        "\ufeffp,q\n1,a\n2,b\n",
        "p,q\n1,a\n2\n",
        "p,q\n1,a,3\n2,b,4\n",
        'p,q\n1,"a\nb"\n2,"c,d"\n',
        'p,q\n1,"a\n',
        "p;q\n1;a\n2;b\n",
        "p\tq\n1\ta\n2\tb\n",
        "p, q\n1, a\n2, b\n",
        "p,q\n",
        "p,q\n,\n,\n",
        "p\n1\n\n2\n",
    ],
)
def test_files_of_every_shape(tmp_path, text, monkeypatch):
    path = tmp_path / "d.csv"
    path.write_bytes(text.encode())
    np.testing.assert_equal(columns(path), by_pandas(path, monkeypatch))


def test_bytes_that_are_not_utf8_are_pandas_business(tmp_path):
    path = tmp_path / "d.csv"
    path.write_bytes(b"p,q\n1,\xff\n")
    assert small.read_small(path, ",", ["p"], csv_files.MISSING) is None


@pytest.mark.parametrize(
    "name", ["sleepstudy", "cake", "Machines", "Oats", "Penicillin", "Dyestuff", "Pastes"]
)
def test_shipped_files_take_the_short_way_and_give_the_same(name, monkeypatch):
    path = Path(str(files("henderson.datasets"))) / "data" / f"{name}.csv"
    names = csv_files.read_header(path, "csv")
    assert small.read_small(path, ",", names, csv_files.MISSING) is not None
    np.testing.assert_equal(columns(path), by_pandas(path, monkeypatch))


def test_a_fit_from_a_small_file_does_not_load_pandas():
    path = Path(str(files("henderson.datasets"))) / "data" / "sleepstudy.csv"
    code = (
        "import sys, henderson as hd\n"
        f"fit = hd.lmm('Reaction ~ Days + (Days | Subject)', {str(path)!r})\n"
        "fit.summary()\nassert 'pandas' not in sys.modules and 'narwhals' not in sys.modules\n"
        "assert type(fit.fixed_effects).__module__.startswith('pandas')"
    )
    source = str(Path(hd.__file__).parents[1])
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": source})

"""What a CSV file may have wrong, each said so that it can be put right."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile

import numpy as np
import pandas as pd
import pytest

from henderson import frame
from henderson.errors import DataError
from henderson.frame import small

FAULTS = {
    "one line": ("p,q\n1,a\n2,b,c\n3,d\n", r"line 3 of .* has 3 fields and the header has 2\.\nCorrect"),
    "two more": ("p,q\n1,a,2,3\n", r"line 2 of .* has 4 fields and the header has 2"),
    "quoted": ('p,q\n"1,0",a\n"2\n3",b,c\n1,d\n', r"line 4 of .* has 3 fields"),
    "row names": ('"p","q"\n"1",1,"a"\n"2",2,"b"\n', r"line 2 of .*row names = FALSE|row\.names = FALSE"),
    "ends": ("p,q\n1,a,\n2,b,\n", r"every line but the header ends in ','"),
    "semicolons": ("p;q\n1;2;3\n\n2;2\n", "line 2 of .* has 3 fields"),
}


@pytest.mark.parametrize(("text", "message"), FAULTS.values(), ids=FAULTS.keys())
@pytest.mark.parametrize("limit", [small.LIMIT, -1])
def test_more_fields_than_the_header(tmp_path, text, message, limit, monkeypatch):
    monkeypatch.setattr(small, "LIMIT", limit)
    path = tmp_path / "d.csv"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        frame.read(path, ["p"])


@pytest.mark.parametrize("end", [".gz", ".bz2", ".xz", ".zip"])
def test_more_fields_in_a_compressed_file(tmp_path, end):
    path, text = tmp_path / ("d.csv" + end), b"p,q\n1,a\n2,b,c\n"
    if end == ".zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("d.csv", text)
    else:
        path.write_bytes({".gz": gzip, ".bz2": bz2, ".xz": lzma}[end].compress(text))
    with pytest.raises(DataError, match="line 3 of"):
        frame.read(path, ["p"])


def test_quoted_separators_and_short_lines_are_no_fault(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text('p,q\n1,"a,b"\n2\n"3","a ""x"", b"\n')
    assert frame.read(path, ["q"])["q"].values.tolist() == [1, -1, 0]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-le"])
def test_other_encodings(tmp_path, encoding):
    path = tmp_path / "d.csv"
    path.write_bytes("p,q\n1,é\n".encode(encoding))
    with pytest.raises(DataError, match="Save the file as UTF-8"):
        frame.read(path, ["p"])


def test_a_decimal_comma(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("p;q;r\n1,5;1;a,5\n;1;b,5\n2;3;c\n")
    with pytest.raises(DataError, match=r"column 'p' of .* decimal comma, such as 1,5\.\n.*decimal=','"):
        frame.read(path, ["p", "q"])
    assert frame.read(path, ["q", "r"])["r"].levels == ("a,5", "b,5", "c")


def test_names_that_are_numbers():
    table = pd.DataFrame(np.arange(6.0).reshape(2, 3))
    assert frame.read(table, ["2"])["2"].values.tolist() == [2.0, 5.0]
    assert frame.read({0: [1.0], 1: [2.0]}, ["1"])["1"].values.tolist() == [2.0]
    assert frame.read({0: [1.0], "0": [2.0]}, ["0"])["0"].values.tolist() == [2.0]
    with pytest.raises(DataError, match="2 columns are called '0'"):
        frame.read(pd.DataFrame([[1.0, 2.0]], columns=[0, 0]), ["0"])


def test_a_series_in_a_dict_is_taken_by_position():
    x = pd.Series([1.0, 2.0], index=[1, 0])
    assert frame.read({"x": x, "y": [3.0, 4.0]}, ["x", "y"])["x"].values.tolist() == [1.0, 2.0]

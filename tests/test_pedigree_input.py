"""Pedigrees from any table, and what is refused, by name."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import henderson as hd
from henderson.errors import DataError

Pedigree = hd.genetics.Pedigree

ROWS = {"animal": ["c", "b", "a", "d"], "sire": ["a", "", "", "a"], "dam": ["b", "", "", "m"]}


def same(p, q):
    assert list(p.ids) == list(q.ids)
    np.testing.assert_array_equal(p.parents, q.parents)


@pytest.mark.parametrize("make", [pd.DataFrame, pl.DataFrame, pa.table, dict])
def test_any_library(make):
    p = Pedigree(make(ROWS))
    same(p, Pedigree(ROWS))
    assert p.added == ("m",) and len(p) == 5
    back = type(p.table)
    assert back is {pl.DataFrame: pl.DataFrame, pa.table: pa.Table}.get(make, pd.DataFrame)


def test_from_a_file(tmp_path):
    path = tmp_path / "pedigree.csv"
    path.write_text("id,father,mother\n3,1,2\n4,3,NA\n1,,0\n2,.,\n")
    # "." makes a column of text, and 1 in it is the 1 of the column of numbers.
    p = Pedigree(path, animal="id", sire="father", dam="mother")
    assert sorted(p.ids) == ["1", "2", "3", "4"]
    assert p.table.set_index("animal").loc["3", ["sire", "dam"]].tolist() == ["1", "2"]


@pytest.mark.parametrize(
    "sires",
    [
        [1.0, np.nan, np.nan, 1.0],
        np.ma.masked_equal([1, 0, 0, 1], 0),
        pd.array([1, None, None, 1], dtype="Int64"),
        [1, 0, 0, 1],
        ["1", "0", "NA", "1"],
        ["1", None, ".", "1"],
        ["1", "", "  ", "1"],
    ],
)
def test_unknown_parents_and_whole_numbers(sires):
    p = Pedigree({"animal": [3, 1, 2, 4], "sire": sires, "dam": [2, 0, 0, 0]})
    assert list(p.ids) == ["1", "2", "3", "4"]
    assert p.parents.tolist() == [[-1, -1], [-1, -1], [0, 1], [0, -1]]


def test_ids_that_no_float_holds():
    big = 2**60
    p = Pedigree({"animal": [big + 1, big + 3], "sire": [0, big + 1], "dam": [0, 0]})
    assert list(p.ids) == [str(big + 1), str(big + 3)] and p.parents[1].tolist() == [0, -1]
    missing = pd.array([None, big + 1], dtype="Int64")
    same(p, Pedigree({"animal": [big + 1, big + 3], "sire": missing, "dam": [0, 0]}))


def test_ids_that_are_no_whole_numbers():
    p = Pedigree({"animal": [1.5, 2.0], "sire": [np.nan, 1.5], "dam": [0.0, 0.0]})
    assert list(p.ids) == ["1.5", "2"]


def test_unknown_of_ones_own():
    rows = {"animal": ["0", "b"], "sire": ["-", "0"], "dam": ["-", "-"]}
    p = Pedigree(rows, unknown=("-",))
    assert list(p.ids) == ["0", "b"] and p.parents.tolist() == [[-1, -1], [0, -1]]
    assert len(Pedigree({"animal": [5, 6], "sire": [-1, 5], "dam": [-1, -1]}, unknown=[-1])) == 2


def test_order_is_kept_where_it_may_be():
    p = Pedigree({"animal": ["z", "y", "x"], "sire": [None, "z", "w"], "dam": [None, None, "y"]})
    assert list(p.ids) == ["w", "z", "y", "x"]
    assert p.added == ("w",)


def test_rows_that_repeat_are_counted():
    p = Pedigree({"animal": ["a", "b", "b", "b"], "sire": ["", "a", "a", "a"], "dam": [""] * 4})
    assert p.duplicates == 2 and len(p) == 2
    assert "repeated rows" in p.describe()


def test_only_sires_are_known():
    p = Pedigree({"animal": ["a", "b", "c"], "sire": ["", "a", "a"]}, dam=None)
    np.testing.assert_array_equal(p.relationship_matrix(), [[1, 0.5, 0.5], [0.5, 1, 0.25], [0.5, 0.25, 1]])


def test_from_arrays():
    p = Pedigree.from_arrays([-1, -1, 0], np.array([-1, -1, 1]))
    same(p, Pedigree({"animal": [1, 2, 3], "sire": [0, 0, 1], "dam": [0, 0, 2]}))
    assert list(Pedigree.from_arrays([-1], [-1], ["x"]).ids) == ["x"]
    for sire, dam in (([-1, 1], [-1, -1]), ([-1], [-2]), ([-1, -1], [-1]), ([0.0], [-1]), ([], [])):
        with pytest.raises(DataError, match=r"pedigree: "):
            Pedigree.from_arrays(sire, dam)


@pytest.mark.parametrize("length", [2, 3, 40, 3000])
def test_loops_are_printed(length):
    # 3000: the compiled search.
    names = [f"a{k}" for k in range(length)]
    rows = {"animal": ["top", *names], "sire": ["", *names[1:], names[0]], "dam": [""] + ["top"] * length}
    with pytest.raises(DataError, match=f"{length} individuals are their own ancestors") as caught:
        Pedigree(rows)
    said = str(caught.value)
    path = said.splitlines()[1].split(" -> ")
    if length <= 12:
        assert [p.strip(" '") for p in path] == [*names, "a0"]
    assert "'a0' in row 1" in said


def test_a_loop_that_hangs_from_others():
    # c and d are one another's parent; e ... descend from them and are no part of it.
    rows = {"animal": ["e", "f", "c", "d"], "sire": ["c", "e", "d", "x"], "dam": ["", "", "", "c"]}
    with pytest.raises(
        DataError, match=r"2 individuals(.|\n)*'c' -> 'd' -> 'c'(.|\n)*'c' in row 2, 'd' in row 3"
    ):
        Pedigree(rows, monoecious=True)


REFUSED = {
    "own parent": (
        dict(animal=["a", "b"], sire=["", "b"], dam=["", "a"]),
        {},
        r"'b' \(row 1\) is its own sire",
    ),
    "own parent, two": (
        dict(animal=["a", "b"], sire=["", ""], dam=["a", "b"]),
        {},
        r"'a' \(row 0\), 'b' \(row 1\) are their own dam",
    ),
    "two rows": (
        dict(animal=["a", "b", "a"], sire=["s", "", "s"], dam=["m", "", ""]),
        {},
        r"'a' occurs in rows 0 and 2(.|\n)*row 0: sire 's', dam 'm'(.|\n)*row 2: sire 's', dam unknown",
    ),
    "two roles": (
        dict(animal=["a", "b", "c"], sire=["", "a", "b"], dam=["", "", "a"]),
        {},
        r"1 parent is both sire and dam: 'a' \(sire in row 1, dam in row 2\)(.|\n)*monoecious=True",
    ),
    "selfed": (
        dict(animal=["a", "b"], sire=["", "a"], dam=["", "a"]),
        {},
        r"'b' \(row 1\) has one individual for sire and dam(.|\n)*monoecious=True",
    ),
    "no id": (
        dict(animal=["a", "NA"], sire=["", ""], dam=["", ""]),
        {},
        r"'animal' has no id in row 1 (.|\n)*unknown=",
    ),
    "a mark": (
        dict(animal=["a", "b"], sire=["?", "?"], dam=["", ""]),
        {},
        r"'\?' is named 2 times as a parent(.|\n)*unknown=\('\?', ...\)",
    ),
    "no column": (
        dict(id=["a"], sire=[""], dam=[""]),
        {},
        r"no column is called 'animal'(.|\n)*There are 'id', 'sire', 'dam'(.|\n)*animal='animal', sire='sire', dam='dam'",
    ),
    "near column": (
        dict(animal=["a"], sires=[""], dam=[""]),
        {},
        r"'sire'(.|\n)*The closest column is 'sires'",
    ),
    "sex": (
        dict(
            animal=["a", "b", "c", "d", "e"],
            sire=["", "", "a", "a", "c"],
            dam=["", "", "b", "b", "d"],
            sex=list("MFFFM"),
        ),
        dict(sex="sex"),
        r"column 'sire' has parents of the wrong sex: 'c' \(row 2\) is 'F'; (.|\n)*'M'",
    ),
    "no sex": (
        dict(animal=["a", "b", "c"], sire=["", "", "a"], dam=["", "", "b"], sex=list("112")),
        dict(sex="sex"),
        r"'sex' has '1' for most parents of column 'sire' and for most of column 'dam' alike",
    ),
    "two sexes": (
        dict(animal=["a", "a"], sire=["", ""], dam=["", ""], sex=["M", "F"]),
        dict(sex="sex"),
        r"row 0: sire unknown, dam unknown, sex 'M'(.|\n)*sex 'F'",
    ),
    "selfing in text": (
        dict(animal=["a"], sire=[""], dam=[""], g=["S2"]),
        dict(selfing="g"),
        "'g' holds text",
    ),
    "selfing below 0": (
        dict(animal=["a"], sire=[""], dam=[""], g=[-1]),
        dict(selfing="g"),
        "has -1 in row 0",
    ),
    "selfing in part": (
        dict(animal=["a"], sire=[""], dam=[""], g=[2.5]),
        dict(selfing="g"),
        "has 2.5 in row 0",
    ),
    "F of a child": (
        dict(animal=["a", "b"], sire=["", "a"], dam=["", ""], g=[0, 0.5]),
        dict(selfing="g"),
        r"has 0.5 for 'b' in row 1(.|\n)*who has parents",
    ),
    "dam and mgs": (dict(animal=["a"], sire=[""], d=[""], m=[""]), dict(dam="d", mgs="m"), "two ways"),
    "unknown as text": (dict(animal=["a"], sire=[""], dam=[""]), dict(unknown="0"), r"unknown=\('0',\)"),
    "no rows": (dict(animal=[], sire=[], dam=[]), {}, "no rows"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused_by_name(case):
    rows, options, says = REFUSED[case]
    with pytest.raises(DataError, match=says):
        Pedigree(rows, **options)


def test_sex_may_be_missing_or_any_two_marks():
    rows = dict(animal=[1, 2, 3, 4], sire=[0, 0, 1, 1], dam=[0, 0, 2, 3], sex=[0, 1, 1, np.nan])
    assert len(Pedigree(rows, sex="sex")) == 4


def test_plants():
    rows = dict(animal=["a", "b", "c"], sire=["", "a", "b"], dam=["", "a", "a"])
    np.testing.assert_array_equal(Pedigree(rows, monoecious=True).inbreeding, [0, 0.5, 0.5])


def test_ids_asked_for_that_are_not_there():
    p = Pedigree(ROWS)
    with pytest.raises(DataError, match="'dd'"):
        p.relationship_matrix(["a", "dd"])
    assert p.relationship_matrix("a").tolist() == [[1.0]]

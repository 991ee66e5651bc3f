"""Relationships as users give them: by id, refused by name where something is wrong."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from henderson.errors import DataError
from henderson.genetics.relationship import Relationship, as_relationship, match

IDS = ["a", "b", "c", "d"]


def spd(q: int, seed: int = 0, rank: int | None = None) -> np.ndarray:
    w = np.random.default_rng(seed).normal(size=(q, rank or q + 3))
    return w @ w.T / w.shape[1]


@pytest.fixture
def k() -> np.ndarray:
    return spd(4)


def tables(k: np.ndarray) -> dict[str, object]:
    frame = pd.DataFrame(k, index=IDS, columns=IDS)
    beside = pd.DataFrame({"id": IDS, **{i: k[:, j] for j, i in enumerate(IDS)}})
    return {
        "index": frame,
        "first column": beside,
        "columns only": pd.DataFrame(k, columns=IDS),
        "columns in another order": frame[["c", "a", "d", "b"]],
        "polars with ids": pl.from_pandas(beside),
        "polars lazy": pl.from_pandas(beside).lazy(),
        "polars by columns": pl.DataFrame(k, schema=IDS),
        "arrow": pl.from_pandas(beside).to_arrow(),
        "dict": {"id": IDS, **{i: k[:, j] for j, i in enumerate(IDS)}},
        "pair": (k, IDS),
        "pair of lists": (k.tolist(), tuple(IDS)),
        "pair, pandas ids": (k, pd.Index(IDS)),
    }


@pytest.mark.parametrize("kind", list(tables(np.eye(4))))
def test_every_way_of_giving_k_gives_the_same(k, kind):
    got = as_relationship(tables(k)[kind], "A")
    np.testing.assert_array_equal(got.ids, IDS)
    np.testing.assert_array_equal(got.covariance, k)
    assert got.precision is None
    assert got.q == 4
    np.testing.assert_allclose(got.log_determinant, np.linalg.slogdet(k)[1], rtol=1e-13)
    np.testing.assert_array_equal(got.diagonal, np.diag(k))


@pytest.mark.parametrize("name", ["k.csv", "k.tsv"])
@pytest.mark.parametrize("header", ["", "id"])
def test_square_csv(tmp_path, k, name, header):
    table = pd.DataFrame(k, index=pd.Index([11, 12, 13, 14], name=header), columns=[11, 12, 13, 14])
    table.to_csv(tmp_path / name, sep="\t" if name.endswith("tsv") else ",")
    got = as_relationship(str(tmp_path / name), "A")
    np.testing.assert_array_equal(got.ids, ["11", "12", "13", "14"])
    np.testing.assert_array_equal(got.covariance, k)


def test_csv_ids_that_look_missing_are_ids(tmp_path, k):
    (tmp_path / "k.csv").write_text("id,NA,b\nNA,1,0.5\nb,0.5,1\n")
    np.testing.assert_array_equal(as_relationship(tmp_path / "k.csv", "A").ids, ["NA", "b"])


@pytest.mark.parametrize("q", [4, 700])
def test_sparse_is_a_precision(q):
    """A first-order autoregression has a tridiagonal inverse, a known determinant and 1 / (1 - r^2) on the diagonal."""
    r = 0.6
    main = np.full(q, 1 + r**2)
    main[[0, -1]] = 1.0
    precision = sp.diags([np.full(q - 1, -r), main, np.full(q - 1, -r)], [-1, 0, 1])
    got = as_relationship((precision, range(q)), "A")
    assert got.covariance is None
    assert sp.isspmatrix_csc(got.precision)
    np.testing.assert_allclose(got.log_determinant, -np.log(1 - r**2), rtol=1e-11)
    np.testing.assert_allclose(got.diagonal, np.full(q, 1 / (1 - r**2)), rtol=1e-12)
    np.testing.assert_allclose(got.dense()[0, :3], np.array([1, r, r**2]) / (1 - r**2), rtol=1e-12)


def test_dense_precision_of_a_large_order_has_the_dense_answer():
    k = spd(450, 3)
    got = Relationship.from_precision(np.linalg.inv(k), range(450))
    np.testing.assert_allclose(got.log_determinant, np.linalg.slogdet(k)[1], rtol=1e-9)
    np.testing.assert_allclose(got.diagonal, np.diag(k), rtol=1e-8)


@given(st.permutations(range(6)), st.integers(0, 10))
@settings(max_examples=25, deadline=None)
def test_permuting_the_rows_moves_everything_with_its_id(order, seed):
    k, ids = spd(6, seed), list("uvwxyz")
    p = np.array(order)
    a = as_relationship((k, ids), "A")
    b = as_relationship((k[np.ix_(p, p)], [ids[i] for i in p]), "A")
    at_a, at_b = match(a.ids, ids), match(b.ids, ids)
    np.testing.assert_array_equal(b.covariance[np.ix_(at_b, at_b)], a.covariance[np.ix_(at_a, at_a)])
    np.testing.assert_allclose(a.log_determinant, b.log_determinant, rtol=1e-10, atol=1e-10)


def test_semidefinite_is_taken_and_its_determinant_is_nan():
    k = spd(40, 1, rank=12)
    got = as_relationship((k, range(40)), "A")
    assert np.isnan(got.log_determinant)
    w = got.square_root()
    assert w.shape == (40, 12)
    np.testing.assert_allclose(w @ w.T, k, atol=1e-13)


def test_semidefinite_within_the_rounding_of_a_file():
    k = spd(60, 2, rank=20).round(10)
    assert np.linalg.eigvalsh(k)[0] < 0
    got = as_relationship((k, range(60)), "A")
    assert np.isnan(got.log_determinant)
    assert got.square_root().shape == (60, 20)


def test_two_clones_make_a_singular_matrix():
    k = np.array([[1.0, 1.0, 0.5], [1.0, 1.0, 0.5], [0.5, 0.5, 1.0]])
    got = as_relationship((k, ["x", "y", "z"]), "A")
    assert np.isnan(got.log_determinant)
    assert got.square_root().shape == (3, 2)


def test_an_individual_with_variance_zero_is_taken():
    got = as_relationship((np.diag([1.0, 0.0]), ["x", "y"]), "A")
    assert np.isnan(got.log_determinant)


def test_not_positive_definite_says_by_how_much_and_what_to_do():
    k = np.array([[1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0]])
    least, *_, greatest = np.linalg.eigvalsh(k)
    with pytest.raises(DataError, match="not positive definite") as error:
        as_relationship((k, ["x", "y", "z"]), "G")
    assert f"{least:.4g}" in str(error.value)
    assert f"{greatest:.4g}" in str(error.value)
    assert "hd.genetics.bend(K, ids)" in str(error.value)


@pytest.mark.parametrize("q", [3, 500])
def test_precision_that_is_not_positive_definite_names_the_individual(q):
    precision = sp.eye(q, format="lil")
    precision[1, 2] = precision[2, 1] = 1.5
    with pytest.raises(DataError, match=r"breaks down at '(1|2)'.*from_covariance"):
        as_relationship((precision, range(q)), "A")


def test_singular_precision_is_refused():
    laplacian = sp.csr_matrix(np.array([[1.0, -1, 0], [-1, 2, -1], [0, -1, 1]]))
    with pytest.raises(DataError, match="not positive definite"):
        as_relationship((laplacian, IDS[:3]), "W")


def faults() -> list[tuple[object, str]]:
    k = spd(4)
    away = k.copy()
    away[0, 2] += 0.25
    nan = k.copy()
    nan[1, 3] = np.nan
    lower = np.tril(k)
    return [
        (k, r"4 x 4 matrix without ids.*matched to the data by id.*\(K, ids\)"),
        (sp.csc_matrix(k), r"without ids.*\(sparse K\^-1, ids\)"),
        (pd.DataFrame(k), "4 x 4 table without ids"),
        ((k[:3], IDS), "a square matrix; this is 3 x 4"),
        ((np.zeros((0, 0)), []), "empty"),
        ((k, IDS[:3]), "4 rows and there are 3 ids"),
        ((k, ["a", "b", "a", "d"]), r"id 'a' occurs 2 times \(rows 0 and 2"),
        ((k, [1, 2, "1", 4]), "id '1' occurs 2 times"),
        ((k, ["a", None, "c", "d"]), "id 1 .* is missing"),
        ((k, "abcd"), "the ids are a list"),
        ((k, IDS, 1), "two things; it has 3"),
        ((away, IDS), r"not symmetric.*between 'a' and 'c'"),
        ((sp.csc_matrix(away), IDS), r"not symmetric.*between 'a' and 'c'"),
        ((lower, IDS), "Only its lower triangle is filled"),
        ((sp.csc_matrix(lower), IDS), "Only its lower triangle is filled"),
        ((nan, IDS), "the relationship of 'b' and 'd' is nan"),
        ((sp.csc_matrix(nan), IDS), "the entry of 'b' and 'd' is nan"),
        (([["x", "y"], ["y", "x"]], ["a", "b"]), "not a number"),
        ((k + 1j, IDS), "complex"),
        (("what", IDS), "not str"),
        (3.0, "not float"),
        (pd.DataFrame(k[:, :3], index=IDS, columns=IDS[:3]), "4 rows and 3 columns.*row, column, value"),
        (
            pd.DataFrame(k, index=IDS, columns=["a", "b", "c", "e"]),
            "row 'd' has no column and column 'e' has no row",
        ),
        (pd.DataFrame(np.eye(2), index=["1", "2"], columns=["X1", "X2"]), "check.names = FALSE"),
        (pd.DataFrame(np.eye(2), index=["1", "1"], columns=["1", "2"]), "id '1' occurs 2 times"),
        (pd.DataFrame({"a": [1.0, 0.0], "b": ["x", "y"]}, index=["a", "b"]), "column 'b' holds something"),
        ("nowhere.csv", "no file 'nowhere.csv'"),
    ]


@pytest.mark.parametrize(("given_value", "said"), faults())
def test_faults_are_named(given_value, said):
    with pytest.raises(DataError, match=f"(?s){said}"):
        as_relationship(given_value, "A")


def test_matrix_without_ids_quotes_the_levels_of_the_data(k):
    with pytest.raises(DataError, match=r"ids = \['w1', 'w10', \.\.\.\]"):
        as_relationship(k, "G", expected=("w1", "w10", "w2", "w3"))


def test_match_by_id_whatever_the_order_and_the_type_of_the_labels():
    ids = as_relationship((np.eye(3), [10, "7", 3.0]), "A").ids
    np.testing.assert_array_equal(match(ids, (3, 7, 10)), [2, 1, 0])
    np.testing.assert_array_equal(match(ids, ("10", "3")), [0, 2])
    np.testing.assert_array_equal(match(ids, np.array([7.0])), [1])


@pytest.mark.parametrize(
    ("levels", "said"),
    [
        (["G1", "G2", "g3"], "level 'g3' of geno is not in K. The closest id to 'g3' is 'G3'"),
        (["G1", "G2", "G3", "G4 "], "There is 'G4': the level has spaces around it"),
        (["G1", "G2", "G3", "G04"], "The closest id to 'G04' is 'G4'"),
        (
            [f"H{k}" for k in range(9)],
            r"9 of the 9 levels of geno are not in K: 'H0', 'H1', 'H2', 'H3', 'H4' \.\.\.\. "
            r"Its 5 ids are 'G0', 'G1', 'G2' \.\.\.: is it the relationship of another column\?",
        ),
    ],
)
def test_levels_without_an_id_are_named(levels, said):
    with pytest.raises(DataError, match=said):
        match(as_relationship((np.eye(5), [f"G{k}" for k in range(5)]), "K").ids, levels, "K", "geno")


def test_numbers_written_in_two_ways():
    ids = as_relationship((np.eye(3), ["1.0", "2.0", "3.0"]), "K").ids
    with pytest.raises(DataError, match=r"There is '1\.0': the ids are written as decimal numbers"):
        match(ids, [1, 2], "K", "animal")
    ids = as_relationship((np.eye(3), [1, 2, 3]), "K").ids
    with pytest.raises(DataError, match="There is '1': the number is written in another way"):
        match(ids, ["1.0", "2", "3"], "K", "animal")
    ids = as_relationship((np.eye(2), ["X513", "X518"]), "K").ids
    with pytest.raises(DataError, match="R puts an X"):
        match(ids, ["513", "X518"], "K", "dent")


@pytest.mark.parametrize(
    "names", [("animal", "sire", "dam"), ("ID", "FATHER", "MOTHER"), ("id", "dam", "sire")]
)
@pytest.mark.parametrize("kind", ["pandas", "polars", "dict", "csv", "pedigree", "markers"])
def test_pedigrees_and_markers_are_relationships(tmp_path, names, kind):
    """A of two parents and their inbred grandchild: 1.25 on its diagonal, by the tabular method."""
    columns = {names[0]: [1, 2, 3, 4, 5], names[1]: [0, 0, 1, 1, 3], names[2]: [0, 0, 2, 2, 4]}
    value: object = columns
    if kind in ("pandas", "csv", "polars"):
        value = pd.DataFrame(columns)
    if kind == "polars":
        value = pl.from_pandas(value)
    if kind == "csv":
        value.to_csv(tmp_path / "p.csv", index=False)
        value = tmp_path / "p.csv"
    if kind == "pedigree":
        from henderson.genetics import Pedigree

        value = Pedigree(columns, *names)
    if kind == "markers":
        from henderson.genetics import Markers, grm

        x = np.random.default_rng(0).integers(0, 3, (5, 30))
        got = as_relationship(Markers(x, range(5)), "G")
        np.testing.assert_array_equal(got.covariance, grm(x, ids=range(5)).covariance)
        return
    got = as_relationship(value, "A")
    at = match(got.ids, [1, 2, 3, 4, 5])
    expected = [[1, 0, 0.5, 0.5, 0.5], [0, 1, 0.5, 0.5, 0.5], [0.5, 0.5, 1, 0.5, 0.75]]
    np.testing.assert_allclose(got.dense()[np.ix_(at[:3], at)], expected, atol=1e-14)
    np.testing.assert_allclose(got.diagonal[at], [1, 1, 1, 1, 1.25], rtol=1e-15)


def test_rounding_below_zero_comes_with_a_root_and_more_is_refused():
    k = spd(30, 4, rank=8)
    u = np.linalg.eigh(k)[1][:, :1]
    top = np.linalg.eigvalsh(k)[-1]
    near = k - 3e-9 * top * u @ u.T
    got = as_relationship(((near + near.T) / 2, range(30)), "K")
    assert got.root.shape == (30, 8)
    np.testing.assert_allclose(got.root @ got.root.T, k, atol=1e-7)
    far = k - 1e-7 * top * u @ u.T
    with pytest.raises(DataError, match="not positive definite"):
        as_relationship(((far + far.T) / 2, range(30)), "K")

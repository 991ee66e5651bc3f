"""Columns -> y, X and blocks: against formulaic and R, with missing values, weights and new data."""

from __future__ import annotations

import json
import time

import formulaic
import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from henderson import datasets, design, frame
from henderson import formula as fm
from henderson.errors import DataError, FormulaError, ModelError


def go(text, data, **options):
    f = fm.parse(text)
    given = {k: v for k, v in options.items() if k in ("weights", "offset")}
    return design.build(f, frame.read(data, design.needed(f, **given), f.text), **options)


def again(d, data, **options):
    spec = json.loads(json.dumps(d.spec))
    assert spec == d.spec
    wanted = {k: v for k, v in options.items() if k != "offset"}
    return design.rebuild(spec, frame.read(data, design.needed_again(spec, **wanted)), **options)


@pytest.fixture
def small():
    return small_table()


def small_table():
    rng = np.random.default_rng(7)
    n = 60
    return pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.uniform(1, 5, n),
            "z": rng.normal(size=n),
            "f": pd.Categorical(rng.choice(["c", "a", "b"], n), categories=["c", "a", "b"]),
            "h": rng.choice(["u", "v"], n),
            "t": rng.random(n) > 0.5,
            "g": np.repeat(np.arange(12), 5),
            "s": np.tile(["s1", "s2", "s3", "s4", "s5"], 12),
        }
    )


# -- the fixed part ----------------------------------------------------------------------------

FIXED = [
    "1", "x", "0 + x", "x + z", "x * z", "x:z", "f", "0 + f", "h", "t", "f + h", "f * h", "f:h",
    "0 + f:h", "f + f:h", "h + f:h", "0 + f + f:h", "x:f", "x + x:f", "f / x", "0 + f / x", "x * f * h",
    "(x + f + h)^2", "f * h - h", "f * h - f - h", "I(x**2)", "log(x) + sqrt(x) + exp(z)", "poly(x, 3)",
    "poly(x, 2):f", "poly(x, 2, raw=True)", "bs(x, df=5)", "bs(x, df=4, degree=2)", "cr(x, df=4)",
    "cc(x, df=4)", "scale(x)", "center(x)", "scale(log(x)):f", "C(f)", "C(g)", "x:C(g)", "x:z:f", "t:x",
    "x:f:h + f",
]  # fmt: skip


def formulaic_matrix(text, table):
    """formulaic's own matrix; a boolean is a number to formulaic and a factor to us, as it is to R."""
    table = table.assign(t=pd.Categorical(table["t"], categories=[False, True]))
    return formulaic.model_matrix(text, table, output="pandas", context={"sqrt": np.sqrt})


@pytest.mark.parametrize("text", FIXED)
def test_fixed_part_is_that_of_formulaic(text, small):
    ours = go("y ~ " + text, small)
    theirs = formulaic_matrix(text, small)
    if "raw" in text:  # formulaic counts raw powers from 0
        theirs.columns = ["Intercept", *(n.replace("TRUE", "True") for n in ours.x_names[1:])]
    names = [n.replace("Intercept", "(Intercept)") for n in theirs.columns]
    assert [n.replace("TRUE", "True").replace(" ", "") for n in ours.x_names] == [
        n.replace(" ", "") for n in names
    ]
    np.testing.assert_allclose(ours.X, theirs.to_numpy(dtype=float), rtol=1e-12, atol=1e-12)
    assert ours.X.flags.f_contiguous
    assert ours.X.dtype == np.float64


factor = st.sampled_from(["x", "z", "f", "h", "t"])
term = st.lists(factor, min_size=1, max_size=3, unique=True).map(":".join)
parts = st.lists(term, min_size=1, max_size=5, unique_by=lambda t: frozenset(t.split(":")))


@settings(max_examples=120, deadline=None)
@given(st.booleans(), parts)
def test_any_set_of_terms_is_coded_as_formulaic_does(intercept, terms):
    small = small_table()
    text = ("1" if intercept else "0") + " + " + " + ".join(terms)
    ours = go("y ~ " + text, small)
    theirs = formulaic_matrix(text, small)
    assert list(ours.x_names) == [n.replace("Intercept", "(Intercept)") for n in theirs.columns]
    np.testing.assert_allclose(ours.X, theirs.to_numpy(dtype=float), atol=1e-12)
    assert [ours.terms[k] for k in ours.assign] == [name for name in _owners(theirs)]


def _owners(matrix):
    return [
        {"1": "(Intercept)"}.get(str(t), str(t))
        for t, columns in matrix.model_spec.term_indices.items()
        for _ in columns
    ]


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("C(f, Sum)", "C(f, contr.sum)"),
        ("C(f, contr.helmert)", "C(f, contr.helmert)"),
        ("C(f, Poly())", "C(f, contr.poly)"),
        ("C(f, 'SAS')", "C(f, contr.SAS)"),
        ("C(f, Diff)", "C(f, contr.diff)"),
        ("C(f, Treatment('a'))", "C(f, contr.treatment('a'))"),
        ("C(f, Treatment(reference='b'))", "C(f, contr.treatment('b'))"),
    ],
)
def test_contrasts(ours, theirs, small):
    np.testing.assert_allclose(
        go("y ~ " + ours, small).X, formulaic.model_matrix(theirs, small, output="numpy"), atol=1e-14
    )


def test_contrasts_by_column(small):
    d = go("y ~ f * h", small, contrasts={"f": "Sum"})
    assert d.x_names[:4] == ("(Intercept)", "f[S.c]", "f[S.a]", "h[T.v]")
    assert set(np.unique(d.X[:, 1])) == {-1.0, 0.0, 1.0}
    assert np.array_equal(again(d, small).X, d.X)


def test_contrasts_are_refused_where_they_mean_nothing(small):
    with pytest.raises(DataError, match="no contrasts called 'Sm'"):
        go("y ~ f", small, contrasts={"f": "Sm"})
    with pytest.raises(DataError, match="names no column 'ff'"):
        go("y ~ f", small, contrasts={"ff": "Sum"})
    with pytest.raises(DataError, match="holds numbers"):
        go("y ~ x", small, contrasts={"x": "Sum"})
    with pytest.raises(DataError, match="no level 'z'"):
        go("y ~ C(f, Treatment('z'))", small)


def test_an_ordered_factor_has_polynomial_contrasts_as_in_r():
    """R 4.2.2: colnames(model.matrix(~ temperature, lme4::cake)) and its row for temperature 175."""
    d = go("angle ~ temperature", datasets.load("cake"))
    assert d.x_names == ("(Intercept)", *(f"temperature[{k}]" for k in (".L", ".Q", ".C", "^4", "^5")))
    first = [
        1,
        -0.597614304667197,
        0.545544725589981,
        -0.372677996249965,
        0.188982236504614,
        -0.0629940788348712,
    ]
    np.testing.assert_allclose(d.X[0], first, atol=1e-12)


# Bases of R 4.2.2 (stats, splines) at x = c(1, 2, 4, 7, 9, 12).
KNOTS = {"y": np.zeros(6), "x": np.array([1.0, 2, 4, 7, 9, 12])}
R_BASES = {
    "ns(x, df=3)": [
        [0, 0, 0],
        [-0.0774494567363415, 0.249880837741492, -0.166587225160995],
        [-0.0269779680418110, 0.542346160508104, -0.360957218824550],
        [0.4642437048911452, 0.403710313720655, -0.168169188057739],
        [0.4620503426166319, 0.328790835020961, 0.143801103158534],
        [-0.1428571428571429, 0.428571428571429, 0.714285714285714],
    ],
    "ns(x, df=2, include_intercept=TRUE)": [
        [0.551813452044773, -0.628889429186428],
        [0.542104328324938, -0.507309143060575],
        [0.522686080885269, -0.264148570808870],
        [0.493558709725764, 0.100592287568688],
        [0.474140462286095, 0.343752859820393],
        [0.445013091126590, 0.708493718197951],
    ],
    "bs(x, df=5)": [
        [0, 0, 0, 0, 0],
        [0.65774781341107857, 0.149819109461967, 0.00584415584415585, 0, 0],
        [0.25596153846153835, 0.589627487896719, 0.15350064137046388, 0.000910332271279018, 0],
        [0.00153846153846153, 0.298676707907477, 0.54832829892001489, 0.151456531634046432, 0],
        [0, 0.065357719203873, 0.40471510737782923, 0.500796540737369122, 0.0291306326809286],
        [0, 0, 0, 0, 1],
    ],
    "poly(x, 2)": [
        [-0.5071356, 0.4501374], [-0.4022110, 0.1184109], [-0.1923618, -0.3395200],
        [0.1224120, -0.5126111], [0.3322613, -0.2854683], [0.6470351, 0.5690511],
    ],
}  # fmt: skip


@pytest.mark.parametrize("call", R_BASES)
def test_bases_are_those_of_r(call):
    d = go("y ~ " + call, KNOTS)
    np.testing.assert_allclose(d.X[:, 1:], R_BASES[call], atol=6e-8 if "poly" in call else 1e-13)
    new = again(d, {"x": KNOTS["x"][[5, 0, 2]]})
    np.testing.assert_allclose(new.X, d.X[[5, 0, 2]], atol=1e-13)


def test_natural_splines_go_on_straight_as_in_r():
    """R 4.2.2: predict(ns(x, df = 3), c(0, 5, 15))."""
    new = again(go("y ~ ns(x, df=3)", KNOTS), {"x": np.array([0.0, 5.0, 15.0])})
    expected = [
        [0.0862360177237222, -0.258708053171167, 0.172472035447444],
        [0.1313479958924441, 0.541090700120077, -0.351244505587562],
        [-0.8846153846153847, 0.576923076923077, 1.307692307692307],
    ]
    np.testing.assert_allclose(new.X[:, 1:], expected, atol=1e-13)


def test_arithmetic_is_that_of_r(small):
    d = go("y ~ I(-x^2) + I((x + z)/2 - 1) + I(2^3^0.5*x) + sin(2*pi*z) + log1p(abs(z))", small)
    x, z = small["x"].to_numpy(), small["z"].to_numpy()
    expected = [
        np.ones(60),
        -(x**2),
        (x + z) / 2 - 1,
        2 ** (3**0.5) * x,
        np.sin(2 * np.pi * z),
        np.log1p(abs(z)),
    ]
    np.testing.assert_allclose(d.X, np.column_stack(expected), rtol=1e-14)
    assert d.x_names[1] == "I(-x^2)"


@pytest.mark.parametrize("kind", ["ns", "bs", "cr"])
@pytest.mark.parametrize(
    "arguments",
    ["knots=c(50)", "df=4, lower_bound=9, upper_bound=2", "df=4, lower_bound=50, upper_bound=60"],
)
def test_splines_outside_the_data_are_refused(kind, arguments):
    with pytest.raises(DataError, match=kind):
        go(f"y ~ {kind}(x, {arguments})", {"y": np.arange(12.0), "x": np.arange(12.0)})


@pytest.mark.parametrize("contrasts", [["f"], "f", {"f": [3]}, {"f": None}, {4: "Sum"}])
def test_contrasts_that_are_none_are_refused(contrasts):
    with pytest.raises(DataError, match="contrasts"):
        go("y ~ f", {"y": np.arange(4.0), "f": list("abab")}, contrasts=contrasts)


def test_products_of_more_combinations_than_an_int64_holds():
    n = 70_000
    rng = np.random.default_rng(1)
    data = {name: rng.permutation(n) for name in "abcd"}
    data = {name: np.append(values, values[:3]) for name, values in data.items()}
    data["y"] = np.arange(n + 3.0)
    d = go("y ~ (1 | a:b:c:d)", data)
    (block,) = d.blocks
    assert block.q == n and (block.codes[-3:] == block.codes[:3]).all()
    assert (block.combinations[block.codes] == np.column_stack([data[k] for k in "abcd"])).all()
    assert (np.lexsort(block.combinations.T[::-1]) == np.arange(n)).all()
    new = {k: np.array([data[k][5], data[k][6], data[k][0]]) for k in "abcd"}
    new["d"][1] = data["d"][9]
    again = design.rebuild(d.spec, frame.read(new, design.needed_again(d.spec)))
    assert again.blocks[0].codes.tolist() == [block.codes[5], -1, block.codes[0]]


def test_a_column_called_pi(small):
    data = {"y": np.arange(4.0), "pi": np.array([1.0, 2, 4, 8])}
    assert go("y ~ pi", data).X[:, 1].tolist() == [1, 2, 4, 8]
    assert go("y ~ I(2*`pi`)", data).X[:, 1].tolist() == [2, 4, 8, 16]


def test_names_with_dots_blanks_and_signs():
    data = {
        "y": np.arange(4.0),
        "a.b": np.array([1.0, 2, 4, 8]),
        "my col": list("uvuv"),
        "c[1]:d": np.arange(4.0) ** 2,
    }
    d = go("y ~ a.b + `my col` + `c[1]:d`", data)
    assert d.x_names == ("(Intercept)", "a.b", "my col[T.v]", "`c[1]:d`")


def test_a_column_is_not_taken_for_a_call_or_an_interaction_of_its_name():
    data = {"y": np.arange(6.0), "x": np.arange(1.0, 7) ** 2, "Days": np.arange(6.0) ** 3 + 1}
    data |= {"log(x)": np.cos(np.arange(6.0)), "Days:x": np.sin(np.arange(6.0)), "pi": np.arange(6.0) ** 4}
    d = go("y ~ `log(x)` + log(x)", data)
    assert d.x_names == ("(Intercept)", "`log(x)`", "log(x)")
    np.testing.assert_array_equal(d.X[:, 1:], np.column_stack([data["log(x)"], np.log(data["x"])]))
    assert go("y ~ `Days:x` + Days:x", data).x_names == ("(Intercept)", "`Days:x`", "Days:x")
    assert go("y ~ I(2 * pi * x) + I(2 * `pi` * x)", data).p == 3
    again = design.rebuild(json.loads(json.dumps(d.spec)), frame.read(data, design.needed_again(d.spec)))
    np.testing.assert_array_equal(again.X, d.X)


def test_a_grouping_column_is_not_taken_for_a_product_of_its_name():
    data = {"y": np.arange(8.0), "a": list("uuvv") * 2, "b": list("uv") * 4, "a:b": list("klmm") * 2}
    d = go("y ~ (1 | `a:b`) + (1 | a:b)", data)
    assert [(block.group, block.q) for block in d.blocks] == [("`a:b`", 3), ("a:b", 4)]


@pytest.mark.parametrize(
    ("text", "p", "names"),
    [
        ("y ~ 0 + (1 | g)", 0, ()),
        ("y ~ (1 | g)", 1, ("(Intercept)",)),
        ("y ~ 1 + (1 | g)", 1, ("(Intercept)",)),
        ("y ~ x - 1 + (1 | g)", 1, ("x",)),
    ],
)
def test_no_fixed_part(text, p, names, small):
    d = go(text, small)
    assert d.X.shape == (60, p)
    assert d.x_names == names
    assert again(d, small).X.shape == (60, p)


def test_response_may_be_a_call_and_is_a_copy(small):
    assert np.array_equal(go("log(x) ~ z", small).y, np.log(small["x"]))
    data = {"y": np.arange(3.0), "x": np.arange(3.0) ** 2}
    d = go("y ~ x", data)
    d.y[:] = 9
    assert data["y"].tolist() == [0, 1, 2]


def test_a_boolean_response_is_zero_and_one(small):
    assert np.array_equal(go("t ~ x", small).y, small["t"].astype(float))


# -- the random part ---------------------------------------------------------------------------


def test_sleepstudy():
    d = go("Reaction ~ Days + (Days | Subject)", datasets.load("sleepstudy"))
    (b,) = d.blocks
    assert (b.group, b.effects, b.structure, b.text) == (
        "Subject",
        ("(Intercept)", "Days"),
        "us",
        "(Days | Subject)",
    )
    assert b.levels[:3] == ("308", "309", "310")
    assert b.codes.dtype == np.int32
    assert np.array_equal(b.codes, np.repeat(np.arange(18), 10))
    assert b.values.flags.c_contiguous
    assert np.array_equal(b.values, np.column_stack([np.ones(180), np.tile(np.arange(10), 18)]))
    assert d.rows is None
    assert (d.n, d.p, d.n_read, d.n_dropped, d.dropped) == (180, 2, 180, 0, "")
    assert d.terms == ("(Intercept)", "Days")


def test_a_factor_left_of_the_bar(small):
    full = go("y ~ 1 + (0 + f | g)", small).blocks[0]
    assert full.effects == ("f[c]", "f[a]", "f[b]")
    assert np.array_equal(full.values.sum(axis=1), np.ones(60))
    both = go("y ~ 1 + (f || g)", small).blocks[0]
    assert (both.effects, both.structure) == (("(Intercept)", "f[T.a]", "f[T.b]"), "diag")


def test_the_constant_alone_has_no_values(small):
    d = go("y ~ 1 + (1 | g) + (1 + z | s)", small)
    assert d.blocks[0].values is None
    assert d.blocks[1].values.shape == (60, 2)


def test_nested_and_crossed_groups(small):
    outer = go("y ~ 1 + (1 | s/g)", small)
    assert [b.group for b in outer.blocks] == ["g:s", "s"]
    b = outer.blocks[0]
    assert len(b.levels) == 60
    assert b.levels[1] == "0:s2"
    for i in range(60):
        assert b.levels[b.codes[i]] == f"{small['g'][i]}:{small['s'][i]}"
    assert [b.text for b in outer.blocks] == ["(1 | g:s)", "(1 | s)"]


def test_combinations_that_do_not_occur_are_no_levels():
    data = {"y": np.arange(4.0), "a": ["u", "u", "v", "v"], "b": [1, 2, 2, 2]}
    b = go("y ~ 1 + (1 | a:b)", data).blocks[0]
    assert list(b.levels) == ["u:1", "u:2", "v:2"]
    assert b.codes.tolist() == [0, 1, 2, 2]
    assert b.combinations.tolist() == [[0, 0], [0, 1], [1, 1]]


def test_unused_levels_are_dropped_everywhere():
    data = pd.DataFrame(
        {"y": [1.0, 2, 3, np.nan], "f": pd.Categorical(["a", "b", "a", "c"], categories=list("zabc"))}
    )
    d = go("y ~ f + (1 | f)", data)
    assert d.x_names == ("(Intercept)", "f[T.b]")
    assert d.blocks[0].levels == ("a", "b")
    assert d.blocks[0].codes.tolist() == [0, 1, 0]


def test_level_order_of_a_grouping_is_the_callers():
    d = go("score ~ Machine + (Machine | Worker)", datasets.load("Machines"))
    assert d.blocks[0].levels == ("6", "2", "4", "1", "3", "5")


@pytest.mark.parametrize("text", ["(1 | k)", "(x | k)", "(1 | k:k2)"])
def test_a_grouping_with_one_level(text, small):
    small["k"], small["k2"] = 1, "only"
    with pytest.raises(ModelError, match="one level only"):
        go("y ~ x + " + text, small)


def test_a_fixed_factor_with_one_level(small):
    small["k"] = "only"
    with pytest.raises(ModelError, match="the factor 'k' has one level only"):
        go("y ~ k", small)


@pytest.mark.parametrize(
    "text", ["(1 | g) + (1 | g)", "(1 | g) + (x | g)", "(x | g) + (0 + x | g)", "(1 | g:s) + (1 | s:g)"]
)
def test_one_effect_in_two_terms_is_refused(text, small):
    with pytest.raises(ModelError, match="cannot be told apart"):
        go("y ~ x + " + text, small)


def test_separate_effects_of_one_group_are_fine(small):
    assert len(go("y ~ x + (1 | g) + (0 + x | g)", small).blocks) == 2


# -- rows --------------------------------------------------------------------------------------


def test_missing_values_are_left_out_and_counted(small):
    small.loc[3, "y"] = np.nan
    small.loc[[5, 7], "x"] = np.nan
    small["g"] = small["g"].astype(float)
    small.loc[7, "g"] = np.nan
    small.loc[9, "h"] = None
    small.loc[11, "z"] = np.nan  # not in the model
    d = go("y ~ log(x) + h + (x | g)", small)
    assert d.n == 56
    assert d.rows.tolist() == [i for i in range(60) if i not in (3, 5, 7, 9)]
    assert d.dropped == "4 of 60 rows left out: missing values in y (1), x (2), h (1), g (1)"
    clean = go("y ~ log(x) + h + (x | g)", small.drop(index=[3, 5, 7, 9]))
    assert np.array_equal(d.X, clean.X)
    assert np.array_equal(d.blocks[0].values, clean.blocks[0].values)
    assert np.array_equal(d.blocks[0].codes, clean.blocks[0].codes)


def test_no_complete_row(small):
    small["x"] = np.nan
    with pytest.raises(DataError, match=r"no row is complete: there are missing values in x \(60\)"):
        go("y ~ x", small)


@pytest.mark.parametrize("column", ["y", "x", "g"])
@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_values_are_named(column, value, small):
    small[column] = small[column].astype(float)
    small.loc[17, column] = value
    with pytest.raises(DataError, match=f"column '{column}' is infinite in row 17"):
        go("y ~ x + (1 | g)", small)


def test_huge_numbers_are_not_infinite():
    x = np.array([1e308, 1e308, -1.0, 3.0])
    assert np.array_equal(go("y ~ x", {"y": np.arange(4.0), "x": x}).X[:, 1], x)


def test_a_function_that_has_no_value_names_row_and_value(small):
    small.loc[4, "x"] = -2.0
    with pytest.raises(DataError, match=r"log\(x\) is not a finite number in row 4 .*x = -2"):
        go("y ~ log(x)", small)
    with pytest.raises(DataError, match=r"sqrt\(x\)"):
        go("sqrt(x) ~ z", small)


def test_text_where_a_number_is_needed(small):
    with pytest.raises(DataError, match="column 'h' holds text"):
        go("h ~ x", small)
    with pytest.raises(DataError, match="column 'h' holds text"):
        go("y ~ log(h)", small)
    with pytest.raises(DataError, match="column 'f' holds text"):
        go("y ~ x + offset(f)", small)


def test_a_number_column_spoiled_by_a_text_is_pointed_at(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("y,x\n" + "".join(f"{i},{i if i != 13 else '1O'}\n" for i in range(30)))
    with pytest.raises(DataError, match=r"row 13 .*holds '1O'"):
        go("y ~ x", path)
    with pytest.raises(DataError, match=r"'1O', in row 13"):
        go("x ~ y", path)
    assert go("y ~ C(x)", path).p == 30


# -- weights and offsets -----------------------------------------------------------------------


def test_weights_and_offset_by_name_and_by_value(small):
    small.loc[2, "y"] = np.nan
    keep = [i for i in range(60) if i != 2]
    x, z = small["x"].to_numpy(), small["z"].to_numpy()
    for weights, offset in (("x", "z"), (x, z), (list(x), pd.Series(z))):
        d = go("y ~ 1 + (1 | g)", small, weights=weights, offset=offset)
        assert np.array_equal(d.weights, x[keep])
        assert np.array_equal(d.offset, z[keep])


def test_offsets_add_up(small):
    x, z = small["x"].to_numpy(), small["z"].to_numpy()
    d = go("y ~ 1 + offset(log(x)) + offset(z)", small, offset="x")
    np.testing.assert_allclose(d.offset, np.log(x) + z + x)
    assert d.x_names == ("(Intercept)",)
    assert go("y ~ 1", small).offset is None
    np.testing.assert_allclose(again(d, small).offset, d.offset)
    np.testing.assert_allclose(again(d, small, offset=np.zeros(60)).offset, np.log(x) + z)


@pytest.mark.parametrize(
    ("value", "message"),
    [(-1.0, "negative"), (0.0, "zero"), (np.nan, "not a finite"), (np.inf, "not a finite")],
)
def test_bad_weights_are_refused_with_their_row(value, message, small):
    small.loc[8, "x"] = value
    for weights in ("x", small["x"].to_numpy()):
        with pytest.raises(DataError, match=rf"weights.*row 8 .*{message}|weights.*{message}.*row 8"):
            go("y ~ 1", small, weights=weights)


def test_weights_of_another_length_or_kind(small):
    with pytest.raises(DataError, match="60 numbers are needed"):
        go("y ~ 1", small, weights=np.ones(59))
    with pytest.raises(DataError, match="holds labels"):
        go("y ~ 1", small, weights="h")
    with pytest.raises(DataError, match="array of numbers"):
        go("y ~ 1", small, weights=["a"] * 60)
    with pytest.raises(FormulaError, match="no column is called 'xx'"):
        go("y ~ 1", small, weights="xx")


# -- new data ----------------------------------------------------------------------------------

AGAIN = [
    "y ~ x + f * h + t + (x | g) + (1 | s)",
    "y ~ poly(x, 2) + ns(z, df=3) + bs(x, df=5) + cr(z, df=4) + cc(x, df=4) + (poly(x, 2) | g)",
    "log(x) ~ scale(z) + center(x):f + C(g, Sum) + (0 + f || g:s)",
    "y ~ 0 + f:h + scale(log(x)) + (1 | s/g)",
    "y ~ C(f, Treatment('b')) + C(h, Helmert) + offset(z)",
]


@pytest.mark.parametrize("text", AGAIN)
@pytest.mark.parametrize(
    "make", [lambda d: d, pl.from_pandas, lambda d: d.to_dict("list")], ids=["pandas", "polars", "dict"]
)
def test_the_same_columns_again(text, make, small):
    d = go(text, small)
    e = again(d, make(small), response=True)
    assert np.array_equal(d.X, e.X)
    assert np.array_equal(d.y, e.y)
    assert (d.x_names, d.terms) == (e.x_names, e.terms)
    assert np.array_equal(d.assign, e.assign)
    for a, b in zip(d.blocks, e.blocks, strict=True):
        assert (a.group, a.effects, a.structure, a.text) == (b.group, b.effects, b.structure, b.text)
        assert list(a.levels) == list(b.levels)
        assert np.array_equal(a.codes, b.codes)
        assert (a.values is None and b.values is None) or np.array_equal(a.values, b.values)
        assert b.unknown == ()


@pytest.mark.parametrize("text", AGAIN)
def test_a_few_rows_get_what_they_had(text, small):
    d = go(text, small)
    some = [41, 3, 3, 17]
    e = again(d, small.iloc[some])
    np.testing.assert_allclose(e.X, d.X[some], atol=1e-13)
    for a, b in zip(d.blocks, e.blocks, strict=True):
        assert np.array_equal(a.codes[some], b.codes)


def test_new_data_need_neither_response_nor_weights_nor_groups(small):
    d = go("y ~ x + (z | g)", small, weights="x")
    assert design.needed_again(d.spec) == ["x", "z", "g"]
    assert design.needed_again(d.spec, random=False) == ["x"]
    e = again(d, small[["x"]], random=False)
    assert e.blocks == ()
    assert e.y is None


def test_unknown_levels_of_a_group_are_listed(small):
    d = go("y ~ 1 + (1 | g) + (1 | g:s)", small)
    e = again(d, {"g": [0, 99, 0, None], "s": ["s1", "s1", "new", "s1"]})
    assert e.blocks[0].codes.tolist() == [0, -1, 0, -1]
    assert set(e.blocks[0].unknown) == {99, None}
    assert e.blocks[1].codes.tolist() == [0, -1, -1, -1]
    assert set(e.blocks[1].unknown) == {"99:s1", "0:new", None}


def test_groups_are_matched_by_label_whatever_their_type():
    d = go("Reaction ~ Days + (1 | Subject)", datasets.load("sleepstudy"))
    e = again(d, {"Days": [0, 0, 0], "Subject": [309, 372, 308]})
    assert e.blocks[0].codes.tolist() == [1, 17, 0]


def test_an_unknown_level_of_a_fixed_factor_is_refused(small):
    d = go("y ~ f", small)
    with pytest.raises(DataError, match="column 'f' has the level 'q' in row 1"):
        again(d, {"f": ["a", "q"]})


def test_a_level_that_new_data_lack_keeps_its_column(small):
    d = go("y ~ f + (0 + f | g)", small)
    e = again(d, {"f": ["a", "a"], "g": [0, 1]})
    assert e.X.tolist() == [[1, 1, 0], [1, 1, 0]]
    assert e.blocks[0].effects == ("f[c]", "f[a]", "f[b]")


def test_numbers_that_became_text_are_refused(small):
    with pytest.raises(DataError, match="held numbers when the model was fitted"):
        again(go("y ~ x", small), {"x": ["a", "b"]})


def test_missing_values_in_new_data_leave_rows_out(small):
    e = again(go("y ~ x + (1 | g)", small), {"x": [1.0, None, 2.0], "g": [0, 1, None]})
    assert e.rows.tolist() == [0, 2]
    assert e.blocks[0].codes.tolist() == [0, -1]


def test_a_record_of_another_version_is_refused(small):
    d = go("y ~ x", small)
    with pytest.raises(DataError, match="another version"):
        design.rebuild(d.spec | {"version": 99}, frame.read(small, ["x"]))


@pytest.mark.parametrize(
    "call", ["poly(x, 0)", "poly(x, 30)", "scale(k)", "ns(k, df=3)", "bs(x, df=2)", "ns(x, df=0)", "cr(x)"]
)
def test_bases_that_cannot_be_made(call, small):
    small["k"] = 1.0
    with pytest.raises(DataError):
        go("y ~ " + call, small)


def test_a_polynomial_needs_different_values():
    with pytest.raises(DataError, match="more than 3 different"):
        go("y ~ poly(x, 3)", {"y": np.arange(9.0), "x": np.repeat([1.0, 2, 3], 3)})


def test_more_columns_than_memory():
    n = 200_000
    data = {"y": np.zeros(n), "a": np.arange(n), "b": np.arange(n)[::-1].copy()}
    with pytest.raises(ModelError, match=r"'C\(a\):C\(b\)' has .*too many for memory"):
        go("y ~ C(a):C(b)", data)


# -- speed -------------------------------------------------------------------------------------


def _best(action, times):
    def seconds():
        start = time.perf_counter()
        action()
        return time.perf_counter() - start

    return min(seconds() for _ in range(times))


def test_sleepstudy_is_fast():
    data = datasets.load("sleepstudy")
    assert (
        _best(lambda: go("Reaction ~ Days + (Days | Subject)", data), 20) < 0.005
    )  # 0.4 ms on a quiet machine


def test_a_million_rows_are_fast():
    n, rng = 10**6, np.random.default_rng(1)
    data = pd.DataFrame({"y": rng.normal(size=n), "x": rng.normal(size=n), "g": rng.integers(0, 50_000, n)})
    assert _best(lambda: go("y ~ x + (x | g)", data), 4) < 0.5  # 18 ms on a quiet machine


# -- corners -----------------------------------------------------------------------------------


def test_new_data_for_a_mean_alone(small):
    d = go("y ~ 1", small)
    assert design.needed_again(d.spec) == []
    for table in (
        {"a": [1, 2, 3]},
        pd.DataFrame({"a": [1, 2, 3]}),
        pl.DataFrame({"a": [1, 2, 3]}),
        pl.LazyFrame({"a": [1, 2, 3]}),
    ):
        assert again(d, table).X.tolist() == [[1], [1], [1]]


def test_a_column_as_number_and_as_factor(small):
    d = go("y ~ g + C(g)", small)
    assert d.p == 13
    assert np.array_equal(again(d, small).X, d.X)
    with pytest.raises(DataError, match="holds labels where the model had numbers"):
        again(d, {"g": ["0", "1"]})


def test_large_interactions_are_coded_in_time():
    rng = np.random.default_rng(3)
    data = {name: rng.choice(["u", "v"], 400) for name in "abcdefgh"} | {"y": rng.normal(size=400)}
    start = time.perf_counter()
    d = go("y ~ " + ":".join("abcdefgh"), data)
    assert d.p == 256
    assert time.perf_counter() - start < 5


def test_the_record_does_not_keep_the_columns_alive(small):
    import gc
    import weakref

    f = fm.parse("y ~ x + poly(z, 2) + (x | g)")
    table = frame.read(small, design.needed(f), f.text)
    column = weakref.ref(table["z"])
    d = design.build(f, table)
    del table
    gc.collect()
    assert column() is None
    assert d.spec["state"]["poly(z, 2)"]["alpha"]

"""The null space in words: each sentence is held to the data it speaks of, and every dropped column gets one."""

from __future__ import annotations

from itertools import product

import numpy as np
import pandas as pd
import pytest

import henderson as hd
from henderson.design.aliasing import describe, reasons, why_not
from henderson.design.cells import Layout, empty_cells
from henderson.design.combination import cleaned, number, written

# made_empty_cells: a two-way table with three empty cells; lm(y ~ A*B) of R 4.2 has rank 6 and NA for a2:b3, a3:b2, a3:b3.
CELLS = pd.DataFrame(
    {
        "y": [4.2, 5.1, 6.3, 5.8, 7.7, 6.9, 3.3, 4.8, 5.5, 6.1],
        "A": ["a1", "a1", "a1", "a2", "a2", "a2", "a3", "a3", "a3", "a3"],
        "B": ["b1", "b2", "b2", "b1", "b1", "b2", "b1", "b1", "b3", "b3"],
    }
)
# MASS::npk: blocks 1, 5, 6 hold one half of the N:P:K contrast and blocks 2, 3, 4 the other (Venables & Ripley 2002, 6.7).
NPK = pd.DataFrame(
    {
        "block": np.repeat(np.arange(1, 7), 4),
        "N": [0, 1, 0, 1, 1, 1, 0, 0, 0, 1, 1, 0, 1, 1, 0, 0, 1, 0, 1, 0, 1, 1, 0, 0],
        "P": [1, 1, 0, 0, 0, 1, 0, 1, 1, 1, 0, 0, 0, 1, 0, 1, 1, 0, 0, 1, 0, 1, 1, 0],
        "K": [1, 0, 0, 1, 0, 1, 1, 0, 0, 1, 0, 1, 0, 1, 1, 0, 0, 0, 1, 1, 1, 0, 1, 0],
        "yield": [49.5, 62.8, 46.8, 57, 59.8, 58.5, 55.5, 56, 62.8, 55.8, 69.5, 55,
                  62, 48.8, 45.5, 44.2, 52, 51.5, 49.8, 48.8, 57.2, 59, 53.2, 56],
    }
)  # fmt: skip


def said(formula, data, **options):
    fit = hd.lm(formula, data, **options)
    return fit, describe(fit.columns, fit.design)


def table(n=24, seed=1):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.normal(size=n),
            "block": np.repeat(list("1234"), n // 4),
            "trt": np.tile(list("AB"), n // 2),
        }
    )


def test_nothing_to_say_of_full_rank():
    fit, sentences = said("y ~ x + block * trt", table())
    assert sentences == [] and why_not(fit.columns, fit.design, np.ones(len(fit.columns.names))) == ""


@pytest.mark.parametrize(
    ("formula", "contrasts"),
    [
        ("y ~ A * B", None),
        ("y ~ 0 + A:B", None),
        ("y ~ A:B", None),
        ("y ~ A * B", {"A": "Sum", "B": "Helmert"}),
    ],
)
def test_empty_cells_are_named_whatever_the_coding(formula, contrasts):
    fit, sentences = said(formula, CELLS, contrasts=contrasts)
    assert fit.columns.rank == 6
    assert sentences == [
        "no row has A a1 with B b3, A a2 with B b3 or A a3 with B b2, so A[a1]:B[b3], A[a2]:B[b3] and A[a3]:B[b2] cannot"
        " be estimated."
    ]


def test_a_cell_mean_is_refused_for_its_own_empty_cell():
    """Every cell of the table: estimable where it has rows; else the sentence names this cell, and no other."""
    for contrasts in (None, {"A": "Sum", "B": "Helmert"}):
        fit, _ = said("y ~ A * B", CELLS, contrasts=contrasts)
        layout = Layout(fit.design)
        for a, b in product(range(3), range(3)):
            row = layout.row({"A": a, "B": b})
            rows = ((f"a{a + 1}" == CELLS.A) & (f"b{b + 1}" == CELLS.B)).sum()
            reason = why_not(fit.columns, fit.design, row)
            assert reason == ("" if rows else f"no row has A a{a + 1} with B b{b + 1}.")


def test_the_row_of_a_cell_is_that_of_the_design():
    fit, _ = said("y ~ A * B", CELLS, contrasts={"A": "Sum", "B": "Helmert"})
    layout = Layout(fit.design)
    for i, (a, b) in enumerate(zip(CELLS.A, CELLS.B, strict=True)):
        np.testing.assert_array_equal(layout.row({"A": int(a[1]) - 1, "B": int(b[1]) - 1}), fit.design.X[i])


def test_empty_cells_of_three_factors_are_the_smallest():
    full = pd.DataFrame(list(product("ab", "cd", "ef")), columns=["p", "q", "r"])
    full = pd.concat([full, full], ignore_index=True).assign(y=np.arange(16.0))
    gone = full[~((full.p == "a") & (full.q == "c")) & ~((full.p == "b") & (full.q == "d") & (full.r == "f"))]
    fit, _ = said("y ~ p * q * r", gone)
    found = [cell.said(Layout(fit.design)) for cell in empty_cells(Layout(fit.design), ("p", "q", "r"))]
    assert found == ["p a with q c", "p b with q d with r f"]


@pytest.mark.parametrize("formula", ["yield ~ C(block) + N*P*K", "yield ~ C(block) + C(N)*C(P)*C(K)"])
def test_npk_the_interaction_is_a_difference_of_blocks(formula):
    fit, sentences = said(formula, NPK)
    assert fit.columns.rank == 12
    assert sentences == [
        "N:P:K is confounded with block: beside its margins it is the difference between block 1, 5 and 6 and block 2, 3"
        " and 4, so it cannot be told from block."
    ]
    # And so it is: the sign of the contrast is one in each block.
    sign = (2 * NPK.N - 1) * (2 * NPK.P - 1) * (2 * NPK.K - 1)
    assert (sign.groupby(NPK.block).nunique() == 1).all()
    assert set(NPK.block[sign == sign[0]]) in ({1, 5, 6}, {2, 3, 4})


def test_a_treatment_that_is_constant_in_blocks():
    data = table().assign(trt=lambda d: d.block.map({"1": "A", "2": "A", "3": "B", "4": "C"}))
    _, sentences = said("y ~ block + trt", data)
    assert sentences == [
        "block and trt are confounded: every row of block 1 and 2 has trt A, every row of block 3 has trt B and every row"
        " of block 4 has trt C; what trt does cannot be told from block."
    ]
    _, sentences = said("y ~ trt + block", data)
    assert sentences[0].endswith("2 of the 4 levels of block have no coefficient.")


def test_one_factor_under_two_names():
    data = table().assign(plot=lambda d: d.block.map(dict(zip("1234", "wxyz", strict=True))))
    _, sentences = said("y ~ block + plot", data)
    assert len(sentences) == 1 and "divide the rows in the same way (block 1 is plot w, " in sentences[0]


def test_a_disconnected_table():
    data = table()
    data["trt"] = np.where(data.block.isin(["1", "2"]), data.trt, data.trt.map({"A": "C", "B": "D"}))
    fit, sentences = said("y ~ block + trt", data)
    assert fit.columns.rank == 6
    assert (
        "2 groups that share no level (block 1 and 2 with trt A and B and block 3 and 4 with trt C and D)"
        in sentences[0]
    )
    # Within a group differences can be estimated, between them they cannot.
    names = fit.columns.names
    within, between = np.zeros(len(names)), np.zeros(len(names))
    within[names.index("trt[T.B]")] = 1.0
    between[names.index("trt[T.C]")] = 1.0
    assert why_not(fit.columns, fit.design, within) == ""
    assert why_not(fit.columns, fit.design, between) == sentences[0]


def test_a_latin_square_with_a_second_treatment_that_is_not_orthogonal():
    """Greek letters that are a coarser copy of the Latin ones: (row + column) odd or even."""
    rows = [(r, c, "ABCD"[(r + c) % 4], "pq"[(r + c) % 2]) for r in range(4) for c in range(4)]
    data = pd.DataFrame(rows, columns=["row", "col", "latin", "greek"]).assign(y=np.arange(16.0) ** 1.5)
    fit, sentences = said("y ~ C(row) + C(col) + latin", data)
    assert fit.columns.rank == 10 and sentences == []
    fit, sentences = said("y ~ C(row) + C(col) + latin + greek", data)
    assert fit.columns.rank == 10
    assert sentences == [
        "latin and greek are confounded: every row of latin A and C has greek p and every row of latin B and D has greek"
        " q; what greek does cannot be told from latin."
    ]
    fit, sentences = said("y ~ C(row) * C(col) + latin", data)
    assert fit.columns.rank == 16
    assert sentences[0] == "X has 19 columns and 16 rows: no more than 16 coefficients can be estimated."
    assert "row:col is confounded with latin" in sentences[1]


def test_copies_sums_and_constants():
    rng = np.random.default_rng(3)
    data = table().assign(
        x2=lambda d: 2.0 * d.x,
        five=5.0,
        nothing=0.0,
        a=rng.integers(0, 8, 24) / 8,
        b=rng.integers(0, 8, 24) / 8,
    )
    data["c"] = 1.0 - data.a - data.b
    data["third"] = data.a / 3 - 2 * data.b + 0.25
    assert said("y ~ x + x2", data)[1] == ["x2 is 2 * x in every row: it has no coefficient of its own."]
    assert said("y ~ x2 + x", data)[1] == ["x is 0.5 * x2 in every row: it has no coefficient of its own."]
    assert said("y ~ five", data)[1] == ["five is 5 in every row: it cannot be told from the intercept."]
    assert said("y ~ nothing", data)[1] == ["nothing is 0 in every row: it has no coefficient."]
    assert said("y ~ a + b + c", data)[1] == [
        "a + b + c is 1 in every row: with the intercept in the model, c has no coefficient of its own."
    ]
    assert said("y ~ 0 + a + b + c", data)[1] == []
    assert said("y ~ a + b + third", data)[1] == [
        "third is 0.25 + 1/3 * a - 2 * b in every row: it has no coefficient of its own."
    ]


def test_a_covariate_that_does_not_vary_within_levels():
    data = table().assign(rain=lambda d: d.block.map({"1": 100.0, "2": 250.0, "3": 300.0, "4": 420.0}))
    data["half"] = np.where(data.block == "3", 2.5, data.x)
    assert said("y ~ block + rain", data)[1] == [
        "rain has one value in each level of block: it cannot be told from the differences among the levels of block."
    ]
    assert said("y ~ rain + block", data)[1][0].startswith(
        "rain has one value in each level of block (100 for block 1, 250 for block 2, 300 for block 3 and 420 for block 4)"
    )
    assert said("y ~ block * half", data)[1] == [
        "half is 2.5 in every row of block 3, so the slope of half there cannot be estimated."
    ]
    assert said("y ~ 0 + block + block:half", data)[1] == said("y ~ block * half", data)[1]


def test_slopes_where_a_cell_has_no_rows():
    data = table()
    data = data[~((data.block == "2") & (data.trt == "B"))]
    _, sentences = said("y ~ block * trt * x", data)
    assert sentences[0] == "no row has block 2 with trt B, so block[2]:trt[B] cannot be estimated."
    assert sentences[1] == "no row has block 2 with trt B, so the slope of x there cannot be estimated."


def test_more_columns_than_rows():
    data = pd.DataFrame(np.random.default_rng(0).normal(size=(4, 7)), columns=list("yabcdef"))
    fit, sentences = said("y ~ a + b + c + d + e + f", data)
    assert sentences[0] == "X has 7 columns and 4 rows: no more than 4 coefficients can be estimated."
    assert [s.split()[0] for s in sentences[1:]] == list(fit.dropped) == ["d", "e", "f"]


def test_every_dropped_column_has_one_reason():
    rng = np.random.default_rng(8)
    for _ in range(40):
        n = int(rng.integers(6, 30))
        data = pd.DataFrame(
            {
                "y": rng.normal(size=n),
                "f": rng.choice(list("abc"), n),
                "g": rng.choice(list("pqrs"), n),
                "x": rng.integers(0, 3, n).astype(float),
            }
        )
        if data.f.nunique() < 2 or data.g.nunique() < 2:
            continue
        fit = hd.lm("y ~ f * g * x + I(x**2) + I(x**3)", data)
        covered = sorted(k for reason in reasons(fit.columns, fit.design) for k in reason.directions)
        assert covered == list(range(len(fit.dropped)))
        for j in fit.columns.dropped:
            row = np.zeros(len(fit.columns.names))
            row[j] = 1.0
            assert why_not(fit.columns, fit.design, row) and why_not(fit.columns, None, row)


def test_without_rows_columns_are_named():
    fit, _ = said("y ~ x + x2", table().assign(x2=lambda d: 2.0 * d.x))
    row = np.array([0.0, 3.0, 0.0])
    assert why_not(fit.columns, None, row) == (
        "adding 1 to x2 and taking 2 from x changes no fitted value, but changes this combination by -6."
    )
    assert why_not(fit.columns, None, np.array([1.0, 1.0, 2.0])) == ""


def test_rows_with_missing_values_are_not_counted():
    data = CELLS.copy()
    data.loc[5, "y"] = np.nan  # the only row of a2 with b2
    _, sentences = said("y ~ A * B", data)
    assert "A a2 with B b2" in sentences[0]


def test_coefficients_are_cleaned_but_not_falsified():
    np.testing.assert_array_equal(
        cleaned(np.array([1.0 + 1e-9, 1e-12, -1 / 3 + 1e-10, 0.7142])), [1, 0, -1 / 3, 0.7142]
    )
    assert (
        number(1 / 3) == "1/3"
        and number(0.25) == "0.25"
        and number(0.714212) == "0.7142"
        and number(2.0) == "2"
    )
    assert written(["(Intercept)", "a", "b"], np.array([3.0, -1.0, 2.0])) == "3 - a + 2 * b"
    assert written(["a"], np.array([0.0])) == "0"

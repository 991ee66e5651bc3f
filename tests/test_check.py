"""`hd.check`: its figures against numpy, what cannot be estimated against dense algebra, its errors against the fits'."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from test_aliasing import CELLS, NPK

import henderson as hd
from henderson import design, formula, frame
from henderson.linear.collinear import near_dependencies
from henderson.mixed.criterion import Problem, evaluate
from henderson.mixed.crossproducts import cross_products
from henderson.mixed.derivatives import derivatives
from henderson.mixed.flat import flat_directions
from henderson.mixed.separable import null_directions
from henderson.mixed.solver import build_system
from henderson.mixed.standardise import standardise


def table(n=48, seed=1):
    rng = np.random.default_rng(seed)
    data = pd.DataFrame({"y": rng.normal(size=n), "x": rng.normal(size=n)})
    data["animal"] = np.repeat(list("abcdefgh"), n // 8)
    data["litter"] = data.animal.map(dict(zip("abcdefgh", "stuvwxyz", strict=True)))
    data["record"] = [f"r{i}" for i in range(n)]
    data["pair"] = np.repeat([f"p{i}" for i in range(n // 2)], 2)
    data["s"] = np.tile([0.0, 1.0], n // 2)
    data["b"] = np.tile(list("uvw"), n // 3)
    data["t"] = np.tile(np.arange(6.0), n // 6)
    return data


def built(text, data):
    parsed = formula.parse(text)
    return design.build(parsed, frame.read(data, design.needed(parsed), text))


# -- the verdict -----------------------------------------------------------------------------------------


def test_a_sound_model():
    found = hd.check("y ~ x + (t | animal)", table())
    assert found.ok and found.problems == () and found.null_space == ()
    assert (found.n_read, found.nobs, found.rank, found.names) == (48, 48, 2, ("(Intercept)", "x"))
    assert "can be fitted: every coefficient and every variance can be estimated." in repr(found)
    (group,) = found.groupings
    assert (group.levels, group.effects, set(group.rows)) == (8, ("(Intercept)", "t"), {6})


def test_rows_left_out_and_why():
    data = table()
    data.loc[[3, 9], "x"] = np.nan
    found = hd.check("y ~ x", data)
    assert (found.n_read, found.nobs) == (48, 46)
    assert "46 used of 48 (2 of 48 rows left out: missing values in x (2))" in repr(found)


def test_eigenvalues_and_condition_are_numpys():
    for data, text in (
        (CELLS, "y ~ A * B"),
        (NPK, "yield ~ C(block) + N*P*K"),
        (table(), "y ~ x + t + I(t**2)"),
    ):
        found = hd.check(text, data)
        X = found.design.X
        scaled = X / np.maximum(np.linalg.norm(X, axis=0), 1e-300)
        np.testing.assert_allclose(found.eigenvalues, np.linalg.eigvalsh(scaled.T @ scaled)[::-1], atol=1e-12)
        assert found.condition == pytest.approx(np.linalg.cond(scaled[:, found.columns.kept]), rel=1e-9)
        assert found.rank == np.linalg.matrix_rank(X)


def test_weights_enter_the_figures_and_not_the_rank():
    data = table().assign(w=np.linspace(1, 9, 48))
    found = hd.check("y ~ x + t", data, weights="w")
    X = found.design.X * np.sqrt(data.w.to_numpy())[:, None]
    assert found.condition == pytest.approx(np.linalg.cond(X / np.linalg.norm(X, axis=0)))


def test_the_null_space_is_that_of_the_fit():
    found = hd.check("y ~ A * B", CELLS)
    fit = hd.lm("y ~ A * B", CELLS)
    assert found.dropped == fit.dropped and not found.ok
    np.testing.assert_allclose(found.design.X @ found.columns.null_space, 0.0, atol=1e-12)
    assert found.null_space == found.problems
    assert "3 columns of X have no coefficient of their own" in repr(found)
    assert "no row has A a1 with B b3" in repr(found)


def test_estimable():
    found = hd.check("y ~ A * B", CELLS)
    table = found.estimable(["B[T.b2]", "A[T.a3]:B[T.b2]", "B[T.b2] + 0.5 * A[T.a2]:B[T.b3]"])
    assert list(table.columns) == ["combination", "estimable", "reason"]
    assert table.estimable.tolist() == [True, False, False]
    assert table.reason[1] == "no row has A a3 with B b2." and table.reason[0] == ""
    each = found.estimable(np.eye(9)).estimable
    # R 4.2, estimability 1.4.1: is.estble of each coefficient of lm(y ~ A * B).
    assert each.tolist() == [True] * 4 + [False, True, False, False, False]
    with pytest.raises(hd.ModelError, match=r"'B\[T.b9\]'"):
        found.estimable("B[T.b9]")
    with pytest.raises(hd.ModelError, match="9 finite numbers"):
        found.estimable([1.0, 2.0])


def test_factors_and_their_rows():
    assert hd.check("y ~ A * B", CELLS).levels == {
        "A": {"a1": 3, "a2": 3, "a3": 4},
        "B": {"b1": 5, "b2": 3, "b3": 2},
    }


# -- worth a look ----------------------------------------------------------------------------------------


def test_a_row_that_alone_determines_a_coefficient():
    data = table().assign(z=lambda d: (d.index == 7).astype(float))
    data.loc[3, "y"] = np.nan
    (note,) = hd.check("y ~ x + z", data).notes
    assert note == "row 7 (the first row is 0) alone determines z: its residual is always 0."
    fit = hd.lm("y ~ x + z", data)
    assert fit.leverage[7] == pytest.approx(1.0) and abs(fit.residuals[7]) < 1e-12
    notes = hd.check("y ~ A * B", CELLS).notes
    assert (
        "row 5 (the first row is 0), the only one with A a2 and B b2, alone determines A[T.a2]:B[T.b2]"
        in notes[1]
    )


def test_near_collinearity_is_that_of_belsley():
    data = table().assign(x2=lambda d: d.x + 1e-3 * d.y)
    (note,) = hd.check("t ~ x + x2", data).notes
    assert note.startswith("x and x2 are nearly collinear (condition index ")
    root = np.linalg.qr(built("t ~ x + x2", data).X, mode="r")
    ((index, columns),) = near_dependencies(root)
    assert columns.tolist() == [1, 2]
    scaled = root / np.linalg.norm(root, axis=0)
    assert index == pytest.approx(np.linalg.cond(scaled), rel=1e-9)
    (note,) = hd.check("y ~ year", data.assign(year=2000 + data.t)).notes
    assert note.startswith("year varies little beside its size")
    assert hd.check("y ~ x + t", data).notes == ()


def test_numbers_that_may_be_labels_and_labels_that_may_be_numbers():
    (note,) = hd.check("yield ~ block", NPK).notes
    assert "the 6 whole numbers 1 to 6: write C(block)" in note
    assert hd.check("yield ~ C(block)", NPK).notes == ()
    (note,) = hd.check("yield ~ dose", NPK.assign(dose=NPK.block.astype(str))).notes
    assert note.startswith("dose is text, but its 6 different values are numbers")
    notes = hd.check("yield ~ plot + (1 | plot)", NPK.assign(plot=NPK.block * 10)).notes
    assert "plot is a number here, with one slope, and a grouping as well: write C(plot)" in notes[0]


def test_slopes_within_levels_and_few_levels():
    data = table().assign(
        age=lambda d: d.animal.map(dict(zip("abcdefgh", [3, 1, 4, 1, 5, 9, 2, 6], strict=True)))
    )
    (note,) = hd.check("y ~ age + (age | animal)", data).notes
    assert note.startswith("age does not vary within any level of animal")
    (note,) = hd.check("y ~ (1 | b)", data).notes
    assert note.startswith("(1 | b) has 3 levels")


# -- variances -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("y ~ x + (1 | animal) + (1 | litter)",
         "the variances of (1 | animal) and (1 | litter) cannot be told apart: animal and litter divide the rows in the"
         " same way (animal a is litter s, animal b is litter t and 6 more). Keep one of the two."),
        ("y ~ (1 | record)",
         "(1 | record): every row is a level of its own (48 levels of record, 48 rows), so its variance cannot be told"
         " from the residual variance. Leave the term out, or group by something that repeats."),
        ("y ~ (1 | animal) + (1 | animal:litter)",
         "the variances of (1 | animal) and (1 | animal:litter) cannot be told apart: every level of animal has one level"
         " of litter. Keep one of the two."),
        ("y ~ animal + (1 | litter)",
         "(1 | litter): the levels of litter are the levels of animal, which has fixed effects: nothing is left to"
         " estimate its variance from. Keep animal fixed or litter random, not both."),
        ("y ~ animal * b + (1 | animal:b)",
         "(1 | animal:b): animal:b has fixed effects as well. Keep it fixed or random, not both."),
        ("y ~ x + (s | pair)",
         "(s | pair): a level of pair has at most 2 rows, too few for the 3 variances and covariances of (Intercept) and"
         " s beside the residual variance. Write (1 | pair), or independent effects with ||, or give more rows a level."),
    ],
)  # fmt: skip
def test_what_cannot_be_told_apart(text, said):
    found = hd.check(text, table())
    assert found.problems == (said,) and not found.ok
    assert "should not be fitted as it is" in repr(found)


def test_a_factor_that_determines_the_groups():
    data = table().assign(herd=lambda d: d.animal.map(dict(zip("abcdefgh", "11223344", strict=True))))
    (said,) = hd.check("y ~ animal + (1 | herd)", data).problems
    assert said.startswith("(1 | herd): the levels of herd are differences among the levels of animal")
    assert hd.check("y ~ herd + (1 | animal)", data).ok


@pytest.mark.parametrize(
    "text",
    [
        "y ~ x + (1 | animal)",
        "y ~ (1 | animal/b)",
        "y ~ (1 | animal) + (1 | b) + (1 | animal:b)",
        "y ~ (s || pair)",
        "y ~ t + (t | animal)",
        "y ~ s + (0 + s | pair) + (1 | animal)",
    ],
)
def test_what_can_be_told_apart(text):
    assert hd.check(text, table()).problems == ()


def null_by_matrices(text, data):
    """The dense twin: dependence among the matrices P Z_k E_ij Z_k' P and P themselves."""
    rows = built(text, data)
    X, n = rows.X, rows.n
    P = np.eye(n) - X @ np.linalg.pinv(X)
    matrices = [P]
    for block in rows.blocks:
        values = np.ones((n, 1)) if block.values is None else block.values
        Z = np.zeros((n, block.q, block.m))
        Z[np.arange(n), block.codes] = values
        pairs = [(i, j) for i in range(block.m) for j in range(i + 1) if block.structure == "us" or i == j]
        for i, j in pairs:
            half = Z[:, :, i] @ Z[:, :, j].T
            matrices.append(P @ (half + half.T) @ P)
    stacked = np.array([(m / max(np.linalg.norm(m), 1e-8)).ravel() for m in matrices])
    return len(matrices) - np.linalg.matrix_rank(stacked, tol=1e-8)


def test_the_directions_are_those_of_the_dense_matrices_and_of_the_flat_criterion():
    """Random small designs; and what the optimiser's own proof of flatness finds at a generic point."""
    rng = np.random.default_rng(5)
    texts = ["y ~ x + (s | g) + (1 | h)", "y ~ h + (1 | g) + (1 | g:h)", "y ~ (x | g)", "y ~ g + (s || h)"]
    seen = set()
    for turn in range(40):
        n = int(rng.integers(8, 16))
        data = pd.DataFrame(
            {
                "y": rng.normal(size=n),
                "x": rng.integers(0, 2, n) + 0.0,
                "s": rng.integers(0, 3, n) + 1.0,
                "g": rng.choice(list("abc"), n),
                "h": rng.choice(list("pqrst"), n),
            }
        )
        text = texts[turn % len(texts)]
        rows = built(text, data)
        model = standardise(rows)
        found = null_directions(model)
        assert len(found) == null_by_matrices(text, data)
        products = cross_products(model)
        structures = tuple(t.structure for t in model.terms)
        problem = Problem(build_system(products), structures, products.n, True, (None,) * len(structures))
        theta = np.concatenate(
            [s.parameters(np.diag(rng.uniform(0.5, 2.0, s.m)) + 0.2 * (s.name == "us")) for s in structures]
        )
        point = evaluate(problem, theta)
        flat, _ = flat_directions(problem, point, derivatives(problem, point))
        assert len(found) == len(flat)
        seen.add(len(found))
    assert len(seen) > 1


def test_the_response_does_not_matter():
    data = table().assign(y=3.0)
    assert hd.check("y ~ x + (1 | animal)", data).ok
    with pytest.raises(hd.ModelError, match="constant"):
        hd.lmm("y ~ x + (1 | animal)", data)


def test_coefficients_and_variances_at_once():
    found = hd.check("y ~ x + x2 + (1 | animal) + (1 | litter)", table().assign(x2=lambda d: 3 * d.x))
    assert len(found.problems) == 2 and found.problems[0].startswith("x2 is 3 * x")
    assert "1 of 3 columns of X have no coefficient, and variances cannot be told apart" in repr(
        found
    ).replace("\n", " ")


def test_units_and_origins_do_not_matter():
    data = table()
    one = null_directions(standardise(built("y ~ s + (s | pair)", data)))
    other = null_directions(standardise(built("y ~ s + (s | pair)", data.assign(s=1e6 * data.s))))
    assert len(one) == len(other) == 1
    assert null_directions(standardise(built("y ~ t + (t | animal)", data.assign(t=1e4 + data.t)))) == []


def test_the_fit_says_the_same():
    fit = hd.lmm("y ~ x + (1 | animal) + (1 | litter)", table().assign(y=lambda d: d.y + d.animal.map(ord)))
    assert any("not identifiable" in note for note in fit.status.notes)


def test_no_row_left():
    data = table().iloc[:3]
    found = hd.check("y ~ x + t", data)
    assert found.problems == (
        "there are 3 rows and 3 coefficients: no row is left to estimate the residual variance from: there are no"
        " standard errors.",
    )
    found = hd.check("y ~ x + t + (1 | record)", data)
    assert found.problems == (
        "there are 3 rows and 3 coefficients: no row is left to estimate a variance from.",
    )


# -- generalised least squares, and what is refused --------------------------------------------------------


def test_a_structured_residual_is_read_with_its_columns():
    data = table()
    data.loc[4, "t"] = np.nan
    found = hd.check("y ~ x", data, residual="ar1(0 + t | animal)")
    assert found.nobs == 47 and found.ok
    with pytest.raises(hd.FormulaError, match="The closest column is 'animal'"):
        hd.check("y ~ x", data, residual="ar1(0 + t | animl)")
    with pytest.raises(hd.DataError, match="t"):
        hd.check("y ~ x", data.assign(t=1.0), residual="ar1(0 + t | animal)")


@pytest.mark.parametrize(
    ("text", "options", "error"),
    [
        ("y ~ xx", {}, hd.FormulaError),
        ("y ~ x + (1 | anmal)", {}, hd.FormulaError),
        ("y ~ x + ", {}, hd.FormulaError),
        ("animal ~ x", {}, hd.DataError),
        ("y ~ x", {"weights": "ww"}, hd.HendersonError),
        ("y ~ x", {"contrasts": {"animal": "Sum"}}, hd.DataError),
        ("y ~ x + (1 | vm(animal, A))", {}, hd.HendersonError),
    ],
)
def test_bad_input_gives_the_error_of_a_fit(text, options, error):
    data = table()
    with pytest.raises(error) as ours:
        hd.check(text, data, **options)
    verb = hd.lmm if "|" in text else hd.lm
    with pytest.raises(error) as theirs:
        verb(text, data, **options)
    assert str(ours.value) == str(theirs.value)


def test_no_complete_row():
    with pytest.raises(hd.DataError, match="no row is complete"):
        hd.check("y ~ x", table().assign(x=np.nan))


def test_other_libraries_and_files(tmp_path):
    data = table()
    data.to_csv(tmp_path / "d.csv", index=False)
    text = "y ~ x + (1 | animal)"
    expected = repr(hd.check(text, data))
    assert repr(hd.check(text, tmp_path / "d.csv")) == expected
    assert repr(hd.check(text, {name: data[name].to_numpy() for name in data})) == expected


def test_a_response_that_is_fitted_exactly_is_another_question():
    found = hd.check("y ~ x", table().assign(y=lambda d: 2 * d.x))
    assert found.ok
    assert replace(found, problems=("z",)).ok is False

"""Random terms with structures, from formula and table: Z, levels, effects and coordinates against their plain construction."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from scipy.linalg import block_diag

import henderson as hd
from henderson import datasets
from henderson import design as designs
from henderson import formula as formulas
from henderson import frame as frames
from henderson.design.factors import evaluator_of
from henderson.design.relationships import read_relationships
from henderson.design.rows import complete_rows
from henderson.design.structured import build_terms
from henderson.design.traits import require_free_names, stack, stacked_formula
from henderson.errors import DataError, FormulaError, ModelError, NotAvailableError
from henderson.genetics.relationship import Relationship
from henderson.precisions import of_term
from henderson.precisions.splines import spline_1d, spline_2d


def identity(ids):
    return (np.eye(len(ids)), list(ids))


def made(text, table, relationships=None, **more):
    parsed = formulas.parse(text)
    frame = frames.read(table, designs.needed(parsed), parsed.text)
    if len(parsed.responses) > 1:
        frame, parsed = stack(frame, parsed)
    known = read_relationships(relationships, parsed)
    return designs.build(parsed, frame, relationships=known, structured=True, **more)


def terms(text, table, relationships=None):
    return made(text, table, relationships).structured


def again(design, table, **more):
    spec = json.loads(json.dumps(design.spec))
    assert spec == design.spec
    frame = frames.read(table, designs.needed_again(spec))
    return designs.rebuild(spec, frame, **more)


def dense(levels_of_rows, levels, coefficients):
    """Z by a loop: `levels_of_rows` gives the labels of each row, `coefficients` (n, m)."""
    place = {str(level): k for k, level in enumerate(levels)}
    m = coefficients.shape[1]
    z = np.zeros((len(coefficients), len(levels) * m))
    for i, labels in enumerate(levels_of_rows):
        for label in labels:
            k = place[str(label)]
            z[i, k * m : (k + 1) * m] += coefficients[i]
    return z


def same(term, z):
    assert term.z.has_canonical_format and (term.z.data != 0).all()
    np.testing.assert_array_equal(term.z.toarray(), z)


@pytest.fixture
def trial():
    rng = np.random.default_rng(4)
    n = 60
    return pd.DataFrame(
        {
            "y": rng.normal(size=n),
            "x": rng.normal(size=n),
            "row": np.repeat(np.arange(1, 11), 6),
            "col": np.tile(np.arange(1, 7), 10),
            "env": pd.Categorical(rng.choice(["N", "S", "E"], n), categories=["N", "S", "E"]),
            "geno": rng.choice(["g10", "g2", "g3"], n),
            "sire": rng.choice(["a", "b", "c"], n),
            "dam": rng.choice(["b", "c", "d"], n),
            "animal": rng.choice([12, 7, 30], n),
        }
    )


ONE = np.ones((60, 1))


# -- right of the bar ------------------------------------------------------------------------------------


def test_vm_has_all_ids_in_their_order_and_matches_numbers_as_text(trial):
    ids = ["30", "5", "12", "7", "99"]
    for animal in (trial["animal"], trial["animal"].astype(float), trial["animal"].astype(str)):
        (term,) = terms("y ~ 1 + (1 | vm(animal, A))", trial.assign(animal=animal), {"A": identity(ids)})
        assert list(term.block.levels) == ids and term.block.q == 5 and term.block.values is None
        same(term, dense([[a] for a in trial["animal"]], ids, ONE))
        (factor,) = term.factors
        assert (factor.kind, factor.names, factor.levels) == ("vm", ("animal",), tuple(ids))
        assert isinstance(factor.relationship, Relationship)


def test_vm_with_covariates(trial):
    ids = ["g3", "g2", "g10", "g1"]
    (term,) = terms("y ~ x + us(x | vm(geno, G))", trial, {"G": identity(ids)})
    both = np.column_stack([np.ones(60), trial["x"]])
    same(term, dense([[g] for g in trial["geno"]], ids, both))
    assert term.block.effects == ("(Intercept)", "x")
    np.testing.assert_array_equal(term.block.values, both)


def test_ar1_of_a_column_of_numbers(trial):
    (term,) = terms("y ~ 1 + (1 | ar1(row))", trial.iloc[::-1])
    assert list(term.block.levels) == list(range(1, 11))
    np.testing.assert_array_equal(term.factors[0].coordinates, np.arange(1.0, 11.0)[:, None])
    same(term, dense([[r] for r in trial["row"][::-1]], range(1, 11), ONE))


def test_ar1_of_an_ordered_factor(trial):
    season = pd.Categorical.from_codes(np.arange(60) % 3, ["spring", "summer", "autumn"], ordered=True)
    (term,) = terms("y ~ 1 + (1 | ar1(season))", trial.assign(season=season))
    assert list(term.block.levels) == ["spring", "summer", "autumn"]
    assert term.factors[0].coordinates is None


def test_products_have_all_combinations_the_last_fastest(trial):
    table = trial[(trial["row"] > 2) | (trial["col"] != 3)]
    (term,) = terms("y ~ 1 + (1 | ar1(row):ar1(col))", table)
    wanted = [f"{r}:{c}" for r in range(1, 11) for c in range(1, 7)]
    assert list(term.block.levels) == wanted and len(table) == 58
    assert [f.kind for f in term.factors] == ["ar1", "ar1"]
    same(
        term, dense([[f"{r}:{c}"] for r, c in zip(table["row"], table["col"], strict=True)], wanted, ONE[:58])
    )


def test_several_records_at_one_place(trial):
    table = pd.concat([trial, trial.iloc[:4]], ignore_index=True)
    (term,) = terms("y ~ 1 + (1 | ar1(row):ar1(col))", table)
    assert term.z.shape == (64, 60)
    assert term.z.sum(axis=0).max() == 2


def test_products_of_a_relationship_and_columns(trial):
    ids = ["g1", "g10", "g2", "g3"]
    (term,) = terms("y ~ 1 + (1 | vm(geno, G):env:sire)", trial, {"G": identity(ids)})
    _, plain = term.factors
    pairs = sorted(
        {(e, s) for e, s in zip(trial["env"], trial["sire"], strict=True)},
        key=lambda p: ("NSE".index(p[0]), p[1]),
    )
    assert plain.kind == "id" and plain.names == ("env", "sire")
    assert list(plain.levels) == [f"{e}:{s}" for e, s in pairs]
    wanted = [f"{g}:{label}" for g in ids for label in plain.levels]
    assert list(term.block.levels) == wanted
    rows = [[":".join(r)] for r in zip(trial["geno"], trial["env"], trial["sire"], strict=True)]
    same(term, dense(rows, wanted, ONE))


def test_grouping_columns_are_what_the_other_engine_has(trial):
    text = "y ~ x + (x | sire:dam) + diag(0 + env | geno)"
    parsed = formulas.parse(text)
    frame = frames.read(trial, designs.needed(parsed))
    for block, term in zip(designs.build(parsed, frame).blocks, terms(text, trial), strict=True):
        assert list(block.levels) == list(term.block.levels) and block.effects == term.block.effects
        np.testing.assert_array_equal(block.codes, term.block.codes)
        np.testing.assert_array_equal(block.values, term.block.values)
        same(term, dense([[block.levels[c]] for c in block.codes], block.levels, block.values))
        assert all(factor.kind == "id" for factor in term.factors)


def test_points(trial):
    for kind in ("exp", "gau", "mat", "sph"):
        (term,) = terms(f"y ~ 1 + (1 | {kind}(row, col))", trial)
        assert term.block.q == 60 and term.factors[0].kind == kind
        np.testing.assert_array_equal(
            term.z @ term.factors[0].coordinates, trial[["row", "col"]].to_numpy(dtype=float)
        )
    (term,) = terms("y ~ 1 + (1 | mat(x, nu=1.5))", trial)
    assert term.factors[0].options == {"nu": 1.5}
    np.testing.assert_array_equal(term.factors[0].coordinates[:, 0], np.sort(trial["x"]))
    (term,) = terms("y ~ 1 + (1 | ou(x))", trial)
    np.testing.assert_array_equal(term.z @ term.factors[0].coordinates[:, 0], trial["x"])


def test_id_said_aloud(trial):
    (said,), (plain,) = terms("y ~ 1 + (1 | id(geno))", trial), terms("y ~ 1 + (1 | geno)", trial)
    assert said.block.group == "id(geno)" and said.factors[0].kind == "id"
    assert (said.z != plain.z).nnz == 0


def test_neighbours(trial):
    places = {"g3": ["g2"], "g2": ["g10", "g7"]}
    (term,) = terms("y ~ 1 + (1 | car(geno, W))", trial, {"W": places})
    (factor,) = term.factors
    assert factor.kind == "car" and set(factor.levels) == {"g3", "g2", "g10", "g7"}
    assert list(factor.options["neighbours"].ids) == list(factor.levels)
    same(term, dense([[g] for g in trial["geno"]], factor.levels, ONE))


# -- several memberships ---------------------------------------------------------------------------------


def test_multiple_membership(trial):
    (term,) = terms("y ~ 1 + (1 | mm(sire, dam))", trial)
    assert list(term.block.levels) == ["a", "b", "c", "d"]
    z = dense(trial[["sire", "dam"]].to_numpy(), "abcd", ONE)
    assert z.max() == 2  # selfed
    same(term, z)
    np.testing.assert_array_equal(term.block.codes, ["abcd".index(s) for s in trial["sire"]])


def test_multiple_membership_in_a_relationship_and_a_product(trial):
    ids = ["d", "z", "c", "b", "a"]
    (term,) = terms("y ~ x + (x | vm(mm(sire, dam), A))", trial, {"A": identity(ids)})
    both = np.column_stack([np.ones(60), trial["x"]])
    same(term, dense(trial[["sire", "dam"]].to_numpy(), ids, both))
    (term,) = terms("y ~ 1 + (1 | mm(sire, dam):env)", trial)
    rows = [
        [f"{s}:{e}", f"{d}:{e}"] for s, d, e in zip(trial["sire"], trial["dam"], trial["env"], strict=True)
    ]
    same(term, dense(rows, [f"{p}:{e}" for p in "abcd" for e in "NSE"], ONE))


def test_a_sum_of_groupings_ties_the_effects_of_each(trial):
    ids = ["a", "b", "c", "d", "e"]
    (term,) = terms("y ~ 1 + us(1 | vm(sire, A) + vm(dam, A))", trial, {"A": identity(ids)})
    assert term.block.effects == ("sire", "dam") and term.block.group == "vm(sire, A) + vm(dam, A)"
    zero = np.zeros(60)
    first = dense([[s] for s in trial["sire"]], ids, np.column_stack([zero + 1, zero]))
    second = dense([[d] for d in trial["dam"]], ids, np.column_stack([zero, zero + 1]))
    same(term, first + second)
    np.testing.assert_array_equal(term.block.values, np.column_stack([zero + 1, zero]))


def test_a_sum_of_columns_and_more_effects(trial):
    (term,) = terms("y ~ x + us(x | sire + dam)", trial)
    assert list(term.block.levels) == ["a", "b", "c", "d"]
    assert term.block.effects == ("sire", "sire:x", "dam", "dam:x")
    zero, x = np.zeros(60), trial["x"].to_numpy()
    first = dense([[s] for s in trial["sire"]], "abcd", np.column_stack([zero + 1, x, zero, zero]))
    second = dense([[d] for d in trial["dam"]], "abcd", np.column_stack([zero, zero, zero + 1, x]))
    same(term, first + second)
    (term,) = terms("y ~ x + us(0 + env | sire + dam)", trial)
    assert term.block.effects[0] == "sire:env[N]" and term.block.effects[-1] == "dam:env[E]"
    assert term.z.sum() == 120


def test_numbers_share_levels_in_their_order():
    table = {"y": [1.0, 2, 3], "a": [10, 2, 3], "b": [2, 1, 10]}
    (term,) = terms("y ~ 1 + (1 | mm(a, b))", table)
    assert list(term.block.levels) == [1, 2, 3, 10]


# -- left of the bar -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "structure", ["ar1", "ar1h", "toep", "toeph", "ante1", "ou", "exp", "gau", "mat", "sph"]
)
def test_values_of_a_column_are_effects(structure):
    table = datasets.load("Orthodont")
    (term,) = terms(f"distance ~ age + {structure}(0 + age | Subject)", table)
    assert term.block.effects == ("age[8]", "age[10]", "age[12]", "age[14]")
    assert term.block.structure == structure
    np.testing.assert_array_equal(term.coordinates, [[8.0], [10.0], [12.0], [14.0]])
    one = (table["age"].to_numpy()[:, None] == [8, 10, 12, 14]).astype(float)
    same(term, dense([[s] for s in table["Subject"]], term.block.levels, one))
    np.testing.assert_array_equal(term.block.values, one)


def test_levels_of_a_factor_are_effects_as_everywhere():
    table = datasets.load("Orthodont")
    for structure in ("us", "diag", "cs", "csh"):
        (term,) = terms(f"distance ~ age + {structure}(0 + C(age) | Subject)", table)
        assert term.block.effects == ("C(age)[8]", "C(age)[10]", "C(age)[12]", "C(age)[14]")
        assert term.coordinates is None
    for structure in ("fa", "rr"):
        (term,) = terms(f"distance ~ age + {structure}(0 + C(age) | Subject, k=2)", table)
        assert term.options == {"k": 2} and term.block.m == 4
    (term,) = terms("distance ~ age + ar1(0 + C(age) | Subject)", table)
    assert term.coordinates is None  # steps, not years


def test_points_are_effects(trial):
    (term,) = terms("y ~ 1 + exp(0 + row + col | sire)", trial)
    assert term.block.m == 60 and term.block.effects[:2] == ("row,col[1,1]", "row,col[1,2]")
    which = term.z.indices % 60
    np.testing.assert_array_equal(term.coordinates[which], trial[["row", "col"]])


def test_random_regression():
    table = datasets.load("sleepstudy")
    (term,) = terms("Reaction ~ Days + us(leg(Days, 2) | Subject)", table)
    assert term.block.effects == ("(Intercept)", "leg(Days, 2)[1]", "leg(Days, 2)[2]")
    t = 2 * table["Days"].to_numpy() / 9 - 1
    wanted = np.column_stack([np.ones(180), np.sqrt(3 / 2) * t, np.sqrt(5 / 2) * (3 * t**2 - 1) / 2])
    np.testing.assert_allclose(term.block.values, wanted, rtol=1e-14, atol=1e-15)


def test_legendre_polynomials_are_orthonormal_on_the_range():
    nodes, weights = np.polynomial.legendre.leggauss(12)
    x = np.concatenate([[3.0, 11.0], 7 + 4 * nodes])
    design = made("y ~ 0 + leg(x, 4, include_intercept=TRUE)", {"y": x, "x": x})
    assert design.x_names[0] == "leg(x, 4, include_intercept=TRUE)[0]"
    basis = design.X[2:]
    np.testing.assert_allclose(basis.T @ (weights[:, None] * basis), np.eye(5), atol=1e-13)
    new = again(design, {"x": [3.0, 7.0]})
    np.testing.assert_allclose(
        new.X[1], [np.sqrt(0.5), 0, -np.sqrt(5 / 2) / 2, 0, np.sqrt(9 / 2) * 3 / 8], atol=1e-15
    )
    assert made("y ~ leg(x, 1, lower_bound=0, upper_bound=14)", {"y": x, "x": x}).X[0, 1] == pytest.approx(
        np.sqrt(1.5) * (2 * 3 / 14 - 1)
    )


# -- sections --------------------------------------------------------------------------------------------


def test_a_section_is_a_term_for_each_level(trial):
    found = terms("y ~ env + at(env):(1 | sire)", trial)
    assert [t.block.group for t in found] == ["at(env, N):sire", "at(env, S):sire", "at(env, E):sire"]
    assert [t.block.text for t in found] == [f"at(env, {e}):(1 | sire)" for e in "NSE"]
    (whole,) = terms("y ~ env + (1 | sire)", trial)
    for term, env in zip(found, "NSE", strict=True):
        inside = (trial["env"] == env).to_numpy()
        same(term, whole.z.toarray() * inside[:, None])
        np.testing.assert_array_equal(term.block.codes >= 0, inside)
        np.testing.assert_array_equal(term.block.values[:, 0], inside)


def test_levels_of_a_section_are_its_own(trial):
    table = trial[(trial["env"] != "S") | (trial["sire"] != "b")]
    for term in terms(
        "y ~ 1 + at(env):ar1h(0 + col | sire, ) + at(env):(1 | vm(dam, A))".replace(", )", ")"),
        table,
        {"A": identity("bcdx")},
    ):
        assert term.block.q == (4 if "vm" in term.block.group else 2 if "S" in term.block.group else 3)


def test_sections_of_two_columns(trial):
    found = terms("y ~ 1 + at(env):at(geno):(1 | ar1(row))", trial)
    assert found[0].block.group == "at(env, N):at(geno, g10):ar1(row)"
    total = sum(t.z.sum() for t in found)
    assert total == 60


# -- splines ---------------------------------------------------------------------------------------------


def test_a_spline_is_a_fixed_term_and_a_random_one(trial):
    design = made("y ~ env + spl(x, nseg=7) + (1 | geno)", trial)
    wanted = spline_1d(trial["x"].to_numpy(), nseg=7)
    assert design.x_names == ("(Intercept)", "env[T.S]", "env[T.E]", "spl(x, nseg=7)[x]")
    assert design.terms == ("(Intercept)", "env", "spl(x, nseg=7)")
    np.testing.assert_array_equal(design.X[:, 3], trial["x"])
    smooth, plain = design.structured
    assert (smooth.block.group, smooth.block.effects, smooth.block.q) == ("spl(x, nseg=7)", ("f(x)",), 8)
    assert smooth.factors[0].kind == "id" and plain.block.group == "geno"
    np.testing.assert_array_equal(smooth.z.toarray(), wanted.random[0].z)


def test_kinds_and_orders_of_splines(trial):
    design = made('y ~ spl(x, kind="cubic") + spl(row, order=1) + spl(col, nseg=4, order=3)', trial)
    assert design.x_names[1:] == (
        'spl(x, kind="cubic")[x]',
        "spl(col, nseg=4, order=3)[col]",
        "spl(col, nseg=4, order=3)[col^2]",
    )
    assert [t.block.q for t in design.structured] == [
        spline_1d(trial["x"].to_numpy(), kind="cubic").random[0].z.shape[1],
        spline_1d(trial["row"].to_numpy(), order=1).random[0].z.shape[1],
        4,
    ]


def test_a_spline_over_a_plane(trial):
    design = made("y ~ spl2d(row, col, nseg=c(5, 3))", trial)
    wanted = spline_2d(trial["row"].to_numpy(), trial["col"].to_numpy(), nseg=(5, 3))
    assert design.x_names[1:] == tuple(
        f"spl2d(row, col, nseg=c(5, 3))[{name}]" for name in ("row", "col", "row:col")
    )
    np.testing.assert_array_equal(design.X[:, 1:], wanted.fixed)
    assert [t.block.effects[0] for t in design.structured] == [part.name for part in wanted.random]
    for term, part in zip(design.structured, wanted.random, strict=True):
        assert term.block.text == f"spl2d(row, col, nseg=c(5, 3)): {part.name}"
        np.testing.assert_array_equal(term.z.toarray(), part.z)
    (term,) = terms('y ~ spl2d(row, col, kind="anisotropic")', trial)
    assert term.factors[0].kind == "spl" and of_term(term) is term.factors[0].options["precision"]


def test_a_spline_has_the_same_knots_for_new_data(trial):
    text = "y ~ env + spl(x) + spl2d(row, col, nseg=3) + (1 | geno)"
    design = made(text, trial)
    some = trial.iloc[[40, 3, 17]]
    new = again(design, some)
    np.testing.assert_array_equal(new.X, design.X[[40, 3, 17]])
    for term, other in zip(design.structured, new.structured, strict=True):
        np.testing.assert_allclose(other.z.toarray(), term.z[[40, 3, 17]].toarray(), rtol=1e-13, atol=1e-15)
        assert other.block.group == term.block.group and other.block.effects == term.block.effects
    assert again(design, some, random=False).x_names == design.x_names
    with pytest.raises(DataError, match=r"spl\(x\)"):
        again(design, some.assign(x=99.0))


def test_splines_of_what_cannot_be_one(trial):
    with pytest.raises(DataError, match="holds text"):
        made("y ~ spl(geno)", trial)
    with pytest.raises(DataError, match="distinct value"):
        made("y ~ spl(one)", trial.assign(one=1.0))
    with pytest.raises(ModelError, match="nseg is one whole number, or two"):
        made("y ~ spl2d(row, col, nseg=c(2, 3, 4))", trial)


# -- new data --------------------------------------------------------------------------------------------

EVERY = [
    "(1 | vm(animal, A))",
    "us(x | vm(animal, A))",
    "(1 | ar1(row):ar1(col))",
    "(1 | ar1(row):env:geno)",
    "us(x | sire + dam)",
    "(1 | vm(mm(sire, dam), B))",
    "(1 | mm(sire, dam):env)",
    "ar1(0 + col | geno)",
    "cs(0 + env | geno)",
    "us(env | geno)",
    "exp(0 + row + col | geno)",
    "at(env):(1 | sire)",
    "at(env):ou(0 + col | sire)",
    "(1 | exp(row, x))",
    "us(leg(x, 2) | geno)",
    "(1 | car(geno, W))",
    "spl(x)",
    "spl2d(row, col)",
]


@pytest.mark.parametrize("text", EVERY)
def test_the_same_columns_for_the_same_rows(trial, text):
    known = {"A": identity(["7", "12", "30"]), "B": identity("abcd"), "W": {"g10": ["g2"], "g2": ["g3"]}}
    names = {"A": "A)", "B": "B)", "W": "W)"}
    used = {name: value for name, value in known.items() if names[name] in text}
    design = made("y ~ x + " + text, trial, used)
    turned = trial.iloc[::-1].reset_index(drop=True)
    new = again(design, turned)
    for term, other in zip(design.structured, new.structured, strict=True):
        assert not other.block.unknown and other.factors[0].relationship is None
        np.testing.assert_allclose(other.z.toarray(), term.z.toarray()[::-1], atol=1e-14)
        np.testing.assert_array_equal(other.block.codes, term.block.codes[::-1])
        assert list(other.block.levels) == list(term.block.levels)
        assert other.block.effects == term.block.effects
        for a, b in zip(term.factors, other.factors, strict=True):
            assert (a.coordinates is None) == (b.coordinates is None)
        if term.coordinates is not None:
            np.testing.assert_array_equal(term.coordinates, other.coordinates)


def test_levels_that_were_never_seen_have_no_entry(trial):
    text = "y ~ x + (1 | vm(animal, A)) + (1 | mm(sire, dam)) + ar1(0 + col | geno) + at(env):(1 | ar1(row))"
    design = made(text, trial, {"A": identity(["7", "12", "30", "40"])})
    seen = trial.loc[trial["env"] == "N", "row"].iloc[0]
    table = trial.iloc[:3].copy()
    table["env"] = ["N", "W", "S"]
    table["animal"], table["dam"] = [40, 41, 7], ["q", "b", "a"]
    table["sire"], table["col"], table["row"], table["geno"] = "a", [1, 9, 2], [seen, 1, 77], "g2"
    new = again(design, table).structured
    assert new[0].block.unknown == (41,) and list(new[0].block.codes) == [3, -1, 0]
    assert new[1].block.unknown == ("q",)
    np.testing.assert_array_equal(new[1].z.toarray(), [[1, 0, 0, 0], [1, 1, 0, 0], [2, 0, 0, 0]])
    assert new[2].undefined == ("col 9",) and list(new[2].z.sum(axis=1).A1) == [1, 0, 1]
    assert new[3].undefined == ("env W",) and new[4].block.unknown == (77,)
    np.testing.assert_array_equal(new[0].unseen[0][:, 0], [0, 1, 0])
    np.testing.assert_array_equal(new[1].unseen[0][:, 0], [1, 0, 0])
    assert not new[2].unseen and not new[2].block.unknown and not new[3].unseen
    assert new[3].z.sum() == 1


def test_rows_with_missing_values_are_left_out_and_counted(trial):
    table = trial.copy()
    table.loc[3, "x"], table.loc[5, "sire"], table.loc[7, "y"] = np.nan, None, np.nan
    design = made("y ~ 1 + us(x | mm(sire, dam))", table)
    assert design.n_dropped == 3 and design.structured[0].z.shape[0] == 57
    (whole,) = terms("y ~ 1 + us(x | mm(sire, dam))", trial)
    np.testing.assert_array_equal(
        design.structured[0].z.toarray(), np.delete(whole.z.toarray(), [3, 5, 7], axis=0)
    )


def test_build_terms_by_itself(trial):
    parsed = formulas.parse("y ~ x + (1 | ar1(row))")
    frame = frames.read(trial, designs.needed(parsed))
    rows, _ = complete_rows(frame, list(parsed.names))
    evaluator = evaluator_of(parsed, frame, rows, {})
    (term,) = build_terms(parsed, frame, rows, evaluator)
    assert sp.issparse(term.z) and term.z.shape == (60, 10)


# -- predictions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "(1 | mm(sire, dam))",
        "us(1 | sire + dam)",
        "(1 | vm(mm(sire, dam), A)) + us(x | geno)",
        "at(half):(1 | sire)",
        "ar1(0 + col | sire)",
        "spl(x, nseg=6)",
    ],
)
def test_predictions_and_their_errors_are_the_textbooks(trial, text):
    rng = np.random.default_rng(8)
    table = pd.concat([trial] * 3, ignore_index=True)
    table["half"] = np.where(np.arange(180) % 2, "h", "k")
    effect = dict(zip("abcd", [2.0, -1.5, 0.5, -1.0], strict=True))
    table["y"] = table["sire"].map(effect) + table["dam"].map(effect) + 2 * np.sin(3 * table["x"])
    table["y"] += table["geno"].map({"g10": 2, "g2": -1, "g3": -1}) + rng.normal(size=180)
    known = np.eye(4) + 0.3
    relationships = {"A": (known, list("dcba"))} if "A)" in text else None
    fit = hd.lmm("y ~ env + " + text, table, relationships=relationships)
    s2, x = fit.sigma**2, fit.design.X
    parts = []
    for k, term in enumerate(fit.design.structured):
        levels = known if term.factors[0].kind == "vm" else np.eye(term.block.q)
        parts.append((term.z.toarray(), np.kron(levels, fit.solution.covariances[k])))
    z = np.hstack([part[0] for part in parts])
    g = block_diag(*[part[1] for part in parts])
    inverse = np.linalg.inv(z @ g @ z.T + s2 * np.eye(180))
    information = x.T @ inverse @ x
    beta = np.linalg.solve(information, x.T @ inverse @ table["y"])
    u = g @ z.T @ inverse @ (table["y"] - x @ beta)
    np.testing.assert_allclose(fit.predict(table), x @ beta + z @ u, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(fit.fitted, x @ beta + z @ u, rtol=1e-9, atol=1e-9)
    left = x - z @ g @ z.T @ inverse @ x
    variance = np.diag(
        left @ np.linalg.solve(information, left.T) + z @ (g - g @ z.T @ inverse @ z @ g) @ z.T
    )
    found = fit.predict(table, se=True)
    np.testing.assert_allclose(found["std_error"], np.sqrt(variance), rtol=1e-8)
    np.testing.assert_allclose(fit.predict(se=True)["std_error"], np.sqrt(variance), rtol=1e-8)


def test_a_new_level_adds_its_prior_variance(trial):
    table = trial.assign(y=trial["y"] + trial["sire"].map({"a": 3, "b": -2, "c": 0}))
    fit = hd.lmm("y ~ 1 + (1 | mm(sire, dam))", table)
    one = {"sire": ["a", "new", "new"], "dam": ["b", "b", "other"]}
    with pytest.raises(DataError, match="without 'new', 'other'"):
        fit.predict(one)
    found = fit.predict(one, se=True, new_levels="population")
    variance = fit.variance_components["estimate"].iloc[0]
    (beta,) = fit.solution.beta
    assert found["estimate"][2] == pytest.approx(beta)
    assert found["std_error"][2] == pytest.approx(np.sqrt(fit.vcov[0, 0] + 2 * variance))
    fit = hd.lmm("y ~ 1 + ar1(0 + col | sire)", table)
    with pytest.raises(DataError, match=r"was fitted without col 9: the model has no variance for it"):
        fit.predict({"sire": ["a"], "col": [9]}, new_levels="population")
    assert fit.predict({"col": [9]}, random_effects=False) == pytest.approx(fit.solution.beta[0])


# -- several traits --------------------------------------------------------------------------------------


@pytest.fixture
def animals():
    return pd.DataFrame(
        {
            "w": [1.0, np.nan, 3.0, 4.0],
            "h": [5.0, 6.0, np.nan, 8.0],
            "sex": ["f", "m", "f", "m"],
            "animal": ["a", "b", "c", "d"],
        }
    )


def stacked(text, table):
    parsed = formulas.parse(text)
    return stack(frames.read(table, designs.needed(parsed)), parsed)


def test_traits_are_stacked_unit_by_unit(animals):
    frame, parsed = stacked("cbind(w, log(h)) ~ trait + trait:sex + us(0 + trait | animal)", animals)
    assert frame.traits == ("w", "log(h)") and frame.absent == (1, 1) and frame.n_units == 4
    np.testing.assert_array_equal(frame.unit, [0, 0, 1, 2, 3, 3])
    np.testing.assert_array_equal(frame.trait, [0, 1, 1, 0, 0, 1])
    np.testing.assert_allclose(
        frame["cbind(w, log(h))"].values, [1, np.log(5), np.log(6), 3, 4, np.log(8)], rtol=1e-15
    )
    assert frame["trait"].levels == ("w", "log(h)")
    assert list(frame["units"].values) == [0, 0, 1, 2, 3, 3]
    assert parsed.response_name == "`cbind(w, log(h))`" or parsed.response_name == "cbind(w, log(h))"
    np.testing.assert_array_equal(frame.spread([10, 20, 30, 40]), [10, 10, 20, 30, 40, 40])
    assert frame.spread("w") == "w" and frame.spread(None) is None


def test_a_model_of_several_traits(animals):
    text = "cbind(h, w) ~ trait + trait:sex + us(0 + trait | vm(animal, A))"
    design = made(text, animals, {"A": identity("dcba")})
    assert design.x_names == ("(Intercept)", "trait[T.w]", "trait[h]:sex[T.m]", "trait[w]:sex[T.m]")
    (term,) = design.structured
    assert term.block.effects == ("trait[h]", "trait[w]") and term.block.group == "vm(animal, A)"
    wanted = np.zeros((6, 8))
    for i, (animal, trait) in enumerate([(0, 0), (0, 1), (1, 0), (2, 1), (3, 0), (3, 1)]):
        wanted[i, (3 - animal) * 2 + trait] = 1
    same(term, wanted)
    new = again(design, {"trait": ["w", "h"], "sex": ["f", "m"], "animal": ["b", "a"]})
    np.testing.assert_array_equal(new.X, [[1, 1, 0, 0], [1, 0, 1, 0]])
    assert list(new.structured[0].z.indices) == [5, 6]


def test_a_missing_covariate_leaves_out_the_records_of_a_unit(animals):
    animals.loc[0, "sex"] = None
    design = made("cbind(h, w) ~ trait + sex + (1 | animal)", animals)
    assert (design.n_read, design.n_dropped, design.n) == (6, 2, 4)
    np.testing.assert_array_equal(design.rows, [2, 3, 4, 5])


def test_traits_of_a_unit_are_a_grouping(animals):
    (term,) = terms("cbind(h, w) ~ trait + (1 | units)", animals)
    assert list(term.block.levels) == [0, 1, 2, 3]


def test_a_fit_of_several_traits_speaks_of_units_and_traits():
    table = datasets.load("Orthodont").assign(root=lambda d: np.sqrt(d["distance"]))
    table.loc[3, "distance"], table.loc[7, "age"] = np.nan, np.nan
    fit = hd.lmm(
        "cbind(distance, root) ~ trait + trait:age + us(0 + trait | Subject)",
        table,
        residual="us(0 + trait | units)",
    )
    assert (fit.nobs, fit.n_dropped, len(fit.fitted), len(fit.residuals)) == (213, 2, 215, 215)
    assert np.isnan(np.asarray(fit.fitted)).sum() == 2
    rows = fit.augment()
    assert list(rows["unit"][:8]) == [0, 0, 1, 1, 2, 2, 3, 4]
    assert list(rows["trait"][5:8]) == ["root", "root", "distance"]
    y = np.where(rows["trait"] == "root", table["root"][rows["unit"]], table["distance"][rows["unit"]])
    np.testing.assert_array_equal(rows["cbind(distance, root)"], y)
    assert list(rows["Subject"][:2]) == ["M01", "M01"] and 7 not in set(rows["unit"])
    np.testing.assert_allclose(rows["fitted"] + rows["resid"], y)
    with pytest.raises(DataError, match=r"no column 'trait' .*'distance', 'root'"):
        fit.predict(table)
    some = table.loc[[0, 0], ["Subject", "age"]].assign(trait=["distance", "root"])
    np.testing.assert_allclose(fit.predict(some), rows["fitted"][:2])


def test_names_that_several_traits_make(animals):
    with pytest.raises(DataError, match=r"a column called 'trait'.*\nRename"):
        stacked("cbind(trait, w) ~ 1 + (1 | animal)", animals.assign(trait=1.0))
    for name in ("trait", "units"):
        with pytest.raises(DataError, match=f"a column called '{name}'"):
            require_free_names(animals.assign(**{name: 1.0}))
    require_free_names(animals)
    with pytest.raises(DataError, match="trait w is missing in every row"):
        stacked("cbind(h, w) ~ trait + (1 | animal)", animals.assign(w=np.nan))
    with pytest.raises(DataError, match="names a trait twice"):
        stacked("cbind(h, h) ~ trait + (1 | animal)", animals)
    with pytest.raises(DataError, match=r"log\(w - 1\) is not a finite number in row 0"):
        stacked("cbind(h, log(w - 1)) ~ trait + (1 | animal)", animals)
    with pytest.raises(FormulaError, match="several traits are cbind"):
        stacked("h ~ 1 + (1 | animal)", animals)


def test_the_formula_of_the_long_table_keeps_its_places():
    parsed = formulas.parse("cbind(y, z) ~ trait + y:x + (1 | g) + (1 | units)")
    one = stacked_formula(parsed)
    assert len(one.responses) == 1 and one.text == parsed.text
    assert list(one.names) == ["cbind(y, z)", "y", "x", "g", "trait", "units"]


# -- what is refused -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "pointed", "said"),
    [
        ("y ~ 1 + us(1 | vm(a, A) + vm(b, B))", "vm(b, B)", "do not have the same levels"),
        ("y ~ 1 + us(1 | vm(a, A) + b)", "b", "do not have the same levels"),
        ("y ~ 1 + us(1 | a:b + c)", "a:b", "cannot be in a sum"),
        ("y ~ 1 + us(1 | ar1(a) + ar1(b))", "ar1(a)", "cannot be in a sum"),
        ("y ~ 1 + us(1 | a + a)", "a + a", "twice"),
        ("y ~ 1 + us(1 | a - b)", "a - b", "not a grouping"),
        ("y ~ 1 + (1 | a + b)", "a + b", "us(1 | a + b)"),
        ("y ~ 1 + (1 | mm(a))", "mm(a)", "takes 2 to 8 names"),
        ("y ~ 1 + (1 | mm(a, a))", "mm(a, a)", "twice"),
        ("y ~ 1 + (1 | vm(mm(a, b)))", "vm(mm(a, b))", "takes 2 names"),
        ("y ~ 1 + (1 | vm(ar1(a), A))", "ar1(a)", "takes names of columns"),
        ("y ~ 1 + (1 | car(a))", "car(a)", "takes 2 names"),
        ("y ~ 1 + spl(x, knots=3)", "3", "no option 'knots'"),
        ("y ~ 1 + spl(x, z)", "spl(x, z)", "takes 1 name, not 2"),
        ("y ~ 1 + spl2d(x)", "spl2d(x)", "takes 2 name"),
        ("y ~ sex:spl(x)", "spl(x)", "stands alone"),
        ("y ~ log(spl(x))", "spl(x)", "stands alone"),
        ("y ~ (spl(x) | g)", "spl(x)", "stands alone"),
        ("y ~ spl(x) + spl( x )", "spl( x )", "twice"),
        ("y ~ spl(x, kind=cubic)", "cubic", "between quotes"),
        ("y ~ at(env):spl(x)", "at(env):spl(x)", "only a random term stands behind at(column):"),
    ],
)
def test_errors_point_at_their_place(text, pointed, said):
    with pytest.raises(FormulaError) as caught:
        formulas.parse(text)
    lines = str(caught.value).split("\n")
    assert said in str(caught.value)
    assert lines[1] == "    " + text
    assert lines[1][lines[2].index("^") : lines[2].rindex("^") + 1] == pointed


def test_splines_take_options():
    one, two = formulas.parse(
        "y ~ spl(x, nseg=10) + spl2d(row, col, nseg=c(8, 12), degree=2, order=1)"
    ).random
    assert one.options == {"nseg": 10}
    assert two.options == {"nseg": (8.0, 12.0), "degree": 2, "order": 1}


def test_relationships_are_asked_for_by_name(trial):
    text = "y ~ 1 + (1 | vm(animal, A))"
    with pytest.raises(
        FormulaError, match=r"no relationship called 'A'(.|\n)*\^(.|\n)*Give relationships=\{\"A\""
    ):
        made(text, trial)
    with pytest.raises(FormulaError, match="The closest is 'Ainv'"):
        made("y ~ 1 + (1 | vm(animal, Ainw))", trial, {"Ainv": identity(["7"])})
    with pytest.raises(DataError, match="'G' is given, and no vm"):
        made(text, trial, {"A": identity(["7", "12", "30"]), "G": identity(["7"])})
    with pytest.raises(DataError, match="a dict is wanted"):
        made(text, trial, identity(["7"]))
    with pytest.raises(FormulaError, match="both vm and car"):
        made("y ~ 1 + (1 | vm(animal, A)) + (1 | car(geno, A))", trial, {"A": identity(["7"])})
    with pytest.raises(FormulaError, match="no list of neighbours called 'W'"):
        made("y ~ 1 + (1 | car(geno, W))", trial)
    parsed = formulas.parse(text)
    kept = read_relationships({"A": identity(["7"]), "V": identity(["1"])}, parsed, also=["V"])
    assert list(kept) == ["A"]


def test_ids_that_a_relationship_does_not_have(trial):
    with pytest.raises(DataError) as caught:
        made("y ~ 1 + (1 | vm(geno, G))", trial, {"G": identity(["g10", "G2", "g30"])})
    said = str(caught.value)
    assert said.startswith("(1 | vm(geno, G)): 2 of the 3 levels of 'geno' are not in G: 'g2', 'g3'")
    assert "'G2'" in said


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("(1 | ar1(x))", DataError, r"ar1 counts whole steps, and column 'x' has the value .*\nou\(x\)"),
        ("(1 | ar1(geno))", DataError, "counts steps, and column 'geno' holds labels .* the alphabet's"),
        ("(1 | ou(geno))", DataError, "measures distances, and column 'geno' holds labels"),
        ("(1 | exp(row, geno))", DataError, "measures distances, and column 'geno'"),
        ("(1 | ar1(text))", DataError, r"numbers as labels \('1', '10', '2', '3' ...\): make numbers"),
        ("ar1(0 + x | geno)", DataError, "ar1 counts whole steps"),
        ("ou(0 + geno | sire)", DataError, "ou measures distances"),
        ("toep(0 + geno | sire)", DataError, "toep counts steps"),
        ("ar1(col | geno)", FormulaError, "The intercept is taken away by '0 \\+'"),
        ("ar1(1 | geno)", FormulaError, "a column of coordinates stands alone"),
        ("ar1(0 + row + col | geno)", FormulaError, "a column of coordinates stands alone"),
        ("ar1(0 + row:col | geno)", FormulaError, "a column of coordinates stands alone"),
        ("ar1(0 + log(row) | geno)", FormulaError, "a column of coordinates stands alone"),
        ("cs(0 + row | geno)", FormulaError, r"'row' holds numbers(.|\n)*cs\(0 \+ C\(row\) \| geno\)"),
        ("fa(0 + row | geno, k=2)", FormulaError, r"fa\(0 \+ C\(row\) \| geno, k=2\)"),
        ("rr(1 | geno, k=1)", FormulaError, "there is one effect only"),
        ("exp(0 + one | geno)", ModelError, "'one' has one value only"),
        ("(1 | one)", ModelError, r"'one' has one level only \(1\)"),
        ("(1 | ar1(one))", ModelError, "has one level only"),
        ("at(env):(1 | one)", ModelError, r"at\(env, N\):\(1 \| one\): .* one level only"),
        ("(1 | geno) + (x | geno)", ModelError, "cannot be told apart"),
        ("us(0 + env | geno) + fa(0 + env | geno, k=1)", ModelError, "cannot be told apart"),
        ("us(1 | geno + sire)", ModelError, "no level of 'geno' is one of 'sire'"),
        ("ar1(0 + wide | geno)", ModelError, "has 1,500 effects within a level"),
    ],
)
def test_refusals(trial, text, error, said):
    table = pd.concat([trial] * 25, ignore_index=True)
    table = table.assign(one=1, text=table["row"].astype(str), wide=np.arange(1500))
    with pytest.raises(error, match=said):
        made("y ~ 1 + " + text, table)


@pytest.mark.parametrize(
    "text",
    [
        "rr(0 + env | geno, k=1) + diag(0 + env | geno)",
        "ar1(0 + col | geno) + id(0 + col | geno)".replace("id(0 + col", "id(0 + C(col)"),
        "(1 | vm(geno, G)) + (1 | geno)",
        "(1 | exp(row, col)) + (1 | row:col)",
        "at(env):(1 | geno) + (1 | geno)",
    ],
)
def test_terms_that_can_be_told_apart(trial, text):
    known = {"G": identity(["g2", "g3", "g10"])} if "G" in text else None
    assert len(terms("y ~ 1 + " + text, trial, known)) >= 2


def test_which_engine():
    def answer(text, **more) -> bool:
        return formulas.is_structured(formulas.parse(text), **more)

    assert not answer("y ~ x + (x | g) + (1 || h) + diag(f | a) + id(0 + f | b) + (1 | c/d)")
    for text in EVERY:
        assert answer("y ~ x + " + text) is (text != "us(env | geno)" and "leg" not in text)
    assert answer("cbind(a, b) ~ trait + (1 | g)")
    assert answer("y ~ spl(x)")
    assert answer("y ~ (1 | g)", residual="ar1(0 + t | g)")
    assert answer("y ~ (1 | g)", variance="power(x)")
    assert answer("y ~ (1 | g)", relationships={"A": 1})


def test_what_is_truly_not_fitted():
    for text in EVERY:
        formulas.require_available(formulas.parse("y ~ x + " + text), structured=True)
    formulas.require_available(formulas.parse("cbind(a, b) ~ trait + spl(x) + (1 | g)"), structured=True)
    for text in ["arma(0 + t | g, p=1)", "(1 | arma(t, p=1))", "ar1(0 + t | a + b)"]:
        with pytest.raises(NotAvailableError, match="not available yet"):
            formulas.require_available(formulas.parse("y ~ 1 + " + text), structured=True)

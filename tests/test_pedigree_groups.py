"""Genetic groups for unknown parents, and clones."""

from __future__ import annotations

import numpy as np
import pytest
from pedigree_twin import random_pedigree

import henderson as hd
from henderson.errors import DataError, ModelError

Pedigree = hd.genetics.Pedigree

MRODE_3_4 = {
    "calf": [1, 2, 3, 4, 5, 6, 7, 8],
    "sire": ["G1", "G1", "G1", "1", "3", "1", "4", "3"],
    "dam": ["G2", "G2", "G2", "G2", "2", "2", "5", "6"],
}
"""Mrode (2014), 3rd ed., Example 3.4, p. 57: unknown sires are group 1, unknown dams group 2."""


def mrode(**options):
    return Pedigree(MRODE_3_4, animal="calf", groups=["G1", "G2"], **options)


def random_groups(seed, n=60, missing=0.5):
    """A pedigree in which every unknown parent is one of three groups."""
    rng = np.random.default_rng(seed)
    table = random_pedigree(rng, n, known=1 - missing).table()
    for side in ("sire", "dam"):
        table[side] = [p or f"G{rng.integers(3)}" for p in table[side]]
    return Pedigree(table, groups=["G0", "G1", "G2"], monoecious=True)


PRINTED = [4.509, 3.364, 0.182, 0.026, -0.014, -0.319, -0.150, 0.221, -0.389, 0.181, 0.949, -0.820]
"""Mrode (2014), Example 17.4, p. 284, the same model at convergence: male, female, calves 1 ... 8, groups 1 and 2; residual /
animal variance = 2. The level of the groups is free (one null vector). The column beside it, with group 1 at 0 and group 2 at -1.795,
differs from these in the contrast of the two groups, which the equations determine."""


def test_mrode_example_3_4():
    p = mrode()
    y, male = np.array([4.5, 2.9, 3.9, 3.5, 5.0]), np.array([1, 0, 0, 1, 1])
    x = np.column_stack([male, 1 - male])
    z = np.eye(10)[3:8]
    lhs = np.block([[x.T @ x, x.T @ z], [z.T @ x, z.T @ z + 2 * p.inverse_with_groups.toarray()]])
    rhs = np.concatenate([x.T @ y, z.T @ y])
    assert np.linalg.matrix_rank(lhs) == 11
    solution = np.linalg.lstsq(lhs, rhs, rcond=None)[0]
    level = 0.949 - solution[10]
    solution += level * np.array([-1, -1] + [1] * 10)
    np.testing.assert_allclose(lhs @ solution, rhs, atol=1e-12)
    np.testing.assert_allclose(solution, PRINTED, atol=1e-3)


def test_fractions_as_covariates_give_the_solutions_of_the_augmented_equations():
    # u* = Q g + u: with Q in the fixed part and A^-1 for u, sexes, groups and u + Q g are those of example 3.4.
    p = mrode()
    q = p.genetic_group_fractions()
    assert list(q.columns) == ["animal", "G1", "G2"]
    # By hand: a calf of two groups has half of each; 4 = (1, G2) has a quarter of G1.
    assert q["G1"].tolist()[:5] == [0.5, 0.5, 0.5, 0.25, 0.5]
    np.testing.assert_array_equal(q["G1"] + q["G2"], 1)
    y, male = np.array([4.5, 2.9, 3.9, 3.5, 5.0]), np.array([1, 0, 0, 1, 1])
    z = np.eye(8)[3:]
    second = q["G2"].to_numpy()
    x = np.column_stack([male, 1 - male, z @ second])
    lhs = np.block([[x.T @ x, x.T @ z], [z.T @ x, z.T @ z + 2 * p.inverse.toarray()]])
    b = np.linalg.solve(lhs, np.concatenate([x.T @ y, z.T @ y]))
    # Group 1 is 0 here and 0.949 there.
    solution = np.concatenate([b[:2] - 0.949, b[3:] + second * b[2] + 0.949, [0.949, b[2] + 0.949]])
    np.testing.assert_allclose(solution, PRINTED, atol=1e-3)


@pytest.mark.parametrize("seed", range(5))
def test_augmented_inverse_is_the_quaas_pollak_transformation(seed):
    # A*^-1 = [I; -Q'] A^-1 [I, -Q] (Quaas 1988).
    p = random_groups(seed)
    q = p.genetic_group_fractions()[list(p.groups)].to_numpy()
    wide = np.hstack([np.eye(len(p)), -q])
    dense = wide.T @ np.linalg.inv(p.relationship_matrix()) @ wide
    np.testing.assert_allclose(p.inverse_with_groups.toarray(), dense, atol=1e-9)
    np.testing.assert_allclose(q.sum(axis=1), 1, rtol=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_random_groups_are_levels_of_the_relationship(seed):
    # (u*, g) with u* = Q g + u, var(g) = 0.7 I, var(u) = A.
    p = random_groups(seed)
    random = Pedigree(
        {"animal": p.ids, "sire": _parent_or_group(p, 0), "dam": _parent_or_group(p, 1)},
        groups=p.groups, group_variance=0.7, monoecious=True,
    )  # fmt: skip
    q = p.genetic_group_fractions()[list(p.groups)].to_numpy()
    k = np.block([[p.relationship_matrix() + 0.7 * q @ q.T, 0.7 * q], [0.7 * q.T, 0.7 * np.eye(3)]])
    r = random.relationship
    assert list(r.ids) == [*p.ids, "G0", "G1", "G2"]
    np.testing.assert_allclose(r.precision @ k, np.eye(len(k)), atol=1e-9)
    np.testing.assert_allclose(r.log_determinant, np.linalg.slogdet(k)[1], rtol=1e-10)
    np.testing.assert_allclose(r.diagonal, np.diag(k), rtol=1e-12)
    assert r.what == "a pedigree of 60 animals and 3 genetic groups"


def _parent_or_group(p, side):
    groups = p._read.groups[:, side]
    return [p.ids[i] if i >= 0 else p.groups[g] for i, g in zip(p.parents[:, side], groups, strict=True)]


def test_rows_for_the_groups_may_be_there():
    # As in the pedigree files of other programs: the groups first, with unknown parents.
    rows = {
        key: [f"G{k}" if key == "calf" else None for k in (1, 2)] + list(map(str, v))
        for key, v in MRODE_3_4.items()
    }
    p = Pedigree(rows, animal="calf", groups=["G1", "G2"])
    assert list(p.ids) == [str(k) for k in range(1, 9)]
    np.testing.assert_array_equal(p.inverse_with_groups.toarray(), mrode().inverse_with_groups.toarray())


def test_fractions_in_the_order_of_the_data():
    q = mrode().genetic_group_fractions([4, 4, 1])
    assert q["animal"].tolist() == ["4", "4", "1"] and q["G2"].tolist() == [0.75, 0.75, 0.5]


def test_prune_with_groups():
    p = random_groups(3)
    some = list(p.ids[[20, 41]])
    small = p.prune(some)
    whole = p.genetic_group_fractions(some)
    for group in small.groups:
        assert small.genetic_group_fractions(some)[group].tolist() == whole[group].tolist()
    assert whole[[g for g in p.groups if g not in small.groups]].to_numpy().sum() == 0


@pytest.mark.parametrize(
    "options, says",
    [
        (dict(groups=["G1", "G3"]), r"'G3' stands for nobody's parent(.|\n)*closest id there is '3'"),
        (dict(groups="G1"), r"write groups=\('G1',\)"),
        (dict(groups=["G1"], group_variance=0), "above 0"),
        (dict(group_variance=1.0), "needs groups="),
        (dict(groups=["1"]), "'1' stands for nobody's parent|genetic group"),
    ],
)
def test_refusals(options, says):
    rows = (
        dict(MRODE_3_4)
        if options.get("groups") != ["1"]
        else {"calf": ["1", "2"], "sire": ["5", "1"], "dam": ["", ""]}
    )
    with pytest.raises(DataError, match=says):
        Pedigree(rows, animal="calf", **options)


def test_a_group_has_no_parents():
    with pytest.raises(DataError, match=r"'1' is a genetic group and has parents in row 0"):
        Pedigree({"animal": [1, 2], "sire": [5, 1], "dam": [0, 0]}, groups=[1])


def test_questions_without_groups():
    p = Pedigree({"animal": [1], "sire": [0], "dam": [0]})
    for ask in (lambda: p.genetic_group_fractions(), lambda: p.inverse_with_groups):
        with pytest.raises(ModelError, match="has no genetic groups: name the labels"):
            ask()


# --- clones ------------------------------------------------------------------------------------------------------


def test_clones_share_a_level():
    # Ramets of two ortets; T2c says nothing of its parents, T2b says what T2 says, and a seedling is out of a clone.
    p = Pedigree(
        {
            "tree": ["T1", "T2", "T2b", "T2c", "S"],
            "sire": [None, "M", "M", None, "T2c"],
            "dam": [None, "F", "F", None, "T1"],
            "ortet": [None, "T2", "T2", "T2b", None],
        },
        animal="tree",
        clones="ortet",
    )
    assert p.copies == {"T2b": "T2", "T2c": "T2"}
    assert p.genotype_of(["T2c", "S", "T2", "T2b"]).tolist() == ["T2", "S", "T2", "T2"]
    alone = Pedigree({"animal": ["T1", "T2", "S"], "sire": ["", "M", "T2"], "dam": ["", "F", "T1"]})
    assert set(p.ids) == set(alone.ids)
    np.testing.assert_array_equal(p.relationship_matrix(alone.ids), alone.relationship_matrix())
    np.testing.assert_array_equal(p.relationship_matrix(["T2b", "S"]), [[1, 0.5], [0.5, 1]])
    assert "clones" in p.describe() and "2 clones" in repr(p)


def test_clones_of_a_genotype_without_a_row():
    p = Pedigree(
        {
            "animal": ["R1", "R2", "R3"],
            "sire": ["A", "A", None],
            "dam": ["B", "B", None],
            "g": ["G", "G", "H"],
        },
        clones="g",
    )
    assert p.copies == {"R1": "G", "R2": "G", "R3": "H"}
    assert p.relationship_matrix(["G", "A", "H"]).tolist() == [[1, 0.5, 0], [0.5, 1, 0], [0, 0, 1]]


@pytest.mark.parametrize(
    "g, sires, says",
    [
        (["X", "Y", None], [None] * 3, "'A' is a clone of two genotypes in column 'g': 'X' and 'Y'"),
        (["B", None, "A"], [None] * 3, "'A' and 'B' are clones of one another"),
        (
            ["G", "G", "G"],
            ["S", "S", "T"],
            r"'G' occurs in rows 0 and 2(.|\n)*row 0: sire 'S'(.|\n)*row 2: sire 'T'",
        ),
    ],
)
def test_clones_that_contradict(g, sires, says):
    with pytest.raises(DataError, match=says):
        Pedigree({"animal": ["A", "A", "B"], "sire": sires, "dam": [None] * 3, "g": g}, clones="g")

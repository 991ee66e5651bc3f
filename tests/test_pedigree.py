"""Inbreeding, A and its inverse: textbook examples, and random pedigrees against the tabular method."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pedigree_twin import generations_of, random_pedigree, relationships

import henderson as hd
from henderson.errors import DataError, ModelError
from henderson.genetics import ancestry_loops, inbreeding
from henderson.genetics.ancestry import HALVES, SIRE_AND_GRANDSIRE, Ancestry

Pedigree = hd.genetics.Pedigree

MRODE_2_1 = {"calf": [1, 2, 3, 4, 5, 6], "sire": [0, 0, 1, 1, 4, 5], "dam": [0, 0, 2, 0, 3, 2]}
"""Mrode (2014), Linear Models for the Prediction of Animal Breeding Values, 3rd ed., Table 2.1."""


def mrode():
    return Pedigree(MRODE_2_1, animal="calf")


def in_order(pedigree, names):
    """Positions of names in the pedigree's own order."""
    place = {name: k for k, name in enumerate(pedigree.ids)}
    return np.array([place[str(name)] for name in names])


# --- the textbook ------------------------------------------------------------------------------------------------


def test_mrode_relationships_and_mendelian_variances():
    # Mrode (2014): A of section 2.2, p. 23; D of section 2.3, p. 25: diag(1, 1, 0.5, 0.75, 0.5, 0.469).
    a = [
        [1.00, 0.00, 0.50, 0.50, 0.50, 0.25],
        [0.00, 1.00, 0.50, 0.00, 0.25, 0.625],
        [0.50, 0.50, 1.00, 0.25, 0.625, 0.5625],
        [0.50, 0.00, 0.25, 1.00, 0.625, 0.3125],
        [0.50, 0.25, 0.625, 0.625, 1.125, 0.6875],
        [0.25, 0.625, 0.5625, 0.3125, 0.6875, 1.125],
    ]
    p = mrode()
    assert list(p.ids) == ["1", "2", "3", "4", "5", "6"]
    np.testing.assert_allclose(p.relationship_matrix(), a, rtol=1e-15)
    np.testing.assert_allclose(p.kinship(["5", "6"]), np.array(a)[4:, 4:] / 2, rtol=1e-15)
    np.testing.assert_array_equal(p.inbreeding, [0, 0, 0, 0, 0.125, 0.125])
    np.testing.assert_array_equal(p.mendelian_variances.round(3), [1, 1, 0.5, 0.75, 0.5, 0.469])
    np.testing.assert_array_equal(p.generations, [0, 0, 1, 1, 2, 3])


def test_henderson_inverse_without_inbreeding():
    # Mrode (2014), section 4.2.2, p. 64: A^-1 of the pedigree of Table 4.1, as printed (two decimals, 0.667 as 0.67).
    pedigree = Pedigree(
        {"animal": range(1, 9), "sire": [0, 0, 0, 1, 3, 1, 3, 1], "dam": [0, 0, 0, 2, 0, 5, 4, 7]}
    )
    printed = [
        [2.50, 0.50, 0.00, -1.00, 0.50, -1.00, 0.50, -1.00],
        [0.50, 1.50, 0.00, -1.00, 0.00, 0.00, 0.00, 0.00],
        [0.00, 0.00, 1.83, 0.50, -0.67, 0.00, -1.00, 0.00],
        [-1.00, -1.00, 0.50, 2.50, 0.00, 0.00, -1.00, 0.00],
        [0.50, 0.00, -0.67, 0.00, 1.83, -1.00, 0.00, 0.00],
        [-1.00, 0.00, 0.00, 0.00, -1.00, 2.00, 0.00, 0.00],
        [0.50, 0.00, -1.00, -1.00, 0.00, 0.00, 2.50, -1.00],
        [-1.00, 0.00, 0.00, 0.00, 0.00, 0.00, -1.00, 2.00],
    ]
    np.testing.assert_array_equal(pedigree.inverse.toarray().round(2), printed)


def test_sire_and_maternal_grandsire():
    # Mrode (2014), section 2.6, p. 32: sires 1, 4, 5 of Table 2.1.
    bulls = Pedigree({"animal": [1, 4, 5], "sire": [0, 1, 4], "mgs": [0, 0, 1]}, mgs="mgs")
    a = [[1.0, 0.5, 0.5], [0.5, 1.0, 0.625], [0.5, 0.625, 1.125]]
    np.testing.assert_array_equal(bulls.relationship_matrix(), a)
    np.testing.assert_array_equal(bulls.relationship_matrix(), mrode().relationship_matrix([1, 4, 5]))
    # Mrode (2014), section 13.3.2, p. 235: six bulls; what is printed of A^-1, to three decimals.
    six = Pedigree({"animal": range(1, 7), "sire": [0, 0, 1, 2, 3, 2], "g": [0, 0, 0, 1, 2, 3]}, mgs="g")
    inverse = six.inverse.toarray().round(3)
    np.testing.assert_array_equal(inverse[0], [1.424, 0.182, -0.667, -0.364, 0.0, 0.0])
    np.testing.assert_array_equal(inverse[1], [0.182, 1.818, 0.364, -0.727, -0.364, -0.727])
    np.testing.assert_array_equal(inverse[2], [-0.667, 0.364, 1.788, 0.0, -0.727, -0.364])


def test_animal_model_of_mrode_example_3_1():
    # Mrode (2014), Example 3.1, prints 4.358 3.404, 0.098 -0.019 -0.041 -0.009 -0.186 0.177 -0.249 0.183; residual / animal
    # variance = 2. More digits: mixed-model equations in R 4.2.2 with A^-1 of nadiv 2.18.0 (makeAinv(Mrode3[-(1:2), 1:3])).
    p = Pedigree({"animal": range(1, 9), "sire": [0, 0, 0, 1, 3, 1, 4, 3], "dam": [0, 0, 0, 0, 2, 2, 5, 6]})
    y, male = np.array([4.5, 2.9, 3.9, 3.5, 5.0]), np.array([1, 0, 0, 1, 1])
    x = np.column_stack([male, 1 - male])
    z = np.eye(8)[3:]
    lhs = np.block([[x.T @ x, x.T @ z], [z.T @ x, z.T @ z + 2 * p.inverse.toarray()]])
    solution = np.linalg.solve(lhs, np.concatenate([x.T @ y, z.T @ y]))
    nadiv = [4.35850232985496, 3.40443000590667, 0.0984445757038788, -0.0187700991008728, -0.0410842029270853]
    nadiv += [
        -0.00866312266194116,
        -0.185732099494651,
        0.176872087681302,
        -0.249458554833628,
        0.182614687930695,
    ]
    np.testing.assert_allclose(solution, nadiv, rtol=1e-12)


def test_selfed_lines():
    # Oakey et al. (2006), Theor. Appl. Genet. 113: 809-819, eq. 9, with n - 1 generations of selfing after the cross:
    # a_jj = 2 - 0.5^(n - 1) + 0.5^n a_sd.
    a_sd = 0.5
    lines = Pedigree(
        {
            "animal": ["P", "Q", "S", *(f"L{n}" for n in range(1, 8))],
            "sire": [None, None, "P", *["P"] * 7],
            "dam": [None, None, "Q", *["S"] * 7],
            "gen": [0, 0, 0, *range(7)],
        },
        selfing="gen",
    )
    expected = [2 - 0.5 ** (n - 1) + 0.5**n * a_sd for n in range(1, 8)]
    np.testing.assert_allclose(1 + lines.inbreeding[3:], expected, rtol=1e-15)


def test_repeated_selfing_halves_heterozygosity():
    # Wright (1921): F = 1 - 2^-t after t selfings, each plant a row with itself on both sides.
    t = np.arange(12)
    chain = Pedigree({"animal": t + 1, "sire": t, "dam": t}, monoecious=True)
    np.testing.assert_array_equal(chain.inbreeding, 1 - 0.5**t)


def test_founder_inbreeding_and_doubled_haploids():
    p = Pedigree(
        {
            "animal": ["A", "B", "DH", "X"],
            "sire": [None, None, "A", "DH"],
            "dam": [None, None, "B", None],
            "f": [0.25, 0, np.inf, 0],
        },
        selfing="f",
    )
    np.testing.assert_allclose(p.inbreeding, [0.25, 0, 1, 0], rtol=1e-15)
    # D of DH: 2 - (1.25 + 1)/4; of X, by one fully inbred parent: 1 - 2/4.
    np.testing.assert_allclose(p.mendelian_variances, [1.25, 1, 2 - 2.25 / 4, 0.5], rtol=1e-15)


# --- against the tabular method ----------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(1, 60),
    reach=st.integers(1, 60),
    known=st.sampled_from([0.5, 0.9, 1.0]),
    selfed=st.sampled_from([0.0, 0.4]),
)
def test_inverse_of_any_pedigree(seed, n, reach, known, selfed):
    rng = np.random.default_rng(seed)
    random = random_pedigree(rng, n, reach, known, selfed)
    a = relationships(random.sire, random.dam, random.selfing)
    p = Pedigree(random.table(rng.permutation(n)), selfing="selfing")
    at = in_order(p, random.names())
    np.testing.assert_allclose(p.relationship_matrix(random.names()), a, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(p.inbreeding[at], np.diag(a) - 1, rtol=1e-12, atol=1e-13)
    own = p.mendelian_variances
    if own.min() > 1e-6:
        # The inverse times A, relative to how large the inverse is.
        inverse = p.inverse.toarray()[np.ix_(at, at)]
        np.testing.assert_allclose(inverse @ a, np.eye(n), atol=1e-13 * n / own.min())
        np.testing.assert_allclose(p.log_determinant, np.linalg.slogdet(a)[1], rtol=1e-9, atol=1e-8)
        np.testing.assert_array_equal(inverse, inverse.T)


@pytest.mark.parametrize("shares", [HALVES, SIRE_AND_GRANDSIRE])
@pytest.mark.parametrize("seed", range(6))
def test_compiled_inbreeding_equals_the_table(seed, shares):
    # Both ways of finding F, on pedigrees that make the walks give way to sweeps and that have one sex or none.
    rng = np.random.default_rng(seed)
    r = random_pedigree(
        rng, 500, reach=(500, 60, 15)[seed % 3], known=(0.9, 1.0)[seed % 2], selfed=0.2 * (seed % 2)
    )
    p = Ancestry(r.sire.astype(np.int32), r.dam.astype(np.int32), shares, 0.5**r.selfing)
    np.testing.assert_allclose(inbreeding._by_mates(p), inbreeding._by_table(p), rtol=1e-12, atol=1e-15)


def test_large_pedigree_against_the_table(monkeypatch):
    r = generations_of(9, 300, 8, 60, np.random.default_rng(5))
    p = Pedigree.from_arrays(r.sire, r.dam)
    assert len(p) > ancestry_loops.SMALL
    a = inbreeding.tabular(Ancestry(r.sire.astype(np.int32), r.dam.astype(np.int32)))
    np.testing.assert_allclose(p.inbreeding, np.diag(a) - 1, atol=1e-14)
    assert p.inbreeding.max() > 0.1
    some = np.random.default_rng(1).choice(len(p), 70, replace=False)
    np.testing.assert_allclose(p.relationship_matrix(p.ids[some]), a[np.ix_(some, some)], atol=1e-13)
    v = np.random.default_rng(2).normal(size=(len(p), 3))
    np.testing.assert_allclose(p.times(v), a @ v, atol=1e-10)
    np.testing.assert_allclose(p.inverse @ p.times(v[:, 0]), v[:, 0], atol=1e-9)
    # A pedigree too wide for the tabular method takes columns of A instead.
    monkeypatch.setattr("henderson.genetics.pedigree.SMALL", 100)
    np.testing.assert_allclose(p.relationship_matrix(p.ids[some]), a[np.ix_(some, some)], atol=1e-13)


def test_sire_model_is_the_animal_model_with_unknown_dams():
    # A maternal grandsire is the sire of a dam who is nobody else: absorbing those dams must give the same.
    rng = np.random.default_rng(3)
    n = 40
    sire = np.array([rng.integers(-1, i) if i else -1 for i in range(n)])
    mgs = np.array([rng.integers(-1, i) if i else -1 for i in range(n)])
    bulls = Pedigree({"animal": np.arange(n) + 1, "sire": sire + 1, "mgs": mgs + 1}, mgs="mgs")
    dams = np.where(mgs >= 0, np.arange(n) + 1001, 0)
    rows = {
        "animal": np.concatenate([dams[dams > 0], np.arange(n) + 1]),
        "sire": np.concatenate([mgs[dams > 0] + 1, sire + 1]),
        "dam": np.concatenate([np.zeros(int((dams > 0).sum()), int), dams]),
    }
    whole = Pedigree(rows)
    np.testing.assert_allclose(
        bulls.relationship_matrix(), whole.relationship_matrix(bulls.ids), rtol=1e-14, atol=1e-15
    )
    np.testing.assert_allclose(bulls.inverse @ bulls.relationship_matrix(), np.eye(n), atol=1e-12)


# --- what follows ------------------------------------------------------------------------------------------------


def test_relationship_for_vm():
    p = mrode()
    r = p.relationship
    np.testing.assert_allclose(r.precision @ p.relationship_matrix(), np.eye(6), atol=1e-14)
    assert r.log_determinant == pytest.approx(np.linalg.slogdet(p.relationship_matrix())[1], abs=1e-14)
    np.testing.assert_array_equal(r.diagonal, 1 + p.inbreeding)
    assert (list(r.ids), r.what, r.covariance) == (
        ["1", "2", "3", "4", "5", "6"],
        "a pedigree of 6 animals",
        None,
    )
    assert r.precision.format == "csc" and r.precision.has_sorted_indices


def test_hybrids_of_inbred_lines_have_a_singular_a():
    p = Pedigree(
        {"animal": ["L1", "L2", "L3", "H12", "H13"], "sire": [None] * 3 + ["L1", "L1"], "dam": [None] * 3 + ["L2", "L3"],
         "gen": [np.inf] * 3 + [0, 0]},
        selfing="gen",
    )  # fmt: skip
    with pytest.raises(ModelError, match=r"2 of the 5 individuals .*\('H12', 'H13'\)"):
        _ = p.inverse
    assert p.log_determinant == -np.inf
    r = p.relationship
    assert r.precision is None and np.isnan(r.log_determinant)
    half = np.array([[0.5, 0.5, 0], [0.5, 0, 0.5]])
    expected = np.vstack([np.eye(3), half]) @ (2 * np.eye(3)) @ np.vstack([np.eye(3), half]).T
    np.testing.assert_array_equal(r.covariance, expected)


def test_prune_keeps_relationships():
    rng = np.random.default_rng(11)
    random = random_pedigree(rng, 80, reach=15)
    p = Pedigree(random.table(), monoecious=True)
    wanted = ["i70", "i33", "i79"]
    small = p.prune(wanted)
    ancestors, front = set(), [70, 33, 79]
    while front:
        i = front.pop()
        if i >= 0 and i not in ancestors:
            ancestors.add(i)
            front += [random.sire[i], random.dam[i]]
    assert set(small.ids) == {f"i{k}" for k in ancestors}
    assert len(small) < len(p)
    np.testing.assert_array_equal(small.relationship_matrix(wanted), p.relationship_matrix(wanted))
    with pytest.raises(DataError, match="'i700'"):
        p.prune(["i700"])


def test_simulated_values_have_the_covariance():
    p = mrode()
    g = np.array([[2.0, 0.6], [0.6, 0.5]])
    rng = np.random.default_rng(4)
    n = 20_000
    u = np.stack([p.simulate(g, rng) for _ in range(n)])
    expected = np.kron(p.relationship_matrix(), g)
    flat = u.reshape(n, -1)
    found = flat.T @ flat / n
    # Standard error of a covariance of two normals: sqrt((v_i v_j + c^2) / n); 78 different ones.
    error = np.sqrt((np.outer(np.diag(expected), np.diag(expected)) + expected**2) / n)
    assert np.abs((found - expected) / error).max() < 4.2
    np.testing.assert_array_equal(p.simulate(3.0, 8), p.simulate(3.0, 8))
    np.testing.assert_allclose(p.simulate(3.0, 8), np.sqrt(3) * p.simulate(seed=8), rtol=1e-14)
    assert p.simulate(np.zeros((2, 2)), 1).tolist() == [[0, 0]] * 6


@pytest.mark.parametrize(
    "variance, says",
    [
        (-1.0, "below 0"),
        ([[1, 2], [2, 1]], "eigenvalue -1"),
        ([[1, 0.5], [0, 1]], "not symmetric"),
        ([1, 2], "a number or a square matrix"),
        (np.nan, "a number or a square matrix"),
    ],
)
def test_simulate_refuses(variance, says):
    with pytest.raises(DataError, match=says):
        mrode().simulate(variance)


def test_times_refuses_another_length():
    with pytest.raises(DataError, match="6 numbers"):
        mrode().times(np.ones(5))


def test_table_and_words():
    p = mrode()
    table = p.table
    assert isinstance(table, pd.DataFrame)
    assert list(table.columns) == ["animal", "sire", "dam", "generation", "inbreeding"]
    assert table["sire"].tolist()[2:] == ["1", "1", "4", "5"] and table["sire"].isna().tolist()[:2] == [
        True,
        True,
    ]
    assert repr(p) == "Pedigree(6 animals: 2 founders, 3 sires, 2 dams)"
    said = {
        line.strip().split("  ")[0]: line.split()[-1]
        for line in p.describe().splitlines()
        if line.startswith("  ")
    }
    words = p.describe()
    assert {
        "founders",
        "one parent known",
        "both parents known",
        "sires",
        "dams",
        "generations",
        "inbred",
    } <= set(said)
    assert "mean F                      0.0417   (0.1250 of the inbred)" in words
    assert "greatest F                  0.1250   ('5' and 1 more)" in words


def test_a_small_pedigree_needs_no_compiled_code():
    code = (
        "import sys, henderson as hd\n"
        "p = hd.genetics.Pedigree({'animal': ['b', 'a'], 'sire': ['a', ''], 'dam': ['', '']})\n"
        "p.relationship, p.simulate(), p.describe(), p.relationship_matrix()\n"
        "print('numba' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"

"""Single step against H written out (Legarra et al. 2009), blocks of A, and matrices blended, tuned and bent."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from henderson.errors import DataError
from henderson.genetics import Pedigree, Relationship, bend, blend, grm, single_step, tune
from henderson.genetics.pedigree_block import block_among
from henderson.genetics.relationship import as_relationship


def pedigree(n: int, seed: int = 0, founders: int = 8) -> Pedigree:
    """Overlapping generations with inbreeding; ids that sort in no useful order."""
    rng = np.random.default_rng(seed)
    sire, dam = np.full(n, -1), np.full(n, -1)
    for k in range(founders, n):
        sire[k], dam[k] = rng.choice(np.arange(max(0, k - 30), k), 2, replace=False)
    return Pedigree.from_arrays(sire, dam, [f"{'qwzab'[k % 5]}{k}" for k in range(n)])


def genomic(a22: np.ndarray, seed: int = 0) -> np.ndarray:
    """A G about A22: relationships realised by some loci."""
    s = max(400, 3 * len(a22))
    w = np.linalg.cholesky(a22) @ np.random.default_rng(seed).normal(size=(len(a22), s))
    return w @ w.T / s


def some(p: Pedigree, n2: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).permutation(p.ids)[:n2]


def h_of(a: np.ndarray, at: np.ndarray, g: np.ndarray) -> np.ndarray:
    """Legarra, Aguilar & Misztal (2009): H22 = G and, for the others, A11 + A12 A22^-1 (G - A22) A22^-1 A21."""
    others = np.setdiff1d(np.arange(len(a)), at)
    a12, b = a[np.ix_(others, at)], a[np.ix_(others, at)] @ np.linalg.inv(a[np.ix_(at, at)])
    h = np.empty_like(a)
    h[np.ix_(at, at)] = g
    h[np.ix_(others, at)] = b @ g
    h[np.ix_(at, others)] = (b @ g).T
    h[np.ix_(others, others)] = a[np.ix_(others, others)] + b @ (g - a[np.ix_(at, at)]) @ b.T
    np.testing.assert_allclose(a12, b @ a[np.ix_(at, at)], atol=1e-12)
    return h


@pytest.mark.parametrize(("n", "n2"), [(60, 12), (60, 60), (60, 1), (900, 150), (900, 900)])
def test_h_is_that_of_legarra(n, n2):
    p = pedigree(n)
    ids = some(p, n2)
    a = p.relationship_matrix()
    at = np.array([list(p.ids).index(label) for label in ids])
    g = genomic(a[np.ix_(at, at)])
    got = single_step(p, (g, ids), tuning=None, blend=0)
    np.testing.assert_array_equal(got.ids, p.ids)
    h = h_of(a, at, g)
    product = got.precision @ h
    np.testing.assert_allclose(product, np.eye(n), atol=1e-8)
    np.testing.assert_allclose(got.log_determinant, np.linalg.slogdet(h)[1], rtol=1e-9, atol=1e-8)
    np.testing.assert_allclose(got.diagonal, np.diag(h), rtol=1e-8)
    assert got.covariance is None


def test_pedigree_of_which_legarra_et_al_speak():
    """Two unrelated parents of two full sibs: genotyped sibs more alike than 1/2 make their parents look related."""
    p = Pedigree({"animal": [1, 2, 3, 4], "sire": [0, 0, 1, 1], "dam": [0, 0, 2, 2]})
    g = pd.DataFrame([[1.0, 0.7], [0.7, 1.0]], index=[3, 4], columns=[3, 4])
    h = single_step(p, g, tuning=None, blend=0).dense()
    # b = A12 A22^-1 = 1/3 throughout, and b (G - A22) b' = 2 x 0.2 / 9.
    np.testing.assert_allclose(h[0, 1], 0.4 / 9, rtol=1e-12)
    np.testing.assert_allclose(h[:2, 2:], 1.7 / 3, rtol=1e-12)
    np.testing.assert_allclose(np.diag(h), [1 + 0.4 / 9, 1 + 0.4 / 9, 1, 1], rtol=1e-12)


@pytest.mark.parametrize(("tau", "omega"), [(1.0, 0.7), (1.5, 0.6), (1.0, 0.0), (2.0, 1.0)])
def test_tau_and_omega(tau, omega):
    p = pedigree(80)
    ids = some(p, 20)
    block = p.relationship_matrix(ids)
    g = genomic(block)
    got = single_step(p, (g, ids), tau, omega, tuning=None, blend=0)
    added = np.zeros((80, 80))
    at = [list(p.ids).index(label) for label in ids]
    added[np.ix_(at, at)] = tau * np.linalg.inv(g) - omega * np.linalg.inv(block)
    expected = np.linalg.inv(p.relationship_matrix()) + added
    np.testing.assert_allclose(got.precision.toarray(), expected, atol=1e-9)
    np.testing.assert_allclose(got.log_determinant, -np.linalg.slogdet(expected)[1], rtol=1e-10)


def test_g_that_is_a22_gives_a_back():
    p = pedigree(50)
    ids = some(p, 17)
    got = single_step(p, (p.relationship_matrix(ids), ids))
    np.testing.assert_allclose(got.dense(), p.relationship_matrix(), atol=1e-11)
    np.testing.assert_allclose(got.log_determinant, p.log_determinant, atol=1e-10)


@given(st.permutations(range(9)))
@settings(max_examples=15, deadline=None)
def test_the_order_of_the_genotyped_does_not_matter(order):
    p = pedigree(40)
    ids = some(p, 9)
    g = genomic(p.relationship_matrix(ids))
    o = np.array(order)
    one, other = single_step(p, (g, ids)), single_step(p, (g[np.ix_(o, o)], ids[o]))
    np.testing.assert_allclose(one.precision.toarray(), other.precision.toarray(), atol=1e-9)


def test_markers_straight_into_single_step():
    """Fewer markers than individuals, and frequencies of the sample: blending makes it positive definite."""
    p = pedigree(100)
    ids = some(p, 40)
    x = np.random.default_rng(2).binomial(2, 0.4, (40, 25))
    g = grm(x, ids=ids)
    a22 = p.relationship_matrix(ids)
    off = ~np.eye(40, dtype=bool)
    slope = (np.diag(a22).mean() - a22[off].mean()) / (
        np.diag(g.covariance).mean() - g.covariance[off].mean()
    )
    tuned = a22[off].mean() + slope * (g.covariance - g.covariance[off].mean())
    at = np.array([list(p.ids).index(label) for label in ids])
    h = h_of(p.relationship_matrix(), at, 0.9 * tuned + 0.1 * a22)
    got = single_step(p, g, blend=0.1)
    np.testing.assert_allclose(got.dense(), h, atol=1e-9)
    assert "tuned to the pedigree" in got.what
    assert "blended with 0.1" in got.what
    with pytest.raises(DataError, match=r"not positive definite: blend it with the pedigree, blend=0\.05"):
        single_step(p, g, blend=0)


# -- A22 -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [70, 1500])
@pytest.mark.parametrize("share", [0.02, 0.4, 1.0])
@pytest.mark.parametrize("known", ["pedigree", "relationship"])
def test_block_of_a_and_its_inverse_without_a(n, share, known):
    p = pedigree(n, seed=3)
    ids = some(p, max(1, int(share * n)))
    block = block_among(p if known == "pedigree" else p.relationship, ids)
    expected = p.relationship_matrix()[np.ix_(block.positions, block.positions)]
    np.testing.assert_array_equal(p.ids[block.positions], ids)
    np.testing.assert_allclose(block.covariance, expected, atol=1e-11)
    np.testing.assert_allclose(block.inverse @ expected, np.eye(len(ids)), atol=1e-8)
    np.testing.assert_allclose(block.log_determinant, np.linalg.slogdet(expected)[1], rtol=1e-9, atol=1e-11)


def test_block_of_a_dense_relationship():
    k = np.cov(np.random.default_rng(0).normal(size=(6, 30)))
    block = block_among((k, list("abcdef")), np.array(["e", "b"], dtype=object))
    np.testing.assert_allclose(block.covariance, k[np.ix_([4, 1], [4, 1])])
    np.testing.assert_allclose(block.inverse, np.linalg.inv(block.covariance), rtol=1e-12)


# -- blending, tuning, bending -----------------------------------------------------------------------------------


def test_blend_is_matched_by_id():
    p = pedigree(50)
    ids = some(p, 12)
    g = genomic(p.relationship_matrix(ids))
    got = blend((g, ids), p, 0.2)
    np.testing.assert_allclose(got.covariance, 0.8 * g + 0.2 * p.relationship_matrix(ids), atol=1e-12)
    np.testing.assert_allclose(got.log_determinant, np.linalg.slogdet(got.covariance)[1], rtol=1e-12)
    np.testing.assert_allclose(
        blend((g, ids), weight=0.01).covariance, 0.99 * g + 0.01 * np.eye(12), atol=1e-15
    )
    assert "blended with 0.2 of a pedigree of 50 animals" in got.what


def test_a_singular_g_is_regular_once_blended():
    g = grm(np.random.default_rng(2).binomial(2, 0.4, (20, 9)), ids=range(20))
    assert np.isnan(g.log_determinant)
    assert np.isfinite(blend(g).log_determinant)


def test_tuned_means_are_those_of_the_pedigree():
    p = pedigree(120)
    ids = some(p, 30)
    a = p.relationship_matrix(ids)
    g = grm(np.random.default_rng(2).binomial(2, 0.4, (30, 300)), ids=ids)
    got = tune(g, p).covariance
    np.testing.assert_allclose(np.diag(got).mean(), np.diag(a).mean(), rtol=1e-12)
    np.testing.assert_allclose(got.mean(), a.mean(), rtol=1e-12)
    # Vitezica et al. (2011): the mean of all is brought to that of A22 up to the square of the drift.
    drift = a.mean() - g.covariance.mean()
    np.testing.assert_allclose(
        tune(g, p, "average").covariance, (1 - drift / 2) * g.covariance + drift, atol=1e-14
    )


def indefinite(q: int = 8, seed: int = 0) -> np.ndarray:
    u = np.linalg.qr(np.random.default_rng(seed).normal(size=(q, q)))[0]
    return (u * np.array([-0.4, -0.1, 0.001, *np.linspace(0.5, 3, q - 3)])) @ u.T


@pytest.mark.parametrize("method", ["raise", "shrink"])
@pytest.mark.parametrize("keep_mean", [False, True])
def test_bent_is_positive_definite_by_the_share_asked_for(method, keep_mean):
    k = (indefinite() + indefinite().T) / 2
    got = bend(k, range(8), least=0.01, method=method, keep_mean=keep_mean)
    values = np.linalg.eigvalsh(got.covariance)
    np.testing.assert_allclose(values[0] / values[-1], 0.01, rtol=1e-9)
    assert np.isfinite(got.log_determinant)
    if keep_mean or method == "shrink":
        np.testing.assert_allclose(np.trace(got.covariance), np.trace(k), rtol=1e-12)
    assert "3 of 8 eigenvalues were below 0.01" in got.what


def test_raised_is_the_nearest_and_shrunk_keeps_the_eigenvectors():
    """Higham (1988): no matrix with eigenvalues above the bound is nearer; Hayes & Hill (1981): K* = (1 - w) K + w mean I."""
    k = (indefinite() + indefinite().T) / 2
    raised, shrunk = (bend(k, range(8), 0.01, m).covariance for m in ("raise", "shrink"))
    distance = np.linalg.norm(raised - k)
    np.testing.assert_allclose(distance, np.sqrt(0.43**2 + 0.13**2 + 0.029**2), rtol=1e-9)
    off = ~np.eye(8, dtype=bool)
    ratio = shrunk[off] / k[off]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-8)
    w = 1 - ratio[0]
    np.testing.assert_allclose(shrunk, (1 - w) * k + w * np.trace(k) / 8 * np.eye(8), atol=1e-12)


def test_bend_takes_what_the_refusal_tells_to_bend():
    k = (indefinite() + indefinite().T) / 2
    ids = list("abcdefgh")
    table = pd.DataFrame(k, index=ids, columns=ids)
    for given_k in (table, (k, ids)):
        with pytest.raises(DataError, match=r"hd\.genetics\.bend"):
            as_relationship(given_k, "K")
        np.testing.assert_allclose(bend(given_k).covariance, bend(k, ids).covariance, atol=1e-15)
        as_relationship(bend(given_k), "K")
    good = np.eye(3)
    np.testing.assert_array_equal(bend(good, list("abc")).covariance, good)


def faults() -> list[tuple[object, str]]:
    p = pedigree(30)
    ids = some(p, 5)
    g = genomic(p.relationship_matrix(ids))
    other = ids.copy()
    other[2] = "nobody"
    return [
        (
            lambda: single_step(p, (g, other)),
            "level 'nobody' of the genotyped individuals is not in the pedigree",
        ),
        (lambda: single_step(p, (g, ids), tau=0), "tau is a weight above 0"),
        (lambda: single_step(p, (g, ids), omega=-1), "omega is a weight"),
        (
            lambda: single_step(p, (g, ids), omega=40, tuning=None),
            "tau=1 and omega=40 H is not positive definite",
        ),
        (
            lambda: single_step(p, (g, ids), tuning="mean"),
            "tuning is one of means, average or None, not 'mean'",
        ),
        (lambda: single_step(p, (g, ids), blend=1.5), "share from 0 to 1"),
        (lambda: single_step((g, ids), (g, ids)), "by their sparse inverse; this is a dense 5 x 5 matrix"),
        (lambda: blend((g, other), p), "'nobody'.*not in A"),
        (lambda: blend((g, ids), p, -0.1), "share from 0 to 1"),
        (lambda: tune((g, ids), p, "averages"), "not 'averages'. Is 'average' meant"),
        (lambda: tune((np.ones((5, 5)), ids), p), "cannot be tuned"),
        (lambda: bend(g, ids, least=0), "above 0 and below 1"),
        (lambda: bend(g, ids, method="both"), "one of raise, shrink"),
        (lambda: bend(-np.eye(3), range(3)), "no positive eigenvalue"),
        (lambda: bend(np.ones((2, 3)), range(2)), "square matrix; this is 2 x 3"),
        (lambda: bend(np.array([[1, 2], [0, 1.0]]), range(2)), "not symmetric"),
        (lambda: bend(g), "without ids"),
    ]


@pytest.mark.parametrize(("call", "said"), faults())
def test_faults_are_named(call, said):
    with pytest.raises(DataError, match=f"(?s){said}"):
        call()


def test_sparse_inverse_that_is_no_pedigree_takes_part_too():
    q = Relationship.from_precision(sp.diags([[-0.4] * 9, [1.2] * 10, [-0.4] * 9], [-1, 0, 1]), range(10))
    g = np.array([[1.5, 0.2], [0.2, 1.1]])
    h = single_step(q, (g, [7, 2]), tuning=None, blend=0).dense()
    np.testing.assert_allclose(h, h_of(q.dense(), np.array([7, 2]), g), atol=1e-12)

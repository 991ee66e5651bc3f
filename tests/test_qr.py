"""The orthonormal basis of X: exact factorisation, R's rule for dependent columns, both ways of getting it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from henderson.linear import qr


def check(x, basis):
    rank = len(basis.kept)
    np.testing.assert_allclose(basis.q.T @ basis.q, np.eye(rank), atol=1e-12)
    scale = np.abs(x).max(initial=1e-300)
    np.testing.assert_allclose(basis.q @ basis.r, x[:, basis.kept], atol=1e-12 * scale)
    np.testing.assert_array_equal(np.tril(basis.r, -1), 0.0)


@given(st.integers(0, 10_000), st.integers(1, 6), st.integers(8, 40))
@settings(max_examples=50, deadline=None)
def test_full_rank(seed, p, n):
    x = np.random.default_rng(seed).normal(size=(n, p)) * 10.0 ** np.arange(-3, p - 3)
    basis = qr.orthonormal_basis(x)
    assert list(basis.kept) == list(range(p))
    check(x, basis)


def test_dependent_columns_are_dropped_in_order():
    rng = np.random.default_rng(1)
    a, b, c = rng.normal(size=(3, 30))
    x = np.column_stack([a, np.zeros(30), b, a + b, c, 2 * c])
    basis = qr.orthonormal_basis(x)
    assert list(basis.kept) == [0, 2, 4]
    assert list(basis.dropped) == [1, 3, 5]
    check(x, basis)


def test_more_columns_than_rows():
    x = np.random.default_rng(2).normal(size=(4, 7))
    basis = qr.orthonormal_basis(x)
    assert list(basis.kept) == [0, 1, 2, 3]
    check(x, basis)


@pytest.mark.parametrize("gap, rank", [(1e-6, 2), (1e-9, 1)])
def test_rank_tolerance_is_that_of_r(gap, rank):
    # R: qr(cbind(a, a + gap * b))$rank is 2 for 1e-6 and 1 for 1e-9 (tol = 1e-7)
    rng = np.random.default_rng(3)
    a, b = rng.normal(size=(2, 50))
    assert len(qr.orthonormal_basis(np.column_stack([a, a + gap * b])).kept) == rank


def test_large_x_by_cross_products_equals_householder(monkeypatch):
    rng = np.random.default_rng(4)
    x = np.asfortranarray(np.column_stack([np.ones(2000), rng.normal(1e3, 1.0, 2000), rng.normal(size=2000)]))
    plain = qr.orthonormal_basis(x)
    monkeypatch.setattr(qr, "_GRAM_MIN_SIZE", 1)
    monkeypatch.setattr(qr, "_householder", None)  # must not be needed
    large = qr.orthonormal_basis(x)
    check(x, large)
    np.testing.assert_allclose(np.abs(large.r), np.abs(plain.r), rtol=1e-9, atol=1e-9)


def test_ill_conditioned_large_x_goes_to_householder(monkeypatch):
    monkeypatch.setattr(qr, "_GRAM_MIN_SIZE", 1)
    rng = np.random.default_rng(5)
    a = rng.normal(size=500)
    x = np.column_stack([np.ones(500), a, a + 1e-6 * rng.normal(size=500)])
    basis = qr.orthonormal_basis(x)
    assert len(basis.kept) == 3
    check(x, basis)

"""Least squares by blocks: every way through it equals a dense solution, in exact arithmetic where that is within reach."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from henderson.linear import least_squares as module
from henderson.linear.least_squares import least_squares


class Matrix:
    """Rows of a plain matrix, in segments and blocks of a given size."""

    def __init__(self, x, y, weights=None, intercept=None, step=64, segments=3):
        self.x, self.y, self.step, self.count = x, y, step, segments
        self.root = np.ones(len(y)) if weights is None else np.sqrt(weights)
        (self.n, self.p), self.intercept = x.shape, intercept

    def segments(self):
        cut = np.linspace(0, self.n, self.count + 1).astype(int)
        return [lambda centre, a=a, b=b: self._blocks(a, b, centre) for a, b in pairwise(cut)]

    def _blocks(self, start, stop, centre):
        room = np.empty((self.step, self.p + 1), order="F")
        for first in range(start, stop, self.step):
            rows = slice(first, min(first + self.step, stop))
            block = room[: rows.stop - first]
            block[:] = np.column_stack([self.x[rows], self.y[rows]])
            if centre is not None:
                block -= centre.shift
            block *= self.root[rows, None]
            yield block


def problem(seed, n, p, near=0.0, intercept=True, shift=0.0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, p)) + shift
    if near and p > 2:
        x[:, 2] = x[:, 1] + near * rng.normal(size=n)
    if intercept:
        x[:, 0] = 1.0
    y = x @ rng.normal(size=p) + rng.normal(size=n)
    return x, y, rng.uniform(0.2, 3.0, n)


def dense(x, y, w):
    root = np.sqrt(w)[:, None]
    q, r = np.linalg.qr(x * root)
    beta = np.linalg.solve(r, q.T @ (y * root[:, 0]))
    return beta, np.linalg.inv(r) @ np.linalg.inv(r).T, float(np.sum(w * (y - x @ beta) ** 2))


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize(
    ("way", "near", "small", "tolerance"),
    [
        ("all at once", 0.0, 10**9, 1e-12),
        ("one pass", 0.0, 0, 1e-12),
        ("two passes", 1e-2, 0, 1e-9),
        ("Householder block by block", 1e-7, 0, 1e-6),
    ],
)
def test_every_way_equals_the_dense_solution(monkeypatch, way, near, small, tolerance, intercept):
    monkeypatch.setattr(module, "SMALL", small)
    x, y, w = problem(1, 700, 6, near, intercept)
    found = least_squares(Matrix(x, y, w, 0 if intercept else None))
    beta, inverse, rss = dense(x, y, w)
    assert list(found.kept) == list(range(6)) and not len(found.dropped)
    np.testing.assert_allclose(found.beta, beta, rtol=tolerance, atol=tolerance * np.abs(beta).max())
    back = np.linalg.inv(found.root)
    np.testing.assert_allclose(
        back @ back.T, inverse, rtol=tolerance * 10, atol=tolerance * np.abs(inverse).max()
    )
    # the dense b of nearly dependent columns is itself a little off the minimum
    assert found.rss <= rss * (1.0 + 1e-13) and found.rss == pytest.approx(rss, rel=1e-11)
    assert np.all(np.diagonal(found.root) > 0) and np.allclose(found.root, np.triu(found.root), atol=0)
    mean = (w @ y) / w.sum() if intercept else 0.0
    assert found.total == pytest.approx(w @ (y - mean) ** 2, rel=1e-10)


@pytest.mark.parametrize("small", [0, 10**9])
def test_dependent_columns_are_dropped_in_order_and_said_as_combinations(monkeypatch, small):
    monkeypatch.setattr(module, "SMALL", small)
    rng = np.random.default_rng(2)
    a, b = rng.normal(size=(2, 500))
    x = np.column_stack([np.ones(500), a, 3.0 - 2.0 * a, b, np.full(500, 0.1) + 0.2, a + b, np.zeros(500)])
    y = a + rng.normal(size=500)
    found = least_squares(Matrix(x, y, intercept=0))
    assert list(found.kept) == [0, 1, 3] and list(found.dropped) == [2, 4, 5, 6]
    want = np.array([[3.0, 0.3, 0.0, 0.0], [-2.0, 0.0, 1.0, 0.0], [0.0, 0.0, 1.0, 0.0]])
    np.testing.assert_allclose(found.aliases, want, atol=1e-12)
    np.testing.assert_allclose(found.beta, np.linalg.lstsq(x[:, [0, 1, 3]], y, rcond=None)[0], rtol=1e-11)


@pytest.mark.parametrize("small", [0, 10**9])
def test_an_origin_far_away_costs_no_digits(monkeypatch, small):
    # a shift by a power of two beyond the spread of x rounds x; rounded first, it is exact
    monkeypatch.setattr(module, "SMALL", small)
    x, y, _ = problem(3, 600, 3)
    x[:, 1:] = np.round(x[:, 1:] * 2.0**20) / 2.0**20
    here = least_squares(Matrix(x, y, intercept=0))
    moved = x.copy()
    moved[:, 1:] += 2.0**25
    there = least_squares(Matrix(moved, y, intercept=0))
    np.testing.assert_allclose(there.beta[1:], here.beta[1:], rtol=1e-11)
    assert there.rss == pytest.approx(here.rss, rel=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.integers(-60, 60), st.integers(-60, 60))
def test_units_change_nothing(seed, ey, ex):
    x, y, w = problem(seed % 1000, 90, 3)
    here = least_squares(Matrix(x, y, w, 0))
    scaled = x.copy()
    scaled[:, 1] *= 2.0**ex
    there = least_squares(Matrix(scaled, y * 2.0**ey, w, 0))
    np.testing.assert_allclose(there.beta * [1.0, 2.0**ex, 1.0], here.beta * 2.0**ey, rtol=1e-9)
    assert there.rss == pytest.approx(here.rss * 2.0 ** (2 * ey), rel=1e-11)


def test_a_small_ill_conditioned_problem_is_right_to_the_last_digit():
    # Hilbert-like columns of whole numbers, large residuals: the normal equations in rational arithmetic say what b is
    t = np.arange(1, 15, dtype=np.float64)
    x = np.column_stack([t**k for k in range(6)])
    y = 1e3 * (-1.0) ** t + t**5
    exact = [[Fraction(int(v)) for v in row] for row in x]
    want = _rational(exact, [Fraction(int(v)) for v in y])
    found = least_squares(Matrix(x, y, intercept=0))
    np.testing.assert_allclose(found.beta, [float(v) for v in want], rtol=4e-16)


def _rational(x, y):
    p = len(x[0])
    a = [[sum(row[i] * row[j] for row in x) for j in range(p)] for i in range(p)]
    b = [sum(row[i] * v for row, v in zip(x, y, strict=True)) for i in range(p)]
    for k in range(p):
        for i in range(k + 1, p):
            f = a[i][k] / a[k][k]
            a[i] = [u - f * v for u, v in zip(a[i], a[k], strict=True)]
            b[i] -= f * b[k]
    out = [Fraction(0)] * p
    for k in reversed(range(p)):
        out[k] = (b[k] - sum(a[k][j] * out[j] for j in range(k + 1, p))) / a[k][k]
    return out


def test_the_number_of_processors_does_not_change_a_bit(monkeypatch):
    monkeypatch.setattr(module, "SMALL", 0)
    x, y, w = problem(4, 5000, 5)
    many = least_squares(Matrix(x, y, w, 0, segments=8))
    monkeypatch.setattr(module, "thread_count", lambda: 1)
    one = least_squares(Matrix(x, y, w, 0, segments=8))
    assert np.array_equal(many.beta, one.beta) and np.array_equal(many.root, one.root) and many.rss == one.rss

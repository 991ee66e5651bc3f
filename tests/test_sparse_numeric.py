"""Factor, selected inverse and solves of the sparse room, against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from sparse_twin import analysed, crossed, field, filled, pattern, systems, unpacked, with_values

from henderson import sparse
from henderson.errors import ModelError
from henderson.sparse import schedule

METHODS = ["amd", "natural", "dense"]


def check_all(a, tail, method, threads=2, tolerance=1e-10):
    """Everything the room computes for one matrix, against dense linear algebra."""
    n = a.shape[0]
    rng = np.random.default_rng(0)
    y = analysed(a, tail, method)
    panels = filled(y, a)
    assert sparse.factor(y, panels, threads) == -1
    true_l = np.linalg.cholesky(a[np.ix_(y.perm, y.perm)])
    np.testing.assert_allclose(unpacked(y, panels), true_l, atol=tolerance)
    np.testing.assert_allclose(sparse.diagonal(y, panels), np.diag(true_l)[y.inv], rtol=1e-10)
    for drop in range(tail + 1):
        k = n - drop
        lead = a[:k, :k]
        inverse = np.zeros((n, n))
        inverse[:k, :k] = np.linalg.inv(lead) if k else 0.0
        expected = np.where(pattern(y), inverse[np.ix_(y.perm, y.perm)], 0.0)
        out = np.full(y.stored, np.nan)
        sparse.selected_inverse(y, panels, out, drop=drop, threads=threads)
        assert np.isfinite(out).all()
        np.testing.assert_allclose(unpacked(y, out), expected, atol=tolerance)
        if k == 0:
            continue
        for shape in ((k,), (k, 1), (k, 3), (k, 50)):
            b = rng.normal(size=shape)
            x = sparse.solve(y, panels, b, drop=drop)
            np.testing.assert_allclose(x, np.linalg.solve(lead, b), atol=tolerance)
            half = sparse.forward(y, panels, b, drop=drop)
            expected_half = np.linalg.solve(true_l[:k, :k], b[y.perm[:k]])
            np.testing.assert_allclose(half, expected_half, atol=tolerance)
            np.testing.assert_allclose(sparse.backward(y, panels, half, drop=drop), x, atol=tolerance)


@pytest.mark.parametrize("method", METHODS)
@given(system=systems())
@settings(max_examples=50, deadline=None)
def test_small_random_systems(system, method):
    check_all(*system, method)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("tail", [0, 1, 3])
@pytest.mark.parametrize("method", METHODS)
def test_larger_fronts(method, tail, threads):
    check_all(field(20, 30), 0, method, threads)
    rng = np.random.default_rng(3)
    check_all(crossed(400, 120, 2500, rng), 0, method, threads)
    n = 300
    rows, cols = rng.integers(0, n, 900), rng.integers(0, n, 900)
    for t in range(n - tail, n):
        rows, cols = np.concatenate([rows, np.full(n, t)]), np.concatenate([cols, np.arange(n)])
    check_all(with_values(n, rows, cols, rng), tail, method, threads)


def test_blocks_under_a_dense_border():
    """The most common mixed model: one random term with two effects per level, then X and y."""
    rng = np.random.default_rng(4)
    q, m, t = 200, 2, 3
    n = q * m + t
    i = np.arange(n)
    grid = np.argwhere((i[:, None] // m == i[None, :] // m) | (i[:, None] >= n - t))
    a = with_values(n, grid[:, 0], grid[:, 1], rng)
    check_all(a, t, "amd")


def test_one_large_dense_front():
    """Beyond a few hundred equations method="dense" goes through our own blocked kernels, dropped columns and all."""
    rng = np.random.default_rng(7)
    n = 620
    rows, cols = np.tril_indices(n)
    check_all(with_values(n, rows, cols, rng), 2, "dense")


@pytest.mark.parametrize("method", METHODS)
def test_a_bad_pivot_is_a_column_not_an_exception(method):
    for a in (field(6, 7), crossed(60, 20, 300, np.random.default_rng(5)), field(20, 20)):
        for bad in (-1.0, 0.0, np.nan):
            y = analysed(a, 0, method)
            k = y.perm[y.n // 2]
            broken = a.copy()
            broken[k, k] = bad
            panels = filled(y, broken)
            panels[y.positions([k], [k])] = bad
            column = sparse.factor(y, panels)
            assert 0 <= column < y.n
            order = broken[np.ix_(y.perm, y.perm)]
            if np.isfinite(bad) and method != "amd":  # the first column that fails is reported
                smallest = [np.linalg.eigvalsh(order[: j + 1, : j + 1])[0] for j in range(column + 1)]
                assert smallest[-1] <= 1e-9 and (column == 0 or smallest[-2] > 0)


def test_panels_can_be_filled_again():
    a = field(9, 11)
    y = analysed(a)
    first, again = filled(y, a), filled(y, 3.0 * a)
    assert sparse.factor(y, first) == -1
    assert sparse.factor(y, again) == -1
    np.testing.assert_allclose(again, np.sqrt(3.0) * first, rtol=1e-12, atol=1e-14)
    third = filled(y, a)
    sparse.factor(y, third)
    assert (third == first).all()


def two_fields() -> np.ndarray:
    """Two unconnected fields with a dense border: two heavy subtrees under one root."""
    n = 600 + 625
    a = np.zeros((n + 2, n + 2))
    a[:600, :600], a[600:n, 600:n] = field(20, 30), field(25, 25)
    a[n:, :n] = 0.01
    a[:n, n:] = 0.01
    return a + np.diag(np.full(n + 2, 1.0))


@pytest.mark.parametrize(("make", "tail"), [(lambda: field(40, 50), 0), (two_fields, 2)])
def test_subtrees_in_two_threads_give_the_same(monkeypatch, make, tail):
    a = make()
    y = analysed(a, tail)
    alone = filled(y, a)
    sparse.factor(y, alone, threads=1)
    out = np.empty(y.stored)
    sparse.selected_inverse(y, alone, out, drop=0, threads=1)
    monkeypatch.setattr(schedule, "MIN_PARALLEL_FLOPS", 1e3)
    shared = analysed(a, tail)
    assert len(shared.schedule(2).groups) == 2
    together = filled(shared, a)
    assert sparse.factor(shared, together, threads=2) == -1
    np.testing.assert_allclose(together, alone, rtol=1e-12, atol=1e-13)
    both = np.empty(y.stored)
    sparse.selected_inverse(shared, together, both, drop=0, threads=2)
    np.testing.assert_allclose(both, out, rtol=1e-10, atol=1e-12)
    broken = filled(shared, a)
    broken[shared.positions([0], [0])] = -1.0
    assert sparse.factor(shared, broken, threads=2) == shared.inv[0]


def test_arguments_are_checked():
    y = sparse.analyze(4, [3, 1], [0, 0], tail=1)
    panels = np.zeros(y.stored)
    with pytest.raises(ModelError, match="float64"):
        sparse.factor(y, panels.astype(np.float32))
    with pytest.raises(ModelError, match="length"):
        sparse.factor(y, np.zeros(y.stored + 1))
    with pytest.raises(ModelError, match="drop"):
        sparse.selected_inverse(y, panels, panels.copy(), drop=2)
    with pytest.raises(ModelError, match="rows"):
        sparse.solve(y, panels, np.ones(4), drop=1)

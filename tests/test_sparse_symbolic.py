"""Ordering, elimination tree, counts, supernodes: against elimination on a boolean matrix."""

from __future__ import annotations

import importlib.util
import sys
from subprocess import run

import numpy as np
import pytest
from hypothesis import given, settings
from sparse_twin import analysed, field, filled_in, pattern, places, systems

from henderson import sparse
from henderson.errors import HendersonError, ModelError, NotAvailableError

METHODS = ["amd", "natural", "dense"]


@pytest.mark.parametrize("method", METHODS)
@given(system=systems())
@settings(max_examples=60, deadline=None)
def test_the_pattern_covers_the_factor(system, method):
    a, tail = system
    n = a.shape[0]
    y = analysed(a, tail, method)
    assert sorted(y.perm) == list(range(n))
    assert (y.inv[y.perm] == np.arange(n)).all()
    assert (y.perm[n - tail :] == np.arange(n - tail, n)).all()
    assert y.start[-1] == n and (y.start[-2] <= n - tail)
    need = filled_in((a != 0)[np.ix_(y.perm, y.perm)])
    assert not (need & ~pattern(y)).any()
    for s, p in enumerate(y.sn_parent):
        below = y.rows[y.row_ptr[s] : y.row_ptr[s + 1]]
        assert (np.diff(below) > 0).all()
        assert p == (y.sn_of[below[0]] if below.size else -1)


@given(system=systems())
@settings(max_examples=60, deadline=None)
def test_counts_are_exact(system):
    """lnz and flops count L itself, before any zeros are stored."""
    a, _ = system
    for method in ("amd", "natural"):
        y = analysed(a, 0, method)
        per_column = filled_in((a != 0)[np.ix_(y.perm, y.perm)]).sum(axis=0)
        assert y.lnz == per_column.sum()
        assert y.flops == pytest.approx((per_column.astype(float) ** 2).sum())


def test_order_is_near_the_least_fill():
    """A tree has an order without fill, and minimum degree finds it; a grid fills as n log n."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        n = int(rng.integers(2, 60))
        parent = np.array([rng.integers(0, k) for k in range(1, n)])
        y = sparse.analyze(n, np.arange(1, n), parent)
        assert y.lnz == 2 * n - 1
    assert analysed(field(5, 5)).lnz <= 1.35 * 25 * np.log2(25)


def test_dense_rows_come_late():
    n = 2000
    rows, cols = np.full(n, 0), np.arange(n)
    y = sparse.analyze(n, rows, cols)
    assert y.lnz == 2 * n - 1
    assert y.inv[0] >= n - 2


def test_positions_of_any_triangle():
    a = field(4, 6)
    y = analysed(a)
    rows, cols = places(a)
    assert (y.positions(rows, cols) == y.positions(cols, rows)).all()
    with pytest.raises(ModelError, match="not in the pattern"):
        sparse.analyze(3, [0], [0], method="natural").positions([2], [0])


@pytest.mark.parametrize(
    ("arguments", "options"),
    [
        ((0, [], []), {}),
        ((3, [0], [0]), {"tail": 4}),
        ((3, [0], [3]), {}),
        ((3, [-1], [0]), {}),
        ((3, [0, 1], [0]), {}),
        ((3, [0], [0]), {"method": "best"}),
    ],
)
def test_bad_arguments(arguments, options):
    with pytest.raises(HendersonError):
        sparse.analyze(*arguments, **options)


def test_metis_or_a_clear_error():
    a = field(6, 6)
    if importlib.util.find_spec("pymetis") is None:
        with pytest.raises(NotAvailableError, match="pymetis"):
            analysed(a, method="metis")
    else:
        assert sorted(analysed(a, method="metis").perm) == list(range(36))


def test_metis_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymetis", None)
    with pytest.raises(NotAvailableError, match="pymetis"):
        analysed(field(3, 3), method="metis")


def test_dense_needs_no_numba():
    code = (
        "import sys, numpy as np\n"
        "from henderson import sparse\n"
        "y = sparse.analyze(3, [], [], method='dense')\n"
        "p = np.eye(3).ravel() * 4; q = np.empty(9)\n"
        "assert sparse.factor(y, p) == -1\n"
        "sparse.selected_inverse(y, p, q); sparse.solve(y, p, np.ones(2)); sparse.diagonal(y, p)\n"
        "assert 'numba' not in sys.modules\n"
    )
    done = run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

"""A plain dense twin of the sparse room, and the matrices its tests run on."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from henderson import sparse
from henderson.sparse import Symbolic


def with_values(n: int, rows: np.ndarray, cols: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A symmetric positive definite (n, n) with nonzeros at the places given (and on the diagonal)."""
    a = np.zeros((n, n))
    a[rows, cols] = rng.normal(size=rows.size)
    a = np.tril(a + a.T)
    a = a + a.T
    return a + np.diag(np.abs(a).sum(axis=1) + 0.5)


def places(a: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Lower-triangle places of the nonzeros of a."""
    return np.nonzero(np.tril(a))


def filled(symbolic: Symbolic, a: np.ndarray) -> np.ndarray:
    """Panels with the values of a."""
    rows, cols = places(a)
    panels = np.zeros(symbolic.stored)
    panels[symbolic.positions(rows, cols)] = a[rows, cols]
    return panels


def unpacked(symbolic: Symbolic, panels: np.ndarray) -> np.ndarray:
    """The lower-triangular (n, n) matrix in `panels`, permuted numbering."""
    y = symbolic
    out = np.zeros((y.n, y.n))
    for s in range(y.start.size - 1):
        cols = np.arange(y.start[s], y.start[s + 1])
        rows = np.concatenate([cols, y.rows[y.row_ptr[s] : y.row_ptr[s + 1]]])
        panel = panels[y.panel_ptr[s] : y.panel_ptr[s + 1]].reshape(cols.size, rows.size).T
        out[np.ix_(rows, cols)] = panel
    return np.tril(out)


def pattern(symbolic: Symbolic) -> np.ndarray:
    """Where `panels` has an entry of the lower triangle (boolean, permuted numbering)."""
    return unpacked(symbolic, np.ones(symbolic.stored)) > 0


def filled_in(nonzero: np.ndarray) -> np.ndarray:
    """Pattern of the Cholesky factor of a symmetric pattern, by elimination (boolean, lower)."""
    m = nonzero.copy()
    for j in range(m.shape[0]):
        below = j + 1 + np.flatnonzero(m[j + 1 :, j])
        m[np.ix_(below, below)] = True
    return np.tril(m)


@st.composite
def systems(draw: st.DrawFn, largest: int = 40) -> tuple[np.ndarray, int]:
    """(matrix, tail): random patterns, forests, blocks, diagonal, dense, arrow; the tail rows dense."""
    n = draw(st.integers(1, largest))
    tail = draw(st.integers(0, min(3, n)))
    kind = draw(
        st.sampled_from(["random", "forest", "blocks", "diagonal", "dense", "arrow", "band", "star leaves"])
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    i = np.arange(n)
    if kind == "random":
        count = draw(st.integers(0, 5 * n))
        rows, cols = rng.integers(0, n, count), rng.integers(0, n, count)
    elif kind == "forest":
        rows, cols = i[1:], np.array([rng.integers(0, k) for k in range(1, n)], dtype=np.int64)
        keep = rng.random(n - 1) < 0.8
        rows, cols = rows[keep], cols[keep]
    elif kind == "blocks":
        grid = np.argwhere((i[:, None] // 4) == (i[None, :] // 4))
        rows, cols = grid[:, 0], grid[:, 1]
    elif kind == "diagonal":
        rows, cols = i, i
    elif kind == "dense":
        rows, cols = np.tril_indices(n)
    elif kind == "arrow":
        rows, cols = np.full(n, n - 1), i
    elif kind == "band":
        rows, cols = np.concatenate([i[1:], i[3:]]), np.concatenate([i[:-1], i[:-3]])
    else:  # many leaves on a few hubs
        hubs = max(1, n // 5)
        leaves = np.repeat(np.arange(hubs, n), 2)
        rows, cols = leaves, rng.integers(0, hubs, leaves.size)
    for t in range(n - tail, n):
        rows, cols = np.concatenate([rows, np.full(n, t)]), np.concatenate([cols, i])
    shuffled = np.arange(n)
    shuffled[: n - tail] = rng.permutation(n - tail)
    return with_values(n, shuffled[rows], shuffled[cols], rng), tail


def analysed(a: np.ndarray, tail: int = 0, method: str = "amd") -> Symbolic:
    rows, cols = places(a)
    return sparse.analyze(a.shape[0], rows, cols, tail=tail, method=method)


def field(rows: int, cols: int) -> np.ndarray:
    """AR1 (x) AR1 + I, dense: enough fill for fronts that go through BLAS."""
    line = [
        np.eye(k) + np.diag(np.full(k - 1, -0.4), 1) + np.diag(np.full(k - 1, -0.4), -1) for k in (rows, cols)
    ]
    return np.kron(*line) + np.eye(rows * cols)


def crossed(q1: int, q2: int, n: int, rng: np.random.Generator) -> np.ndarray:
    """Z'Z + I of two crossed factors: many leaves over one dense front."""
    z = np.zeros((n, q1 + q2))
    z[np.arange(n), rng.integers(0, q1, n)] = 1.0
    z[np.arange(n), q1 + rng.integers(0, q2, n)] = 1.0
    return z.T @ z + np.eye(q1 + q2)

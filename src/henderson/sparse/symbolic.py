"""Symbolic analysis: everything about the factor that depends on the pattern only. Done once per model.

    analyze -> order (ordering) -> elimination tree, postorder (etree) -> column counts (counts)
            -> supernodes, amalgamated (supernodes) -> rows of each supernode -> Symbolic

This file does not import Numba: a small `method="dense"` must stay usable without compiled code.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from ..errors import ModelError

if TYPE_CHECKING:
    from .schedule import Schedule

Array = np.ndarray
# method="dense" needs no compiled code up to this order; beyond it our own blocked kernels are faster than LAPACK's.
PLAIN_ORDER = 512
METHODS = ("amd", "metis", "natural", "dense")


@dataclass(frozen=True, eq=False)
class Symbolic:
    """The pattern of the Cholesky factor L of a permuted symmetric matrix, by supernodes.

    Supernode s has nc = start[s+1] - start[s] columns and m = row_ptr[s+1] - row_ptr[s] rows below them,
    rows[row_ptr[s]:row_ptr[s+1]] (permuted numbering, sorted). Its columns are kept as a column-major panel
    with leading dimension nc + m that begins at panels[panel_ptr[s]]; the part above the diagonal of its
    square is not used.

    Attributes
    ----------
    n, tail : order of the matrix; number of dense variables kept at the end.
    perm, inv (n,) : perm[new] = old, inv[old] = new.
    start (ns+1,), row_ptr (ns+1,), rows, panel_ptr (ns+1,) : see above.
    sn_of (n,), sn_parent (ns,) : supernode of each column; parent of each supernode (-1 at a root).
    rel : for each row of `rows`, its place in the front of the parent supernode (columns first, then rows
        below).
    first_child, next_child (ns,) : the children of each supernode, as linked lists (-1 ends them).
    lnz, flops : entries of L (diagonal included) and floating-point operations of the factor, before
        amalgamation.
    stored : length of a `panels` array.
    method : the ordering asked for.
    """

    n: int
    tail: int
    perm: Array
    inv: Array
    start: Array
    row_ptr: Array
    rows: Array
    panel_ptr: Array
    sn_of: Array
    sn_parent: Array
    rel: Array
    first_child: Array
    next_child: Array
    lnz: int
    flops: float
    stored: int
    method: str
    _schedules: dict[int, Schedule] = field(default_factory=dict, repr=False)

    @property
    def plain(self) -> bool:
        """Whether LAPACK through SciPy does all the work, without compiled code (see `dense`)."""
        return self.method == "dense" and self.n <= PLAIN_ORDER

    def positions(self, rows: Array, cols: Array) -> Array:
        """Place in `panels` of each entry (rows[k], cols[k]), original numbering, any triangle.

        Raises ModelError when an entry is not in the pattern that was analysed.
        """
        r, c = _indices(self.n, rows, cols)
        if self.method == "dense":
            return np.minimum(r, c) * self.n + np.maximum(r, c)
        from .lookup import find

        out = find(self.inv, self.start, self.row_ptr, self.rows, self.panel_ptr, self.sn_of, r, c)
        if out.size and out.min() < 0:
            k = int(np.argmin(out))
            raise ModelError(f"Entry ({r[k]}, {c[k]}) is not in the pattern given to analyze().")
        return out

    def schedule(self, threads: int) -> Schedule:
        """Order of work and places of the temporary matrices for `threads` threads (made once, kept)."""
        if threads not in self._schedules:
            from .schedule import make

            self._schedules[threads] = make(self, threads)
        return self._schedules[threads]


def _indices(n: int, rows: Array, cols: Array) -> tuple[Array, Array]:
    r = np.ascontiguousarray(rows, dtype=np.int64).ravel()
    c = np.ascontiguousarray(cols, dtype=np.int64).ravel()
    if r.size != c.size:
        raise ModelError(f"rows and cols must have the same length; they have {r.size} and {c.size}.")
    if r.size and (min(r.min(), c.min()) < 0 or max(r.max(), c.max()) >= n):
        raise ModelError(f"Row and column numbers must lie in 0..{n - 1}.")
    return r, c


def analyze(n: int, rows: Array, cols: Array, *, tail: int = 0, method: str = "amd") -> Symbolic:
    """Symbolic factorisation of a symmetric matrix of order n from the places of its entries.

    Parameters
    ----------
    rows, cols : places of the entries, lower, upper or both triangles; duplicates allowed, the diagonal need
        not be given.
    tail : the last `tail` variables are dense (coupled to everything): they stay at the very end, in their
        order.
    method : "amd" (approximate minimum degree), "metis" (needs pymetis), "natural" (the order given),
        "dense" (one supernode in the order given; pattern ignored; no compiled code up to n = 512).

    Raises ModelError for a bad argument, NotAvailableError for METIS without pymetis.
    """
    if n < 1 or not 0 <= tail <= n:
        raise ModelError(f"analyze() needs n >= 1 and 0 <= tail <= n; it was given n={n}, tail={tail}.")
    if method not in METHODS:
        raise ModelError(f"No ordering is called {method!r}; there are {', '.join(METHODS)}.")
    if method == "dense":
        return _dense(n, tail)
    r, c = _indices(n, rows, cols)

    from . import counts as _counts
    from . import etree, graph, ordering, supernodes

    ptr, idx = graph.adjacency(n, r, c)
    lead = n - tail
    perm = np.arange(n, dtype=np.int64)
    if method == "amd":
        perm[:lead] = ordering.amd(lead, ptr, idx)
    elif method == "metis":
        perm[:lead] = ordering.metis(lead, ptr, idx)
    inv = _inverse(perm)

    parent = etree.elimination_tree(n, tail, ptr, idx, perm, inv)
    perm, inv, parent = _renumber(perm, parent, etree.postorder(parent))
    count = _counts.column_counts(n, tail, ptr, idx, perm, inv, parent)
    lnz, flops = int(count.sum()), float(np.square(count.astype(np.float64)).sum())

    first = supernodes.fundamental(parent, count)
    order, width, below, up = supernodes.amalgamate(first, parent, count)
    perm, inv, parent = _renumber(perm, parent, order)
    start = np.concatenate(([0], np.cumsum(width)))
    row_ptr, row = supernodes.row_structure(n, tail, ptr, idx, perm, inv, parent, start, below, up)
    rel, first_child, next_child = supernodes.relative_rows(n, start, row_ptr, row, up)
    panel_ptr = np.concatenate(([0], np.cumsum(width * (width + below))))
    return Symbolic(
        n=n,
        tail=tail,
        perm=perm,
        inv=inv,
        start=start,
        row_ptr=row_ptr,
        rows=row,
        panel_ptr=panel_ptr,
        sn_of=np.repeat(np.arange(width.size), width),
        sn_parent=up,
        rel=rel,
        first_child=first_child,
        next_child=next_child,
        lnz=lnz,
        flops=flops,
        stored=int(panel_ptr[-1]),
        method=method,
    )


def _inverse(perm: Array) -> Array:
    inv = np.empty_like(perm)
    inv[perm] = np.arange(perm.size)
    return inv


def _renumber(perm: Array, parent: Array, order: Array) -> tuple[Array, Array, Array]:
    """Permutation, its inverse and the elimination tree after column order[k] became column k."""
    place = _inverse(order)
    moved = parent[order]
    new_parent = np.where(moved >= 0, place[moved], -1)
    new_perm = perm[order]
    return new_perm, _inverse(new_perm), new_parent


def _dense(n: int, tail: int) -> Symbolic:
    one = np.zeros(1, np.int64)
    identity = np.arange(n, dtype=np.int64)
    return Symbolic(
        n=n,
        tail=tail,
        perm=identity,
        inv=identity,
        start=np.array([0, n], np.int64),
        row_ptr=np.zeros(2, np.int64),
        rows=np.empty(0, np.int64),
        panel_ptr=np.array([0, n * n], np.int64),
        sn_of=np.zeros(n, np.int64),
        sn_parent=one - 1,
        rel=np.empty(0, np.int64),
        first_child=one - 1,
        next_child=one - 1,
        lnz=n * (n + 1) // 2,
        flops=float(n) * (n + 1) * (2 * n + 1) / 6.0,
        stored=n * n,
        method="dense",
    )

"""The mixed-model equations, sparse: one term eliminated level by level, the others by a supernodal factor.

The term with the most effects leads. Its blocks are eliminated by `sparse.leading`; the Schur complement over the other
terms, X and y goes to `sparse`'s ordering and multifrontal Cholesky - or to one dense front where it is full anyway.
Compiled code (Numba) is loaded with this file.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from .. import sparse
from ..errors import ModelError
from ..memory import machine_memory
from ..sparse import blocks as small
from ..sparse import fill, leading
from ..sparse.parallel import run_ranges, thread_count
from .crossproducts import CrossProducts, Pair
from .system import Pivots, same_factors

_DENSE_ORDER = 400
_DENSE_SHARE = 0.4


@dataclass
class _Work:
    """The large arrays, shared by systems that differ in y alone; they hold the state of the one whose token is `owner`."""

    panels: np.ndarray
    inverse: np.ndarray | None = None
    owner: object = None


@dataclass(frozen=True)
class _Link:
    """A pair of the leading term with another: where its blocks' scalars are among the couplings."""

    term: int
    blocks: np.ndarray
    """(nb, m_lead, m_term)."""
    entries: np.ndarray
    """(nb, m_term): coupling entry of each column of each block."""


@dataclass(frozen=True)
class _Inner:
    """Blocks among the trailing terms: term k by term l (k == l: the levels' own blocks)."""

    k: int
    l: int
    blocks: np.ndarray
    """(nb, m_k, m_l)."""
    places: np.ndarray
    """(nb, m_k, m_l): where each scalar is in the panels."""


class BorderedSystem:
    """`system.System` for any number of equations."""

    def __init__(self, products: CrossProducts):
        self.lock = threading.RLock()
        self.products = products
        self.offsets, self.q, self.p = products.offsets, products.q, products.p
        self._border = products.p + 1
        self._lead = int(np.argmax([q * m for q, m in products.sizes]))
        self._lead_q, self._lead_m = products.sizes[self._lead]
        self._threads = thread_count()
        self._order_trailing()
        _require_memory(self.symbolic.stored, self.symbolic.n)
        self._place_blocks()
        self._a: list[tuple[int, int, sp.csr_matrix]] | None = None
        s = self.symbolic
        self.flops = float(s.flops) + 2.0 * self._work + 2.0 * self._level_work
        self.description = (
            f"{self._lead_q} levels of {self._lead_m} eliminated one by one, "
            f"then {s.n} equations with {s.stored:.3g} numbers in the factor"
        )

    # -- once for a model --------------------------------------------------------------------------------------------

    def _order_trailing(self) -> None:
        products, lead = self.products, self._lead
        trailing = [k for k in range(len(products.sizes)) if k != lead]
        self._trailing = trailing
        starts, at = {}, 0
        for k in trailing:
            starts[k] = at
            at += products.sizes[k][0] * products.sizes[k][1]
        self._starts, self._n_trailing = starts, at
        links = [self._oriented(pair) for pair in products.pairs if lead in (pair.k, pair.l)]
        pointer, column, entries = _couplings(links, starts, self._lead_q)
        by_column = fill.by_column(pointer, column, at)
        rows, cols, method = self._trailing_pattern(pointer, column, by_column)
        self.symbolic = sparse.analyze(at + self._border, rows, cols, tail=self._border, method=method)
        column = self.symbolic.inv[column]
        order = _sort_within(pointer, column)
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        self._pointer, self._column = pointer, column[order]
        self._column_pointer, self._entry, self._level = fill.by_column(pointer, self._column, at)
        self._links = [_Link(k, blocks, rank[e]) for (k, _, _, blocks), e in zip(links, entries, strict=True)]
        work = fill.schur_work(pointer, self._column, self._column_pointer, self._entry, self._level, at)
        self._work = float(work[-1]) * self._lead_m
        self._column_cuts = _cuts(work, self._threads)
        levels = pointer.astype(np.float64) + 4.0 * np.arange(len(pointer))
        self._level_cuts = _cuts(levels, self._threads)
        self._level_work = float(levels[-1]) * self._lead_m**2 * (self._border + self._lead_m)

    def _oriented(self, pair: Pair) -> tuple[int, np.ndarray, np.ndarray, np.ndarray]:
        """(other term, leading levels, other levels, blocks with the leading term's effects as rows)."""
        if pair.k == self._lead:
            return pair.l, pair.rows, pair.cols, pair.blocks
        return pair.k, pair.cols, pair.rows, np.ascontiguousarray(pair.blocks.transpose(0, 2, 1))

    def _trailing_pattern(self, pointer, column, by_column) -> tuple[np.ndarray, np.ndarray, str]:
        n = self._n_trailing
        none = np.zeros(0, dtype=np.int64)
        if n <= _DENSE_ORDER:
            return none, none, "dense"
        column_pointer, _, level = by_column
        if fill.estimated_density(pointer, column, column_pointer, level, n, 64) > _DENSE_SHARE:
            return none, none, "dense"
        found = [fill.schur_pattern(pointer, column, column_pointer, level, n)]
        for k, l, blocks, rows, cols in self._inner_blocks():
            r, c = self._scalars(k, rows, blocks.shape[1]), self._scalars(l, cols, blocks.shape[2])
            r, c = np.broadcast_arrays(r[:, :, None], c[:, None, :])
            found.append((r.ravel(), c.ravel()))
        tail = np.arange(n, n + self._border)
        found.append((np.tile(tail, n + self._border), np.repeat(np.arange(n + self._border), self._border)))
        rows = np.concatenate([r for r, _ in found])
        cols = np.concatenate([c for _, c in found])
        return rows, cols, "amd"

    def _inner_blocks(self):
        """(k, l, blocks, level of k, level of l) of the blocks among trailing terms."""
        products = self.products
        for k in self._trailing:
            levels = np.arange(products.sizes[k][0])
            yield k, k, products.own[k], levels, levels
        for pair in products.pairs:
            if self._lead not in (pair.k, pair.l):
                yield pair.k, pair.l, pair.blocks, pair.rows, pair.cols

    def _scalars(self, k: int, levels: np.ndarray, m: int) -> np.ndarray:
        return self._starts[k] + levels[:, None] * m + np.arange(m)

    def _place_blocks(self) -> None:
        symbolic, n = self.symbolic, self._n_trailing
        self._inner = []
        for k, l, blocks, rows, cols in self._inner_blocks():
            r = self._scalars(k, rows, blocks.shape[1])[:, :, None]
            c = self._scalars(l, cols, blocks.shape[2])[:, None, :]
            r, c = np.broadcast_arrays(r, c)
            places = symbolic.positions(r.ravel(), c.ravel()).reshape(blocks.shape)
            self._inner.append(_Inner(k, l, blocks, places))
        t = self._border
        tail = np.arange(n, n + t)
        self._border_places = {}
        for k in self._trailing:
            q, m = self.products.sizes[k]
            r = np.repeat(np.arange(self._starts[k], self._starts[k] + q * m), t)
            self._border_places[k] = symbolic.positions(np.tile(tail, q * m), r).reshape(q, m, t)
        r, c = np.tril_indices(t)
        self._corner_index = (r, c)
        self._corner_places = symbolic.positions(tail[r], tail[c])
        self._arrays = _Work(np.zeros(symbolic.panel_ptr[-1]))
        self._token = object()
        self._factors: list[np.ndarray] = []
        self._pivots: Pivots | None = None

    def with_response(self, products: CrossProducts) -> BorderedSystem:
        """The same system for cross-products that differ in y alone; the work arrays are shared."""
        other = copy.copy(self)
        other.products = products
        other._factors, other._token = [], object()
        return other

    @property
    def _panels(self) -> np.ndarray:
        return self._arrays.panels

    @property
    def _inverse(self) -> np.ndarray:
        work = self._arrays
        if work.inverse is None:
            work.inverse = np.empty_like(work.panels)
        return work.inverse

    # -- each factorisation ------------------------------------------------------------------------------------------

    def factorise(self, factors: Sequence[np.ndarray]) -> Pivots | None:
        if self._arrays.owner is self._token and same_factors(self._factors, factors):
            return self._pivots
        self._arrays.owner = None
        self._pivots = self._factorise(factors)
        self._factors, self._arrays.owner = list(factors), self._token
        return self._pivots

    def _factorise(self, factors: Sequence[np.ndarray]) -> Pivots | None:
        products, lead = self.products, self._lead
        t_lead = factors[lead]
        m = self._lead_m
        own = _two_sided(products.own[lead], t_lead, t_lead)
        own[:, np.arange(m), np.arange(m)] += 1.0
        couple = np.empty((len(self._column), m))
        for link in self._links:
            couple[link.entries] = _two_sided(link.blocks, t_lead, factors[link.term]).transpose(0, 2, 1)
        border = _left(products.border[lead], t_lead)
        self._fill_panels(factors)
        corner = products.corner.copy()
        bad = run_ranges(
            lambda lo, hi: leading.eliminate(own, self._pointer, couple, border, lo, hi),
            self._level_cuts,
            self._level_work,
        )
        if any(at >= 0 for _, at in bad):
            return None
        log_random = float(sum(log for log, _ in bad))
        self._eliminated = own, couple, border
        leading.schur_corner(border, corner, 0, self._lead_q)
        self._panels[self._corner_places] = corner[self._corner_index]
        if len(self._column):
            s = self.symbolic
            run_ranges(
                lambda lo, hi: leading.schur(
                    self._pointer, self._column, couple, border, self._column_pointer, self._entry, self._level,
                    s.start, s.row_ptr, s.rows, s.panel_ptr, self._panels, self._n_trailing, lo, hi,
                ),
                self._column_cuts,
                self._work,
            )  # fmt: skip
        if sparse.factor(self.symbolic, self._panels, threads=self._threads) >= 0:
            return None
        pivots = sparse.diagonal(self.symbolic, self._panels)
        if not pivots[-1] > 0:
            return None
        logs = 2.0 * np.log(pivots[:-1])
        n = self._n_trailing
        return Pivots(log_random + float(logs[:n].sum()), float(logs[n:].sum()), float(pivots[-1]) ** 2)

    def _fill_panels(self, factors: Sequence[np.ndarray]) -> None:
        panels = self._panels
        panels[:] = 0.0
        for inner in self._inner:
            values = _two_sided(inner.blocks, factors[inner.k], factors[inner.l])
            if inner.k == inner.l:
                m = values.shape[1]
                values[:, np.arange(m), np.arange(m)] += 1.0
            panels[inner.places] = values
        for k, places in self._border_places.items():
            panels[places] = _left(self.products.border[k], factors[k])

    # -- solves ------------------------------------------------------------------------------------------------------

    def solution(self) -> tuple[np.ndarray, np.ndarray]:
        rhs = np.concatenate(
            [(b[:, :, -1] @ t).ravel() for b, t in zip(self.products.border, self._factors, strict=True)]
            + [self.products.corner[:-1, -1]]
        )
        s = self.solve(rhs[:, None])[:, 0]
        return s[: self.q], s[self.q :]

    def solve(self, vectors: np.ndarray) -> np.ndarray:
        own, couple, border = self._eliminated
        first, trailing = self._split(vectors)
        leading.forward(own, self._pointer, self._column, couple, border, first, trailing, 0, self._lead_q)
        k = trailing.shape[1]
        solved = np.zeros((self.symbolic.n, k))
        if len(solved) > 1:
            solved[:-1] = sparse.solve(self.symbolic, self._panels, self._unpermuted(trailing), drop=1)
        permuted = solved[self.symbolic.perm]
        leading.backward(own, self._pointer, self._column, couple, border, first, permuted, 0, self._lead_q)
        return self._join(first, solved[:-1])

    def half_solve(self, vectors: np.ndarray) -> np.ndarray:
        own, couple, border = self._eliminated
        first, trailing = self._split(vectors)
        leading.forward(own, self._pointer, self._column, couple, border, first, trailing, 0, self._lead_q)
        first = first.reshape(self._lead_q * self._lead_m, vectors.shape[1])
        if self.symbolic.n == 1:
            return first
        return np.vstack(
            [first, sparse.forward(self.symbolic, self._panels, self._unpermuted(trailing), drop=1)]
        )

    def _split(self, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Copies of the leading part (q1, m, k) and of the trailing part (n + t, k), permuted, zero for y."""
        k = vectors.shape[1]
        lo, hi = self.offsets[self._lead], self.offsets[self._lead + 1]
        first = np.ascontiguousarray(vectors[lo:hi]).reshape(self._lead_q, self._lead_m, k).copy()
        trailing = np.zeros((self.symbolic.n, k))
        for term in self._trailing:
            start, size = self._starts[term], self.offsets[term + 1] - self.offsets[term]
            trailing[start : start + size] = vectors[self.offsets[term] : self.offsets[term + 1]]
        trailing[self._n_trailing : -1] = vectors[self.q :]
        return first, np.ascontiguousarray(trailing[self.symbolic.perm])

    def _unpermuted(self, trailing: np.ndarray) -> np.ndarray:
        """The trailing part in its own numbering, without y."""
        return np.ascontiguousarray(trailing[self.symbolic.inv][:-1])

    def _join(self, first: np.ndarray, trailing: np.ndarray) -> np.ndarray:
        k = first.shape[2]
        out = np.empty((self.q + self.p, k))
        out[self.offsets[self._lead] : self.offsets[self._lead + 1]] = first.reshape(
            self._lead_q * self._lead_m, k
        )
        for term in self._trailing:
            start, size = self._starts[term], self.offsets[term + 1] - self.offsets[term]
            out[self.offsets[term] : self.offsets[term + 1]] = trailing[start : start + size]
        out[self.q :] = trailing[self._n_trailing :]
        return out

    # -- inverse on the pattern --------------------------------------------------------------------------------------

    def invert(self, reml: bool) -> None:
        s = self.symbolic
        drop = 1 if reml else self._border
        sparse.selected_inverse(s, self._panels, self._inverse, drop=drop, threads=self._threads)
        own, couple, border = self._eliminated
        couple, border = couple.copy(), border.copy()
        z_own, z_couple, z_border = np.empty_like(own), np.zeros_like(couple), np.zeros_like(border)
        corner = np.zeros((self._border, self._border))
        r, c = self._corner_index
        corner[r, c] = corner[c, r] = self._inverse[self._corner_places]

        def levels(lo: int, hi: int) -> None:
            leading.back_half(own, self._pointer, couple, border, lo, hi)
            if len(self._column):
                leading.inverse_couplings(
                    self._pointer, self._column, couple, border, self._column_pointer, self._entry, self._level,
                    s.start, s.row_ptr, s.rows, s.panel_ptr, self._inverse, self._n_trailing,
                    z_couple, z_border, lo, hi,
                )  # fmt: skip
            leading.inverse_own(own, self._pointer, couple, border, corner, z_couple, z_border, z_own, lo, hi)

        run_ranges(levels, self._level_cuts, self._work + self._level_work)
        self._z = z_own, z_couple, z_border

    def traces(self) -> list[np.ndarray]:
        products, factors, lead = self.products, self._factors, self._lead
        z_own, z_couple, z_border = self._z
        out = [np.zeros((m, m)) for _, m in products.sizes]
        _add_traces(out, lead, lead, products.own[lead], z_own, factors)
        for link in self._links:
            z = z_couple[link.entries].transpose(0, 2, 1)
            _add_traces(out, lead, link.term, link.blocks, z, factors)
        out[lead] += _contract(products.border[lead][:, :, :-1], z_border[:, :, :-1])
        for inner in self._inner:
            _add_traces(out, inner.k, inner.l, inner.blocks, self._inverse[inner.places], factors)
        for k, places in self._border_places.items():
            out[k] += _contract(products.border[k][:, :, :-1], self._inverse[places[:, :, :-1]])
        return out

    def diagonal_blocks(self) -> list[np.ndarray]:
        out: list[np.ndarray] = [np.zeros(0)] * len(self.products.sizes)
        out[self._lead] = self._z[0].copy()
        for inner in self._inner:
            if inner.k == inner.l:
                out[inner.k] = self._inverse[inner.places]
        return out

    def pair_blocks(self) -> list[np.ndarray]:
        links = iter(self._links)
        inner = iter([each for each in self._inner if each.k != each.l])
        out = []
        for pair in self.products.pairs:
            if self._lead not in (pair.k, pair.l):
                out.append(self._inverse[next(inner).places])
                continue
            blocks = self._z[1][next(links).entries].transpose(0, 2, 1)
            out.append(blocks if pair.k == self._lead else blocks.transpose(0, 2, 1))
        return out

    # -- products with the cross-product matrix ----------------------------------------------------------------------

    def border(self) -> np.ndarray:
        return np.concatenate(
            [b[:, :, -1].ravel() for b in self.products.border] + [self.products.corner[:-1, -1]]
        )

    def multiply(self, vectors: np.ndarray) -> np.ndarray:
        products, offsets = self.products, self.offsets
        out = np.zeros_like(vectors)
        fixed = vectors[self.q :]
        out[self.q :] = products.corner[:-1, :-1] @ fixed
        parts = []
        for k, (q, m) in enumerate(products.sizes):
            part = vectors[offsets[k] : offsets[k + 1]].reshape(q, m, -1)
            parts.append(part)
            result = out[offsets[k] : offsets[k + 1]].reshape(q, m, -1)
            small.add_product(products.own[k], part, result)
            if self.p:
                border = products.border[k][:, :, :-1].reshape(q * m, self.p)
                out[offsets[k] : offsets[k + 1]] += border @ fixed
                out[self.q :] += border.T @ vectors[offsets[k] : offsets[k + 1]]
        for k, l, matrix in self._pair_matrices():
            out[offsets[k] : offsets[k + 1]] += matrix @ vectors[offsets[l] : offsets[l + 1]]
            out[offsets[l] : offsets[l + 1]] += matrix.T @ vectors[offsets[k] : offsets[k + 1]]
        return out

    def _pair_matrices(self) -> list[tuple[int, int, sp.csr_matrix]]:
        if self._a is None:
            self._a = []
            for pair in self.products.pairs:
                (qk, mk), (ql, ml) = self.products.sizes[pair.k], self.products.sizes[pair.l]
                r = (pair.rows[:, None] * mk + np.arange(mk))[:, :, None]
                c = (pair.cols[:, None] * ml + np.arange(ml))[:, None, :]
                r, c = np.broadcast_arrays(r, c)
                matrix = sp.csr_matrix(
                    (pair.blocks.ravel(), (r.ravel(), c.ravel())), shape=(qk * mk, ql * ml)
                )
                self._a.append((pair.k, pair.l, matrix))
        return self._a


def _require_memory(stored: int, n: int) -> None:
    """Refuse a model whose factor and inverse cannot both be held, before the machine starts to swap."""
    memory = machine_memory()
    needed = 2 * 8 * stored
    if needed > memory:
        raise ModelError(
            f"The equations left after the largest random term, {n} of them, fill {needed / 1e9:.0f} GB as factor and "
            f"inverse; this machine has {memory / 1e9:.0f} GB. Their levels meet almost everywhere: fit a sample of the "
            "rows, or group the smaller term more coarsely."
        )


def _two_sided(blocks: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """left' block right for each block (nb, m, l); a new array."""
    if left.shape == right.shape == (1, 1):
        return blocks * (left[0, 0] * right[0, 0])
    return small.two_sided(blocks, left, right)


def _left(blocks: np.ndarray, left: np.ndarray) -> np.ndarray:
    """left' block for each block (nb, m, l); a new array, C order."""
    return blocks * left[0, 0] if blocks.shape[1] == 1 else small.left_sided(blocks, left)


def _contract(a: np.ndarray, z: np.ndarray) -> np.ndarray:
    """sum over levels and columns of a[i, :, x] z[i, :, x]': (m, m)."""
    m = a.shape[1]
    if m == 1:
        return np.array([[np.vdot(a, z)]])
    return a.transpose(1, 0, 2).reshape(m, -1) @ z.transpose(1, 0, 2).reshape(m, -1).T


def _add_traces(
    out: list[np.ndarray], k: int, l: int, a: np.ndarray, z: np.ndarray, factors: Sequence[np.ndarray]
) -> None:
    """Add the share of blocks a (nb, m_k, m_l) of A and z of C^-1 to M_k, and to M_l where it is another term."""
    nb, mk, ml = a.shape
    if mk == ml == 1:
        total = np.vdot(a, z)
        out[k][0, 0] += total * factors[l][0, 0]
        if k != l:
            out[l][0, 0] += total * factors[k][0, 0]
        return
    q = (a.reshape(nb, mk * ml).T @ z.reshape(nb, mk * ml)).reshape(mk, ml, mk, ml)
    out[k] += np.einsum("acbd,cd->ab", q, factors[l])
    if k != l:
        out[l] += np.einsum("acbd,ab->cd", q, factors[k])


def _couplings(links, starts, q_lead) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Scalar couplings of the leading levels, by level: pointer, column, and each link's entries (nb, m_term)."""
    levels = [np.repeat(rows, blocks.shape[2]) for _, rows, _, blocks in links]
    columns = [
        (starts[k] + cols[:, None] * blocks.shape[2] + np.arange(blocks.shape[2])).ravel()
        for k, _, cols, blocks in links
    ]
    level = np.concatenate([*levels, np.zeros(0, dtype=np.int64)])
    column = np.concatenate([*columns, np.zeros(0, dtype=np.int64)]).astype(np.int64)
    order = np.argsort(level, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    pointer = np.zeros(q_lead + 1, dtype=np.int64)
    np.cumsum(np.bincount(level, minlength=q_lead), out=pointer[1:])
    entries, at = [], 0
    for _, _, cols, blocks in links:
        size = len(cols) * blocks.shape[2]
        entries.append(rank[at : at + size].reshape(len(cols), blocks.shape[2]))
        at += size
    return pointer, column[order], entries


def _sort_within(pointer: np.ndarray, column: np.ndarray) -> np.ndarray:
    """The order that sorts the couplings of each level by column."""
    level = np.repeat(np.arange(len(pointer) - 1), np.diff(pointer))
    return np.lexsort((column, level))


def _cuts(cumulated: np.ndarray, parts: int) -> list[int]:
    """Cut positions into `parts` ranges of about equal work, from the cumulated work (n + 1,)."""
    n = len(cumulated) - 1
    inner = np.searchsorted(cumulated, cumulated[-1] * np.arange(1, parts) / parts)
    return [0, *np.clip(inner, 0, n).tolist(), n]

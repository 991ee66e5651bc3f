"""C~ = W'R^-1 W + blockdiag(K^-1 (x) I, 0, 0), W = [Z (I (x) T), X, y]: one sparse symmetric system, analysed once.

    order: the random effects b by least fill, then X, then y; what T, K and R leave structurally zero is not stored
    factorise -> log|C_zz|, log|C|, the penalised residual sum of squares
    invert    -> C^-1 on the pattern of the factor, from which every trace of the gradient is read

Entries of A are kept in blocks: `_Block` holds, for a pair of terms, the (m_k, m_l) blocks of the pairs of levels that meet, and
where the scalars of T_k' A T_l are in the factor.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ... import sparse
from ...sparse.parallel import thread_count
from ..system import Pivots
from .model import Model, Term
from .weighted import weighted

_DENSE_ORDER = 400
_DENSE_SHARE = 0.4


class Values(NamedTuple):
    """The parameters' image: what the system is made of at one theta."""

    factors: list[np.ndarray]
    """T_k (m, r)."""
    precisions: list[np.ndarray | None]
    """K_k^-1 on its pattern; None for independent levels."""
    residual: np.ndarray | None
    """R^-1 on its pattern; None for R = I."""

    def same(self, other: Values | None) -> bool:
        """Equal to the last bit."""
        if other is None:
            return False
        mine, theirs = [*self.factors, *self.precisions, self.residual], [*other.factors, *other.precisions, other.residual]
        return all(
            (a is None and b is None) or (a is not None and b is not None and np.array_equal(a, b))
            for a, b in zip(mine, theirs, strict=True)
        )


@dataclass(frozen=True, eq=False)
class _Block:
    """Term k by term l: blocks of A of the pairs of levels that meet, and their places in the factor."""

    k: int
    l: int
    own: bool
    """Whether the levels are the same one: the diagonal blocks of a term."""
    rows: np.ndarray
    """(nb,) levels of k; cols: of l."""
    cols: np.ndarray
    entry: np.ndarray
    """(entries,) which entries of A, and at[...]: where each is in blocks (nb, m_k, m_l), flat. A diagonal block has both halves."""
    at: np.ndarray
    shape: tuple[int, int, int]
    """(nb, r_k, r_l) of T_k' A T_l; present: its flat entries that are not structurally zero; places: where those are in the panels."""
    present: np.ndarray
    places: np.ndarray

    @property
    def whole(self) -> bool:
        """Whether no scalar is structurally zero."""
        return len(self.places) == self.shape[0] * self.shape[1] * self.shape[2]

    def blocks(self, values: np.ndarray, mk: int, ml: int) -> np.ndarray:
        if mk == ml == 1:
            return values[self.entry].reshape(-1, 1, 1)
        out = np.zeros(len(self.rows) * mk * ml)
        out[self.at] = values[self.entry]
        return out.reshape(len(self.rows), mk, ml)


class Equations:
    """The mixed-model equations of a `Model`."""

    def __init__(self, model: Model, method: str | None = None):
        self.lock = threading.RLock()
        self.model = model
        self.terms = model.terms
        self.p = model.x.shape[1]
        self._border = self.p + 1
        self._threads = thread_count()
        self.u_offsets = np.concatenate([[0], np.cumsum([t.q * t.m for t in self.terms])]).astype(np.int64)
        self.offsets = np.concatenate([[0], np.cumsum([t.q * t.r for t in self.terms])]).astype(np.int64)
        self.q = int(self.offsets[-1])
        self.z = _stacked(self.terms, len(model.y))
        self.xy = np.column_stack([model.x, model.y])
        self.weighted = weighted(self.z, model.residual)
        self._analyse(method)
        self._values: Values | None = None
        self._pivots: Pivots | None = None
        self._inverse: np.ndarray | None = None
        self._inverted: bool | None = None
        self._weighed = False
        self._row_pattern: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None

    # -- once for a model --------------------------------------------------------------------------------------------

    def _analyse(self, method: str | None) -> None:
        found = self._level_blocks()
        rows, cols = [], []
        wanted = []
        for k, l, own, lk, ll, entry, at in found:
            r, c, shape, present = self._scalars(k, l, lk, ll, entry, at, own)
            wanted.append((r, c, shape, present))
            rows.append(r)
            cols.append(c)
        within = [self._within_levels(k, found, wanted) for k in range(len(self.terms))]
        for k, r, c in within:
            rows.append(r)
            cols.append(c)
        self._priors = []
        for k, term in enumerate(self.terms):
            if not term.prior:
                continue
            pr, pc = (None, None) if term.precision is None else (term.precision.rows, term.precision.cols)
            level_r = np.arange(term.q) if pr is None else pr
            level_c = level_r if pc is None else pc
            s = np.arange(term.r)
            r = (self.offsets[k] + level_r[:, None] * term.r + s).ravel()
            c = (self.offsets[k] + level_c[:, None] * term.r + s).ravel()
            self._priors.append((k, r, c))
            rows.append(r)
            cols.append(c)
        n = self.q + self._border
        tail = np.arange(self.q, n)
        if method is None:
            method = self._method(sum(map(len, rows)))
        rows.append(np.tile(tail, n))
        cols.append(np.repeat(np.arange(n), self._border))
        all_rows, all_cols = np.concatenate(rows), np.concatenate(cols)
        if method == "dense":
            within = [self._within_levels(k, None, wanted) for k in range(len(self.terms))]
            self.symbolic = sparse.analyze(n, np.zeros(0, np.int64), np.zeros(0, np.int64), tail=self._border, method="dense")
        else:
            self.symbolic = sparse.analyze(n, all_rows, all_cols, tail=self._border, method=method)
        positions = self.symbolic.positions
        self._blocks = []
        for (k, l, own, lk, ll, entry, at), (r, c, shape, present) in zip(found, wanted, strict=True):
            self._blocks.append(_Block(k, l, own, lk, ll, entry, at, shape, present, positions(r, c)))
        self._prior_places = [(k, positions(r, c)) for k, r, c in self._priors]
        self._own_places = []
        for (k, r, c), term in zip(within, self.terms, strict=True):
            places = np.full((term.q, term.r, term.r), -1, dtype=np.int64)
            level, s = np.divmod(r - self.offsets[k], term.r)
            places[level, s, c - self.offsets[k] - level * term.r] = positions(r, c)
            self._own_places.append(places)
        del self._priors
        self._border_places = [
            positions(np.tile(tail, t.q * t.r), np.repeat(np.arange(lo, lo + t.q * t.r), self._border))
            for t, lo in zip(self.terms, self.offsets, strict=False)
        ]
        self._corner_index = np.tril_indices(self._border)
        self._corner_places = positions(tail[self._corner_index[0]], tail[self._corner_index[1]])
        self._panels = np.zeros(self.symbolic.stored)
        self.flops = float(self.symbolic.flops)
        self.description = (
            f"{n} equations, {'one dense front' if method == 'dense' else f'{self.symbolic.stored:.3g} numbers in the factor'}"
        )

    def _method(self, entries: int) -> str:
        if self.q <= _DENSE_ORDER or entries > _DENSE_SHARE * 0.5 * self.q**2:
            return "dense"
        return "amd"

    def _level_blocks(self):
        """Entries of A by pair of terms and pair of levels: (k, l, own, levels k, levels l, entry, place in the blocks)."""
        rows, cols = self.weighted.rows, self.weighted.cols
        term_of = lambda index: np.searchsorted(self.u_offsets, index, side="right") - 1  # noqa: E731
        tr, tc = term_of(rows), term_of(cols)
        out = []
        n_terms = len(self.terms)
        pair = tr * n_terms + tc
        order = np.argsort(pair, kind="stable")
        starts = np.searchsorted(pair[order], np.arange(n_terms * n_terms + 1))
        for k in range(n_terms):
            for l in range(k + 1):
                code = k * n_terms + l
                entry = order[starts[code] : starts[code + 1]]
                if not len(entry):
                    continue
                mk, ml = self.terms[k].m, self.terms[l].m
                level_k, e = np.divmod(rows[entry] - self.u_offsets[k], mk)
                level_l, f = np.divmod(cols[entry] - self.u_offsets[l], ml)
                if k != l:
                    out.append(_group(k, l, False, level_k, level_l, e, f, entry, self.terms[l].q, mk, ml))
                    continue
                same = level_k == level_l
                if same.any():
                    lk, ee, ff, en = level_k[same], e[same], f[same], entry[same]
                    off = ee != ff
                    lk, en = np.concatenate([lk, lk[off]]), np.concatenate([en, en[off]])
                    ee, ff = np.concatenate([ee, ff[off]]), np.concatenate([ff, ee[off]])
                    out.append(_group(k, k, True, lk, lk, ee, ff, en, self.terms[k].q, mk, mk))
                if not same.all():
                    rest = ~same
                    out.append(
                        _group(k, k, False, level_k[rest], level_l[rest], e[rest], f[rest], entry[rest], self.terms[k].q, mk, mk)
                    )
        return out

    def _within_levels(self, k, found, wanted):
        """Equations (rows, cols) within each level of term k that are coupled in some level: their inverse is asked for in all,
        in levels without records too. All of them where `found` is None: a dense factor has them anyhow."""
        term = self.terms[k]
        coupled = np.full((term.r, term.r), found is None) | np.eye(term.r, dtype=bool)
        for (i, _, own, *_), (_, _, shape, present) in zip(found or (), wanted, strict=found is not None):
            if i == k and own and term.r > 1:
                there = np.zeros(int(np.prod(shape)), dtype=bool)
                there[present] = True
                coupled |= there.reshape(shape).any(axis=0)
        a, b = np.nonzero(coupled)
        first = self.offsets[k] + np.arange(term.q)[:, None] * term.r
        return k, (first + a).ravel(), (first + b).ravel()

    def _scalars(self, k, l, lk, ll, entry, at, own):
        """Equations (rows, cols) of the structurally present scalars of T_k' A T_l, and which they are of all."""
        tk, tl = self.terms[k], self.terms[l]
        shape = (len(lk), tk.r, tl.r)
        if tk.m * tl.m * tk.r * tl.r == 1:
            r, c = self.offsets[k] + lk, self.offsets[l] + ll
            return r, c, shape, np.arange(len(lk))
        there = np.zeros(len(lk) * tk.m * tl.m, dtype=bool)
        there[at] = True
        there = there.reshape(len(lk), tk.m, tl.m)
        pk, pl = tk.structure.pattern.astype(np.float32), tl.structure.pattern.astype(np.float32)
        present = ((pk.T @ there.astype(np.float32)) @ pl > 0).ravel()
        r = self.offsets[k] + lk[:, None, None] * tk.r + np.arange(tk.r)[:, None]
        c = self.offsets[l] + ll[:, None, None] * tl.r + np.arange(tl.r)
        r, c = np.broadcast_arrays(r, c)
        index = np.flatnonzero(present)
        return r.ravel()[index], c.ravel()[index], shape, index

    # -- each factorisation ------------------------------------------------------------------------------------------

    def factorise(self, values: Values) -> Pivots | None:
        """Factor C~; None where a pivot is not positive. Costs nothing where it is factorised there already."""
        if values.same(self._values):
            return self._pivots
        self._values, self._inverted = None, None
        self._pivots = self._factorise(values)
        self._values = values
        return self._pivots

    def _weigh(self, values: Values) -> None:
        """A and its borders at R."""
        if self.model.residual is None and self._weighed:
            return
        self._a = self.weighted.values(values.residual)
        self._rinv = None if self.model.residual is None else self._precision_matrix(values.residual)
        rxy = self.xy if self._rinv is None else self._rinv @ self.xy
        border = self.z.T @ rxy
        self._u_border = border
        self._corner = self.xy.T @ rxy
        self._weighed = True

    def _precision_matrix(self, values):
        """R^-1 (rows, rows) CSR, both triangles, on a pattern made once."""
        import scipy.sparse as sp

        residual = self.model.residual
        if self._row_pattern is None:
            rows, cols = residual.rows, residual.cols
            off = np.flatnonzero(rows != cols)
            r = np.concatenate([rows, cols[off]])
            c = np.concatenate([cols, rows[off]])
            index = np.concatenate([np.arange(len(rows)), off])
            matrix = sp.csr_matrix((np.arange(1, len(r) + 1, dtype=np.float64), (r, c)), shape=(residual.n, residual.n))
            matrix.sort_indices()
            self._row_pattern = (matrix.indices, matrix.indptr, index[matrix.data.astype(np.int64) - 1])
        indices, indptr, index = self._row_pattern
        return sp.csr_matrix((values[index], indices, indptr), shape=(residual.n, residual.n))

    def residual_times(self, precision: np.ndarray, v: np.ndarray) -> np.ndarray:
        """M v, for a symmetric M (rows, rows) on R^-1's pattern."""
        return np.asarray(self._precision_matrix(precision) @ v)

    def precision_times(self, v: np.ndarray) -> np.ndarray:
        """R^-1 v at the last factorisation."""
        return v if self._rinv is None else np.asarray(self._rinv @ v)

    def assemble(self, values: Values) -> None:
        """Put C~ at `values` into the panels, not factorised."""
        self._values, self._inverted = None, None
        self._weigh(values)
        panels = self._panels
        panels[:] = 0.0
        for block in self._blocks:
            tk, tl = values.factors[block.k], values.factors[block.l]
            scaled = _two_sided(block.blocks(self._a, len(tk), len(tl)), tk, tl)
            panels[block.places] = scaled.ravel() if block.whole else scaled.ravel()[block.present]
        for k, places in self._prior_places:
            precision, r = values.precisions[k], self.terms[k].r
            panels[places] += 1.0 if precision is None else np.repeat(precision, r)
        for k, places in enumerate(self._border_places):
            panels[places] = self._scaled_border(k, values.factors[k]).ravel()
        panels[self._corner_places] = self._corner[self._corner_index]

    def _factorise(self, values: Values) -> Pivots | None:
        self.assemble(values)
        panels = self._panels
        if sparse.factor(self.symbolic, panels, threads=self._threads) >= 0:
            return None
        pivots = sparse.diagonal(self.symbolic, panels)
        if not pivots[-1] > 0:
            return None
        logs = 2.0 * np.log(pivots[:-1])
        return Pivots(float(logs[: self.q].sum()), float(logs[self.q :].sum()), float(pivots[-1]) ** 2)

    def _scaled_border(self, k: int, t: np.ndarray) -> np.ndarray:
        """T' Z'R^-1[X y], (q, r, p + 1)."""
        term = self.terms[k]
        part = self._u_border[self.u_offsets[k] : self.u_offsets[k + 1]].reshape(term.q, term.m, self._border)
        if t.shape == (1, 1):
            return part * t[0, 0]
        return np.matmul(t.T, part)

    # -- solves ------------------------------------------------------------------------------------------------------

    def solve(self, vectors: np.ndarray) -> np.ndarray:
        """C^-1 v, for v (q + p, k)."""
        if not len(vectors):
            return vectors
        return sparse.solve(self.symbolic, self._panels, np.ascontiguousarray(vectors), drop=1)

    def half_solve(self, vectors: np.ndarray) -> np.ndarray:
        """F with F'F = v' C^-1 v."""
        if not len(vectors):
            return vectors
        return sparse.forward(self.symbolic, self._panels, np.ascontiguousarray(vectors), drop=1)

    def back_solve(self, vectors: np.ndarray) -> np.ndarray:
        """Of standard normals: vectors with variance C^-1."""
        return sparse.backward(self.symbolic, self._panels, np.ascontiguousarray(vectors), drop=1)

    def to_effects(self, vectors: np.ndarray) -> np.ndarray:
        """Lambda v: (q, k) -> (effects, k): b to u."""
        assert self._values is not None
        return self._by_term(vectors, self._values.factors, False)

    def from_effects(self, vectors: np.ndarray) -> np.ndarray:
        """Lambda' v: (effects, k) -> (q, k)."""
        assert self._values is not None
        return self._by_term(vectors, self._values.factors, True)

    def _by_term(self, vectors: np.ndarray, factors: Sequence[np.ndarray], transposed: bool) -> np.ndarray:
        offsets = self.u_offsets if transposed else self.offsets
        parts = []
        for k, (term, t) in enumerate(zip(self.terms, factors, strict=True)):
            part = vectors[offsets[k] : offsets[k + 1]]
            if t.shape == (1, 1):
                parts.append(part * t[0, 0])
                continue
            width = part.shape[1]
            part = part.reshape(term.q, -1, width)
            parts.append(np.matmul(t.T if transposed else t, part).reshape(-1, width))
        return np.concatenate([*parts, np.zeros((0, vectors.shape[1]))])

    def solution(self) -> tuple[np.ndarray, np.ndarray]:
        """b^ (q,), beta^ (p,)."""
        assert self._values is not None
        rhs = np.concatenate([self.from_effects(self._u_border[:, -1:])[:, 0], self._corner[:-1, -1]])
        s = self.solve(rhs[:, None])[:, 0]
        return s[: self.q], s[self.q :]

    def fitted(self, b: np.ndarray, beta: np.ndarray) -> np.ndarray:
        """X beta + Z Lambda b, (rows,)."""
        out = self.model.x @ beta
        if self.q:
            out = out + self.z @ self.to_effects(b[:, None])[:, 0]
        return out

    # -- inverse on the pattern --------------------------------------------------------------------------------------

    def invert(self, reml: bool) -> None:
        """Prepare C^-1 (REML) or C_zz^-1 (ML)."""
        if self._inverse is not None and self._inverted == reml:
            return
        if self._inverse is None:
            self._inverse = np.empty_like(self._panels)
        drop = 1 if reml else self._border
        sparse.selected_inverse(self.symbolic, self._panels, self._inverse, drop=drop, threads=self._threads)
        self._inverted = reml

    def _inverse_block(self, block: _Block) -> np.ndarray:
        assert self._inverse is not None
        if block.whole:
            return self._inverse[block.places].reshape(block.shape)
        out = np.zeros(int(np.prod(block.shape)))
        out[block.present] = self._inverse[block.places]
        return out.reshape(block.shape)

    def _inverse_border(self, k: int) -> np.ndarray:
        """(q, r, p): C^-1 between term k and X."""
        assert self._inverse is not None
        term = self.terms[k]
        return self._inverse[self._border_places[k]].reshape(term.q, term.r, self._border)[:, :, : self.p]

    def traces(self) -> list[np.ndarray]:
        """M_k (m, r) = sum over levels of the (level, level) blocks of A Lambda C^-1: tr(C^-1 dC/dT_k) = 2 <M_k, dT_k>."""
        assert self._values is not None
        factors = self._values.factors
        out = [np.zeros(t.shape) for t in factors]
        for block in self._blocks:
            tk, tl = factors[block.k], factors[block.l]
            a = block.blocks(self._a, len(tk), len(tl))
            inverse = self._inverse_block(block)
            if tk.shape == tl.shape == (1, 1):
                total = float(np.vdot(a, inverse))
                out[block.k] += total * tl[0, 0]
                if not block.own:
                    out[block.l] += total * tk[0, 0]
                continue
            out[block.k] += np.tensordot(a @ tl, inverse, axes=([0, 2], [0, 2]))
            if not block.own:
                out[block.l] += np.tensordot(a.transpose(0, 2, 1) @ tk, inverse, axes=([0, 2], [0, 1]))
        if self._inverted and self.p:
            for k, term in enumerate(self.terms):
                border = self._u_border[self.u_offsets[k] : self.u_offsets[k + 1], : self.p]
                if factors[k].shape == (1, 1):
                    out[k] += np.vdot(border, self._inverse_border(k)[:, 0])
                    continue
                border = border.reshape(term.q, term.m, self.p)
                out[k] += np.tensordot(border, self._inverse_border(k), axes=([0, 2], [0, 2]))
        return out

    def prior_traces(self, k: int) -> np.ndarray:
        """Sum over the columns of T of C^-1 on the pattern of K_k^-1, (nnz,): lower triangle, not doubled."""
        assert self._inverse is not None
        places = next(places for j, places in self._prior_places if j == k)
        return self._inverse[places].reshape(-1, self.terms[k].r).sum(axis=1)

    def row_variances(self) -> np.ndarray:
        """(W C^-1 W')_ij for the pairs of rows in R^-1's pattern, times 2 off the diagonal; W = [Z Lambda, X] (REML), or
        [Z Lambda] (ML)."""
        assert self._values is not None and self.model.residual is not None
        factors = self._values.factors
        g = np.zeros(len(self.weighted.rows))
        for block in self._blocks:
            tk, tl = factors[block.k], factors[block.l]
            spread = tk @ self._inverse_block(block) @ tl.T
            # The two halves of a diagonal block write the same number.
            g[block.entry] = spread.ravel()[block.at]
        out = self.weighted.pull_back(g)
        if self._inverted and self.p:
            rows, cols = self.model.residual.rows, self.model.residual.cols
            half = self._half_with_fixed()
            x = self.model.x
            both = np.einsum("ij,ij->i", half[rows], x[cols]) + np.einsum("ij,ij->i", x[rows], half[cols])
            out += np.where(rows == cols, 1.0, 2.0) * both
        return out

    def _half_with_fixed(self) -> np.ndarray:
        """Z Lambda C^-1_bx + X C^-1_xx / 2, (rows, p): half of what X adds to W C^-1 W'."""
        assert self._inverse is not None
        half = 0.5 * self.model.x @ self._fixed_block()
        if self.q:
            coupled = np.concatenate([self._inverse_border(k).reshape(-1, self.p) for k in range(len(self.terms))])
            half = half + self.z @ self.to_effects(coupled)
        return half

    def _fixed_block(self) -> np.ndarray:
        assert self._inverse is not None
        full = np.zeros((self._border, self._border))
        full[self._corner_index] = self._inverse[self._corner_places]
        full = full + np.tril(full, -1).T
        return full[: self.p, : self.p]

    def diagonal_blocks(self, k: int) -> np.ndarray:
        """C^-1 within each level of term k, (q, r, r); zero where no record couples two columns of T (see `coupled`)."""
        assert self._inverse is not None
        places = self._own_places[k]
        return np.where(places >= 0, self._inverse[np.maximum(places, 0)], 0.0)

    def coupled(self, k: int) -> np.ndarray:
        """(r, r) bool: columns of T between which `diagonal_blocks` is known."""
        return np.all(self._own_places[k] >= 0, axis=0)


def _stacked(terms: Sequence[Term], n: int):
    import scipy.sparse as sp

    if not terms:
        return sp.csr_matrix((n, 0))
    z = terms[0].z if len(terms) == 1 else sp.hstack([t.z for t in terms], format="csr")
    z.sort_indices()
    return z


def _group(k, l, own, level_k, level_l, e, f, entry, ql, mk, ml):
    key = level_k.astype(np.int64) * ql + level_l
    if mk == ml == 1:
        # One entry for each pair of levels already.
        return k, l, own, level_k, level_l, entry, np.arange(len(entry))
    pairs, index = np.unique(key, return_inverse=True)
    at = index * (mk * ml) + e * ml + f
    return k, l, own, pairs // ql, pairs % ql, entry, at


def _two_sided(blocks: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """T_k' A T_l of each block."""
    if left.shape == right.shape == (1, 1):
        return blocks * (left[0, 0] * right[0, 0])
    return left.T @ blocks @ right

"""C~ = W'R^-1 W + blockdiag(K^-1 (x) I, 0, 0), W = [Z (I (x) T), X, y]: one sparse symmetric system, analysed once (`pattern`).

order: the random effects b by least fill, then X, then y
factorise -> log|C_zz|, log|C|, the penalised residual sum of squares
invert    -> C^-1 on the pattern of the factor, from which every trace of the gradient is read
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ... import sparse
from ...sparse.parallel import thread_count
from ..system import Pivots
from .model import Model, Term
from .pattern import column_offsets, effect_offsets, pattern_of
from .plan import require_memory
from .row_matrix import RowMatrix
from .weighted import weighted

if TYPE_CHECKING:
    import scipy.sparse as sp


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
        mine, theirs = (
            [*self.factors, *self.precisions, self.residual],
            [*other.factors, *other.precisions, other.residual],
        )
        return all(
            (a is None and b is None) or (a is not None and b is not None and np.array_equal(a, b))
            for a, b in zip(mine, theirs, strict=True)
        )


class Equations:
    """The mixed-model equations of a `Model`."""

    def __init__(self, model: Model, method: str | None = None, allocate: bool = True):
        """method : "dense" or "amd" for the factor; None chooses. allocate : False analyses alone, for a plan.

        Raises
        ------
        ModelError : the factor does not fit in memory.
        """
        self.lock = threading.RLock()
        self.model = model
        self.terms = model.terms
        self.p = model.x.shape[1]
        self._border = self.p + 1
        self._corner_index = np.tril_indices(self._border)
        self._threads = thread_count()
        self.u_offsets, self.offsets = column_offsets(self.terms), effect_offsets(self.terms)
        self.q = int(self.offsets[-1])
        self.z = _stacked(self.terms, len(model.y))
        self.xy = np.column_stack([model.x, model.y])
        self.weighted = weighted(self.z, model.residual)
        self._pattern = pattern_of(self.terms, self.weighted, self._border, method)
        self.symbolic = self._pattern.symbolic
        if allocate:
            require_memory(self.q + self.p, self.symbolic.stored)
        self._panels = np.zeros(self.symbolic.stored if allocate else 0)
        self._rows = None if model.residual is None else RowMatrix(model.residual)
        self._rinv: sp.csr_matrix | None = None
        self._weighed = False
        self._values: Values | None = None
        self._pivots: Pivots | None = None
        self._inverse: np.ndarray | None = None
        self._inverted: bool | None = None

    @property
    def flops(self) -> float:
        """Floating-point operations of one factorisation."""
        return float(self.symbolic.flops)

    @property
    def description(self) -> str:
        """In a line."""
        stored = (
            "one dense front" if self._pattern.dense else f"{self.symbolic.stored:.3g} numbers in the factor"
        )
        return f"{self.symbolic.n} equations, {stored}"

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
        if self._rows is None and self._weighed:
            return
        self._a = self.weighted.values(values.residual)
        self._rinv = None
        if self._rows is not None:
            assert values.residual is not None
            self._rinv = self._rows.of(values.residual)
        rxy = self.precision_times(self.xy)
        self._u_border = np.asarray(self.z.T @ rxy)
        self._corner = self.xy.T @ rxy
        self._weighed = True

    def residual_times(self, values: np.ndarray, v: np.ndarray) -> np.ndarray:
        """M v, for a symmetric M among the rows, given on R^-1's pattern."""
        assert self._rows is not None
        return np.asarray(self._rows.of(values) @ v)

    def precision_times(self, v: np.ndarray) -> np.ndarray:
        """R^-1 v at the last factorisation."""
        return v if self._rinv is None else np.asarray(self._rinv @ v)

    def assemble(self, values: Values) -> None:
        """Put C~ at `values` into the panels, not factorised."""
        self._values, self._inverted = None, None
        self._weigh(values)
        panels = self._panels
        panels[:] = 0.0
        for block in self._pattern.blocks:
            pairs = block.pairs
            tk, tl = values.factors[pairs.k], values.factors[pairs.l]
            block.put(panels, _two_sided(pairs.blocks(self._a, len(tk), len(tl)), tk, tl))
        for k, places in enumerate(self._pattern.priors):
            if places is not None:
                precision = values.precisions[k]
                panels[places] += 1.0 if precision is None else np.repeat(precision, self.terms[k].r)
        for k, places in enumerate(self._pattern.borders):
            panels[places] = self._scaled_border(k, values.factors[k]).ravel()
        panels[self._pattern.corner] = self._corner[self._corner_index]

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

    def _inverse_border(self, k: int) -> np.ndarray:
        """(q, r, p): C^-1 between term k and X."""
        assert self._inverse is not None
        term = self.terms[k]
        return self._inverse[self._pattern.borders[k]].reshape(term.q, term.r, self._border)[:, :, : self.p]

    def traces(self) -> list[np.ndarray]:
        """M_k (m, r) = sum over levels of the (level, level) blocks of A Lambda C^-1: tr(C^-1 dC/dT_k) = 2 <M_k, dT_k>."""
        assert self._values is not None and self._inverse is not None
        factors = self._values.factors
        out = [np.zeros(t.shape) for t in factors]
        for block in self._pattern.blocks:
            pairs = block.pairs
            tk, tl = factors[pairs.k], factors[pairs.l]
            a = pairs.blocks(self._a, len(tk), len(tl))
            inverse = block.take(self._inverse)
            if tk.shape == tl.shape == (1, 1):
                total = float(np.vdot(a, inverse))
                out[pairs.k] += total * tl[0, 0]
                if not pairs.own:
                    out[pairs.l] += total * tk[0, 0]
                continue
            out[pairs.k] += np.tensordot(a @ tl, inverse, axes=([0, 2], [0, 2]))
            if not pairs.own:
                out[pairs.l] += np.tensordot(a.transpose(0, 2, 1) @ tk, inverse, axes=([0, 2], [0, 1]))
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
        places = self._pattern.priors[k]
        assert places is not None
        return self._inverse[places].reshape(-1, self.terms[k].r).sum(axis=1)

    def row_variances(self) -> np.ndarray:
        """(W C^-1 W')_ij for the pairs of rows in R^-1's pattern, times 2 off the diagonal; W = [Z Lambda, X] (REML), or
        [Z Lambda] (ML)."""
        assert self._values is not None and self.model.residual is not None
        factors = self._values.factors
        g = np.zeros(len(self.weighted.rows))
        assert self._inverse is not None
        for block in self._pattern.blocks:
            pairs = block.pairs
            spread = factors[pairs.k] @ block.take(self._inverse) @ factors[pairs.l].T
            # The two halves of a diagonal block write the same number.
            g[pairs.entry] = spread.ravel()[pairs.at]
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
            coupled = np.concatenate(
                [self._inverse_border(k).reshape(-1, self.p) for k in range(len(self.terms))]
            )
            half = half + self.z @ self.to_effects(coupled)
        return half

    def _fixed_block(self) -> np.ndarray:
        assert self._inverse is not None
        full = np.zeros((self._border, self._border))
        full[self._corner_index] = self._inverse[self._pattern.corner]
        full = full + np.tril(full, -1).T
        return full[: self.p, : self.p]

    def diagonal_blocks(self, k: int) -> np.ndarray:
        """C^-1 within each level of term k, (q, r, r); zero where no record couples two columns of T (see `coupled`)."""
        assert self._inverse is not None
        places = self._pattern.within[k]
        return np.where(places >= 0, self._inverse[np.maximum(places, 0)], 0.0)

    def coupled(self, k: int) -> np.ndarray:
        """(r, r) bool: columns of T between which `diagonal_blocks` is known."""
        return np.all(self._pattern.within[k] >= 0, axis=0)


def _stacked(terms: Sequence[Term], n: int) -> sp.csr_matrix:
    import scipy.sparse as sp

    if not terms:
        return sp.csr_matrix((n, 0))
    z = terms[0].z if len(terms) == 1 else sp.hstack([t.z for t in terms], format="csr")
    z.sort_indices()
    return z


def _two_sided(blocks: np.ndarray, left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """T_k' A T_l of each block."""
    if left.shape == right.shape == (1, 1):
        return blocks * (left[0, 0] * right[0, 0])
    return left.T @ blocks @ right
